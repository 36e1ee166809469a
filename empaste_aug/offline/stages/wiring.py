"""The stages of one build, each made from the options and from those before it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from empaste_aug.offline.cam import Component
from empaste_aug.offline.classify import Classifier, Recipe
from empaste_aug.offline.classify.backbone import DEFAULT_BACKBONE, PACKAGED
from empaste_aug.offline.classify.train import VAL_FRACTION
from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.fem import FEMConfig
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.offline.stages.bank import BankStage
from empaste_aug.offline.stages.cams import CamStage
from empaste_aug.offline.stages.classifier import ClassifierStage
from empaste_aug.offline.stages.features import FeatureStage
from empaste_aug.offline.stages.foregrounds import DistanceStage, ForegroundStage
from empaste_aug.offline.stages.photos import Photo, list_extra, list_photos, listing_hash
from empaste_aug.offline.stages.proposals import ProposalStage
from empaste_aug.offline.stages.selection import Cut
from empaste_aug.types import ArgumentError

EXTRA_USES = ("both", "classifier")
DEFAULT_PROPOSALS = ("saliency",)
"""The paper's step 1 takes the segments nearest to the anchor by the mean distance of their pixels,
which favours small ones: among a hierarchy's many parts of objects it seldom finds a whole one."""

CAM_THRESHOLD = 0.5
CAM_COMPONENT: Component = "all"

_VERSIONED = (
    ClassifierStage,
    CamStage,
    ProposalStage,
    FeatureStage,
    DistanceStage,
    ForegroundStage,
    BankStage,
)


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
        proposals: names of the proposal methods, see `build_proposals`.
        proposal_options: keyword arguments of `build_proposals`.
        cam_threshold: share of a Grad-CAM map's maximum from which on a pixel counts for the
            anchor.
        cam_component: "all" of these pixels, or the "largest" connected part of them.
        cam_sizes: input sizes in pixels whose Grad-CAM maps are averaged; None for the classifier's
            own.
        segments: which segments are eligible, and their erosion.
        fem: the constants of Algorithm 1.
        cut: which masks the bank keeps.
        overwrite: replace a finished bank that was made otherwise.
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
        proposals: Sequence[str] = DEFAULT_PROPOSALS,
        proposal_options: Mapping[str, Any] | None = None,
        cam_threshold: float = CAM_THRESHOLD,
        cam_component: Component = CAM_COMPONENT,
        cam_sizes: Sequence[int] | None = None,
        segments: SegmentConfig | None = None,
        fem: FEMConfig | None = None,
        cut: Cut | None = None,
        overwrite: bool = False,
        workers: int | None = None,
        device: str = "cpu",
        batch_size: int | None = None,
        progress: bool = True,
    ) -> None:
        if extra_for not in EXTRA_USES:
            raise ArgumentError(
                f"extra_for: must be one of {', '.join(EXTRA_USES)}, not {extra_for!r}"
            )
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
        self.proposal_names = tuple(proposals)
        self.proposal_options = dict(proposal_options or {})
        self.cam_threshold = cam_threshold
        self.cam_component: Component = cam_component
        self.cam_sizes = None if cam_sizes is None else tuple(cam_sizes)
        self.segments = segments or SegmentConfig()
        self.fem = fem or FEMConfig()
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

    @cached_property
    def classifier(self) -> Classifier:
        """The trained classifier."""
        return self.classifier_stage.load()

    @cached_property
    def proposal_stage(self) -> ProposalStage:
        """The segments."""
        return ProposalStage(
            self.work, self.proposal_names, self.proposal_options, workers=self.workers
        )

    @cached_property
    def cam_stage(self) -> CamStage:
        """The anchors."""
        return CamStage(
            self.work,
            self.classifier,
            self.dataset.class_names,
            threshold=self.cam_threshold,
            component=self.cam_component,
            sizes=self.cam_sizes,
            threads=self.workers,
        )

    @cached_property
    def feature_stage(self) -> FeatureStage:
        """phi and logits."""
        return FeatureStage(
            self.work,
            self.classifier,
            self.proposal_stage,
            segments=self.segments,
            batch_size=self.batch_size,
            threads=self.workers,
        )

    @cached_property
    def foreground_stage(self) -> ForegroundStage:
        """F-EM."""
        distances = DistanceStage(self.work, self.cam_stage, self.proposal_stage, self.segments)
        return ForegroundStage(
            self.work, self.feature_stage, distances, self.dataset.class_names, config=self.fem
        )

    @cached_property
    def bank_stage(self) -> BankStage:
        """The bank; it can be made, and its folder checked, before anything is computed."""
        config = {
            "classifier": self.classifier_stage.key,
            "proposals": self.proposal_stage.cache.config,
            "cam_threshold": self.cam_threshold,
            "cam_component": self.cam_component,
            "cam_sizes": self.cam_sizes,
            "segments": asdict(self.segments),
            "fem": asdict(self.fem),
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
            overwrite=self.overwrite,
        )
