"""Options that a build would not read: refused, so that nobody believes that they did something.

Only options that the command line holds count, whatever their value; a default is never refused.
What a stage of the build alone does not read is not refused, since the jobs of an array share one
command.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from empaste_aug.offline.classify import Recipe
from empaste_aug.offline.instances import InstanceConfig
from empaste_aug.offline.options import OPTIONS, option_name
from empaste_aug.offline.prior import CueWeights
from empaste_aug.types import ArgumentError


@dataclass(frozen=True, slots=True)
class Useless:
    """Options that are not read under a condition.

    Attributes:
        options: their names in the parsed arguments.
        when: of the parsed arguments.
        reason: ends the message "OPTIONS: of no use ...".
    """

    options: tuple[str, ...]
    when: Callable[[argparse.Namespace], bool]
    reason: str


def _names(config: type, *, besides: Iterable[str] = ()) -> tuple[str, ...]:
    return tuple(option_name(config, field) for field in OPTIONS[config] if field not in besides)


_FURTHER = _names(InstanceConfig, besides=["max_instances"])

RULES: tuple[Useless, ...] = (
    Useless(
        (*_names(Recipe), "backbone", "pretrained", "val_fraction"),
        lambda args: args.classifier is not None,
        "with --classifier, which is trained already",
    ),
    Useless(
        (*_names(CueWeights), "em_weight", "windows", *_FURTHER),
        lambda args: args.mode == "paper",
        "with --mode paper, which has no cues, no salient segments and no further instances",
    ),
    Useless(
        ("cam_threshold", "cam_component", "top_n"),
        lambda args: args.mode != "paper",
        "without --mode paper: the other modes have no anchor, and start from the cues",
    ),
    Useless(
        ("pooled_size",),
        lambda args: args.features != "pooled",
        "with --features crops",
    ),
    Useless(
        ("crop_size", "erosion"),
        lambda args: args.features != "crops",
        "with --features pooled",
    ),
    Useless(
        ("covariance", "shrinkage"),
        lambda args: args.distance != "mahalanobis",
        "with --distance cosine, which needs no covariance",
    ),
    Useless(
        ("shrinkage",),
        lambda args: args.covariance != "shrunk",
        "without --covariance shrunk",
    ),
    Useless(_FURTHER, lambda args: args.instances == 1, "with --instances 1"),
    Useless(
        ("alpha_smoothness", "alpha_pull"),
        lambda args: args.alpha == "none",
        "with --alpha none",
    ),
    Useless(("extra_for",), lambda args: args.extra_labels is None, "without --extra-labels"),
    Useless(
        ("keep_per_class",),
        lambda args: args.keep_per_class and args.keep >= 1,
        "without --keep SHARE",
    ),
)


def refuse_useless(args: argparse.Namespace, given: Mapping[str, str]) -> None:
    """Refuse options that the others leave without effect.

    Args:
        args: every option's value.
        given: the options that the command line holds: name -> flag; see `given_options`.

    Raises:
        ArgumentError: there are any; the message names them and the reason.
    """
    for rule in RULES:
        found = [given[name] for name in rule.options if name in given]
        if found and rule.when(args):
            raise ArgumentError(f"{', '.join(found)}: of no use {rule.reason}")
