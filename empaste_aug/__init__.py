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
    from empaste_aug.types import (
        ArgumentError,
        BankError,
        Cutout,
        DatasetError,
        Drop,
        EMPasteError,
        Instance,
        MissingDependencyError,
        Placement,
        Record,
        Scene,
        Segment,
        Skip,
    )

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
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
    "Record",
    "Scene",
    "Segment",
    "Skip",
]

_OTHER_HOMES = {
    "BankWriter": "empaste_aug.bank",
    "EMPaste": "empaste_aug.paste.compose",
    "MaskBank": "empaste_aug.bank",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_OTHER_HOMES.get(name, "empaste_aug.types")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
