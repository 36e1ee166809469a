"""The stages of one build of a pool, each made from the options and from those before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from empaste_aug.bank import MaskBank
from empaste_aug.offline.backgrounds.candidates import CandidateStage
from empaste_aug.offline.backgrounds.captions import CaptionStage, GivenCaptionStage
from empaste_aug.offline.backgrounds.judging import Panel
from empaste_aug.offline.backgrounds.originals import (
    InpaintStage,
    ObjectFreeStage,
    annotated_masks,
    bank_masks,
)
from empaste_aug.offline.backgrounds.prompts import PromptStage
from empaste_aug.offline.backgrounds.ranking import RankStage
from empaste_aug.offline.backgrounds.settings import PoolSettings
from empaste_aug.offline.caption import DEFAULT_CAPTIONER, Captioner
from empaste_aug.offline.captions_file import read_captions
from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.distract import allowed_distractors
from empaste_aug.offline.inpaint_model import DiffusersInpainter
from empaste_aug.offline.rank import ClipRanker
from empaste_aug.offline.seeds import derived_seed
from empaste_aug.offline.stages.photos import Photo, list_photos
from empaste_aug.offline.synthesize import Synthesizer
from empaste_aug.offline.visible import VisibleConfig
from empaste_aug.offline.vocabulary.tables import Vocabulary
from empaste_aug.types import ArgumentError


class BackgroundStages:
    """The options of one build of a pool (paper, 3.2), its photos, and its stages.

    Models are loaded by the stage that needs them, and only if something is left for it to do.

    Args:
        dataset: photos with image-level labels; its instances are read only for the source
            "inpainted" without a bank.
        output: the pool's folder.
        work: where the stages keep their files; ``<output>.work`` by default.
        settings: sources and numbers.
        captioner: None for the default model; of no use with `captions`.
        captions: a file that `read_captions` reads, instead of a model.
        vocabulary: the classes' words; None for the built-in ones.
        synthesizer: None for the default model.
        ranker: None for the default model.
        inpainter: for the source "inpainted"; None for OpenCV.
        bank: a bank of the data set, whose masks are what is inpainted; None: the annotations.
        classifier: a classifier's file, which judges whether target classes are visible; None:
            none does.
        clip_judges: whether CLIP judges too.
        visible: the judges' thresholds.
        device: of the classifier.
        overwrite: replace a finished pool that was made otherwise.
        progress: show bars on stderr.

    Raises:
        ArgumentError: options contradict each other, or a class has no words.
        DatasetError: a photo cannot be read, or has no caption in the file.
    """

    def __init__(
        self,
        dataset: Dataset,
        output: str | Path,
        *,
        work: str | Path | None = None,
        settings: PoolSettings | None = None,
        captioner: Captioner | None = None,
        captions: str | Path | None = None,
        vocabulary: Vocabulary | None = None,
        synthesizer: Synthesizer | None = None,
        ranker: ClipRanker | None = None,
        inpainter: DiffusersInpainter | None = None,
        bank: MaskBank | None = None,
        classifier: str | Path | None = None,
        clip_judges: bool = False,
        visible: VisibleConfig | None = None,
        device: str = "cpu",
        overwrite: bool = False,
        progress: bool = True,
    ) -> None:
        if captioner is not None and captions is not None:
            raise ArgumentError("captions: a captioner is given too; one of them is enough")
        if not dataset.images:
            raise ArgumentError(f"dataset: {dataset.name} holds no photo")
        self.dataset = dataset
        self.output = Path(output)
        self.work = Path(work) if work is not None else Path(f"{self.output}.work")
        self.settings = settings or PoolSettings()
        self.vocabulary = vocabulary or Vocabulary.builtin()
        self.bank = bank
        self.overwrite = overwrite
        self.progress = progress
        self._captioner = captioner
        self._captions = captions
        self._synthesizer = synthesizer
        self._ranker = ranker
        self._inpainter = inpainter
        self._clip_judges = clip_judges
        self._classifier = None if classifier is None else Path(classifier)
        self._visible = visible or VisibleConfig()
        self._device = device
        self.all_photos = list_photos(dataset, progress=progress)
        self.photos = self._share(self.all_photos)

    @cached_property
    def caption_stage(self) -> CaptionStage | GivenCaptionStage:
        """The captions."""
        options = {"count": self.settings.captions_per_photo, "seed": self.settings.seed}
        if self._captions is None:
            return CaptionStage(
                self.work, self._captioner or Captioner(DEFAULT_CAPTIONER), **options
            )
        given = read_captions(self._captions)
        return GivenCaptionStage(
            self.work, given, self.photos, source=str(self._captions), **options
        )

    @cached_property
    def prompt_stage(self) -> PromptStage:
        """The prompts."""
        return PromptStage(
            self.work,
            self.caption_stage,
            self.dataset.class_names,
            vocabulary=self.vocabulary,
            seed=self.settings.seed,
        )

    @cached_property
    def candidate_stage(self) -> CandidateStage:
        """The images."""
        return CandidateStage(
            self.work,
            self.prompt_stage,
            self._synthesizer or Synthesizer(),
            images=self.settings.images_per_caption,
            seed=self.settings.seed,
        )

    @cached_property
    def ranker(self) -> ClipRanker:
        """CLIP."""
        return self._ranker or ClipRanker()

    @cached_property
    def panel(self) -> Panel:
        """Who looks for target classes."""
        names = self.dataset.class_names
        words = {name: [self.vocabulary.words(name).name] for name in names}
        distractors = {
            word
            for found in allowed_distractors(names, vocabulary=self.vocabulary).values()
            for word in found
        }
        return Panel(
            names,
            words,
            sorted(distractors),
            self.ranker if self._clip_judges else None,
            self._classifier,
            self._visible,
            self._device,
            self._canonical,
        )

    def _canonical(self, class_name: str) -> str:
        found = self.vocabulary.find(class_name)
        return class_name if found is None else found.name

    @cached_property
    def rank_stage(self) -> RankStage:
        """The scores."""
        return RankStage(self.work, self.candidate_stage, self.ranker, self.panel)

    @cached_property
    def object_free_stage(self) -> ObjectFreeStage:
        """What the judges see in photos without labels."""
        return ObjectFreeStage(self.work, self.panel)

    @cached_property
    def inpaint_stage(self) -> InpaintStage:
        """Photos without their objects."""
        if self.bank is None:
            masks, told = annotated_masks(self.dataset), "annotations"
        else:
            masks = bank_masks(self.bank, list(self.dataset.class_names))
            told = self.bank.manifest["build_hash"]
        return InpaintStage(
            self.work,
            masks,
            told=told,
            panel=self.panel,
            inpainter=self._inpainter,
            seed=self.settings.seed,
        )

    @property
    def unlabelled(self) -> list[Photo]:
        """The photos without a class."""
        return [photo for photo in self.all_photos if not photo.labels]

    @property
    def labelled(self) -> list[Photo]:
        """The photos with a class."""
        return [photo for photo in self.all_photos if photo.labels]

    def given_captions(self) -> int:
        """How many of the user's captions are used.

        Raises:
            ArgumentError: there is no file of captions.
            DatasetError: it cannot be read, or a photo has no caption in it.
        """
        stage = self.caption_stage
        if not isinstance(stage, GivenCaptionStage):
            raise ArgumentError("captions: are a model's")
        return sum(stage.number(photo) for photo in self.photos)

    def config(self) -> dict[str, Any]:
        """What the pool depends on, as JSON values."""
        stages = {
            "generated": lambda: self.rank_stage.key,
            "object_free": lambda: self.object_free_stage.key,
            "inpainted": lambda: self.inpaint_stage.key,
        }
        return {
            "settings": asdict(self.settings),
            "sources": {name: stages[name]() for name in self.settings.sources},
            "visible": self.panel.thresholds(),
            "judges": self.panel.names,
            "photos": [photo.name for photo in self.photos]
            if self.settings.share < 1
            else len(self.photos),
        }

    def _share(self, photos: Sequence[Photo]) -> list[Photo]:
        """Photos are drawn one by one, so that a larger share holds a smaller one."""
        share, seed = self.settings.share, self.settings.seed
        if share == 1:
            return list(photos)
        draws = [derived_seed("share", seed, photo.name) for photo in photos]
        count = max(1, round(share * len(photos)))
        chosen = np.sort(np.argsort(np.array(draws, np.uint64), kind="stable")[:count])
        return [photos[number] for number in chosen]
