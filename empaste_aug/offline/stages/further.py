"""Photo by photo, which candidates of the stage `fem` become further instances."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.alpha import AlphaConfig
from empaste_aug.offline.alpha_mask import BACKGROUND, band_width, clean_mask, make_trimap
from empaste_aug.offline.instances import InstanceConfig, take_further
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.stages.choices import Candidate, Choice
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.pool import SegmentPool


def further_choices(
    photos: Sequence[Photo],
    choices: Sequence[Choice],
    candidates: Sequence[Candidate],
    pool: SegmentPool,
    *,
    config: InstanceConfig,
    alpha: AlphaConfig,
    progress: bool = True,
) -> list[Choice]:
    """The further instances on these photos, by photo and then as `take_further` takes them.

    The chosen segments of all classes of a photo, those that a cut leaves out later too, are taken
    first. Masks are compared as they are cut out: cleaned up, and with the rim in which alpha is
    soft. So a part that is dropped from the first mask may become a further instance.

    Args:
        photos: in any order; candidates on other photos are left alone.
        choices: what F-EM chose, `instance` 0.
        candidates: from `ForegroundStage.candidates`.
        pool: where the masks come from.
        config: what a further instance must be.
        alpha: how masks become cut-outs.
        progress: show a bar on stderr.

    Returns:
        Choices with `instance` 1, 2, ... within their photo and class.
    """
    chosen: dict[str, set[int]] = defaultdict(set)
    for choice in choices:
        chosen[choice.photo].add(choice.segment)
    wanted: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        wanted[candidate.choice.photo].append(candidate)
    here = [photo for photo in photos if photo.name in wanted]
    result: list[Choice] = []
    for photo in progress_bar(here, description="instances", unit="photo", show=progress):
        offered = wanted[photo.name]
        found = pool.segments(photo)
        rows = {candidate.choice.segment for candidate in offered} | chosen[photo.name]
        shapes = {row: _as_cut_out(found[row].mask(), alpha) for row in sorted(rows)}
        taken = take_further(
            [candidate.choice.category_id for candidate in offered],
            [candidate.value for candidate in offered],
            [shapes[candidate.choice.segment] for candidate in offered],
            [shapes[row] for row in sorted(chosen[photo.name])],
            config,
        )
        count: Counter[int] = Counter()
        for position in taken:
            choice = offered[position].choice
            count[choice.category_id] += 1
            result.append(replace(choice, instance=count[choice.category_id]))
    return result


def _as_cut_out(
    mask: NDArray[np.bool_], config: AlphaConfig
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The mask that `cut_out` begins with, and where its alpha may be above 0."""
    cleaned = clean_mask(mask, min_component=config.min_component, max_hole=config.max_hole)
    width = band_width(int(np.count_nonzero(cleaned)), share=config.band, limit=config.max_band)
    return cleaned, make_trimap(cleaned, width) != BACKGROUND
