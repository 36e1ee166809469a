"""Stage `proposals`: the class-agnostic segments of every photo, by a pool of processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from empaste_aug.offline.execute.local import LocalExecutor
from empaste_aug.offline.execute.protocol import Executor
from empaste_aug.offline.proposals import build_proposals
from empaste_aug.offline.proposals.base import ProposalMethod, Segment
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.types import ArgumentError, EMPasteError


class ProposalStage(PhotoStage):
    """Per photo its segments, unfiltered; `segments` reads them back.

    Args:
        work: the work folder.
        names: the methods, see `build_proposals`.
        options: keyword arguments of `build_proposals`.
        workers: processes, where the stage has no executor; up to 1 computes in this one.
    """

    name: ClassVar[str] = "proposals"

    def __init__(
        self,
        work: str | Path,
        names: Sequence[str],
        options: Mapping[str, Any] | None = None,
        *,
        workers: int = 1,
    ) -> None:
        self.names = tuple(names)
        self.options = dict(options or {})
        self.workers = workers
        try:
            self._method: ProposalMethod | None = build_proposals(self.names, **self.options)
        except ArgumentError as error:
            # Its arguments are called otherwise in a build, and some as other options of it.
            name, _, rest = str(error).partition(": ")
            blamed = f"proposals: {rest}" if name == "names" else f"proposal_options: {error}"
            raise ArgumentError(blamed) from error
        super().__init__(work, {"name": self._method.name, "config": self._method.config()})

    def compute(self, photo: Photo) -> Arrays:
        """The photo's segments, packed."""
        if self._method is None:
            self._method = build_proposals(self.names, **self.options)
        return propose(self._method, photo)

    def segments(self, photo: Photo) -> list[Segment]:
        """The stored segments of one photo, in the order of the method.

        Raises:
            ArgumentError: the stage has not run on this photo.
        """
        return unpack(self.load(photo))

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the method: it may hold networks, and is made again from its options."""
        return {**super().__getstate__(), "_method": None}

    def _executor_for(self, number: int) -> Executor | None:
        if self.executor is None and min(self.workers, number) > 1:
            return LocalExecutor(self.workers)
        return self.executor


def propose(method: ProposalMethod, photo: Photo) -> Arrays:
    """Run a method on one photo; the result is packed for an npz file.

    Raises:
        EMPasteError: the method failed; the message names the photo.
    """
    image = photo.read()
    try:
        return pack(method(image, image_id=photo.image.image_id), image.shape[:2])
    except EMPasteError:
        raise
    except Exception as error:
        raise EMPasteError(
            f"stage proposals: {method.name} failed on {photo.image.path}: {error!r}"
        ) from error


def pack(segments: Sequence[Segment], size: tuple[int, int]) -> Arrays:
    """Segments of one (height, width) photo as arrays."""
    counts = [bytes(segment.rle["counts"]) for segment in segments]
    return {
        "size": np.array(size, dtype=np.int64),
        "counts": np.frombuffer(b"".join(counts), dtype=np.uint8),
        "lengths": np.array([len(part) for part in counts], dtype=np.int64),
        "source": np.array([segment.source for segment in segments], dtype=np.str_),
        "strength": np.array([segment.strength for segment in segments], dtype=np.float32),
    }


def unpack(arrays: Arrays) -> list[Segment]:
    """What `pack` packed."""
    size = [int(value) for value in arrays["size"]]
    counts = arrays["counts"].tobytes()
    ends = np.cumsum(arrays["lengths"])
    return [
        Segment({"size": size, "counts": counts[end - length : end]}, str(source), float(strength))
        for end, length, source, strength in zip(
            ends, arrays["lengths"], arrays["source"], arrays["strength"], strict=True
        )
    ]
