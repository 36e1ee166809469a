"""Which of a bank's cut-outs lie on which photo, checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.reader import MaskBank
from empaste_aug.types import BankError, DatasetError

_SOURCE_BOX = ("source_x0", "source_y0", "source_x1", "source_y1")


def rows_above(bank: MaskBank, min_score: float) -> NDArray[np.int64]:
    """The cut-outs whose classifier score is at least `min_score`, or not known.

    Raises:
        DatasetError: there is none.
    """
    rows = np.flatnonzero(~(np.asarray(bank.index["score"]) < min_score))
    if rows.size == 0:
        raise DatasetError(f"{bank.path}: no cut-out is left; lower min_score")
    return rows


def photos_of(bank: MaskBank, rows: NDArray[np.int64], image_root: Path) -> list[tuple[int, ...]]:
    """The rows of each photo, in the order of the bank's image table.

    Raises:
        BankError: where a cut-out was cut out is not known.
        DatasetError: photos are missing below `image_root`.
    """
    _check_places(bank, rows)
    of_photo: dict[int, list[int]] = {}
    for row, photo in zip(rows.tolist(), bank.index["image_row"][rows].tolist(), strict=True):
        of_photo.setdefault(photo, []).append(row)
    photos = [tuple(of_photo[photo]) for photo in sorted(of_photo)]
    missing = []
    for photo in photos:
        file_name = bank.image_file(photo[0])
        if file_name is None:
            raise BankError(
                f"{bank.path}: row {photo[0]}: its photo's file name is not recorded "
                "(photos of build_bank's --extra-labels have none)"
            )
        if not (image_root / file_name).is_file():
            missing.append(file_name)
    if missing:
        raise DatasetError(
            f"{image_root}: {len(missing)} of the {len(photos)} photos that the bank has cut-outs "
            f"of are missing, the first is {missing[0]}"
        )
    return photos


def _check_places(bank: MaskBank, rows: NDArray[np.int64]) -> None:
    index = bank.index[rows]
    x0, y0, x1, y1 = (index[field] for field in _SOURCE_BOX)
    known = (index["source_height"] > 0) & (index["source_width"] > 0) & (index["image_row"] >= 0)
    known &= (x1 - x0 == index["width"]) & (y1 - y0 == index["height"])
    if not known.all():
        bad = rows[~known]
        raise BankError(
            f"{bank.path}: {bad.size} of {rows.size} cut-outs do not say where in which photo they "
            f"were cut out (source_size, source_bbox, image_id), the first is row {bad[0]}"
        )
