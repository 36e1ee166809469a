"""Time the kernels against OpenCV and numpy doing the same, in one run, one thread each.

Each pair of rivals is timed in turns, so that a busy machine slows both, and each figure is the
least of many calls. Results are compared before anything is timed.

    python benchmarks/kernels.py --json kernels.json
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numba
import numpy as np
from _common import write_json
from numpy.typing import NDArray

from empaste_aug import kernels
from empaste_aug.kernels import blend, circle, mask_stack, visibility, warp

PHOTO_SIZES = ((375, 500), (480, 640), (1024, 1024))
OBJECT_SIZES = ((60, 80), (250, 300), (600, 700))
CANVAS = (1024, 1024)


class Case(NamedTuple):
    """One job, done by the kernel and by its rival."""

    name: str
    rival: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]


def draw_ellipses(
    rng: np.random.Generator, height: int, width: int, count: int
) -> NDArray[np.uint8]:
    """(H, W) uint8, 1 in `count` ellipses of the size of ordinary objects."""
    occupied = np.zeros((height, width), np.uint8)
    for _ in range(count):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (width // int(rng.integers(6, 20)), height // int(rng.integers(6, 20)))
        cv2.ellipse(occupied, centre, axes, float(rng.integers(180)), 0, 360, 1, -1)
    return occupied


def opencv_circle(occupied: NDArray[np.uint8]) -> tuple[int, int, float]:
    """The largest empty circle by a full precise distance transform."""
    free = cv2.copyMakeBorder(1 - occupied, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distances = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    y, x = divmod(int(distances.argmax()), distances.shape[1])
    return x - 1, y - 1, float(distances[y, x])


def after_one_more(
    occupied: NDArray[np.uint8], before: circle.Distances, box: tuple[int, int, int, int]
) -> tuple[int, int, float]:
    """The circle after one more object in the box; with a copy of the distances before it."""
    distances = before.copy()
    circle.update_column_distances(occupied, distances, box)
    return circle.search_circle(distances)


def circle_cases(rng: np.random.Generator) -> Iterator[Case]:
    """The largest empty circle, from nothing and after one more paste."""
    for height, width in PHOTO_SIZES:
        for count in (0, 3, 10, 30):
            occupied = draw_ellipses(rng, height, width, count)
            ours, theirs = circle.max_inscribed_circle(occupied), opencv_circle(occupied)
            if abs(ours[2] - theirs[2]) > 1e-5 * theirs[2]:
                raise RuntimeError(f"the circles differ: {ours} and OpenCV's {theirs}")
            yield Case(
                f"circle {width}x{height}, {count} objects",
                "cv2.distanceTransform PRECISE + argmax",
                partial(circle.max_inscribed_circle, occupied),
                partial(opencv_circle, occupied),
            )
        distances = circle.column_distances(occupied)
        x, y, radius = circle.search_circle(distances)
        cv2.circle(occupied, (x, y), int(radius), 1, -1)
        r = int(radius) + 1
        yield Case(
            f"circle {width}x{height}, 30 objects and one more",
            "cv2.distanceTransform PRECISE + argmax",
            partial(after_one_more, occupied, distances, (x - r, y - r, x + r, y + r)),
            partial(opencv_circle, occupied),
        )


def opencv_feather(full: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The opacity of a mask of 0 and 255."""
    blurred: NDArray[np.uint8] = cv2.GaussianBlur(full, (5, 5), 2, borderType=cv2.BORDER_CONSTANT)
    return blurred


def opencv_paste(
    image: NDArray[np.uint8],
    rgb: NDArray[np.uint8],
    full: NDArray[np.uint8],
    x0: int,
    y0: int,
) -> None:
    """Blur and blend with OpenCV in uint8 (rounds each product, so it may be off by one)."""
    alpha = opencv_feather(full)
    alpha = cv2.merge((alpha, alpha, alpha))
    region = image[y0 : y0 + full.shape[0], x0 : x0 + full.shape[1]]
    over = cv2.multiply(rgb, alpha, scale=1 / 255)
    under = cv2.multiply(region, cv2.bitwise_not(alpha), scale=1 / 255)
    cv2.add(over, under, dst=region)


