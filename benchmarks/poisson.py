"""Poisson blending against cv2.seamlessClone: time and difference, in one run, one thread each.

Per size and mask shape: the least time of each, taken in turns; the error against the exact
solution of the same equations (float, before rounding); and the difference from
cv2.seamlessClone(NORMAL_CLONE), inside the mask eroded by 8 pixels ("inner") and in the rest of it
("edge"). The difference is no error: seamlessClone solves another problem, see
`empaste_aug.kernels.poisson`. It erodes the mask by three pixels, for one; "eroded" is the inner
difference when our mask is eroded as well. "around" is what it changes outside the mask, where we
change nothing. Photos are smooth random fields with edges unless --photos gives two.

    python benchmarks/poisson.py --photos background.jpg object.jpg --json poisson.json
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numba
import numpy as np
from _common import write_json
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import linalg

from empaste_aug import kernels
from empaste_aug.kernels import poisson
from empaste_aug.kernels._check import as_binary
from empaste_aug.kernels._poisson_cells import list_cells
from empaste_aug.kernels._poisson_equations import set_equations
from empaste_aug.kernels._poisson_layout import HEIGHT, VALUE_STRIDE
from empaste_aug.kernels._poisson_region import find_region
from empaste_aug.kernels._poisson_solve import solve
from empaste_aug.kernels._poisson_write import write

SIZES = (64, 128, 256, 400)
SHAPES = ("ellipse", "star", "blobs")
STAGES = ("region", "cells", "equations", "solve", "write")
PLACE = (24, 20)
BAND = 8


def draw_mask(shape: str, size: int) -> NDArray[np.uint8]:
    """(size, size) uint8 of 0 and 1, with 3 free pixels on every side."""
    mask = np.zeros((size, size), np.uint8)
    middle, reach = size // 2, size // 2 - 3
    if shape == "ellipse":
        cv2.ellipse(mask, (middle, middle), (reach, reach * 3 // 4), 30, 0, 360, 1, -1)
    elif shape == "star":
        angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        radii = np.where(np.arange(20) % 2, 0.5, 1.0) * reach
        points = middle + np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
        cv2.fillPoly(mask, [points.astype(np.int32)], 1)
    else:  # many parts, holes and thin bridges
        noise = np.random.default_rng(1).standard_normal((size, size)).astype(np.float32)
        mask[3:-3, 3:-3] = (cv2.GaussianBlur(noise, (0, 0), size / 24) > 0)[3:-3, 3:-3]
    return mask


def draw_photo(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8: slow colours, sharp-edged shapes and fine noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (6, 8, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        cv2.circle(image, centre, int(rng.integers(8, width // 6)), colour, -1)
    noisy = image + rng.normal(0, 6, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def load_photo(path: Path | None, seed: int, side: int) -> NDArray[np.uint8]:
    """A photo with sides of at least `side` pixels."""
    if path is None:
        return draw_photo(seed, side, side + 100)
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"--photos: {path} is no image")
    factor = max(1.0, side / min(image.shape[:2]))
    size = int(np.ceil(image.shape[1] * factor)), int(np.ceil(image.shape[0] * factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))


def run_stages(
    image: NDArray[np.uint8], rgb: NDArray[np.uint8], mask: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The milliseconds of each stage of `poisson_paste`, and the membrane (h, w, 3) in the mask."""
    x0, y0 = PLACE
    rows, patch = image.reshape(len(image), -1), rgb.reshape(len(rgb), -1)
    no_keep = np.empty((0, 0), np.uint8)
    marks = [time.perf_counter()]
    region, fixed, left, top, width = find_region(
        rows, patch, as_binary("mask", mask), x0, y0, no_keep
    )
    marks.append(time.perf_counter())
    table, unknown, plain, run_start, runs, rim_start, rim, count = list_cells(region, width)
    marks.append(time.perf_counter())
    equations, source = set_equations(
        region, fixed, rows, patch, left, top, x0, y0, table, plain, rim_start, rim
    )
    marks.append(time.perf_counter())
    grids = solve(table, unknown, run_start, runs, rim_start, rim, equations, source, count)
    marks.append(time.perf_counter())
    write(rows, patch, region, left, top, x0, y0, width, table, grids)
    marks.append(time.perf_counter())
    height, stride = table[0][HEIGHT], table[0][VALUE_STRIDE]
    halves = grids[: (height + 2) * 2 * stride].reshape(height + 2, 2, stride // 3, 3)
    inside = halves[1:-1, :, 1:-1].transpose(0, 2, 1, 3).reshape(height, -1, 3)[:, :width]
    membrane = np.zeros(rgb.shape)
    membrane[top : top + height, left : left + width] = inside
    return np.diff(marks) * 1e3, membrane * mask[..., None]


def solve_exactly(
    image: NDArray[np.uint8], rgb: NDArray[np.uint8], mask: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """The membrane (h, w, 3) by a sparse direct solution; the mask does not touch the borders."""
    x0, y0 = PLACE
    h, w = mask.shape
    number = np.full((h, w), -1)
    ys, xs = np.nonzero(mask)
    number[ys, xs] = np.arange(ys.size)
    difference = image[y0 : y0 + h, x0 : x0 + w].astype(float) - rgb
    lines, columns, right = [], [], np.zeros((ys.size, 3))
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        neighbour = number[ys + dy, xs + dx]
        lines.append(np.flatnonzero(neighbour >= 0))
        columns.append(neighbour[neighbour >= 0])
        known = neighbour < 0
        right[known] += difference[ys[known] + dy, xs[known] + dx]
    places = (np.concatenate(lines), np.concatenate(columns))
    neighbours = sparse.coo_matrix((np.ones(places[0].size), places), (ys.size, ys.size))
    membrane = np.zeros((h, w, 3))
    matrix = (4 * sparse.eye(ys.size) - neighbours).tocsc()
    membrane[ys, xs] = linalg.splu(matrix).solve(right)
    return membrane


def time_in_turns(calls: list[Callable[[], Any]], seconds: float) -> list[float]:
    """The least milliseconds of each call."""
    least, end, rounds = [float("inf")] * len(calls), time.perf_counter() + seconds, 0
    while rounds < 5 or time.perf_counter() < end:
        for k, call in enumerate(calls):
            start = time.perf_counter()
            call()
            least[k] = min(least[k], (time.perf_counter() - start) * 1e3)
        rounds += 1
    return least


def measure(
    photos: tuple[NDArray[np.uint8], NDArray[np.uint8]], shape: str, size: int, seconds: float
) -> dict[str, Any]:
    """One line of the table."""
    image, mask = photos[0], draw_mask(shape, size)
    rgb = np.ascontiguousarray(photos[1][:size, :size])
    x0, y0 = PLACE
    box = cv2.boundingRect(mask)  # seamlessClone centres the mask's box
    centre = x0 + box[0] + box[2] // 2, y0 + box[1] + box[3] // 2
    pasted, full = image.copy(), mask * np.uint8(255)
    poisson.poisson_paste(pasted, rgb, mask, x0, y0)
    cloned = cv2.seamlessClone(rgb, image, full, centre, cv2.NORMAL_CLONE)
    eroded = image.copy()
    poisson.poisson_paste(eroded, rgb, cv2.erode(mask, np.ones((7, 7), np.uint8)), x0, y0)
    error = np.abs(run_stages(image.copy(), rgb, mask)[1] - solve_exactly(image, rgb, mask))
    inner = np.zeros(image.shape[:2], bool)
    outline = inner.copy()
    window = (slice(y0, y0 + size), slice(x0, x0 + size))
    square = np.ones((2 * BAND + 1, 2 * BAND + 1), np.uint8)
    inner[window] = cv2.erode(mask, square) != 0
    outline[window] = (mask != 0) & ~inner[window]
    around = np.zeros_like(inner)
    around[window] = mask == 0
    scratch = image.copy()
    ours, theirs = time_in_turns(
        [
            lambda: poisson.poisson_paste(scratch, rgb, mask, x0, y0),
            lambda: cv2.seamlessClone(rgb, image, full, centre, cv2.NORMAL_CLONE),
        ],
        seconds,
    )
    stages = np.min([run_stages(scratch, rgb, mask)[0] for _ in range(20)], axis=0)

    def statistics(result: NDArray[np.uint8], where: NDArray[np.bool_]) -> dict[str, float]:
        if not where.any():
            return {"mean": float("nan"), "p99": float("nan")}
        values = np.abs(result[where].astype(np.int16) - cloned[where])
        return {"mean": float(values.mean()), "p99": float(np.quantile(values, 0.99))}

    drawn = mask != 0
    return {
        "shape": shape,
        "size": size,
        "ours_ms": ours,
        "seamless_clone_ms": theirs,
        "ratio": theirs / ours,
        "stages_ms": dict(zip(STAGES, stages.tolist(), strict=True)),
        "error": {"max": float(error[drawn].max()), "mean": float(error[drawn].mean())},
        "inner": statistics(pasted, inner),
        "inner_eroded": statistics(eroded, inner),
        "edge": statistics(pasted, outline),
        "around": statistics(image, around),
    }


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/poisson.py", description="Poisson blending against cv2.seamlessClone."
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument(
        "--photos",
        type=Path,
        nargs=2,
        metavar=("BACKGROUND", "OBJECT"),
        help="photos to paste on and to cut out from",
    )
    parser.add_argument("--quick", action="store_true", help="a fifth of the time per case")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Print one line per case; 0 when done."""
    arguments = build_parser().parse_args(argv)
    cv2.setNumThreads(1)
    kernels.warmup()
    paths = arguments.photos or (None, None)
    side = max(SIZES) + 2 * max(PLACE)
    photos = (load_photo(paths[0], 1, side), load_photo(paths[1], 2, side))
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "numba": numba.__version__,
        "opencv": cv2.__version__,
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print("grey levels: error against the exact solution; difference from seamlessClone, mean/p99")
    print(
        f"{'mask':<12} {'ours ms':>8} {'clone ms':>8} {'ratio':>6}  {'max':>5} {'mean':>6}  "
        f"{'inner':>10} {'eroded':>10} {'edge':>10} {'around':>10}  " + "/".join(STAGES) + " ms"
    )
    rows = []
    for shape in SHAPES:
        for size in SIZES:
            row = measure(photos, shape, size, 0.4 if arguments.quick else 2.0)
            rows.append(row)
            differences = " ".join(
                f"{row[part]['mean']:5.1f}/{row[part]['p99']:4.0f}"
                for part in ("inner", "inner_eroded", "edge", "around")
            )
            print(
                f"{shape:<8}{size:>4} {row['ours_ms']:8.3f} {row['seamless_clone_ms']:8.2f} "
                f"{row['ratio']:5.1f}x  {row['error']['max']:5.2f} {row['error']['mean']:6.3f}  "
                f"{differences}  " + "/".join(f"{v:.2f}" for v in row["stages_ms"].values()),
                flush=True,
            )
    write_json(arguments.json, {"machine": machine, "cases": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
