"""Reading photos from disk: RGB uint8, turned upright, whatever the file holds."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import DatasetError, MissingDependencyError

if TYPE_CHECKING:
    from PIL import Image

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"})
"""Suffixes, in lower case, of the files that count as photos when a folder is listed."""

_LONGEST_LINK = 1024
_ORIENTATION = 0x0112
_QUARTER_TURNS = (5, 6, 7, 8)


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Decode a photo completely.

    The EXIF orientation is applied, as detectron2 does. Greyscale, palette, CMYK and 16-bit
    greyscale files become 8-bit RGB; an alpha channel is dropped, not blended. Of an animation the
    first frame is read.

    Returns:
        (H, W, 3) uint8 RGB, C-contiguous and writable.

    Raises:
        DatasetError: the file is missing, truncated, or no image.
        MissingDependencyError: Pillow is not installed.
    """
    return _read(path, path)


def decode_image(data: bytes, where: str | Path) -> NDArray[np.uint8]:
    """What `read_image` makes of a file with these bytes; `where` names them in messages.

    Raises:
        DatasetError: they are truncated, or no image.
        MissingDependencyError: Pillow is not installed.
    """
    return _read(BytesIO(data), where)


def decoded_orientation(data: bytes, where: str | Path) -> int:
    """The EXIF orientation of an encoded image, 1 to 8; 1, upright, where it has none.

    Raises:
        DatasetError: its header is broken.
        MissingDependencyError: Pillow is not installed.
    """
    image_module, _ = _pillow()
    try:
        with image_module.open(BytesIO(data)) as opened:
            return int(opened.getexif().get(_ORIENTATION, 1))
    except _failures() as error:
        raise _unreadable(where, error) from error


def read_index_map(path: str | Path) -> NDArray[np.uint8]:
    """The (H, W) uint8 pixel values of a palette or greyscale PNG, such as VOC's masks.

    Raises:
        DatasetError: the file is missing or broken, or has more than one channel.
    """
    image_module, _ = _pillow()
    try:
        with image_module.open(path) as opened:
            if opened.mode not in ("P", "L"):
                raise DatasetError(
                    f"{path}: a mask must be a palette or 8-bit greyscale image, "
                    f"this one has mode {opened.mode}"
                )
            return np.array(opened, dtype=np.uint8)
    except _failures() as error:
        raise _unreadable(path, error) from error


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) after EXIF rotation, from the file's header alone.

    Raises:
        DatasetError: the file is missing or its header is broken.
    """
    image_module, _ = _pillow()
    try:
        with image_module.open(path) as opened:
            width, height = opened.size
            # PNG's own getexif decodes all pixels, to find an eXIf chunk behind them
            exif = image_module.Image.getexif(opened)
            turned = exif.get(_ORIENTATION, 1) in _QUARTER_TURNS
    except _failures() as error:
        raise _unreadable(path, error) from error
    return (width, height) if turned else (height, width)


def follow_text_link(path: Path) -> Path:
    """The photo behind a symbolic link that was checked out as a small text file.

    Git without symbolic links and some archive tools leave the link's target as the file's
    content. Any other path is given back as it is.
    """
    try:
        if path.stat().st_size > _LONGEST_LINK:
            return path
        target = path.parent / path.read_text(encoding="utf-8")
        is_link = target.suffix.lower() == path.suffix.lower() and target.is_file()
    except (OSError, ValueError):
        return path
    return target.resolve() if is_link else path


def _read(source: str | Path | BytesIO, where: str | Path) -> NDArray[np.uint8]:
    image_module, ops = _pillow()
    try:
        with image_module.open(source) as opened:
            upright = ops.exif_transpose(opened)
            return np.array(_to_rgb(upright), dtype=np.uint8)
    except _failures() as error:
        raise _unreadable(where, error) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # 16 bits
        grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        image_module, _ = _pillow()
        rgb: Image.Image = image_module.fromarray(grey).convert("RGB")
        return rgb
    if image.mode == "F":
        raise OSError("floating point pixels have no agreed range; store the photo with 8 bits")
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _failures() -> tuple[type[Exception], ...]:
    from PIL import Image

    # Pillow's decoders raise SyntaxError and ValueError too on damaged files.
    return (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def _unreadable(path: str | Path, error: Exception) -> DatasetError:
    if isinstance(error, FileNotFoundError):
        return DatasetError(f"{path}: no such file")
    if isinstance(error, OSError) and "cannot identify" in str(error):
        return DatasetError(f"{path}: not an image, or its header is broken")
    return DatasetError(f"{path}: cannot be decoded: {error}")


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingDependencyError("pillow", "offline", "reading photos from disk") from error
    return Image, ImageOps
