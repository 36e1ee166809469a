"""How masks are found, as options: their checks, and their defaults by mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from empaste_aug.offline.alpha import AlphaConfig
from empaste_aug.offline.cam import Component
from empaste_aug.offline.fem import FEMConfig
from empaste_aug.offline.instances import InstanceConfig
from empaste_aug.offline.prior import CueWeights
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.offline.stages.selection import Cut
from empaste_aug.types import ArgumentError

MODES = ("robust", "paper")
DEFAULT_PROPOSALS = {"robust": ("hierarchy",), "paper": ("saliency",)}
"""The paper's step 1 takes the segments nearest to the anchor by the mean distance of their pixels,
which favours small ones: among a hierarchy's many parts of objects it seldom finds a whole one.
In robust mode salient segments are added to all proposals."""

DEFAULT_SEGMENTS = {
    "robust": SegmentConfig(),
    "paper": SegmentConfig(max_span=0.95, max_overlap=None),
}
DEFAULT_FEM = {"robust": FEMConfig(), "paper": FEMConfig()}
DEFAULT_REDUCE = {"robust": 32, "paper": None}

CAM_THRESHOLD = 0.5
CAM_COMPONENT: Component = "all"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Checked options with the mode's defaults filled in; `make_settings` makes them.

    Attributes:
        mode, proposals, proposal_options, cam_threshold, cam_component, cam_sizes, segments, fem,
            cue_weights, instances, alpha, cut: see `make_settings`.
        reduce: dimensions; None leaves the features as they are.
    """

    mode: str
    proposals: tuple[str, ...]
    proposal_options: Mapping[str, Any]
    cam_threshold: float
    cam_component: Component
    cam_sizes: tuple[int, ...] | None
    segments: SegmentConfig
    fem: FEMConfig
    cue_weights: CueWeights
    reduce: int | None
    instances: InstanceConfig
    alpha: AlphaConfig
    cut: Cut

    def as_dict(self) -> dict[str, Any]:
        """JSON values for a bank's manifest; proposals are told by their stage."""
        return {
            "mode": self.mode,
            "cues": self.cue_weights.as_dict() if self.mode == "robust" else None,
            "cam_threshold": self.cam_threshold,
            "cam_component": self.cam_component,
            "cam_sizes": self.cam_sizes,
            "segments": asdict(self.segments),
            "fem": asdict(self.fem),
            "reduce": self.reduce,
            "instances": asdict(self.instances),
            "alpha": asdict(self.alpha),
            "cut": asdict(self.cut),
        }


def make_settings(
    *,
    mode: str = MODES[0],
    proposals: Sequence[str] | None = None,
    proposal_options: Mapping[str, Any] | None = None,
    cam_threshold: float = CAM_THRESHOLD,
    cam_component: Component = CAM_COMPONENT,
    cam_sizes: Sequence[int] | None = None,
    segments: SegmentConfig | None = None,
    fem: FEMConfig | None = None,
    cue_weights: CueWeights | None = None,
    reduce: int | None = None,
    instances: InstanceConfig | None = None,
    alpha: AlphaConfig | None = None,
    cut: Cut | None = None,
) -> Settings:
    """Check the options, and fill in the mode's defaults.

    Args:
        mode: "robust": cues and a prior (see `offline.cues`), salient segments, features reduced
            for EM; "paper": the literal method, for comparison. It also says what the options below
            are by default: `DEFAULT_PROPOSALS`, `DEFAULT_SEGMENTS`, `DEFAULT_FEM`.
        proposals: names of the proposal methods, see `build_proposals`.
        proposal_options: keyword arguments of `build_proposals`.
        cam_threshold: share of a Grad-CAM map's maximum from which on a pixel counts for the
            anchor.
        cam_component: "all" of these pixels, or the "largest" connected part of them.
        cam_sizes: input sizes in pixels whose Grad-CAM maps are averaged; None for the classifier's
            own.
        segments: which segments are eligible, and their erosion.
        fem: the constants of Algorithm 1.
        cue_weights: of the cues in the prior; robust mode only.
        reduce: dimensions to which PCA over all segments reduces the features before F-EM; None for
            the mode's default, `DEFAULT_REDUCE`; 0 leaves them.
        instances: further instances of a class in a photo; robust mode only.
        alpha: how the edges of the masks are made.
        cut: which masks the bank keeps.

    Raises:
        ArgumentError: options are out of range or contradict each other.
    """
    if mode not in MODES:
        raise ArgumentError(f"mode: must be one of {', '.join(MODES)}, not {mode!r}")
    instances = instances or InstanceConfig()
    if mode == "paper" and instances.max_instances > 1:
        raise ArgumentError(
            "max_instances: must be 1 in mode 'paper', which knows no quality of its masks, not "
            f"{instances.max_instances}"
        )
    if reduce is not None and reduce < 0:
        raise ArgumentError(f"reduce: must not be negative, not {reduce}")
    if mode == "paper" and cue_weights is not None:
        raise ArgumentError("cue_weights: there are no cues in mode 'paper'")
    if not 0 < cam_threshold <= 1:
        raise ArgumentError(f"cam_threshold: must be in (0, 1], not {cam_threshold}")
    if cam_component not in get_args(Component):
        raise ArgumentError(
            f"cam_component: must be one of {', '.join(get_args(Component))}, not {cam_component!r}"
        )
    if cam_sizes is not None and (not cam_sizes or min(cam_sizes) < 1):
        raise ArgumentError(f"cam_sizes: must be positive, not {list(cam_sizes)}")
    names = tuple(DEFAULT_PROPOSALS[mode] if proposals is None else proposals)
    segments = segments or DEFAULT_SEGMENTS[mode]
    options = dict(proposal_options or {})
    if mode == "robust" and "hierarchy" in names:
        # What spans the photo is left to the prior: dropping it costs recall.
        options.setdefault("max_span", segments.max_span)
    return Settings(
        mode=mode,
        proposals=names,
        proposal_options=options,
        cam_threshold=cam_threshold,
        cam_component=cam_component,
        cam_sizes=None if cam_sizes is None else tuple(cam_sizes),
        segments=segments,
        fem=fem or DEFAULT_FEM[mode],
        cue_weights=cue_weights or CueWeights(),
        reduce=DEFAULT_REDUCE[mode] if reduce is None else reduce or None,
        instances=instances,
        alpha=alpha or AlphaConfig(),
        cut=cut or Cut(),
    )
