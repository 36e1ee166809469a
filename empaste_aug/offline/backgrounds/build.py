"""The build of a pool: its stages in order or one alone, and the pool that comes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from empaste_aug.offline.backgrounds.candidates import CandidateStage
from empaste_aug.offline.backgrounds.report import PoolReport
from empaste_aug.offline.backgrounds.settings import SOURCES, STAGES
from empaste_aug.offline.backgrounds.sheet import SheetRow, SheetTile
from empaste_aug.offline.backgrounds.wiring import BackgroundStages
from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.pool import PoolWriter
from empaste_aug.types import ArgumentError, PoolError


class BackgroundBuild(BackgroundStages):
    """One build of a pool; the options are `BackgroundStages`'."""

    def run(self, stages: Sequence[str] | None = None, *, redo: bool = False) -> PoolReport:
        """Run all stages that the sources need, or the named ones, in their order.

        Args:
            stages: names out of `STAGES`; what earlier stages left must be there.
            redo: compute the stages that run anew, though their files are there.

        Raises:
            ArgumentError: an unknown stage, one that no source needs, or one whose input is
                missing; a model cannot be loaded; or `output` holds another pool and `overwrite`
                is off.
            PoolError: no image is left for the pool.
        """
        needed = self.settings.stages
        wanted = needed if stages is None else list(stages)
        unknown = [name for name in wanted if name not in needed]
        if unknown or not wanted:
            raise ArgumentError(
                f"stages: {', '.join(unknown) or 'none'} given; the sources "
                f"{', '.join(self.settings.sources)} have {', '.join(needed)}"
            )
        self._check(wanted)
        report = PoolReport(self.work)
        for name in STAGES:
            if name in wanted and name != "pool":
                start = time.perf_counter()
                stage, photos = self._stage(name)
                done = stage.run(photos, redo=redo, progress=self.progress)
                report.add(name, done, time.perf_counter() - start)
        if "pool" in wanted:
            self._write(report)
        return report

    def _stage(self, name: str) -> tuple[PhotoStage | CandidateStage, Sequence[Photo]]:
        """A stage, and the photos that it runs on."""
        if name == "object_free":
            return self.object_free_stage, self.unlabelled
        if name == "inpaint":
            return self.inpaint_stage, self.labelled
        generated: dict[str, Callable[[], PhotoStage | CandidateStage]] = {
            "caption": lambda: self.caption_stage,
            "distract": lambda: self.prompt_stage,
            "synthesize": lambda: self.candidate_stage,
            "rank": lambda: self.rank_stage,
        }
        return generated[name](), self.photos

    def _check(self, wanted: Sequence[str]) -> None:
        """Find what would stop a late stage now, not after hours of work."""
        for name in wanted:
            if name == "pool":
                PoolWriter.check(self.output, overwrite=self.overwrite, **self._description())
            else:
                self._stage(name)
        if "rank" in wanted:
            self.ranker.load()
        if {"rank", "object_free", "inpaint"} & set(wanted):
            self.panel.load()

    def _description(self) -> dict[str, Any]:
        return {"method": "em-paste", "config": self.config()}

    def sheet_rows(self, limit: int) -> Iterator[SheetRow]:
        """For `pool_sheet`: of each source the first `limit` captions or photos.

        Raises:
            ArgumentError: `limit` is below 1, or the stages have not run.
        """
        if limit < 1:
            raise ArgumentError(f"limit: must be at least 1, not {limit}")
        sources: dict[str, Callable[[], Iterator[SheetRow]]] = {
            "generated": self._generated_rows,
            "object_free": lambda: self._original_rows(self._object_free(), self.unlabelled),
            "inpainted": lambda: self._original_rows(self._inpainted(), self.labelled),
        }
        for name in SOURCES:
            if name in self.settings.sources:
                yield from islice(sources[name](), limit)

    def _generated_rows(self) -> Iterator[SheetRow]:
        for photo in self.photos:
            captions = self.prompt_stage.load(photo)["caption"].tolist()
            ranked = self.rank_stage.ranked(photo, keep=self.settings.keep_per_caption)
            for wanted, group in groupby(ranked, key=lambda item: item.wanted):
                tiles = [
                    SheetTile(
                        self.candidate_stage.image(wanted, item.number), item.verdict, item.score
                    )
                    for item in group
                ]
                texts = [("caption", captions[wanted.number]), ("prompt", wanted.prompt)]
                yield SheetRow(photo, texts, tiles)

    def _original_rows(
        self, offers: Iterator[_Offer], photos: Sequence[Photo]
    ) -> Iterator[SheetRow]:
        for photo, offer in zip(photos, offers, strict=True):
            labels = ", ".join(self.dataset.class_names[label] for label in photo.labels)
            texts = [(offer.provenance["kind"].replace("_", "-"), labels or "no class")]
            yield SheetRow(photo, texts, [SheetTile(offer.image(), offer.verdict)])

    def _write(self, report: PoolReport) -> None:
        start = time.perf_counter()
        kept = []
        for source, offer in self._offers():
            report.count(source, offer.verdict)
            if offer.verdict == "kept":
                kept.append(offer)
        if not kept:
            told = "; ".join(report.verdict_lines()) or self._nothing_made()
            raise PoolError(f"{self.output}: no image is left for the pool ({told})")
        with PoolWriter(self.output, overwrite=self.overwrite, **self._description()) as writer:
            for offer in progress_bar(kept, description="pool", unit="image", show=self.progress):
                if offer.key not in writer:
                    writer.add(offer.key, offer.image(), **offer.provenance)
        report.pool = self.output
        report.images = len(kept)
        report.seconds["pool"] = time.perf_counter() - start
        report.save()

    def _nothing_made(self) -> str:
        lacking = {"object_free": "no photo without a class", "inpainted": "no photo with a class"}
        found = [lacking[name] for name in self.settings.sources if name in lacking]
        return f"the data set has {' and '.join(found)}"

    def _offers(self) -> Iterator[tuple[str, _Offer]]:
        """Every image of every source, in the pool's order, with what became of it."""
        sources = {
            "generated": self._generated,
            "object_free": self._object_free,
            "inpainted": self._inpainted,
        }
        for name, offers in sources.items():
            if name in self.settings.sources:
                yield from ((name, offer) for offer in offers())

    def _generated(self) -> Iterator[_Offer]:
        stage = self.candidate_stage
        for photo in self.photos:
            captions = self.prompt_stage.load(photo)["caption"].tolist()
            for item in self.rank_stage.ranked(photo, keep=self.settings.keep_per_caption):
                yield _Offer(
                    item.verdict,
                    f"generated/{photo.name}/{item.wanted.number}/{item.number}",
                    partial(stage.image, item.wanted, item.number),
                    {
                        "kind": "generated",
                        "source": photo.name,
                        "caption": captions[item.wanted.number],
                        "prompt": item.wanted.prompt,
                        "seed": stage.seed_of(item.wanted, item.number),
                        "model": stage.synthesizer.source.model,
                        "score": item.score,
                        "scores": item.sightings,
                    },
                )

    def _object_free(self) -> Iterator[_Offer]:
        for photo in self.unlabelled:
            verdict, scores = self._judged(self.object_free_stage.load(photo))
            told = {"kind": "object_free", "source": photo.name, "scores": scores}
            yield _Offer(verdict, f"object_free/{photo.name}", photo.read, told)

    def _inpainted(self) -> Iterator[_Offer]:
        model = "opencv" if self._inpainter is None else self._inpainter.source.model
        for photo in self.labelled:
            content = self.inpaint_stage.load(photo)
            verdict, scores = self._judged(content)
            yield _Offer(
                str(content["skipped"]) or verdict,
                f"inpainted/{photo.name}",
                partial(self.inpaint_stage.image, photo),
                {"kind": "inpainted", "source": photo.name, "model": model, "scores": scores},
            )

    def _judged(self, content: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
        seen = self.panel.reason(content["value"], content["category"])
        scores = dict(zip(self.panel.names, content["value"].tolist(), strict=True))
        return ("kept" if seen is None else f"rejected: {seen.class_name} by {seen.by}"), scores


@dataclass(frozen=True, slots=True)
class _Offer:
    """An image that may go into the pool: what became of it, its key, pixels and provenance."""

    verdict: str
    key: str
    image: Callable[[], Any]
    provenance: dict[str, Any]


def build_backgrounds(
    dataset: Dataset,
    output: str | Path,
    *,
    stages: Sequence[str] | None = None,
    redo: bool = False,
    **options: Any,
) -> PoolReport:
    """Build a pool of backgrounds: `BackgroundBuild(...).run(...)`.

    Each image lies in the work folder as soon as it is made, so that a build that was stopped goes
    on where it was, nothing is made twice, and a changed option recomputes only what depends on it.

    Args:
        dataset: photos with image-level labels.
        output: the pool's folder.
        stages: the stages to run, out of `STAGES`; all that the sources need by default.
        redo: compute them anew.
        options: see `BackgroundStages`.

    Raises:
        ArgumentError, DatasetError, PoolError, MissingDependencyError: see `BackgroundStages`.
    """
    return BackgroundBuild(dataset, output, **options).run(stages, redo=redo)
