"""A map-style data set whose samples follow from their key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from empaste_aug.stream.compare import difference
from empaste_aug.stream.generators import check_sources, held_generators, set_from_key
from empaste_aug.stream.keys import SampleKey, integer, seeded
from empaste_aug.types import ArgumentError, DatasetError

_SET_BY_THE_STREAM = {
    "batch_sampler": "the stream's own sampler makes the batches",
    "sampler": "the stream has its own; see repeat_factors and groups",
    "drop_last": "the stream has no last batch",
    "in_order": "batches always come in the order of the stream",
    "generator": "all random numbers follow from seed",
}


_VERIFIED = 16


class KeyedDataset:
    """A map-style data set, indexed by (position, index), whose samples follow from their key.

    ``keyed[position, index]`` is ``transform(dataset[index])``, made within
    ``seeded((seed, position))``: whatever data set and transform draw from the global generators of
    `random`, NumPy and torch is the same each time, in any process. So it is with generators of
    their own, such as those of Albumentations (whose own seeds then play no part): they are
    searched for when the data set is made, and in each worker that does not inherit it, among what
    data set and transform hold and what their functions and the methods of their classes name,
    global variables and those of imported modules included; see `generators`.

    What is not found or cannot be set, and so makes samples that cannot be made again:

    - a generator that is made anew for each sample from the system's entropy
      (``np.random.default_rng()``, or an Albumentations pipeline built per sample); instead, make
      it from ``current_key()``;
    - one in a compiled library (``cv2.theRNG``), or in the globals of an installed library. The
      packages from which data set and transform themselves come are searched even if installed;
    - one that does not exist yet when the data set is made: in a global variable that the first
      sample sets, or in a module that a function imports and nothing has loaded before;
    - one that is reached by a computed name (``getattr(augs, name)``, ``globals()[name]``) or
      through a module that is held as an attribute, that lies in a list or dict of more than 100
      entries, or behind the 10,000 values at which the search ends;
    - state that data set and transform carry from one sample to the next, such as caches that they
      change.

    Name a generator that is not found in `reseed`. `verify` makes some samples twice and compares.

    Args:
        dataset: has ``dataset[index]``; a list will do.
        transform: called with the sample; None: the sample is handed out as it is.
        seed: the run's seed, >= 0.
        reseed: further holders of generators, or functions that take an integer in [0, 2**64) and
            seed something with it. Workers that are spawned get copies of holders, as of all else:
            for a global variable, give them a module's function that seeds it.

    Raises:
        ArgumentError: `dataset` cannot be indexed or is empty, or an argument is out of range.
        DatasetError: from ``keyed[position, index]``: the sample is None. No other one is taken in
            its place: it would not be the one that the stream promises, and bad data would hide.

    Errors that data set and transform raise pass through, with a note that names the sample.

    Example:
        >>> import random
        >>> keyed = KeyedDataset([10, 20, 30], lambda x: x + random.random(), seed=0)
        >>> keyed[5, 1] == keyed[5, 1], keyed[5, 1] == keyed[6, 1]
        (True, False)
        >>> keyed.verify()
    """

    def __init__(
        self,
        dataset: Any,
        transform: Callable[[Any], Any] | None = None,
        *,
        seed: int,
        reseed: Sequence[Any] = (),
    ) -> None:
        check_dataset(dataset)
        if transform is not None and not callable(transform):
            raise ArgumentError(f"transform: {type(transform).__name__} is not callable")
        self.dataset = dataset
        self.transform = transform
        self.seed = integer("seed", seed)
        self._named = check_sources(reseed)
        self._found = held_generators(dataset, transform)

    @property
    def generators(self) -> list[Any]:
        """What is set from the key for each sample, besides the global generators."""
        return [*self._named, *self._found]

    def __len__(self) -> int:
        """How many images the data set holds; the stream has no length."""
        return len(self.dataset)

    def __getitem__(self, item: tuple[int, int]) -> Any:
        """The sample of (position, index)."""
        position, index = item
        key = SampleKey(self.seed, position)
        raw = None
        with seeded(key):
            set_from_key(self.generators, key)
            try:
                sample = raw = self.dataset[index]
                if self.transform is not None:
                    sample = self.transform(raw)
                if sample is None:
                    raise DatasetError("the sample is None, so it cannot be trained on")
            except Exception as error:
                name = raw.get("file_name") if isinstance(raw, Mapping) else None
                error.add_note(
                    f"in sample {index} of the data set{f', {name},' if name else ''} at position "
                    f"{position} of the stream with seed {self.seed}; "
                    f"loader.dataset[{position}, {index}] makes it again"
                )
                raise
        return sample

    def verify(self, items: Iterable[tuple[int, int]] | None = None) -> None:
        """Make samples twice, the second time in reverse order, and compare them to the byte.

        This finds what the search for generators missed, if it shows in these samples. It says
        nothing about what differs only between processes or machines.

        Args:
            items: (position, index) of each sample; None: the positions 0 to 15, with indices
                spread over the data set.

        Raises:
            DatasetError: a sample is another one the second time. The message names the lowest
                such position and what differs in the sample.
        """
        if items is None:
            items = ((number, number * len(self) // _VERIFIED) for number in range(_VERIFIED))
        items = sorted(items)
        # copies: a transform may change what the data set holds, and hand that out
        first = [deepcopy(self[item]) for item in items]
        differences = [
            (*item, path)
            for item, before in zip(reversed(items), reversed(first), strict=True)
            if (path := difference(before, self[item])) is not None
        ]
        if differences:
            position, index, path = differences[-1]
            found = ", ".join(type(source).__name__ for source in self.generators) or "none"
            raise DatasetError(
                f"the sample of position {position}, index {index}, made twice, differs"
                f"{f' at sample{path}' if path else ''}: data set or transform draw from a random "
                "generator that is not set from the key, or carry state from one sample to the "
                f"next. Set from the key are: {found}; name a missing one in reseed"
            )

    def __getstate__(self) -> dict[str, Any]:
        """For workers that are not forked: without what was found."""
        return {key: value for key, value in vars(self).items() if key != "_found"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Search again: what functions refer to is another object in this process."""
        vars(self).update(state)
        self._found = held_generators(self.dataset, self.transform)


def check_dataset(dataset: Any) -> None:
    """Refuse what is not map-style, or is empty.

    Raises:
        ArgumentError: so it is.
    """
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise ArgumentError(
            f"dataset: {type(dataset).__name__} has no __getitem__ and __len__; a stream that can "
            "be resumed needs a map-style data set"
        )
    if len(dataset) == 0:
        raise ArgumentError("dataset: is empty")


def check_loader_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Further arguments for torch's DataLoader, less those that the stream decides.

    Raises:
        ArgumentError: one of those is given.
    """
    for name, reason in _SET_BY_THE_STREAM.items():
        if name in arguments:
            raise ArgumentError(f"{name}: cannot be given, {reason}")
    return dict(arguments)
