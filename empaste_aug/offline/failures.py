"""Why a mask missed its object, told from how it lies on the annotated instances.

A mask has failed if its IoU with the instance assigned to it is below `FAILED` (0.5). Its kind is
the first of these that applies. Void pixels count on neither side, nor do those on crowd regions
of its class that no instance covers. "Inside" is the share of the mask's pixels on instances of
its class, taken together; "covers" is the share of one instance's pixels that the mask holds.

`duplicate`
    Its IoU with some instance of its class is at least `FAILED`, but another mask got that one.
`wrong_place`
    Less than `LITTLE` (0.1) of it is inside, whatever it covers, or less than `NEAR` (0.25), and it
    covers no instance of its class by `COVERED` (0.5). Of these: `other_object`, if at least
    `ON_OTHER` (0.5) of it lies on instances or crowd regions of other classes, and `background`
    else. Background is everything that is not annotated, objects of classes that the data set does
    not have included.
`several_objects`
    It covers at least two instances of its class by `COVERED` each, and at least `MAINLY` (0.5) of
    it is inside.
`part`
    At least `INSIDE` (0.7) of it lies on one instance: having failed, it covers less than 0.64 of
    that one.
`background_leak`
    It covers an instance by `COVERED`, but less than `INSIDE` of it is inside. A person at a bus's
    window with the whole bus is no leak: below `LITTLE` the bus is the wrong place.
`rest`
    Everything else: such as a mask that lies half on an object and covers less than half of it,
    one across two objects, or one on void pixels alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.matching import PlacedMask, overlap

FAILED = 0.5
LITTLE = 0.1
NEAR = 0.25
COVERED = 0.5
ON_OTHER = 0.5
MAINLY = 0.5
INSIDE = 0.7

OTHER_OBJECT = "wrong_place/other_object"
BACKGROUND = "wrong_place/background"
SEVERAL = "several_objects"
PART = "part"
LEAK = "background_leak"
DUPLICATE = "duplicate"
REST = "rest"

KINDS = (OTHER_OBJECT, BACKGROUND, LEAK, SEVERAL, PART, DUPLICATE, REST)
"""Every kind; those with a slash are a kind and its split."""


def failure_kind(
    mask: PlacedMask,
    instances: Sequence[NDArray[np.bool_]],
    others: NDArray[np.bool_] | None = None,
    ignored: NDArray[np.bool_] | None = None,
) -> str:
    """Which of `KINDS` a failed mask is of; the module's docstring has the rules.

    Args:
        mask: whose IoU with the instance assigned to it is below `FAILED`.
        instances: (H, W) bool, those of its class.
        others: (H, W) bool, where instances and crowd regions of other classes are.
        ignored: (H, W) bool, pixels that count on neither side.
    """
    found = overlap(mask, instances, ignored)
    if not found.area:
        return REST
    if found.ious.max(initial=0.0) >= FAILED:
        return DUPLICATE
    window = mask.window()
    own = mask.mask if ignored is None else mask.mask & ~ignored[window]
    everything = np.zeros(own.shape, dtype=bool)
    for instance in instances:
        everything |= instance[window]
    inside = np.count_nonzero(own & everything) / found.area
    covers = found.shared / np.maximum(found.areas, 1)
    covered = np.count_nonzero(covers >= COVERED)
    if inside < (LITTLE if covered else NEAR):
        elsewhere = 0 if others is None else np.count_nonzero(own & others[window])
        return OTHER_OBJECT if elsewhere / found.area >= ON_OTHER else BACKGROUND
    if covered >= 2 and inside >= MAINLY:
        return SEVERAL
    if found.shared.max(initial=0) / found.area >= INSIDE:
        return PART
    return LEAK if covered and inside < INSIDE else REST


def count_failures(kinds: Iterable[str], masks: int) -> dict[str, Any]:
    """How often each kind occurs.

    Args:
        kinds: of the failed masks.
        masks: how many masks there are, failed or not.

    Returns:
        JSON values: `iou_below`, `masks`, `failed`, and `kinds`: by kind `n`, `share` (of all
        masks) and `share_of_failed`, None for 0 / 0; `wrong_place` has the same by `split`.
    """
    counts = Counter(kinds)
    failed = counts.total()

    def entry(n: int) -> dict[str, Any]:
        return {
            "n": n,
            "share": n / masks if masks else None,
            "share_of_failed": n / failed if failed else None,
        }

    found: dict[str, Any] = {}
    for kind in KINDS:
        name, _, split = kind.partition("/")
        if split:
            whole = found.setdefault(name, {"n": 0, "split": {}})
            whole["n"] += counts[kind]
            whole["split"][split] = entry(counts[kind])
        else:
            found[name] = entry(counts[kind])
    for name, value in found.items():
        if "split" in value:
            found[name] = {**entry(value["n"]), "split": value["split"]}
    return {"iou_below": FAILED, "masks": masks, "failed": failed, "kinds": found}
