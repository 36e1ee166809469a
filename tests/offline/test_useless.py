"""Options that the others leave without effect are refused, and named."""

from __future__ import annotations

import argparse

import pytest

pytest.importorskip("timm")

from empaste_aug.offline.flags import flags_of, given_options
from empaste_aug.offline.stages.arguments import add_build_arguments, set_mode_defaults
from empaste_aug.offline.stages.useless import RULES, refuse_useless
from empaste_aug.types import ArgumentError


def check(*words: str) -> None:
    parser = argparse.ArgumentParser()
    add_build_arguments(parser)
    set_mode_defaults(parser, words)
    args = parser.parse_args(words)
    refuse_useless(args, given_options(parser, words))


REFUSED = [
    ("--classifier c.pt", "--backbone resnet18"),
    ("--classifier c.pt", "--epochs 4"),
    ("--classifier c.pt", "--train-batch-size 8"),
    ("--classifier c.pt", "--keep-epoch last"),
    ("--classifier c.pt", "--seed 0"),
    ("--classifier c.pt", "--no-freeze-norm"),
    ("--classifier c.pt", "--pretrained packaged"),
    ("--classifier c.pt", "--val-fraction 0.1"),
    ("--mode paper", "--cue-contour 2"),
    ("--mode paper", "--cue-occlusion 1"),
    ("--mode paper", "--em-weight 7.5"),
    ("--mode paper", "--windows 1"),
    ("--mode paper", "--instance-quality 0.3"),
    ("--mode robust", "--cam-threshold 0.5"),
    ("--mode fast", "--cam-component all"),
    ("--mode fast", "--top-n 3"),
    ("--mode robust", "--pooled-size 512"),
    ("--mode fast --features crops", "--pooled-size 512"),
    ("--mode fast", "--crop-size 128"),
    ("--mode robust --features pooled", "--erosion 0.1"),
    ("--distance cosine", "--covariance oas"),
    ("--covariance oas", "--shrinkage 0.1"),
    ("--instances 1", "--instance-overlap 0.2"),
    ("--alpha none", "--alpha-pull 0.1"),
    ("--keep 1", "--keep-per-class"),
    ("", "--extra-for both"),
]


@pytest.mark.parametrize(("others", "option"), REFUSED)
def test_an_option_without_effect_is_named(others: str, option: str) -> None:
    flag = option.split()[0].replace("--no-", "--")
    with pytest.raises(ArgumentError) as caught:
        check(*others.split(), *option.split())
    message = str(caught.value)
    assert message.startswith(f"{flag}: of no use with")
    check(*others.split())


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--epochs 3 --backbone resnet18 --pretrained none --val-fraction 0",
        "--classifier c.pt --device cpu --batch-size 4 --extra-labels x --extra-for both",
        "--mode paper --cam-threshold 0.4 --cam-component largest --top-n 2 --reduce 16",
        "--mode paper --instances 1 --inliers 0.5 --keep 0.3 --keep-per-class",
        "--mode fast --pooled-size 384 --cue-occlusion 1 --batch-size 4 --cam-sizes 224",
        "--mode robust --features pooled --pooled-size 384",
        "--mode fast --features crops --crop-size 128 --erosion 0.1",
        "--covariance shrunk --shrinkage 0.2 --instances 2 --instance-quality 0.5",
        "--alpha none --alpha-band 0.1 --no-decontaminate",
        "--no-keep-per-class",
    ],
)
def test_what_is_read_is_accepted(words: str) -> None:
    check(*words.split())


def test_every_rule_is_about_options_that_there_are() -> None:
    parser = argparse.ArgumentParser()
    add_build_arguments(parser)
    known = flags_of(parser)
    for rule in RULES:
        assert rule.options
        assert set(rule.options) <= known.keys()


def test_the_mode_may_be_abbreviated() -> None:
    parser = argparse.ArgumentParser()
    add_build_arguments(parser)
    set_mode_defaults(parser, ["--mod", "fast"])
    assert parser.parse_args(["--mod", "fast"]).features == "pooled"
