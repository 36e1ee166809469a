"""How masks are found, as options: their checks, and their defaults by mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from empaste_aug.offline.activation import WINDOW_SHARES
from empaste_aug.offline.alpha import AlphaConfig
from empaste_aug.offline.cam import Component
from empaste_aug.offline.fem import FEMConfig
from empaste_aug.offline.instances import InstanceConfig
from empaste_aug.offline.prior import CueWeights
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.offline.stages.selection import Cut
from empaste_aug.types import ArgumentError

MODES = ("robust", "fast", "paper")
DEFAULT_PROPOSALS = {"robust": ("hierarchy",), "fast": ("hierarchy",), "paper": ("saliency",)}
"""The paper's step 1 takes the segments nearest to the anchor by the mean distance of their pixels,
which favours small ones: among a hierarchy's many parts of objects it seldom finds a whole one.
In the other modes salient segments are added to all proposals."""

DEFAULT_PROPOSAL_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "robust": {},
    "fast": {"max_side": 256},
    "paper": {},
}
"""Of the method `hierarchy` where it is used."""

DEFAULT_WINDOWS = {"robust": 2, "fast": 1, "paper": 0}
"""Windows round what a class points at, in which the saliency model looks again."""

DEFAULT_SEGMENTS = {
    "robust": SegmentConfig(),
    "fast": SegmentConfig(max_overlap=0.8, features="pooled"),
    "paper": SegmentConfig(max_span=0.95, max_overlap=None),
}
DEFAULT_FEM = {"robust": FEMConfig(), "fast": FEMConfig(), "paper": FEMConfig()}
DEFAULT_CUES = {
    "robust": CueWeights(),
    "fast": CueWeights(
        class_logit=0.0,
        other_classes=0.0,
        label_margin=0.0,
        vote_mean=0.0,
        vote_contrast=0.0,
        occlusion=0.0,
    ),
    "paper": CueWeights(),
}
"""Of pooled features the classifier's own head makes little; the segment head learns on them."""
DEFAULT_REDUCE = {"robust": 32, "fast": 32, "paper": None}
DEFAULT_INSTANCES = {
    "robust": InstanceConfig(),
    "fast": InstanceConfig(),
    "paper": InstanceConfig(max_instances=1),
}
"""The paper's method knows no quality that could tell a further instance."""

DEFAULT_CUT = {"robust": Cut(), "fast": Cut(), "paper": Cut(max_class_overlap=1.0)}
"""Nor can its ranks within a class tell which of two classes a mask is of."""

CAM_THRESHOLD = 0.5
CAM_COMPONENT: Component = "all"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Checked options with the mode's defaults filled in; `make_settings` makes them.

    Attributes:
        mode, proposals, proposal_options, windows, cam_threshold, cam_component, cam_sizes,
            segments, fem, cue_weights, instances, alpha, cut: see `make_settings`.
        reduce: dimensions; None leaves the features as they are.
    """

    mode: str
    proposals: tuple[str, ...]
    proposal_options: Mapping[str, Any]
    windows: int
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
            "cues": None if self.mode == "paper" else self.cue_weights.as_dict(),
            "windows": self.windows,
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
    windows: int | None = None,
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
            for EM; "fast": the same with features pooled from one look at the photo, smaller edge
            maps, fewer windows and no occlusion; "paper": the literal method, for comparison. It
            says what the options below are by default: see `DEFAULT_SEGMENTS` and the others.
        proposals: names of the proposal methods, see `build_proposals`.
        proposal_options: keyword arguments of `build_proposals`.
        windows: how many windows round what each class points at the saliency model sees, 0 to 2.
        cam_threshold: share of a Grad-CAM map's maximum from which on a pixel counts for the
            anchor.
        cam_component: "all" of these pixels, or the "largest" connected part of them.
        cam_sizes: input sizes in pixels whose Grad-CAM maps are averaged; None for the classifier's
            own.
        segments: which segments are eligible, and their erosion.
        fem: the constants of Algorithm 1.
        cue_weights: of the cues in the prior; not in the paper's mode.
        reduce: dimensions to which PCA over all segments reduces the features before F-EM; None for
            the mode's default, `DEFAULT_REDUCE`; 0 leaves them.
        instances: further instances of a class in a photo; not in the paper's mode.
        alpha: how the edges of the masks are made.
        cut: which masks the bank keeps.

    Raises:
        ArgumentError: options are out of range or contradict each other.
    """
    if mode not in MODES:
        raise ArgumentError(f"mode: must be one of {', '.join(MODES)}, not {mode!r}")
    instances = instances or DEFAULT_INSTANCES[mode]
    if mode == "paper" and instances.max_instances > 1:
        raise ArgumentError(
            "max_instances: must be 1 in mode 'paper', which knows no quality of its masks, not "
            f"{instances.max_instances}"
        )
    windows = DEFAULT_WINDOWS[mode] if windows is None else windows
    if not 0 <= windows <= len(WINDOW_SHARES):
        raise ArgumentError(f"windows: must be 0 to {len(WINDOW_SHARES)}, not {windows}")
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
    if mode != "paper" and "hierarchy" in names:
        # What spans the photo is left to the prior: dropping it costs recall.
        options = {"max_span": segments.max_span, **DEFAULT_PROPOSAL_OPTIONS[mode], **options}
    return Settings(
        mode=mode,
        proposals=names,
        proposal_options=options,
        windows=windows,
        cam_threshold=cam_threshold,
        cam_component=cam_component,
        cam_sizes=None if cam_sizes is None else tuple(cam_sizes),
        segments=segments,
        fem=fem or DEFAULT_FEM[mode],
        cue_weights=cue_weights or DEFAULT_CUES[mode],
        reduce=DEFAULT_REDUCE[mode] if reduce is None else reduce or None,
        instances=instances,
        alpha=alpha or AlphaConfig(),
        cut=cut or DEFAULT_CUT[mode],
    )