def numpy_paste(
    image: NDArray[np.uint8],
    rgb: NDArray[np.uint8],
    full: NDArray[np.uint8],
    x0: int,
    y0: int,
) -> None:
    """Blur with OpenCV, blend with numpy in float32, as copy-paste code usually does."""
    alpha = opencv_feather(full)
    share = (alpha.astype(np.float32) / 255)[..., None]
    region = image[y0 : y0 + full.shape[0], x0 : x0 + full.shape[1]]
    region[:] = np.rint(share * rgb + (1 - share) * region).astype(np.uint8)


def blend_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Feather alone, and feather with composite."""
    image = rng.integers(0, 256, (*CANVAS, 3), dtype=np.uint8)
    for height, width in OBJECT_SIZES:
        mask = np.zeros((height, width), np.uint8)
        centre, axes = (width // 2, height // 2), (width // 2 - 4, height // 2 - 4)
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
        full, flags = mask * 255, mask.astype(bool)
        rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if (
            blend.feather(flags)
            != cv2.GaussianBlur(full, (5, 5), 2, borderType=cv2.BORDER_CONSTANT)
        ).any():
            raise RuntimeError("the feather differs from cv2.GaussianBlur")
        yield Case(
            f"feather {width}x{height}",
            "cv2.GaussianBlur",
            partial(blend.feather, flags),
            partial(opencv_feather, full),
        )
        for rival, paste in (
            ("cv2.GaussianBlur + multiply, add", opencv_paste),
            ("cv2.GaussianBlur + numpy float32", numpy_paste),
        ):
            one, other = image.copy(), image.copy()
            blend.gaussian_paste(one, rgb, flags, 50, 40)
            paste(other, rgb, full, 50, 40)
            if np.abs(one.astype(np.int16) - other).max() > 1:
                raise RuntimeError(f"the pasted images differ: {rival}")
            yield Case(
                f"gaussian_paste {width}x{height}",
                rival,
                partial(blend.gaussian_paste, one, rgb, flags, 50, 40),
                partial(paste, other, rgb, full, 50, 40),
            )


def opencv_warp(
    rgb: NDArray[np.uint8],
    alpha: NDArray[np.uint8],
    inverse: warp.Affine,
    size: tuple[int, int],
    *,
    together: bool,
) -> tuple[NDArray[Any], NDArray[np.bool_], int]:
    """Area interpolation where it shrinks, then a bilinear warp, and the mask.

    `together`: colour and opacity as one array of four channels, which OpenCV warps faster.
    """
    layers = [cv2.merge((rgb, alpha))] if together else [rgb, alpha]
    height, width = alpha.shape
    matrix = np.array(inverse).reshape(2, 3)
    scale = float(1 / np.hypot(inverse[0], inverse[3]))
    if scale < 1:
        small = max(round(width * scale), 1), max(round(height * scale), 1)
        layers = [cv2.resize(layer, small, interpolation=cv2.INTER_AREA) for layer in layers]
        factors = np.array([small[0] / width, small[1] / height])
        matrix *= factors[:, None]
        matrix[:, 2] += 0.5 * factors - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    if together:
        warped = cv2.warpAffine(layers[0], matrix, size, flags=flags)
        colours, opacities = np.ascontiguousarray(warped[..., :3]), warped[..., 3]
    else:
        border = cv2.BORDER_REPLICATE
        colours = cv2.warpAffine(layers[0], matrix, size, flags=flags, borderMode=border)
        opacities = cv2.warpAffine(layers[1], matrix, size, flags=flags)
    mask = opacities >= 128
    return colours, mask, int(np.count_nonzero(mask))


def warp_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Rotating and scaling a cut-out; OpenCV's canvas is as large as ours."""
    for height, width in OBJECT_SIZES:
        rgb = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (5, 5), 2)
        alpha = np.zeros((height, width), np.uint8)
        axes = (width // 2 - 4, height // 2 - 4)
        cv2.ellipse(alpha, (width // 2, height // 2), axes, 0, 0, 360, 255, -1)
        for scale in (0.65, 1.0, 1.5):
            cos, sin = np.cos(np.radians(20)) / scale, np.sin(np.radians(20)) / scale
            # In the middle of a large canvas first, to see how large a one it needs.
            u0, v0 = width / 2 - 2000 * (cos - sin), height / 2 - 2000 * (sin + cos)
            inverse = (cos, -sin, u0, sin, cos, v0)
            whole = warp.warp(rgb, alpha, inverse, height=4000, width=4000, margin=3)
            u0 += cos * whole.x - sin * whole.y
            v0 += sin * whole.x + cos * whole.y
            inverse = (cos, -sin, u0, sin, cos, v0)
            h, w = whole.mask.shape
            ours = partial(warp.warp, rgb, alpha, inverse, height=h, width=w, margin=3)
            for together in (False, True):
                theirs = partial(opencv_warp, rgb, alpha, inverse, (w, h), together=together)
                if abs(ours().total - theirs()[2]) > 0.03 * whole.total:
                    raise RuntimeError("the warped masks differ")
                yield Case(
                    f"warp {width}x{height} by {scale}",
                    "cv2, RGBA at once" if together else "cv2.resize AREA + warpAffine, each twice",
                    ours,
                    theirs,
                )


def numpy_uncovered(
    masks: list[NDArray[np.bool_]], offsets: list[tuple[int, int]], cover: NDArray[np.uint8]
) -> list[int]:
    return [
        int(np.count_nonzero(mask & (cover[y : y + mask.shape[0], x : x + mask.shape[1]] == 0)))
        for mask, (x, y) in zip(masks, offsets, strict=True)
    ]


def numpy_hidden(
    mask: NDArray[np.bool_],
    x: int,
    y: int,
    owner: NDArray[np.uint8],
    masks: list[NDArray[np.bool_]],
    offsets: list[tuple[int, int]],
) -> tuple[list[int], list[int]]:
    h, w = mask.shape
    below = owner[y : y + h, x : x + w]
    hidden = np.bincount(below[mask], minlength=256)
    free = mask & (below == 0)
    lost = []
    for other, (left, top) in zip(masks, offsets, strict=True):
        x0, y0 = max(x, left), max(y, top)
        x1, y1 = min(x + w, left + other.shape[1]), min(y + h, top + other.shape[0])
        lost.append(0)
        if x0 < x1 and y0 < y1:
            crop = other[y0 - top : y1 - top, x0 - left : x1 - left]
            lost[-1] = int(np.count_nonzero(crop & free[y0 - y : y1 - y, x0 - x : x1 - x]))
    return hidden.tolist(), lost


def numpy_paint(mask: NDArray[np.bool_], x: int, y: int, cover: NDArray[np.bool_]) -> None:
    crop = cover[y : y + mask.shape[0], x : x + mask.shape[1]]
    np.logical_or(crop, mask, out=crop)


def numpy_trim(
    mask: NDArray[np.bool_], x: int, y: int, cover: NDArray[np.bool_]
) -> tuple[int, int, int, int, int]:
    visible = mask & ~cover[y : y + mask.shape[0], x : x + mask.shape[1]]
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    count = int(np.count_nonzero(visible))
    return count, columns[0] + x, rows[0] + y, columns[-1] + 1 + x, rows[-1] + 1 + y


def visibility_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Trimming and painting, on a crop; numpy slices the same crop."""
    cover = draw_ellipses(rng, *CANVAS, 20).astype(bool)
    x, y = 150, 100
    cover[:, : x + 40] = False  # so that a part of every object stays visible
    for height, width in OBJECT_SIZES:
        mask = np.zeros((height, width), np.uint8)
        cv2.ellipse(mask, (width // 2, height // 2), (width // 2, height // 2), 0, 0, 360, 1, -1)
        flags = mask.astype(bool)
        _, box, count = visibility.trim(flags, x, y, cover)
        if (count, *box) != numpy_trim(flags, x, y, cover):
            raise RuntimeError("the trimmed masks differ")
        yield Case(
            f"trim {width}x{height}",
            "numpy",
            partial(visibility.trim, flags, x, y, cover),
            partial(numpy_trim, flags, x, y, cover),
        )
        target = cover.copy()
        yield Case(
            f"paint {width}x{height}",
            "numpy",
            partial(visibility.paint, flags, x, y, target),
            partial(numpy_paint, flags, x, y, target),
        )


def mask_stack_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Counting twenty masks at once; numpy counts each on its crop."""
    owner = np.zeros(CANVAS, np.uint8)
    masks, offsets = [], []
    for number in range(20):
        height, width = OBJECT_SIZES[number % 2]
        mask = np.zeros((height, width), np.uint8)
        cv2.ellipse(mask, (width // 2, height // 2), (width // 2, height // 2), 0, 0, 360, 1, -1)
        masks.append(mask.astype(bool))
        offsets.append(
            (int(rng.integers(CANVAS[1] - width)), int(rng.integers(CANVAS[0] - height)))
        )
        if number % 4 == 0:
            visibility.paint(mask, *offsets[-1], owner, number + 1)
    stack = mask_stack.pack_masks(masks, offsets)
    if mask_stack.count_uncovered(*stack, owner).tolist() != numpy_uncovered(masks, offsets, owner):
        raise RuntimeError("the uncovered pixels differ")
    yield Case(
        "count_uncovered, 20 masks",
        "numpy",
        partial(mask_stack.count_uncovered, *stack, owner),
        partial(numpy_uncovered, masks, offsets, owner),
    )
    for (height, width), (x, y) in zip(OBJECT_SIZES[:2], ((500, 400), (300, 350)), strict=True):
        flags = masks[OBJECT_SIZES.index((height, width))]
        hidden, lost = mask_stack.count_hidden(flags, x, y, owner, *stack)
        if (hidden.tolist(), lost.tolist()) != numpy_hidden(flags, x, y, owner, masks, offsets):
            raise RuntimeError("the hidden pixels differ")
        yield Case(
            f"count_hidden {width}x{height} over 20 masks",
            "numpy",
            partial(mask_stack.count_hidden, flags, x, y, owner, *stack),
            partial(numpy_hidden, flags, x, y, owner, masks, offsets),
        )


def time_in_turns(case: Case, seconds: float) -> tuple[float, float]:
    """The least time of one call of each rival, in milliseconds."""
    least = [float("inf"), float("inf")]
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < 5 or time.perf_counter() < end:
        for k, call in enumerate((case.ours, case.theirs)):
            start = time.perf_counter()
            call()
            least[k] = min(least[k], time.perf_counter() - start)
        rounds += 1
    return least[0] * 1e3, least[1] * 1e3


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/kernels.py",
        description="Time the kernels against OpenCV and numpy, one thread each.",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the time per case, for a first look"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Print one line per case; 0 when done."""
    arguments = build_parser().parse_args(argv)
    cv2.setNumThreads(1)
    start = time.perf_counter()
    kernels.warmup()
    warmup = time.perf_counter() - start
    rng = np.random.default_rng(0)
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "opencv": cv2.__version__,
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(f"warmup {warmup:.2f} s\n")
    print(f"{'case':<56} {'ours ms':>9} {'rival ms':>9} {'ratio':>7}  rival")
    rows = []
    for cases in (
        circle_cases(rng),
        blend_cases(rng),
        warp_cases(rng),
        visibility_cases(rng),
        mask_stack_cases(rng),
    ):
        for case in cases:
            ours, theirs = time_in_turns(case, 0.1 if arguments.quick else 1.0)
            print(
                f"{case.name:<56} {ours:9.4f} {theirs:9.4f} {theirs / ours:6.1f}x  {case.rival}",
                flush=True,
            )
            rows.append(
                {
                    "case": case.name,
                    "rival": case.rival,
                    "ours_ms": ours,
                    "rival_ms": theirs,
                    "ratio": theirs / ours,
                }
            )
    write_json(arguments.json, {"machine": machine, "warmup_s": warmup, "cases": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
