"""One process of benchmarks/scale.py: memory and time of what grows with the data set, made up.

python benchmarks/_scale_worker.py fem 50000
python benchmarks/_scale_worker.py listing 1000000
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from empaste_aug.offline.cues import CUES
from empaste_aug.offline.datasets.base import LabelledImage
from empaste_aug.offline.fem import FEMConfig
from empaste_aug.offline.reduction import fit_reducer
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.foregrounds import ForegroundStage
from empaste_aug.offline.stages.photos import Photo, listing_hash

SEGMENTS, DIMENSIONS, REDUCED = 200, 1280, 32
NARROW = 64
"""Features of so many dimensions are quick to make; reduced, they are as large as others."""

CLASSES = 20
TIMED = 20


def make_photos(number: int, *, labels: tuple[int, ...]) -> list[Photo]:
    """A list as a data set of COCO's kind gives it."""
    photos = []
    for index in range(number):
        name = f"{index:012d}"
        image = LabelledImage(
            name, Path(f"coco/train2017/{name}.jpg"), f"{name}.jpg", labels, 480, 640
        )
        photos.append(Photo(image, labels, f"{index:064x}"))
    return photos


class MadeUp:
    """Stands for a stage whose files hold the same arrays for every photo."""

    key = "made-up"

    def __init__(self, arrays: Arrays, classes: int = 0) -> None:
        self.arrays = arrays
        self.classes = classes
        self.classifier = self.head = self

    def load(self, photo: Photo) -> Arrays:
        """Arrays of their own for every photo, as read from a file."""
        shift = int(photo.digest[-4:], 16)
        return {name: np.roll(value, shift, axis=0) for name, value in self.arrays.items()}

    def check_classes(self, names: Any) -> tuple[int, ...]:
        """Column k is class k."""
        return tuple(range(len(names)))

    def run(self, *_: Any, **__: Any) -> None:
        """It is done."""


def make_stage(work: str) -> ForegroundStage:
    """F-EM of one class, from made-up evidence."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    features: Any = MadeUp(
        {
            "segment": np.arange(SEGMENTS),
            "phi": normal(SEGMENTS, NARROW).astype(np.float16),
            "logits": normal(SEGMENTS, CLASSES),
        }
    )
    distances: Any = MadeUp({"distance": rng.random((SEGMENTS, 1)).astype(np.float32)})
    cues: Any = MadeUp({"cues": rng.random((1, SEGMENTS, len(CUES))).astype(np.float32)})
    return ForegroundStage(
        work, features, distances, ["thing"], config=FEMConfig(), cues=cues, reduce=REDUCED
    )


def peak_mib() -> float:
    """Peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_fem(number: int) -> dict[str, float]:
    """F-EM of a class of `number` photos; and what a photo costs the fit of the reduction."""
    photos = make_photos(number, labels=(0,))
    rng = np.random.default_rng(0)
    batch = rng.standard_normal((SEGMENTS, DIMENSIONS)).astype(np.float16)
    start = time.process_time()
    fit_reducer((batch for _ in range(TIMED)), REDUCED)
    reducer = (time.process_time() - start) / TIMED
    with tempfile.TemporaryDirectory() as work:
        stage = make_stage(work)
        stage._reducer = stage._fit_reducer(photos[:TIMED], REDUCED)
        before = peak_mib()
        start = time.process_time()
        stage._compute(0, photos)
        return {
            "photos": number,
            "segments": number * SEGMENTS,
            "class_seconds": time.process_time() - start,
            "peak_mib": peak_mib(),
            "bytes_per_segment": (peak_mib() - before) * 2**20 / (number * SEGMENTS),
            "reducer_seconds_per_photo": reducer,
        }


def measure_listing(number: int) -> dict[str, float]:
    """The list of a data set's photos, and its hash."""
    before = peak_mib()
    photos = make_photos(number, labels=(3, 7))
    listed = peak_mib()
    start = time.process_time()
    listing_hash(photos, ["thing"])
    return {
        "photos": number,
        "list_mib": listed - before,
        "hash_mib": peak_mib() - listed,
        "hash_seconds": time.process_time() - start,
    }


if __name__ == "__main__":
    measures = {"fem": measure_fem, "listing": measure_listing}
    json.dump(measures[sys.argv[1]](int(sys.argv[2])), sys.stdout)
