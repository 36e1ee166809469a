from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from empaste_aug import BankWriter, MaskBank
from empaste_aug.offline.alpha import AlphaConfig, cut_out
from empaste_aug.offline.crop import MARGIN
from empaste_aug.offline.datasets.base import LabelledImage
from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.stages.cutouts import write_cutouts
from empaste_aug.offline.stages.photos import Photo

# pycocotools has not followed NumPy 2 in this.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def soft_disk() -> tuple[np.ndarray, np.ndarray]:
    """A red disk with a soft edge on a gradient: (photo, mask)."""
    y, x = np.mgrid[:110, :110]
    alpha = np.clip((30 - np.hypot(x - 55, y - 55)) / 3 + 0.5, 0, 1)[..., None]
    photo = alpha * np.array([210, 40, 30]) + (1 - alpha) * np.stack([0 * x, 100 + x, 250 - y], 2)
    return np.rint(photo).astype(np.uint8), alpha[..., 0] >= 0.5


class DiskSegments:
    """Stands for the stage `proposals`: each photo's disk, and one pixel of it."""

    def segments(self, photo: Photo) -> list[Segment]:
        mask = soft_disk()[1]
        dot = np.zeros_like(mask)
        dot[55, 55] = True
        return [Segment.from_mask(dot, "disk"), Segment.from_mask(mask, "disk")]


def write_bank(folder: Path, **options: Any) -> MaskBank:
    """A bank of the disk on two photos, the second one extra."""
    folder.mkdir(parents=True)
    Image.fromarray(soft_disk()[0]).save(folder / "a.png")
    labelled = LabelledImage("a", folder / "a.png", "a.png", (0, 1), 110, 110)
    photos = [Photo(labelled, (0, 1), "0"), Photo(labelled, (0,), "0", extra=True)]
    choices: list[Any] = [
        SimpleNamespace(
            photo=name,
            category_id=category,
            segment=segment,
            score=0.5,
            distance=float("nan"),
            instance=0,
        )
        for name, category, segment in (("a", 1, 1), ("extra/a", 0, 1), ("a", 0, 0))
    ]
    with BankWriter(
        folder / "bank", categories=["x", "y"], supervision="labels", codec="raw"
    ) as writer:
        proposals: Any = DiskSegments()
        quality = np.array([0.1, 0.2, 0.3])
        write_cutouts(writer, photos, choices, quality, proposals, progress=False, **options)
    return MaskBank(folder / "bank")


def test_the_bank_has_soft_cutouts_by_photo_and_class(tmp_path: Path) -> None:
    bank = write_bank(tmp_path / "soft")
    assert [bank[row].category_id for row in range(3)] == [0, 1, 0]
    assert [bank[row].quality for row in range(3)] == pytest.approx([0.3, 0.1, 0.2])
    photo, mask = soft_disk()
    rgb, alpha, _ = cut_out(photo, mask, AlphaConfig())
    for row in (1, 2):
        assert (bank[row].alpha == alpha).all()
        assert (bank[row].rgb == rgb).all()
    assert ((alpha > 0) & (alpha < 255)).any()
    assert bank[0].mask.sum() >= 1


def test_the_bank_has_hard_cutouts_where_asked(tmp_path: Path) -> None:
    config = AlphaConfig(method="none", decontaminate=False)
    bank = write_bank(tmp_path / "hard", alpha=config)
    photo, mask = soft_disk()
    assert (bank[1].mask.sum(), bank[0].mask.sum()) == (mask.sum(), 1)
    assert set(np.unique(bank[1].alpha)) == {0, 255}
    top, left = (int(np.flatnonzero(mask.any(axis=axis))[0]) - MARGIN for axis in (1, 0))
    height, width = bank[1].alpha.shape
    assert (bank[1].rgb == photo[top : top + height, left : left + width]).all()
