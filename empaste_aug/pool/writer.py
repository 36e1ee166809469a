"""Building a pool of backgrounds: images in, whatever kills the build, nothing lost or doubled."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.pool.build import Build
from empaste_aug.pool.description import (
    check_output,
    check_settings,
    describe_build,
    naming_remedy,
)
from empaste_aug.pool.encoding import encode
from empaste_aug.pool.folder import is_finished
from empaste_aug.pool.provenance import check_key, describe_image
from empaste_aug.pool.repair import sound_rows
from empaste_aug.types import ArgumentError, PoolError

_logger = logging.getLogger(__name__)


class PoolWriter:
    """Writes a pool of backgrounds into a folder; a context manager.

    What goes in must show no object of the data set's classes: nothing will be labelled on it. The
    data set's own photos do not belong here, they come from the data set with their labels.

    Leaving the context, or `finish`, completes the pool; leaving it by an exception, or by a kill,
    leaves an unfinished build that no reader opens. A writer on the same folder with the same
    settings takes it up again: images whose key is there already are not written anew, so that a
    tool may simply start over, or ask ``key in writer`` before it makes an image. Each image is
    durable when `add` returns. The same images in the same order give the same bytes in every
    file, however often the build was killed (with the same releases of simplejpeg and OpenCV).

    On a finished pool with the same settings, a writer reads and checks all files. Where they are
    sound it has nothing to do: `add` knows all keys, and refuses new ones. Where an image is gone
    or damaged, it says so in the log and takes the pool up as an unfinished one, for `add` to put
    that image back.

    Args:
        path: the pool's folder; made where missing. One that holds other files is refused.
        method: a name for how the images were made, for the manifest.
        config: the method's settings, for the manifest: what JSON can hold.
        codec: "jpeg" (4:2:0) or "png", for images that are added as arrays.
        jpeg_quality: 1 to 100, for "jpeg".
        overwrite: start anew. What the folder holds of a pool, finished or not, is gone as soon as
            the writer is made.

    Raises:
        ArgumentError: an argument is out of range; without `overwrite`, `path` holds a pool of
            other settings; or it holds other files.
        PoolError: another process is writing there, the folder cannot be written, or a table of
            the finished pool there is damaged.

    Example:
        >>> night = np.zeros((96, 128, 3), np.uint8)
        >>> with PoolWriter("out/pool", method="by hand") as writer:
        ...     row = writer.add("a", night, kind="user", caption="night")
        >>> pool = PoolReader("out/pool")
        >>> len(pool), pool.size(row), pool.provenance(row)["caption"]
        (1, (96, 128), 'night')
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        method: str | None = None,
        config: Mapping[str, Any] | None = None,
        codec: str = "jpeg",
        jpeg_quality: int = 95,
        overwrite: bool = False,
    ) -> None:
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise ArgumentError(f"path: {path!r} is not the folder of a pool")
        self.path = Path(path).absolute()
        self._description = describe_build(method, config, codec, jpeg_quality)
        self._codec, self._jpeg_quality = codec, jpeg_quality
        self._build: Build | None = None
        self._finished: dict[str, int] | None = None
        with self._disk("prepare the folder"):
            if is_finished(self.path) and not overwrite:
                self._finished = self._known_rows() or None
            if self._finished is None:
                self._build = Build(self.path, self._description, restart=overwrite)

    @classmethod
    def check(
        cls,
        path: str | os.PathLike[str],
        *,
        method: str | None = None,
        config: Mapping[str, Any] | None = None,
        codec: str = "jpeg",
        jpeg_quality: int = 95,
        overwrite: bool = False,
    ) -> None:
        """Find out, before the work begins, whether a writer could be made; touch nothing.

        Raises:
            ArgumentError: as the writer itself.
            PoolError: the folder cannot be written, or a manifest is damaged.
        """
        description = describe_build(method, config, codec, jpeg_quality)
        check_output(Path(path).absolute(), description, overwrite=overwrite)

    def __len__(self) -> int:
        """How many images the pool has so far."""
        return len(self._there())

    def __contains__(self, key: object) -> bool:
        """Whether the image of this key is there already."""
        return isinstance(key, str) and key in self._there()

    def add(
        self,
        key: str,
        image: NDArray[np.uint8] | bytes,
        *,
        kind: str,
        source: str | None = None,
        caption: str | None = None,
        prompt: str | None = None,
        seed: int | None = None,
        model: str | None = None,
        score: float | None = None,
        scores: Mapping[str, float] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> int:
        """Add one image, or do nothing where its key is there already.

        Args:
            key: unique in the pool, such as "2007_000032/caption 1/image 4".
            image: (H, W, 3) uint8 RGB; or the bytes of a JPEG or PNG file, kept as they are.
            kind: "generated", "object_free", "inpainted", "user" or "black".
            source: the id of the photo that it comes from.
            caption, prompt: the photo's, and the one after the distractor rule.
            seed: what the image was made from, in [0, 2**64).
            model: the name of the model that made it.
            score: how well the image fits its caption, higher is better.
            scores: further scores by name.
            extra: anything else that JSON can hold.

        Returns:
            The image's row in the pool.

        Raises:
            ArgumentError: an argument is wrong; nothing was added, and the writer goes on.
            PoolError: the image could not be written, as on a full disk: it may be added again,
                now or by the next writer, and the others are safe. Or the writer is closed, or the
                pool finished and without this key.
        """
        if check_key(key) in self:
            return (self._finished or self._open_build().numbers)[key]
        build = self._open_build()
        provenance = describe_image(
            key=key,
            kind=kind,
            source=source,
            caption=caption,
            prompt=prompt,
            seed=seed,
            model=model,
            score=score,
            scores=scores,
            extra=extra,
        )
        data, suffix, size = encode(image, self._codec, self._jpeg_quality)
        with self._disk(f"write the image {key!r}"):
            return build.store(data, suffix, size, provenance)

    def finish(self) -> None:
        """Complete the pool: the tables, then the manifest. Does nothing on a finished pool.

        Raises:
            PoolError: no image was added; files that the journal names are gone or damaged; the
                tables could not be written; or the writer is closed. It may be tried again.
        """
        if self._finished is not None:
            return
        build = self._open_build()
        if not build.numbers:
            raise PoolError(f"{self.path}: no image was added, so there is no pool to finish")
        hole = build.find_holes()
        if hole is not None:
            raise PoolError(
                f"{self.path}: {len(build.numbers) - len(build)} images are missing or damaged, "
                f"the first is {hole}; add them again"
            )
        with self._disk("write the tables"):
            build.finish(self._description)
        self._finished, self._build = build.numbers, None

    def close(self) -> None:
        """Leave the pool as it is, finished or not, for the next writer to go on with."""
        if self._build is not None:
            self._build.close()
            self._build = None

    def __enter__(self) -> PoolWriter:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the pool; after an exception leave it unfinished."""
        try:
            if kind is None:
                self.finish()
        finally:
            self.close()

    def _there(self) -> Build | dict[str, int]:
        return self._open_build() if self._finished is None else self._finished

    def _open_build(self) -> Build:
        if self._finished is not None:
            raise PoolError(
                f"{self.path}: the pool is finished and takes no further images; overwrite=True "
                "makes it anew"
            )
        if self._build is None:
            raise PoolError(f"{self.path}: the writer is closed")
        return self._build

    def _known_rows(self) -> dict[str, int]:
        """The row of each key of the finished pool; none where an image of it is not sound."""
        with naming_remedy():
            manifest = check_settings(self.path, self._description)
            rows = sound_rows(self.path, manifest, self._description)
        if not rows:
            _logger.warning(
                f"{self.path}: images of the finished pool are missing or damaged; they have to be "
                "added again"
            )
        return rows

    @contextmanager
    def _disk(self, purpose: str) -> Iterator[None]:
        """Say what could not be written, and what that means."""
        try:
            yield
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise PoolError(
                f"{self.path}: cannot {purpose}: {error}; "
                + ("the disk is full: make room and run again: " if is_full else "")
                + "what was written before stays"
            ) from error
