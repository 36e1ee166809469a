"""Copy-paste augmentation with cut-outs learnt from image-level labels (EM-PASTE).

Importing this package loads none of torch, detectron2, albumentations or pyarrow; each public name
is imported from its own module at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from empaste_aug.bank import BankWriter, MaskBank
    from empaste_aug.paste.compose import EMPaste
    from empaste_aug.pool import Backgrounds, PoolReader, PoolWriter
    from empaste_aug.types import (
        ArgumentError,
        Background,
        BankError,
        Cutout,
        DatasetError,
        Drop,
        EMPasteError,
        Instance,
        MissingDependencyError,
        Placement,
        PoolError,
        Record,
        Scene,
        Segment,
        Skip,
    )

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "Background",
    "Backgrounds",
    "BankError",
    "BankWriter",
    "Cutout",
    "DatasetError",
    "Drop",
    "EMPaste",
    "EMPasteError",
    "Instance",
    "MaskBank",
    "MissingDependencyError",
    "Placement",
    "PoolError",
    "PoolReader",
    "PoolWriter",
    "Record",
    "Scene",
    "Segment",
    "Skip",
]

_OTHER_HOMES = {
    "Backgrounds": "empaste_aug.pool",
    "BankWriter": "empaste_aug.bank",
    "EMPaste": "empaste_aug.paste.compose",
    "MaskBank": "empaste_aug.bank",
    "PoolReader": "empaste_aug.pool",
    "PoolWriter": "empaste_aug.pool",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_OTHER_HOMES.get(name, "empaste_aug.types")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
