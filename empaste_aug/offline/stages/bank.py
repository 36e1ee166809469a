"""Stage `bank`: what of F-EM's choices is kept becomes a bank; the table of classes."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import BankWriter
from empaste_aug.bank.files import sha256_of
from empaste_aug.bank.schema import MANIFEST, load_manifest
from empaste_aug.offline.alpha import AlphaConfig
from empaste_aug.offline.stages.base import Progress
from empaste_aug.offline.stages.choices import Choice
from empaste_aug.offline.stages.cutouts import write_cutouts
from empaste_aug.offline.stages.foregrounds import ForegroundStage
from empaste_aug.offline.stages.further import further_choices
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.places import check_new, check_output
from empaste_aug.offline.stages.rivals import anothers_masks
from empaste_aug.offline.stages.selection import Cut, qualities, select, worths
from empaste_aug.offline.stages.summary import ClassCount
from empaste_aug.types import ArgumentError, BankError


class BankStage:
    """Writes a bank, unless the folder holds the same one already.

    Args:
        output: the bank's folder.
        class_names: its categories.
        config: every option that the bank depends on, as JSON values; for the manifest.
        input_hash: of the photos and their labels; for the manifest.
        classifier: the classifier's file; its hash goes into the manifest.
        cut: which masks to keep.
        alpha: how their edges are made.
        overwrite: replace a finished bank that was made otherwise.

    Attributes:
        classes: one entry per class, once the stage has run.
        version: raise it when the stage writes another bank from the same input; in `config`.
    """

    name: ClassVar[str] = "bank"
    version: ClassVar[int] = 3

    def __init__(
        self,
        output: str | Path,
        class_names: Sequence[str],
        *,
        config: Mapping[str, Any],
        input_hash: str,
        classifier: Path,
        cut: Cut,
        alpha: AlphaConfig,
        overwrite: bool,
    ) -> None:
        self.output = Path(output)
        self.class_names = tuple(class_names)
        self.config: dict[str, Any] = json.loads(json.dumps(config))
        self.input_hash = input_hash
        self.classifier = classifier
        self.cut = cut
        self.alpha = alpha
        self.overwrite = overwrite
        self.classes: list[ClassCount] = []

    def check(self) -> None:
        """Refuse, before any work is done, what `run` could not write.

        Raises:
            BankError: a finished bank made otherwise would be replaced, and `overwrite` is off.
            ArgumentError: the folder holds other files or cannot be written.
        """
        if not (self.output / MANIFEST).exists():
            check_output(self.output)
            return
        if self._same():
            return
        if not self.overwrite:
            raise BankError(
                f"{self.output}: holds a finished bank that was made from other photos or with "
                "other options; overwrite=True replaces it"
            )
        check_new(self.output, overwrite=True)

    def run(
        self,
        photos: Sequence[Photo],
        foregrounds: ForegroundStage,
        statistics: Sequence[Photo],
        *,
        redo: bool = False,
        progress: bool = True,
    ) -> Progress:
        """Write the masks that are kept.

        Args:
            photos: those whose masks may go into the bank, in its order.
            foregrounds: the stage `fem`, done.
            statistics: the photos that it ran on.
            redo: write the bank anew though it is there.
            progress: show a bar on stderr.

        Returns:
            Cut-outs written, or found written.

        Raises:
            ArgumentError: no mask is kept.
            BankError: another finished bank would be replaced, and `overwrite` is off.
        """
        everything = foregrounds.choices(statistics)
        everything += further_choices(
            photos,
            everything,
            foregrounds.candidates(statistics),
            foregrounds.features.pool,
            config=foregrounds.instances,
            alpha=self.alpha,
            progress=progress,
        )
        names = {photo.name for photo in photos}
        quality = qualities(everything)
        mine = np.array([choice.photo in names for choice in everything], dtype=bool)
        choices = [choice for choice, wanted in zip(everything, mine, strict=True) if wanted]
        quality = quality[mine]
        pairs = Counter(label for photo in photos for label in photo.labels)
        anothers = anothers_masks(
            photos,
            choices,
            worths(choices, quality, self.cut),
            foregrounds.features.pool,
            max_overlap=self.cut.max_class_overlap,
            alpha=self.alpha,
            progress=progress,
        )
        kept = select(choices, quality, self.cut, pairs, anothers=anothers)
        history = foregrounds.history(statistics)
        self.classes = self._count(photos, choices, quality, kept, anothers, history)
        rows = np.flatnonzero(kept)
        if rows.size == 0:
            raise ArgumentError(
                f"nothing to keep, the bank would be empty: {len(choices)} of {pairs.total()} "
                f"image-class pairs have an eligible segment, and none passes {_limits(self.cut)}"
            )
        if not redo and self._same() and self._same_classifier():
            return Progress(0, len(rows))
        self.check()
        with BankWriter(
            self.output,
            categories=self.class_names,
            supervision="labels",
            method="f-em",
            config=self.config,
            input_hash=self.input_hash,
            classifier=self.classifier,
            overwrite=True,
        ) as writer:
            write_cutouts(
                writer,
                photos,
                [choices[row] for row in rows],
                quality[rows],
                foregrounds.features.pool,
                alpha=self.alpha,
                progress=progress,
            )
        return Progress(len(rows), 0)

    def _manifest(self) -> dict[str, Any] | None:
        """The manifest of a finished bank in the folder; None where there is none to be read."""
        try:
            return load_manifest(self.output)
        except BankError:
            return None

    def _same(self) -> bool:
        manifest = self._manifest()
        return (
            manifest is not None
            and manifest["config"] == self.config
            and manifest["input_hash"] == self.input_hash
        )

    def _same_classifier(self) -> bool:
        manifest = self._manifest()
        made = None if manifest is None else manifest["classifier"]
        return made is not None and made["sha256"] == sha256_of(self.classifier)

    def _count(
        self,
        photos: Sequence[Photo],
        choices: Sequence[Choice],
        quality: NDArray[np.float64],
        kept: NDArray[np.bool_],
        anothers: NDArray[np.bool_],
        history: Mapping[int, Sequence[Sequence[float]]],
    ) -> list[ClassCount]:
        pairs = Counter(label for photo in photos for label in photo.labels)
        chosen = Counter(choice.category_id for choice in choices)
        first = Counter(choice.category_id for choice in choices if choice.instance == 0)
        further = Counter(
            choice.category_id
            for choice, keep in zip(choices, kept, strict=True)
            if keep and choice.instance > 0
        )
        left_out = Counter(choices[row].category_id for row in np.flatnonzero(anothers).tolist())
        changed = Counter(choice.category_id for choice in choices if choice.changed)
        means: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for row in np.flatnonzero(kept).tolist():
            means[choices[row].category_id].append((choices[row].score, float(quality[row])))
        return [
            ClassCount(
                name=name,
                pairs=pairs[category],
                without_segment=pairs[category] - first[category],
                anothers=left_out[category],
                cut=chosen[category] - left_out[category] - len(means[category]),
                kept=len(means[category]),
                further=further[category],
                changed=changed[category],
                mean_score=_mean(score for score, _ in means[category]),
                mean_quality=_mean(worth for _, worth in means[category]),
                rounds=history.get(category, ()),
            )
            for category, name in enumerate(self.class_names)
        ]


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return float(np.mean(found)) if found else None


def _limits(cut: Cut) -> str:
    """What of a cut is not the default, as arguments."""
    values = {field.name: getattr(cut, field.name) for field in fields(cut)}
    changed = [
        f"{name}={value!r}" for name, value in values.items() if value != getattr(Cut(), name)
    ]
    return ", ".join(changed) or "the defaults"
