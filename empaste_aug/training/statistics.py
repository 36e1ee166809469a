"""What was pasted in a training run, counted from the records that the samples carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from empaste_aug.paste.compose import EMPaste
from empaste_aug.types import Record


@dataclass(slots=True)
class PasteCounts:
    """Sums over samples.

    Attributes:
        images: the samples.
        backgrounds: those whose photo gave its place to a background.
        pasted: the objects that were pasted, by class; what crops removed later is among them.
        skipped: the pastes that were not made, by reason.
    """

    images: int = 0
    backgrounds: int = 0
    pasted: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record, class_of: Callable[[int], str]) -> None:
        """Count one sample; `class_of` says the class of a bank's row."""
        self.images += 1
        self.backgrounds += record.background is not None
        for placement in record.placements:
            self.pasted[class_of(placement.cutout_id)] += 1
        for skip in record.skipped:
            self.skipped[skip.reason] += 1

    def update(self, other: PasteCounts) -> None:
        """Add another's sums."""
        self.images += other.images
        self.backgrounds += other.backgrounds
        self.pasted.update(other.pasted)
        self.skipped.update(other.skipped)

    def scalars(self, *, with_classes: bool) -> dict[str, float]:
        """The sums so far, named as in the event storage: see `PasteStatistics`."""
        scalars = {
            "empaste/images": self.images,
            "empaste/pasted": self.pasted.total(),
            "empaste/skipped": self.skipped.total(),
            "empaste/backgrounds": self.backgrounds,
        }
        scalars |= {f"empaste/skipped/{why}": n for why, n in sorted(self.skipped.items())}
        if with_classes:
            scalars |= {f"empaste/class/{name}": n for name, n in sorted(self.pasted.items())}
        return {name: float(value) for name, value in scalars.items()}

    def to_dict(self) -> dict[str, Any]:
        """JSON values, for checkpoints."""
        return {
            "images": self.images,
            "backgrounds": self.backgrounds,
            "pasted": dict(self.pasted),
            "skipped": dict(self.skipped),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> PasteCounts:
        """What `to_dict` was made of."""
        return cls(
            content["images"],
            content["backgrounds"],
            Counter(content["pasted"]),
            Counter(content["skipped"]),
        )

    def __str__(self) -> str:
        """The sums in one line, without those of classes."""
        pasted, skipped = self.pasted.total(), self.skipped.total()
        why = ", ".join(f"{reason} {n:,}" for reason, n in self.skipped.most_common())
        text = (
            f"{pasted:,} objects of {len(self.pasted)} classes pasted into {self.images:,} images"
        )
        text += f" ({pasted / max(self.images, 1):.2f} each), {skipped:,} skipped"
        text += f" ({why})" if why else ""
        return text + (f", {self.backgrounds:,} on backgrounds" if self.backgrounds else "")


class CountingLoader:
    """A training loader that counts what was pasted in each batch it hands out.

    The batches are the loader's own, and counted in this process, so that workers that read ahead
    are not counted too early.

    Args:
        loader: hands out lists of mapped dicts.
        paste: tells what pastes, when it is first asked; None (or one that says None): nothing.

    Attributes:
        loader: the one that is counted.
        pending: what was counted and not taken yet, see `take`.
        last_batch: the latest batch.
    """

    def __init__(
        self, loader: Iterable[Sequence[Any]], paste: Callable[[], EMPaste | None] | None
    ) -> None:
        self.loader = loader
        self.pending = PasteCounts()
        self.last_batch: Sequence[Any] = ()
        self._paste = paste
        self._classes: list[str] | None = None

    def __iter__(self) -> Iterator[Sequence[Any]]:
        """The loader's batches."""
        for batch in self.loader:
            for sample in batch:
                record = sample.get("empaste_record")
                if record is not None:
                    self.pending.add(record, self._class_of)
            self.last_batch = batch
            yield batch

    def __getattr__(self, name: str) -> Any:
        """The loader's attributes."""
        if name == "loader":  # not there yet, while it is unpickled
            raise AttributeError(name)
        return getattr(self.loader, name)

    def take(self) -> PasteCounts:
        """What was counted since the last call."""
        counts, self.pending = self.pending, PasteCounts()
        return counts

    def _class_of(self, row: int) -> str:
        """The data set's name for the class of a bank's row, or the bank's own without one."""
        if self._classes is None:
            paste = None if self._paste is None else self._paste()
            assert paste is not None, "records come from what pastes"
            bank = paste.bank
            names = [paste.category_map.get(name, name) for name in bank.categories]
            self._classes = [names[category] for category in bank.index["category_id"].tolist()]
        return self._classes[row]
