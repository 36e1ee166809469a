from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_files import truncate, write_map, write_photo
from PIL import Image

from empaste_aug.imageio import image_size, read_image, read_index_map
from empaste_aug.types import DatasetError


def save(path: Path, mode: str, height: int = 6, width: int = 9, **options: object) -> Path:
    grey = np.arange(height * width, dtype=np.uint8).reshape(height, width) * 4
    Image.fromarray(grey).convert(mode).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("RGB", ".png"),
        ("L", ".png"),
        ("1", ".png"),
        ("P", ".png"),
        ("RGBA", ".png"),
        ("LA", ".png"),
        ("RGB", ".jpg"),
        ("L", ".jpg"),
        ("CMYK", ".jpg"),
        ("P", ".gif"),
    ],
)
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    image = read_image(save(tmp_path / f"photo{suffix}", mode))
    assert image.shape == (6, 9, 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable
    assert image.max() > 150
    assert image.min() < 60


def test_lossless_pixels_are_untouched(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "photo.png", seed=3)
    expected = np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_image(path), expected)


def test_alpha_is_dropped_not_blended(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), 200, dtype=np.uint8)
    pixels[..., 3] = 0
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png") == 200).all()


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((4, 4), np.uint8))
    image.putpalette([10, 20, 30] * 256)
    image.save(tmp_path / "p.png", transparency=bytes([0, 255]))
    assert (read_image(tmp_path / "p.png") == [10, 20, 30]).all()


def test_sixteen_bit_grey_keeps_its_range(tmp_path: Path) -> None:
    values = np.array([[0, 32768], [65535, 256]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png")[..., 1], [[0, 128], [255, 1]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((8, 12, 3), np.uint8)
    upright[:4, :6] = 255  # the top left quarter is white
    back = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(np.ascontiguousarray(back[orientation])).save(path, exif=exif)
    np.testing.assert_array_equal(read_image(path), upright)
    assert image_size(path) == (8, 12)


def test_truncated_photo_is_an_error_though_its_header_is_good(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "photo.jpg", 80, 90)
    truncate(path)
    assert image_size(path) == (80, 90)
    with pytest.raises(DatasetError, match=r"photo\.jpg: cannot be decoded"):
        read_image(path)


@pytest.mark.parametrize("reader", [read_image, image_size, read_index_map])
def test_missing_and_foreign_files(tmp_path: Path, reader: object) -> None:
    assert callable(reader)
    with pytest.raises(DatasetError, match=r"gone\.jpg: no such file"):
        reader(tmp_path / "gone.jpg")
    (tmp_path / "text.jpg").write_text("no photo")
    with pytest.raises(DatasetError, match=r"text\.jpg: not an image"):
        reader(tmp_path / "text.jpg")


def test_float_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((3, 3), np.float32)).save(tmp_path / "f.tiff")
    with pytest.raises(DatasetError, match="floating point"):
        read_image(tmp_path / "f.tiff")


def test_index_maps_keep_their_values(tmp_path: Path) -> None:
    values = np.array([[0, 1, 255], [7, 255, 0]], dtype=np.uint8)
    write_map(tmp_path / "map.png", values)
    np.testing.assert_array_equal(read_index_map(tmp_path / "map.png"), values)
    write_photo(tmp_path / "rgb.png")
    with pytest.raises(DatasetError, match="mode RGB"):
        read_index_map(tmp_path / "rgb.png")
