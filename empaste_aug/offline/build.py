"""From photos with image-level labels to a bank: F-EM's stages, run in order or one alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.execute import Shard
from empaste_aug.offline.stages.base import Progress
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.places import check_apart, check_output, work_folder
from empaste_aug.offline.stages.summary import BuildReport
from empaste_aug.offline.stages.wiring import STAGE_FOLDERS, StageSet
from empaste_aug.types import ArgumentError

STAGES = ("classifier", "cams", "proposals", "saliency", "features", "fem", "bank")
"""In the order in which they run."""

SHARDED = ("cams", "proposals", "saliency", "features")
"""Those that a shard of the photos can run alone."""


class Build(StageSet):
    """One build; the options are `StageSet`'s."""

    def run(self, stages: Sequence[str] | None = None, *, redo: bool = False) -> BuildReport:
        """Run all stages, or the named ones, in their order.

        With a shard, only the stages that need nothing but their own photo, `SHARDED`, run, on
        that part of the photos; the same build without a shard goes on from there.

        Args:
            stages: names out of `STAGES`; what earlier stages left must be there.
            redo: compute the stages that run anew, though their files are there.

        Raises:
            ArgumentError: an unknown stage, one that the mode does not have, or one whose input is
                missing; a folder that no bank can be written to.
            BankError: `output` holds a finished bank made otherwise, and `overwrite` is off.
        """
        usual = STAGES if self.shard is None else SHARDED
        wanted = usual if stages is None else tuple(stages)
        unknown = [name for name in wanted if name not in STAGES]
        if unknown or not wanted:
            raise ArgumentError(
                f"stages: {', '.join(unknown) or 'none'} given; there are {', '.join(STAGES)}"
            )
        whole = [name for name in wanted if name not in SHARDED]
        if self.shard is not None and whole:
            raise ArgumentError(
                f"shard: stages {', '.join(whole)} need all photos; run them without a shard"
            )
        mode = self.settings.mode
        idle = {"saliency"} if mode == "paper" else {"cams"}
        named = idle.intersection(stages or ())
        if named:
            raise ArgumentError(f"stages: mode {mode!r} has no stage {', '.join(named)}")
        if "bank" in wanted:
            self.bank_stage.check()
        written = [photo for photo in self.photos if self.write_extra or not photo.extra]
        report = BuildReport(
            work=self.work,
            images=len(self.main_photos),
            extra_images=len(self.extra_photos),
            pairs=sum(len(photo.labels) for photo in written),
        )
        options = {"redo": redo, "progress": self.progress}
        runners: dict[str, Callable[[], Progress]] = {
            "classifier": lambda: self.classifier_stage.run(**options),
            "cams": lambda: self.cam_stage.run(self.photos, **options),
            "proposals": lambda: self.proposal_stage.run(self.photos, **options),
            "saliency": lambda: self._run_saliency(options),
            "features": lambda: self.feature_stage.run(self.photos, **options),
            "fem": lambda: self.foreground_stage.run(self.photos, **options),
            "bank": lambda: self.bank_stage.run(
                written, self.foreground_stage, self.photos, **options
            ),
        }
        try:
            for name in STAGES:
                if name in wanted and name not in idle:
                    start = time.perf_counter()
                    report.stages[name] = runners[name]()
                    report.seconds[name] = time.perf_counter() - start
        finally:
            if self.executor is not None:
                self.executor.close()
        if "bank" in wanted:
            self._complete(report, written)
        return report

    def _run_saliency(self, options: dict[str, bool]) -> Progress:
        assert self.saliency_stage is not None
        self.activation_stage.run(self.photos, **options)
        return self.saliency_stage.run(self.photos, **options)

    def _complete(self, report: BuildReport, written: Sequence[Photo]) -> None:
        features = self.feature_stage.cache
        report.proposals = sum(self.pool.count(photo) for photo in written)
        report.eligible = sum(features.length(photo.name, "segment") for photo in written)
        report.classes = self.bank_stage.classes
        report.kept = sum(row.kept for row in report.classes)
        report.bank = self.output
        report.save(self.work / "report.json")


def check_folders(
    output: str | Path,
    work: str | Path | None = None,
    *,
    stages: Sequence[str] | None = None,
    shard: Shard | None = None,
) -> None:
    """What can be said of a build's folders before its photos are looked at; see `build_bank`.

    Whether a finished bank at `output` is the same one is seen only when they are known.

    Raises:
        ArgumentError: the folders are in each other's way, or the bank is to be written and its
            folder holds other files or cannot be written.
    """
    check_apart(output, work_folder(output, work), STAGE_FOLDERS)
    if shard is None and (stages is None or "bank" in stages):
        check_output(output)


def build_bank(
    dataset: Dataset,
    output: str | Path,
    *,
    stages: Sequence[str] | None = None,
    redo: bool = False,
    **options: Any,
) -> BuildReport:
    """Build a bank from photos with image-level labels (paper, 3.1): `Build(...).run(...)`.

    Every stage leaves its results in the work folder, photo by photo, so that a build that was
    stopped at any point goes on where it was, and a changed option recomputes only what depends on
    it. The result does not depend on `workers`, nor on interruptions.

    Args:
        dataset: photos with image-level labels; its instances are never read.
        output: the bank's folder.
        stages: the stages to run, out of `STAGES`; all by default.
        redo: compute them anew.
        options: see `StageSet`.

    Returns:
        What was done; also in ``<work>/report.json`` once the bank is written.

    Raises:
        ArgumentError, BankError, DatasetError, MissingDependencyError: see `StageSet` and
            `Build.run`.
    """
    return Build(dataset, output, **options).run(stages, redo=redo)
