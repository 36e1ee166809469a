"""Where Albumentations draws a transform's parameters, and what stands in them.

Both libraries of that name call a transform in two steps: draw parameters once, then apply them to
every target. 2.0.8 draws in ``get_params_dependent_on_data``, from the transform's own
``random_generator``; its successor (AlbumentationsX) forbids that name and draws in
``sample_parameters``, from a generator of the call. Both then call ``apply_with_params`` with the
whole sample, which is where an object can be added to all targets at once; ReplayCompose calls it
alone, with a deep copy of what was drawn.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import albumentations as A  # noqa: N812
import numpy as np

from empaste_aug.paste.compose import EMPaste
from empaste_aug.types import Background, Placement, Record, Skip

IS_SUCCESSOR = hasattr(A.DualTransform, "sample_parameters")
"""Whether the library that is installed as `albumentations` is AlbumentationsX."""


class PerSample(A.DualTransform):  # type: ignore[misc]
    """A transform that draws once for a sample and applies the draw to the sample as a whole."""

    @abstractmethod
    def draw(self, data: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        """The parameters for this sample; all randomness comes from `rng`."""

    @abstractmethod
    def apply_to_sample(self, data: dict[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        """The sample with these parameters applied."""

    if IS_SUCCESSOR:

        def sample_parameters(
            self,
            params: Any,  # noqa: ARG002
            data: Mapping[str, Any],
            targets: Any,  # noqa: ARG002
            sampling: Any,
        ) -> Any:
            """AlbumentationsX's hook."""
            from albumentations.core.transform_params import SampledParams

            return SampledParams(params=self.draw(data, sampling.random_generator))

    else:

        def get_params_dependent_on_data(
            self,
            params: Any,  # noqa: ARG002
            data: Mapping[str, Any],
        ) -> dict[str, Any]:
            """Albumentations' hook."""
            return self.draw(data, self.random_generator)

    def apply_with_params(self, params: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ARG002
        """Both libraries' entry, with what was drawn before."""
        return self.apply_to_sample(kwargs, params.params if IS_SUCCESSOR else params)


class Recipe(dict[str, Any]):
    """What a record says, as plain values: `placements`, `skipped` and `seed_key`.

    Where a background took the photo's place, there is `background` too.

    It is a dict of numbers, strings, lists and dicts, which json can write. Besides, it carries
    what was made while drawing, so that applying it to the same sample does not make it again; a
    copy or a pickle of it is a plain dict without that.
    """

    def __init__(self, record: Record, seed_key: Iterable[int], made: Any) -> None:
        super().__init__(
            placements=[_plain(asdict(placement)) for placement in record.placements],
            skipped=[_plain(asdict(skip)) for skip in record.skipped],
            seed_key=list(seed_key),
        )
        if record.background is not None:
            self["background"] = _plain(asdict(record.background))
        self._made = made

    def take(self) -> Any:
        """What was made while drawing, the first time; then None."""
        made, self._made = self._made, None
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as a plain dict."""
        return dict, (dict(self),)


def placements_of(recipe: Mapping[str, Any]) -> list[Placement]:
    """The Placements of a recipe, also of one that json has written and read."""
    return [
        Placement(**{**entry, "center": tuple(entry["center"])}) for entry in recipe["placements"]
    ]


def skips_of(recipe: Mapping[str, Any]) -> tuple[Skip, ...]:
    """The Skips of a recipe."""
    return tuple(Skip(**entry) for entry in recipe["skipped"])


def background_of(recipe: Mapping[str, Any]) -> Background | None:
    """The Background of a recipe, or None."""
    entry = recipe.get("background")
    return None if entry is None else Background(entry["row"], tuple(entry["offset"]))


def options_of(paste: EMPaste) -> dict[str, Any]:
    """The keyword arguments that make this EMPaste again, its bank as the folder.

    All are plain values, but for a callable `selection`, which stays as it is.
    """
    values = {**vars(paste), **asdict(paste.placement), "bank": str(paste.bank.path)}
    names = inspect.signature(EMPaste).parameters
    return {name: _plain(values[name]) for name in names}


def _plain(value: Any) -> Any:
    """The value with Python numbers, lists and dicts in place of numpy's, tuples and mappings."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
