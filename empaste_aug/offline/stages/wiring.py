"""The stages of one build, each made from the options and from those before it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, get_args

from empaste_aug.offline.alpha import AlphaConfig
from empaste_aug.offline.cam import Component
from empaste_aug.offline.classify import Classifier, Recipe
from empaste_aug.offline.classify.backbone import DEFAULT_BACKBONE, PACKAGED
from empaste_aug.offline.classify.train import VAL_FRACTION
from empaste_aug.offline.cues import CueWeights
from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.execute import Executor, Shard
from empaste_aug.offline.fem import FEMConfig
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.offline.stages.activations import ActivationStage
from empaste_aug.offline.stages.bank import BankStage
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cams import CamStage
from empaste_aug.offline.stages.classifier import ClassifierStage
from empaste_aug.offline.stages.cues import CueStage
from empaste_aug.offline.stages.features import FeatureStage
from empaste_aug.offline.stages.foregrounds import DistanceStage, ForegroundStage
from empaste_aug.offline.stages.head import HeadStage
from empaste_aug.offline.stages.photos import Photo, list_extra, list_photos, listing_hash
from empaste_aug.offline.stages.pool import SegmentPool
from empaste_aug.offline.stages.proposals import ProposalStage
from empaste_aug.offline.stages.saliency import SaliencyStage
from empaste_aug.offline.stages.salient import SalientStage
from empaste_aug.offline.stages.selection import Cut
from empaste_aug.types import ArgumentError

EXTRA_USES = ("both", "classifier")
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

_VERSIONED = (
    ClassifierStage,
    CamStage,
    ActivationStage,
    ProposalStage,
    SaliencyStage,
    FeatureStage,
    SalientStage,
    HeadStage,
    CueStage,
    DistanceStage,
    ForegroundStage,
    BankStage,
)


AnyStage = TypeVar("AnyStage", bound=PhotoStage)


class StageSet:
    """The options of a build, its photos, and its stages, which are made at first use.

    Args:
        dataset: photos with image-level labels; its instances are never read.
        output: the bank's folder.
        work: where the stages keep their files; ``<output>.work`` by default.
        extra: further photos with image-level labels only, with class names of `dataset`. Photos
            that are files of `dataset` too are left out.
        extra_for: "both": they train the classifier and take part in F-EM's statistics;
            "classifier": they only train.
        write_extra: also write the extra photos' masks to the bank (needs extra_for="both").
        classifier: a file of `Classifier.save` to use instead of training one.
        recipe: how to train.
        backbone, pretrained: what to train, see `build_backbone`.
        val_fraction: share of the data set's photos that only validates the classifier; 0 trains on
            all of them.
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
        alpha: how the edges of the masks are made.
        cut: which masks the bank keeps.
        overwrite: replace a finished bank that was made otherwise.
        executor: who computes the stages that work photo by photo; None: this process, with
            `workers`.
        shard: compute these stages for one part of the photos only; see `Build.run`.
        workers: processes for the proposals and for training's augmentation, and threads for the
            classifier on a CPU; by default one per core.
        device: for the classifier: "cpu", "cuda", ...
        batch_size: segments per forward pass; None for what is fast on the device.
        progress: show bars on stderr.

    Raises:
        ArgumentError: options are out of range or contradict each other.
        DatasetError: a photo cannot be read.
    """

    def __init__(
        self,
        dataset: Dataset,
        output: str | Path,
        *,
        work: str | Path | None = None,
        extra: Dataset | None = None,
        extra_for: str = "both",
        write_extra: bool = False,
        classifier: str | Path | None = None,
        recipe: Recipe | None = None,
        backbone: str = DEFAULT_BACKBONE,
        pretrained: str | Path | None = PACKAGED,
        val_fraction: float = VAL_FRACTION,
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
        alpha: AlphaConfig | None = None,
        cut: Cut | None = None,
        overwrite: bool = False,
        executor: Executor | None = None,
        shard: Shard | None = None,
        workers: int | None = None,
        device: str = "cpu",
        batch_size: int | None = None,
        progress: bool = True,
    ) -> None:
        if extra_for not in EXTRA_USES:
            raise ArgumentError(
                f"extra_for: must be one of {', '.join(EXTRA_USES)}, not {extra_for!r}"
            )
        if mode not in MODES:
            raise ArgumentError(f"mode: must be one of {', '.join(MODES)}, not {mode!r}")
        if reduce is not None and reduce < 0:
            raise ArgumentError(f"reduce: must not be negative, not {reduce}")
        if mode == "paper" and cue_weights is not None:
            raise ArgumentError("cue_weights: there are no cues in mode 'paper'")
        if write_extra and (extra is None or extra_for != "both"):
            raise ArgumentError("write_extra: needs extra photos, and extra_for='both'")
        if not 0 < cam_threshold <= 1:
            raise ArgumentError(f"cam_threshold: must be in (0, 1], not {cam_threshold}")
        if cam_component not in get_args(Component):
            raise ArgumentError(
                f"cam_component: must be one of {', '.join(get_args(Component))}, "
                f"not {cam_component!r}"
            )
        if cam_sizes is not None and (not cam_sizes or min(cam_sizes) < 1):
            raise ArgumentError(f"cam_sizes: must be positive, not {list(cam_sizes)}")
        if not 0 <= val_fraction < 1:
            raise ArgumentError(f"val_fraction: must be in [0, 1), not {val_fraction}")
        if batch_size is not None and batch_size < 1:
            raise ArgumentError(f"batch_size: must be positive, not {batch_size}")
        if workers is not None and workers < 0:
            raise ArgumentError(f"workers: must not be negative, not {workers}")
        if not dataset.images:
            raise ArgumentError(f"dataset: {dataset.name} holds no photo")
        self.dataset = dataset
        self.output = Path(output)
        self.work = Path(work) if work is not None else Path(f"{self.output}.work")
        self.mode = mode
        self.segments = segments or DEFAULT_SEGMENTS[mode]
        self.proposal_names = tuple(DEFAULT_PROPOSALS[mode] if proposals is None else proposals)
        self.proposal_options = dict(proposal_options or {})
        if mode == "robust" and "hierarchy" in self.proposal_names:
            # What spans the photo is left to the prior: dropping it costs recall.
            self.proposal_options.setdefault("max_span", self.segments.max_span)
        self.cam_threshold = cam_threshold
        self.cam_component: Component = cam_component
        self.cam_sizes = None if cam_sizes is None else tuple(cam_sizes)
        self.fem = fem or DEFAULT_FEM[mode]
        self.cue_weights = cue_weights or CueWeights()
        self.reduce = DEFAULT_REDUCE[mode] if reduce is None else reduce or None
        self.alpha = alpha or AlphaConfig()
        self.cut = cut or Cut()
        self.overwrite = overwrite
        self.write_extra = write_extra
        self.workers = workers if workers is not None else os.cpu_count() or 1
        self.batch_size = batch_size
        self.progress = progress

        self.main_photos = list_photos(dataset, progress=progress)
        extra_photos: list[Photo] = []
        sources = []
        if extra is not None:
            extra_photos, source = list_extra(
                extra, dataset.class_names, self.main_photos, progress=progress
            )
            sources.append(source)
        self.extra_photos = extra_photos
        used = [*self.main_photos, *(extra_photos if extra_for == "both" else [])]
        self.photos = [photo for photo in used if photo.labels]
        self.executor = executor
        self.shard = shard
        if shard is not None:
            self.photos = shard.take(self.photos)
        self.classifier_stage = ClassifierStage(
            self.work,
            dataset,
            [*self.main_photos, *extra_photos],
            extra=sources,
            recipe=recipe or Recipe(),
            backbone=backbone,
            pretrained=pretrained,
            val_fraction=val_fraction,
            device=device,
            workers=self.workers,
            trained=classifier,
        )

    def _placed(self, stage: AnyStage) -> AnyStage:
        stage.executor = self.executor
        return stage

    @cached_property
    def classifier(self) -> Classifier:
        """The trained classifier."""
        return self.classifier_stage.load()

    @cached_property
    def proposal_stage(self) -> ProposalStage:
        """The segments."""
        return self._placed(
            ProposalStage(
                self.work, self.proposal_names, self.proposal_options, workers=self.workers
            )
        )

    @cached_property
    def cam_stage(self) -> CamStage:
        """The anchors."""
        return self._placed(
            CamStage(
                self.work,
                self.classifier,
                self.dataset.class_names,
                threshold=self.cam_threshold,
                component=self.cam_component,
                sizes=self.cam_sizes,
                threads=self.workers,
            )
        )

    @cached_property
    def activation_stage(self) -> ActivationStage:
        """The class activation maps; robust mode only."""
        return self._placed(
            ActivationStage(
                self.work,
                self.classifier,
                self.dataset.class_names,
                sizes=self.cam_sizes,
                threads=self.workers,
            )
        )

    @cached_property
    def saliency_stage(self) -> SaliencyStage | None:
        """Salient segments; None in the paper's mode."""
        if self.mode == "paper":
            return None
        return self._placed(SaliencyStage(self.work, self.activation_stage, threads=self.workers))

    @cached_property
    def pool(self) -> SegmentPool:
        """All segments that F-EM chooses among."""
        return SegmentPool(self.proposal_stage, self.saliency_stage, self.segments)

    @cached_property
    def feature_stage(self) -> FeatureStage:
        """phi and logits."""
        return self._placed(
            FeatureStage(
                self.work,
                self.classifier,
                self.pool,
                batch_size=self.batch_size,
                threads=self.workers,
            )
        )

    @cached_property
    def head_stage(self) -> HeadStage:
        """The segment head; robust mode only."""
        salient = self._placed(
            SalientStage(self.work, self.classifier, self.segments, threads=self.workers)
        )
        return HeadStage(
            self.work,
            salient,
            self.feature_stage,
            [photo for photo in (*self.main_photos, *self.extra_photos) if photo.labels],
            self.photos,
            self.dataset.class_names,
        )

    @cached_property
    def foreground_stage(self) -> ForegroundStage:
        """F-EM."""
        cues = None
        if self.saliency_stage is not None:
            cues = self._placed(
                CueStage(
                    self.work,
                    self.activation_stage,
                    self.saliency_stage,
                    self.feature_stage,
                    self.head_stage,
                    self.dataset.class_names,
                )
            )
        return ForegroundStage(
            self.work,
            self.feature_stage,
            self._placed(DistanceStage(self.work, self.cam_stage, self.pool)),
            self.dataset.class_names,
            config=self.fem,
            cues=cues,
            weights=self.cue_weights,
            reduce=self.reduce,
        )

    @cached_property
    def bank_stage(self) -> BankStage:
        """The bank; it can be made, and its folder checked, before anything is computed."""
        config = {
            "classifier": self.classifier_stage.key,
            "mode": self.mode,
            "cues": self.cue_weights.as_dict() if self.mode == "robust" else None,
            "proposals": self.proposal_stage.cache.config,
            "cam_threshold": self.cam_threshold,
            "cam_component": self.cam_component,
            "cam_sizes": self.cam_sizes,
            "segments": asdict(self.segments),
            "fem": asdict(self.fem),
            "reduce": self.reduce,
            "alpha": asdict(self.alpha),
            "cut": asdict(self.cut),
            "extra_photos": "written" if self.write_extra else "not written",
            "versions": {stage.name: stage.version for stage in _VERSIONED},
        }
        return BankStage(
            self.output,
            self.dataset.class_names,
            config=config,
            input_hash=listing_hash(self.photos, self.dataset.class_names),
            classifier=self.classifier_stage.path,
            cut=self.cut,
            alpha=self.alpha,
            overwrite=self.overwrite,
        )
