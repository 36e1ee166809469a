"""Region proposals: class-agnostic segments of a photo, by any of several methods.

A method is a `ProposalMethod`: a picklable function from a photo to `Segment`s with a name and a
config. `build_proposals` makes one from the names of methods and their options. A method of your
own needs only that protocol, and `Combined` joins it to others.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from empaste_aug.offline.proposals.base import ProposalMethod, Segment, filter_segments
from empaste_aug.offline.proposals.combined import Combined
from empaste_aug.offline.proposals.detectron2_masks import Detectron2Masks
from empaste_aug.offline.proposals.duplicates import check_max_overlap, suppress_duplicates
from empaste_aug.offline.proposals.hierarchy import Hierarchy
from empaste_aug.offline.proposals.precomputed import Precomputed
from empaste_aug.offline.proposals.saliency import Saliency, SaliencyModel, saliency_map
from empaste_aug.offline.proposals.sam import Sam
from empaste_aug.offline.proposals.segment_anything import SegmentAnything
from empaste_aug.offline.proposals.slic import Slic
from empaste_aug.types import ArgumentError

__all__ = [
    "METHODS",
    "Combined",
    "Detectron2Masks",
    "Hierarchy",
    "Precomputed",
    "ProposalMethod",
    "Saliency",
    "SaliencyModel",
    "Sam",
    "Segment",
    "SegmentAnything",
    "Slic",
    "build_proposals",
    "filter_segments",
    "saliency_map",
    "suppress_duplicates",
]

METHODS: Mapping[str, Callable[..., ProposalMethod]] = MappingProxyType(
    {
        Hierarchy.name: Hierarchy,
        Saliency.name: Saliency,
        Slic.name: Slic,
        Precomputed.name: Precomputed,
        Sam.name: Sam,
        SegmentAnything.name: SegmentAnything,
        Detectron2Masks.name: Detectron2Masks,
    }
)
"""The methods that `build_proposals` knows, by name."""


def build_proposals(
    names: Sequence[str] | str, *, max_overlap_across: float | None = None, **options: Any
) -> Combined:
    """One proposal method from several; it gives their segments one after another.

    Args:
        names: of `METHODS`, in order.
        max_overlap_across: `Combined`'s `max_overlap`, which drops near-duplicates across methods;
            None keeps them. (`max_overlap` is an option of single methods.)
        options: arguments of these methods. An option goes to every chosen method that takes it;
            to give two methods different values, construct them and use `Combined`.

    Raises:
        ArgumentError: a name is unknown, doubled or missing; an option is taken by none of the
            chosen methods, missing (`path` of "precomputed", `model` of "sam"), or out of range.
        MissingDependencyError: a method's package is not installed.
    """
    check_max_overlap(max_overlap_across, "max_overlap_across")
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if name not in METHODS:
            raise ArgumentError(f"names: no method {name!r}; there are {', '.join(METHODS)}")
    parameters = {name: inspect.signature(METHODS[name]).parameters for name in names}
    taken = sorted({option for accepted in parameters.values() for option in accepted})
    for option in options:
        if option not in taken:
            raise ArgumentError(
                f"{option}: no option of {', '.join(names)}; there are {', '.join(taken)}"
            )
    methods = []
    for name, accepted in parameters.items():
        for option, parameter in accepted.items():
            if parameter.default is parameter.empty and option not in options:
                raise ArgumentError(f"{option}: the method {name!r} needs this option")
        chosen = {option: value for option, value in options.items() if option in accepted}
        methods.append(METHODS[name](**chosen))
    if len(methods) < len(names):
        raise ArgumentError(f"names: {', '.join(names)} names a method twice")
    return Combined(methods, max_overlap=max_overlap_across)
