"""A stage and photos that cost next to nothing, importable in the processes that tests start."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from empaste_aug.offline.datasets.base import LabelledImage
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.photos import Photo, hash_files
from empaste_aug.types import ArgumentError

HEIGHT, WIDTH = 24, 32


def make_photos(folder: Path, number: int) -> list[Photo]:
    """Photos of noise in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    paths = []
    for index in range(number):
        path = folder / f"p{index:03d}.png"
        Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(path)
        paths.append(path)
    return [
        Photo(LabelledImage(path.stem, path, path.name, (0,), HEIGHT, WIDTH), (0,), digest)
        for path, digest in zip(paths, hash_files(paths, progress=False), strict=True)
    ]


class SpectrumStage(PhotoStage):
    """Per photo its spectrum; some photos can be made to fail, and all of them to take a while."""

    name = "spectrum"

    def __init__(
        self, work: str | Path, *, fails: str = "", dies: str = "", seconds: float = 0.0
    ) -> None:
        super().__init__(work, {"kind": "test"})
        self.fails = fails
        self.dies = dies
        self.seconds = seconds

    def compute(self, photo: Photo) -> Arrays:
        if photo.name == self.fails:
            raise ArgumentError(f"photo {photo.name} is not wanted")
        if photo.name == self.dies:
            os._exit(3)
        time.sleep(self.seconds)
        pixels = photo.read().astype(np.float64)
        return {"spectrum": np.abs(np.fft.fft2(pixels, axes=(0, 1))), "name": np.array(photo.name)}


class SerialExecutor:
    """Runs tasks here, last one first."""

    batch = 3

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def map(
        self,
        function: Callable[[Any], None],
        tasks: Sequence[Any],
        *,
        on_done: Callable[[Any], None],
        gpus: float = 0.0,
    ) -> None:
        for task in reversed(tasks):
            self.sizes.append(len(task.photos))
            function(task)
            on_done(task)

    def close(self) -> None:
        """Nothing to give back."""


class LostExecutor(SerialExecutor):
    """Says that all is done."""

    def map(self, function: Any, tasks: Any, *, on_done: Any, gpus: float = 0.0) -> None:
        for task in tasks:
            on_done(task)


def touch(path: str) -> None:
    """A task: make a file, tell the process in it."""
    Path(path).write_text(str(os.getpid()))


def refuse(path: str) -> None:
    """A task that fails for paths that end in x."""
    if path.endswith("x"):
        raise ArgumentError(f"refused: {path}")
    touch(path)


def die(path: str) -> None:
    """A task that ends its process for paths that end in x."""
    if path.endswith("x"):
        os._exit(3)
    touch(path)


def describe_process(path: str) -> None:
    """A task: write down this process's threads and folder."""
    import cv2

    torch_free = "torch" not in __import__("sys").modules
    Path(path).write_text(
        f"{os.environ['OMP_NUM_THREADS']} {cv2.getNumThreads()} {torch_free} {os.getcwd()}"
    )


def files_of(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """Every finished file of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob(pattern))
        if path.is_file() and path.suffix != ".tmp"
    }
