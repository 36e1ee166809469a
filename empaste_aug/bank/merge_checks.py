"""What banks must share to be merged, and what the merged bank's manifest says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from empaste_aug.bank.files import sha256_of
from empaste_aug.bank.schema import MANIFEST, canonical_json
from empaste_aug.types import BankError

_SHARED = ("categories", "supervision", "codec")
_SHARED_UNLESS_MIXED = ("method", "config", "classifier")


def merged_description(
    paths: Sequence[Path], manifests: Sequence[Mapping[str, Any]], *, mixed: bool
) -> dict[str, Any]:
    """The merged manifest's part that `describe_build` makes for one build.

    Its ``input_hash`` is the banks' where it is one and the same, else the SHA-256 of the JSON list
    of theirs.

    Raises:
        BankError: the banks differ where they must not.
    """
    for name in (*_SHARED, *(() if mixed else _SHARED_UNLESS_MIXED)):
        for path, manifest in zip(paths[1:], manifests[1:], strict=True):
            if manifest[name] != manifests[0][name]:
                ours, theirs = _difference(manifests[0][name], manifest[name])
                hint = "; mixed=True merges them" if name in _SHARED_UNLESS_MIXED else ""
                raise BankError(
                    f"{path}: its {name} differs from that of {paths[0]}: {theirs} there, {ours} "
                    f"here{hint}"
                )
    description = {name: manifests[0][name] for name in _SHARED}
    for name in _SHARED_UNLESS_MIXED:
        description[name] = _common([manifest[name] for manifest in manifests])
    hashes = [manifest["input_hash"] for manifest in manifests]
    same = _common(hashes)
    if same is None and any(entry is not None for entry in hashes):
        same = hashlib.sha256(canonical_json(hashes).encode()).hexdigest()
    description["input_hash"] = same
    digest = hashlib.sha256(canonical_json(description).encode()).hexdigest()
    return {**description, "build_hash": digest}


def provenance(
    paths: Sequence[Path],
    manifests: Sequence[Mapping[str, Any]],
    dropped: Sequence[int],
    *,
    mixed: bool,
) -> list[dict[str, Any]]:
    """The manifest's ``merged_from``: one entry per bank, in order.

    An entry has the bank's folder name, its manifest's SHA-256, its rows, how many of them were
    dropped as duplicates, its input and build hash, and what it was itself merged from; with
    `mixed` its method, config and classifier too.
    """
    entries = []
    for path, manifest, gone in zip(paths, manifests, dropped, strict=True):
        entry = {
            "name": path.resolve().name,
            "manifest_sha256": sha256_of(path / MANIFEST),
            "rows": manifest["rows"],
            "dropped": gone,
            "input_hash": manifest["input_hash"],
            "build_hash": manifest["build_hash"],
        }
        if mixed:
            entry |= {name: manifest[name] for name in _SHARED_UNLESS_MIXED}
        if "merged_from" in manifest:
            entry["merged_from"] = manifest["merged_from"]
        entries.append(entry)
    return entries


def _common(values: Sequence[Any]) -> Any:
    """The value that all of them are, or None."""
    return values[0] if all(value == values[0] for value in values) else None


def _difference(ours: Any, theirs: Any) -> tuple[str, str]:
    """Two unequal values as text; of mappings only the entries that differ."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        names = [
            name
            for name in sorted({*ours, *theirs})
            if (name in ours) != (name in theirs) or ours.get(name) != theirs.get(name)
        ]
        return tuple(
            canonical_json({name: side[name] for name in names if name in side})
            for side in (ours, theirs)
        )  # type: ignore[return-value]
    return canonical_json(ours), canonical_json(theirs)
