"""Command line options made from the fields of the dataclasses that hold the constants."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from empaste_aug.offline.alpha import METHODS as ALPHA_METHODS
from empaste_aug.offline.alpha import AlphaConfig
from empaste_aug.offline.classify import Recipe
from empaste_aug.offline.fem import FEMConfig
from empaste_aug.offline.flags import reword
from empaste_aug.offline.foreground import COVARIANCES, DISTANCES
from empaste_aug.offline.instances import InstanceConfig
from empaste_aug.offline.prior import CueWeights
from empaste_aug.offline.segments import Features, SegmentConfig
from empaste_aug.offline.stages.selection import RANKINGS, Cut
from empaste_aug.types import ArgumentError

Config = TypeVar("Config")


@dataclass(frozen=True, slots=True)
class Option:
    """What an option has that its field does not tell.

    Attributes:
        help: the text; the default is added to it.
        name: with underscores, where it is not the field's, which would clash.
        choices: the values that are allowed.
    """

    help: str
    name: str | None = None
    choices: Sequence[str] | None = None


OPTIONS: Mapping[type, Mapping[str, Option]] = {
    Recipe: {
        "head_epochs": Option("epochs in which the linear head alone learns"),
        "epochs": Option("epochs in which the backbone's last layers learn too"),
        "finetune": Option("share of the backbone's layers, from its end, that learn then"),
        "learning_rate": Option("peak rate of those layers"),
        "head_learning_rate": Option("peak rate of the head"),
        "weight_decay": Option("of AdamW"),
        "batch_size": Option("photos in a training batch", name="train_batch_size"),
        "freeze_norm": Option("keep batch norm's running mean and variance as pretrained"),
        "balance": Option(
            "weight of rare classes: 0 none, 1 as much for their presence as their absence"
        ),
        "min_crop": Option("least share of a photo's area that a random crop keeps"),
        "jitter": Option("change of brightness, contrast and saturation"),
        "erase": Option("share of the views in which a random rectangle is greyed out"),
        "keep": Option(
            "which epoch's weights to keep: the last, or the best by validation mAP",
            name="keep_epoch",
            choices=("last", "best"),
        ),
        "seed": Option("of the validation split, the order and the augmentation"),
    },
    SegmentConfig: {
        "min_area": Option("least area of a segment, as a share of the photo"),
        "max_span": Option(
            "drop segments that span this share of the photo's width or height; above 1: none"
        ),
        "erosion": Option("radius: below 1 a share of the square root of the area, else pixels"),
        "max_overlap": Option("of segments with at least this IoU only one stays"),
        "crop_size": Option(
            "side in pixels of what the classifier is shown of a segment (default: its input size)"
        ),
        "features": Option(
            "crops: the classifier sees each segment; pooled: it sees the photo once",
            choices=get_args(Features),
        ),
        "pooled_size": Option("side in pixels of the photo where features are pooled"),
    },
    FEMConfig: {
        "top_n": Option("step 1: choose among this many segments nearest to the anchor"),
        "inliers": Option("share of a class's segments that the M-step keeps"),
        "iterations": Option("rounds of M- and E-step; 0 keeps step 1"),
        "distance": Option("to the class's distribution", choices=DISTANCES),
        "covariance": Option("estimator", choices=COVARIANCES),
        "shrinkage": Option("weight of the identity, for --covariance shrunk"),
        "pca": Option("reduce the features to this many dimensions first (default: leave them)"),
        "l2_normalise": Option("scale each feature vector to length 1 first"),
        "em_weight": Option("weight of the distance beside the prior"),
        "min_images": Option("a class with fewer photos keeps step 1"),
    },
    InstanceConfig: {
        "max_instances": Option("most masks per photo and class", name="instances"),
        "min_quality": Option("least quality of a further one", name="instance_quality"),
        "min_similarity": Option(
            "least cosine between its features and the first one's", name="instance_similarity"
        ),
        "max_overlap": Option(
            "most that it shares with any other, of the smaller area", name="instance_overlap"
        ),
    },
    AlphaConfig: {
        "method": Option("how the rim's alpha is found", name="alpha", choices=ALPHA_METHODS),
        "min_component": Option("drop parts of a mask below this share of its largest part"),
        "max_hole": Option("fill holes up to this share of a mask's area"),
        "band": Option(
            "where alpha may change, on either side: share of the square root of the area",
            name="alpha_band",
        ),
        "max_band": Option("and at most so many pixels", name="alpha_max_band"),
        "smoothness": Option("variance of colour that counts as flat", name="alpha_smoothness"),
        "pull": Option("weight of the given mask in the matting", name="alpha_pull"),
        "decontaminate": Option("take the old background's colours out of the rim"),
    },
    CueWeights: {
        field.name: Option("weight of this cue in the prior", name=f"cue_{field.name}")
        for field in fields(CueWeights)
    },
    Cut: {
        "min_score": Option("least probability of a mask's class; the paper: 0.1"),
        "min_quality": Option("least quality of a mask"),
        "keep": Option("keep the best masks: so many, as a share of the image-class pairs"),
        "keep_per_class": Option("that share within every class, so that none is emptied"),
        "keep_by": Option("what best means", choices=RANKINGS),
        "max_class_overlap": Option(
            "of masks of two classes of a photo with a greater IoU only the better one is kept; 1 "
            "keeps both"
        ),
    },
}
"""By dataclass and field; every field must be here."""


def option_name(config: type, field: str) -> str:
    """The name of a field's option, with underscores, as argparse's namespace has it."""
    return OPTIONS[config][field].name or field


def option_flag(config: type, field: str) -> str:
    """A field's option on the command line."""
    return "--" + option_name(config, field).replace("_", "-")


def add_options(group: argparse._ArgumentGroup, config: type[Any]) -> None:
    """Add one option per field of a dataclass of `OPTIONS`, with the field's default."""
    hints = get_type_hints(config)
    for field in fields(config):
        option = OPTIONS[config][field.name]
        shown = "" if field.default is None else " (%(default)s)"
        settings: dict[str, Any] = {"default": field.default, "help": option.help + shown}
        if hints[field.name] is bool:
            settings["action"] = argparse.BooleanOptionalAction
        elif option.choices is not None:
            settings["choices"] = tuple(option.choices)
        else:
            kinds = [kind for kind in get_args(hints[field.name]) if kind is not NoneType]
            settings["type"] = kinds[0] if kinds else hints[field.name]
        group.add_argument(option_flag(config, field.name), **settings)


def from_options(args: argparse.Namespace, config: type[Config]) -> Config:
    """The dataclass that the options of `add_options` mean.

    Raises:
        ArgumentError: a value is out of its range; the message names the option.
    """
    values = {name: getattr(args, option_name(config, name)) for name in OPTIONS[config]}
    try:
        return config(**values)
    except ArgumentError as error:
        flags = {name: option_flag(config, name) for name in values}
        raise ArgumentError(reword(str(error), flags)) from error
