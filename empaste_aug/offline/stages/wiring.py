"""The stages of one build, each made from the options and from those before it."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from empaste_aug.offline.activation import WINDOW_SHARES
from empaste_aug.offline.classify import Classifier, Recipe
from empaste_aug.offline.classify.backbone import DEFAULT_BACKBONE, PACKAGED
from empaste_aug.offline.classify.train import VAL_FRACTION
from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.execute import Executor, Shard
from empaste_aug.offline.stages.activations import ActivationStage
from empaste_aug.offline.stages.bank import BankStage
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cams import CamStage
from empaste_aug.offline.stages.classifier import ClassifierStage
from empaste_aug.offline.stages.cues import CueStage
from empaste_aug.offline.stages.distances import DistanceStage
from empaste_aug.offline.stages.features import FeatureStage
from empaste_aug.offline.stages.foregrounds import ForegroundStage
from empaste_aug.offline.stages.head import HeadStage
from empaste_aug.offline.stages.occlusions import OcclusionStage
from empaste_aug.offline.stages.photos import EXTRA_USES, gather_photos, listing_hash
from empaste_aug.offline.stages.places import check_apart, work_folder
from empaste_aug.offline.stages.pool import SegmentPool
from empaste_aug.offline.stages.proposals import ProposalStage
from empaste_aug.offline.stages.saliency import SaliencyStage
from empaste_aug.offline.stages.salient import SalientStage
from empaste_aug.offline.stages.settings import make_settings
from empaste_aug.types import ArgumentError

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
    OcclusionStage,
    DistanceStage,
    ForegroundStage,
    BankStage,
)
"""The stages whose versions a bank's manifest tells."""

STAGE_FOLDERS = frozenset(stage.name for stage in _VERSIONED) - {BankStage.name}
"""The folders that they make in the work folder."""

AnyStage = TypeVar("AnyStage", bound=PhotoStage)


