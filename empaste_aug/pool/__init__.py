"""The store of backgrounds on disk, and drawing them in place of a data set's photos."""

from empaste_aug.pool.black import black_pool
from empaste_aug.pool.mix import Backgrounds
from empaste_aug.pool.reader import PoolReader
from empaste_aug.pool.writer import PoolWriter

__all__ = ["Backgrounds", "PoolReader", "PoolWriter", "black_pool"]
