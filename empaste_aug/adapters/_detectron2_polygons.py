"""Polygons through detectron2's transforms, those of all of an image's objects at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

import numpy as np
from detectron2.data import transforms as T  # noqa: N812
from fvcore.transforms.transform import BlendTransform
from numpy.typing import NDArray

Outline = list[NDArray[np.float64]]
"""The polygons of one object, each flat x, y."""

_BY_POINT = (T.HFlipTransform, T.VFlipTransform, T.PadTransform, T.ResizeTransform)
KEEP_PLACES = (T.NoOpTransform, T.ColorTransform, T.PILColorTransform, BlendTransform)


def transform_outlines(outlines: Sequence[Outline], transforms: T.TransformList) -> list[Outline]:
    """What `transforms.apply_polygons` makes of each object's polygons, to the bit.

    For detectron2's usual transforms the polygons of all objects are done in one call: cropping
    goes through shapely, where calls cost more than polygons. For others, object by object.

    Args:
        outlines: polygons of at least three points; not changed.

    Returns:
        For each object its polygons; none where a crop leaves nothing of it.
    """
    polygons = [polygon.reshape(-1, 2).copy() for outline in outlines for polygon in outline]
    owners = np.repeat(np.arange(len(outlines)), [len(outline) for outline in outlines])
    for transform in transforms.transforms:
        if not polygons:
            break
        kind = type(transform)
        if kind in _BY_POINT:
            ends = np.cumsum([len(polygon) for polygon in polygons])
            polygons = np.split(transform.apply_coords(np.concatenate(polygons)), ends[:-1])
        elif kind is T.CropTransform:
            polygons, owners = _crop(polygons, owners, transform)
        elif kind not in KEEP_PLACES:
            polygons, owners = _apply_each(polygons, owners, transform)
    moved: list[Outline] = [[] for _ in outlines]
    for polygon, owner in zip(polygons, owners.tolist(), strict=True):
        moved[owner].append(polygon.reshape(-1))
    return moved


def _crop(
    polygons: Sequence[NDArray[np.float64]], owners: NDArray[np.int64], crop: T.CropTransform
) -> tuple[list[NDArray[np.float64]], NDArray[np.int64]]:
    """CropTransform.apply_polygons: the parts inside the window, those without area left out."""
    import shapely  # here, as detectron2 can do without it

    x0, y0 = crop.x0, crop.y0
    x1, y1 = x0 + crop.w, y0 + crop.h
    low = np.array([polygon.min(axis=0) for polygon in polygons])
    high = np.array([polygon.max(axis=0) for polygon in polygons])
    is_near = np.all((low < (x1, y1)) & (high > (x0, y0)), axis=1)
    polygons, owners = list(compress(polygons, is_near.tolist())), owners[is_near]
    if not polygons:
        return [], owners
    places = np.repeat(np.arange(len(polygons)), [len(polygon) for polygon in polygons])
    rings = shapely.linearrings(np.concatenate(polygons), indices=places)
    whole = shapely.buffer(shapely.polygons(rings), 0.0)
    whole = np.where(shapely.is_valid(whole), whole, None)
    window = shapely.buffer(shapely.box(x0, y0, x1, y1), 0.0)
    parts, sources = shapely.get_parts(shapely.intersection(whole, window), return_index=True)
    is_area = (
        (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON)
        & ~shapely.is_empty(parts)
        & shapely.is_valid(parts)
    )
    parts, sources = parts[is_area], sources[is_area]
    points, places = shapely.get_coordinates(shapely.get_exterior_ring(parts), return_index=True)
    points = crop.apply_coords(points)
    ends = np.cumsum(np.bincount(places, minlength=len(parts)))
    closed = np.split(points, ends[:-1]) if len(parts) else []
    return [ring[:-1] for ring in closed], owners[sources]


def _apply_each(
    polygons: Sequence[NDArray[np.float64]], owners: NDArray[np.int64], transform: T.Transform
) -> tuple[list[NDArray[np.float64]], NDArray[np.int64]]:
    """Object by object, for a transform that may do anything with an object's polygons."""
    moved, kept = [], []
    for owner in np.unique(owners).tolist():
        mine = [polygon for polygon, o in zip(polygons, owners, strict=True) if o == owner]
        result = transform.apply_polygons(mine)
        moved.extend(result)
        kept.extend([owner] * len(result))
    return moved, np.array(kept, dtype=np.int64)