class StageSet:
    """The options of a build, its photos, and its stages, which are made at first use.

    Args:
        dataset: photos with image-level labels; its instances are never read.
        output: the bank's folder.
        work: where the stages keep their files; ``<output>.work`` by default.
        extra, extra_for: further photos with labels only, see `gather_photos`.
        write_extra: also write the extra photos' masks to the bank (needs extra_for="both").
        classifier: a file of `Classifier.save` to use instead of training one.
        recipe: how to train.
        backbone, pretrained: what to train, see `build_backbone`.
        val_fraction: share of the data set's photos that only validates the classifier; 0 trains on
            all of them.
        overwrite: replace a finished bank that was made otherwise.
        executor: who computes the stages that work photo by photo; None: this process, with
            `workers`.
        shard: compute these stages for one part of the photos only; see `Build.run`.
        workers: processes for the proposals and for training's augmentation, and threads for the
            classifier on a CPU; by default one per core.
        device: for the classifier: "cpu", "cuda", ...
        batch_size: segments per forward pass; None for what is fast on the device.
        progress: show bars on stderr.
        settings: how masks are found, see `make_settings`.

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
        extra_for: str = EXTRA_USES[0],
        write_extra: bool = False,
        classifier: str | Path | None = None,
        recipe: Recipe | None = None,
        backbone: str = DEFAULT_BACKBONE,
        pretrained: str | Path | None = PACKAGED,
        val_fraction: float = VAL_FRACTION,
        overwrite: bool = False,
        executor: Executor | None = None,
        shard: Shard | None = None,
        workers: int | None = None,
        device: str = "cpu",
        batch_size: int | None = None,
        progress: bool = True,
        **settings: Any,
    ) -> None:
        if write_extra and (extra is None or extra_for != "both"):
            raise ArgumentError("write_extra: needs photos with labels only, and extra_for='both'")
        if not 0 <= val_fraction < 1:
            raise ArgumentError(f"val_fraction: must be in [0, 1), not {val_fraction}")
        if batch_size is not None and batch_size < 1:
            raise ArgumentError(f"batch_size: must be positive, not {batch_size}")
        if workers is not None and workers < 1:
            raise ArgumentError(f"workers: must be at least 1, not {workers}")
        self.dataset = dataset
        self.output = Path(output)
        self.work = work_folder(output, work)
        check_apart(self.output, self.work, STAGE_FOLDERS)
        self.settings = make_settings(**settings)
        self.overwrite = overwrite
        self.write_extra = write_extra
        self.workers = workers if workers is not None else os.cpu_count() or 1
        self.batch_size = batch_size
        self.progress = progress

        found = gather_photos(dataset, extra, extra_for=extra_for, progress=progress)
        self.main_photos = found.main
        self.extra_photos = found.extra
        self.photos = found.used
        self.executor = executor
        self.shard = shard
        if shard is not None:
            self.photos = shard.take(self.photos)
        self.classifier_stage = ClassifierStage(
            self.work,
            dataset,
            [*found.main, *found.extra],
            extra=found.sources,
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
                self.work,
                self.settings.proposals,
                self.settings.proposal_options,
                workers=self.workers,
            )
        )

    @cached_property
    def cam_stage(self) -> CamStage:
        """The anchors; the paper's mode only."""
        return self._placed(
            CamStage(
                self.work,
                self.classifier,
                self.dataset.class_names,
                threshold=self.settings.cam_threshold,
                component=self.settings.cam_component,
                sizes=self.settings.cam_sizes,
                threads=self.workers,
            )
        )

    @cached_property
    def activation_stage(self) -> ActivationStage:
        """The class activation maps; not in the paper's mode."""
        return self._placed(
            ActivationStage(
                self.work,
                self.classifier,
                self.dataset.class_names,
                sizes=self.settings.cam_sizes,
                threads=self.workers,
            )
        )

    @cached_property
    def saliency_stage(self) -> SaliencyStage | None:
        """Salient segments; None in the paper's mode."""
        if self.settings.mode == "paper":
            return None
        return self._placed(
            SaliencyStage(
                self.work,
                self.activation_stage,
                threads=self.workers,
                shares=WINDOW_SHARES[: self.settings.windows],
            )
        )

    @cached_property
    def pool(self) -> SegmentPool:
        """All segments that F-EM chooses among."""
        return SegmentPool(self.proposal_stage, self.saliency_stage, self.settings.segments)

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
        """The segment head; not in the paper's mode."""
        salient = self._placed(
            SalientStage(
                self.work,
                self.classifier,
                self.settings.segments,
                saliency=self.saliency_stage,
                threads=self.workers,
            )
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
    def distance_stage(self) -> DistanceStage:
        """Distances to the anchors, of all eligible segments."""
        return self._placed(DistanceStage(self.work, self.cam_stage, self.pool))

    @cached_property
    def foreground_stage(self) -> ForegroundStage:
        """F-EM."""
        cues = occlusions = None
        weights = self.settings.cue_weights
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
            if weights.occlusion:
                occlusions = self._placed(OcclusionStage(self.work, cues, threads=self.workers))
        return ForegroundStage(
            self.work,
            self.feature_stage,
            self.distance_stage if cues is None else None,
            self.dataset.class_names,
            config=self.settings.fem,
            cues=cues,
            occlusions=occlusions,
            weights=weights,
            reduce=self.settings.reduce,
            instances=self.settings.instances,
        )

    @cached_property
    def bank_stage(self) -> BankStage:
        """The bank; it can be made, and its folder checked, before anything is computed."""
        config = {
            "classifier": self.classifier_stage.key,
            **self.settings.as_dict(),
            "proposals": self.proposal_stage.cache.config,
            "extra_photos": "written" if self.write_extra else "not written",
            "versions": {stage.name: stage.version for stage in _VERSIONED},
        }
        return BankStage(
            self.output,
            self.dataset.class_names,
            config=config,
            input_hash=listing_hash(self.photos, self.dataset.class_names),
            classifier=self.classifier_stage.path,
            cut=self.settings.cut,
            alpha=self.settings.alpha,
            overwrite=self.overwrite,
        )
