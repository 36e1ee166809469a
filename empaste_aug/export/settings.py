"""All that the bytes of an export follow from, as plain values that name no place on a disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import empaste_aug
from empaste_aug.bank import MaskBank
from empaste_aug.export.layout import block_length
from empaste_aug.export.options import ExportOptions
from empaste_aug.export.photos import pool_identity
from empaste_aug.export.sample import ExportStream
from empaste_aug.paste import EMPaste

Settings = dict[str, Any]

_LIBRARIES = ("numpy", "simplejpeg", "pillow", "pycocotools")


def settings_of(stream: ExportStream, options: ExportOptions) -> Settings:
    """The settings, as they come back from JSON."""
    settings = {
        **asdict(options),
        "quality": options.quality if options.image_format == "jpg" else None,
        "class_names": stream.photos.class_names,
        "photos": stream.photos.identity(),
        "bank": _bank(stream.paste.bank),
        "paste": _paste(stream.paste),
        "backgrounds": None,
        "block": block_length(options.number),
        "versions": _versions(),
    }
    if stream.backgrounds is not None:
        settings["backgrounds"] = {
            **stream.backgrounds.options(),
            "pool": pool_identity(stream.backgrounds.pool),
        }
    found: Settings = json.loads(json.dumps(settings))
    return found


def digest_of(settings: Settings) -> str:
    """A hash of the settings."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def difference(first: Settings, second: Settings, path: str = "") -> str | None:
    """The first setting that differs, with both values; None where none does."""
    for key in {**first, **second}:
        one, other = first.get(key), second.get(key)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            return difference(one, other, f"{path}{key}.")
        return f"{path}{key}: {_shown(one)} there, {_shown(other)} now"
    return None


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _bank(bank: MaskBank) -> dict[str, Any]:
    """The manifest holds every file's SHA-256."""
    text = json.dumps(bank.manifest, sort_keys=True)
    return {"rows": len(bank), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _paste(paste: EMPaste) -> dict[str, Any]:
    selection: Any = paste.selection
    if isinstance(selection, Mapping):
        selection = {name: float(weight) for name, weight in selection.items()}
    elif not isinstance(selection, str):
        kind = selection if hasattr(selection, "__qualname__") else type(selection)
        selection = f"{kind.__module__}.{kind.__qualname__}"
    return {
        **asdict(paste.placement),
        "count": paste.count,
        "selection": selection,
        "min_visible": paste.min_visible,
        "category_map": paste.category_map,
        "exclude": paste.exclude,
    }


def _versions() -> dict[str, str | None]:
    """What decodes, draws, pastes and encodes: other versions may give other bytes."""
    import cv2

    versions: dict[str, str | None] = {
        "empaste_aug": empaste_aug.__version__,
        "opencv": cv2.__version__,
    }
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions
