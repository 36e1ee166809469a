"""A pool of plain images, for ablation."""

from __future__ import annotations

import os

import numpy as np

from empaste_aug.bank.checks import check_integer
from empaste_aug.pool.reader import PoolReader
from empaste_aug.pool.writer import PoolWriter


def black_pool(
    path: str | os.PathLike[str],
    *,
    count: int,
    size: tuple[int, int] = (512, 512),
    overwrite: bool = False,
) -> PoolReader:
    """Write, or finish writing, a pool of `count` black images: as in the paper's Table 3.

    Give it as many images as the pool has that it is compared with: the paper's mix goes by the
    number.

    Args:
        path: the pool's folder.
        count: how many.
        size: (height, width) of each.
        overwrite: replace another pool in the folder.

    Raises:
        ArgumentError: an argument is out of range, or the folder holds something else.
        PoolError: the pool could not be written.
    """
    count = check_integer("count", count, 1, 2**31 - 1)
    height, width = (check_integer("size", side, 1, 65500) for side in size)
    image = np.zeros((height, width, 3), np.uint8)
    config = {"count": count, "size": [height, width]}
    with PoolWriter(path, method="black", config=config, overwrite=overwrite) as writer:
        for number in range(count):
            writer.add(str(number), image, kind="black")
    return PoolReader(path)
