"""The options of a build, and their defaults by mode."""

from __future__ import annotations

import pytest

from empaste_aug.offline.instances import InstanceConfig
from empaste_aug.offline.prior import CueWeights
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.offline.stages.settings import MODES, make_settings
from empaste_aug.types import ArgumentError


def test_the_paper_has_no_cues_windows_or_further_instances() -> None:
    paper = make_settings(mode="paper")
    assert paper.as_dict()["cues"] is None
    assert paper.windows == 0
    assert paper.reduce is None
    assert paper.instances.max_instances == 1
    assert paper.segments.features == "crops"
    assert paper.cut.max_class_overlap == 1
    for option in ({"cue_weights": CueWeights()}, {"instances": InstanceConfig()}):
        with pytest.raises(ArgumentError, match="mode 'paper'"):
            make_settings(mode="paper", **option)


def test_fast_looks_once_at_each_photo() -> None:
    fast, robust = make_settings(mode="fast"), make_settings()
    assert fast.segments.features == "pooled"
    assert robust.segments.features == "crops"
    assert fast.cue_weights.occlusion == 0
    assert robust.cue_weights.occlusion == 1
    assert fast.windows < robust.windows
    assert fast.proposal_options["max_side"] == 256
    assert "max_side" not in robust.proposal_options


@pytest.mark.parametrize("mode", MODES)
def test_what_is_given_comes_before_the_modes_defaults(mode: str) -> None:
    segments = SegmentConfig(min_area=0.02, max_span=0.9)
    made = make_settings(
        mode=mode,
        proposals=["hierarchy"],
        proposal_options={"max_side": 300},
        segments=segments,
        windows=1,
        reduce=0,
    )
    assert made.segments == segments
    assert made.proposal_options["max_side"] == 300
    assert made.proposal_options.get("max_span") == (None if mode == "paper" else 0.9)
    assert made.windows == 1
    assert made.reduce is None


def test_other_methods_get_no_options_of_the_hierarchys() -> None:
    assert make_settings(mode="fast", proposals=["slic"]).proposal_options == {}
