"""What the clean-up of masks brings: agreement with annotated masks, halo, time, and a picture.

Annotated masks are made as rough as proposals are: shrunk to `--side` pixels, enlarged by nearest
neighbour, then eroded or dilated by up to 3 pixels. From these, the hard cut-out (before) and that
of `empaste_aug.offline.alpha` (after) are made, and compared with the annotated mask:

- IoU, and the F-score of the mask's contour at 1 and at 2 pixels;
- halo: how much of what is pasted round the edge is the old background's colour, from 0 to 1. At
  every pixel of the feathered edge the stored colour is projected on the line from the object's
  colour to the background's, which are carried there from 5 pixels inside and outside the
  annotated edge; the share is weighted by the opacity of the paste ("feather", as Gaussian blending
  has it) or of the cut-out itself ("alpha"). By linearity it does not depend on what is pasted on.
  Pixels where the two colours are alike do not count. "floor" is the same share well inside the
  object, where there is no background: what the object's own texture amounts to.

The picture shows objects pasted with Gaussian blending on black, white and green, enlarged: before
on the left, after on the right.

    python benchmarks/alpha.py --root VOCdevkit/VOC2012 --objects 100 --picture alpha.png
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from _common import write_json
from numpy.typing import NDArray
from tqdm import tqdm

from empaste_aug.imageio import read_image
from empaste_aug.kernels.blend import composite, feather, gaussian_paste
from empaste_aug.offline.alpha import METHODS, AlphaConfig, cut_out
from empaste_aug.offline.alpha_colour import carry
from empaste_aug.offline.crop import crop_with_margin
from empaste_aug.offline.datasets import KINDS, Dataset, load_dataset

LEAST_AREA, LARGEST_SHARE, PER_PHOTO = 2500, 0.5, 3
ROUGH = 3
DEEP = 5
CONTRAST = 0.15  # root mean square over the channels, of 1
GROUNDS = ((0, 0, 0), (255, 255, 255), (0, 200, 0))
ENLARGED, TILE = 3, 120

Crop = tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[int, int, int, int]]
Sample = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def objects(dataset: Dataset, number: int, rng: np.random.Generator) -> Iterator[Sample]:
    """Photos and masks of not too small objects, at most `PER_PHOTO` of a photo."""
    found = 0
    for index in rng.permutation(len(dataset.images)):
        image = dataset.images[index]
        fitting = [
            truth.mask
            for truth in dataset.instances(image)
            if not truth.crowd
            and truth.mask.sum() >= LEAST_AREA
            and truth.mask.mean() <= LARGEST_SHARE
        ]
        photo = read_image(image.path) if fitting else None
        for mask in fitting[:PER_PHOTO]:
            yield photo, mask
            found += 1
            if found == number:
                return


def roughen(mask: NDArray[np.bool_], side: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The mask as a proposal method that works on a shrunken photo might give it."""
    height, width = mask.shape
    factor = min(1.0, side / max(height, width))
    size = round(width * factor), round(height * factor)
    small = cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    rough = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    steps = int(rng.integers(-ROUGH, ROUGH + 1))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(steps) + 1,) * 2)
    rough = cv2.dilate(rough, disk) if steps > 0 else cv2.erode(rough, disk)
    return rough.astype(bool) if rough.any() else mask


def contour_score(a: NDArray[np.bool_], b: NDArray[np.bool_], tolerance: float) -> float:
    """F-score of two masks' contours, a pixel counting if the other's lies within `tolerance`."""
    square = np.ones((3, 3), np.uint8)
    edges = [m & ~cv2.erode(m.view(np.uint8), square).astype(bool) for m in (a, b)]
    to = [cv2.distanceTransform((~e).view(np.uint8), cv2.DIST_L2, 5) for e in edges]
    precision, recall = (to[1][edges[0]] <= tolerance).mean(), (to[0][edges[1]] <= tolerance).mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def halo(photo: NDArray[np.uint8], truth: NDArray[np.bool_], crop: Crop) -> dict[str, float]:
    """Shares of old background in the crop's rim; NaN where too few pixels tell. See the module."""
    rgb, alpha, (x0, y0, x1, y1) = crop
    inner = cv2.distanceTransform(truth.view(np.uint8), cv2.DIST_L2, 5)
    outer = cv2.distanceTransform((~truth).view(np.uint8), cv2.DIST_L2, 5)
    smooth = cv2.blur(photo, (3, 3))
    pad = 4 * DEEP
    top, left = max(y0 - pad, 0), max(x0 - pad, 0)
    around = slice(top, y1 + pad), slice(left, x1 + pad)
    inside = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    front, has_front = (v[inside] for v in carry(smooth[around], inner[around] >= DEEP, pad))
    back, has_back = (v[inside] for v in carry(smooth[around], outer[around] >= DEEP, pad))
    line = back - front
    length = (line**2).sum(axis=2)
    share = np.clip(((rgb - front) * line).sum(axis=2) / np.maximum(length, 1e-9), 0, 1)
    tells = has_front & has_back & (length > 3 * (255 * CONTRAST) ** 2)
    soft = feather(alpha >= 128) / 255
    rim = tells & (soft > 0) & (soft < 1)
    depth = inner[y0:y1, x0:x1]
    core = tells & (depth >= DEEP) & (depth < DEEP + 4)
    figures = {"feather": np.nan, "alpha": np.nan, "floor": np.nan}
    if rim.sum() >= 20:
        for name, opacity in (("feather", soft[rim]), ("alpha", alpha[rim] / 255)):
            figures[name] = float((opacity * share[rim]).sum() / max(opacity.sum(), 1e-9))
    if core.sum() >= 20:
        figures["floor"] = float(share[core].mean())
    return figures


def measure(photo: NDArray[np.uint8], truth: NDArray[np.bool_], crop: Crop) -> dict[str, float]:
    _, alpha, (x0, y0, x1, y1) = crop
    mask = np.zeros_like(truth)
    mask[y0:y1, x0:x1] = alpha >= 128
    figures = {"iou": float((mask & truth).sum() / (mask | truth).sum())}
    figures |= {f"contour_{px}px": contour_score(mask, truth, px) for px in (1, 2)}
    return figures | {f"halo_{k}": value for k, value in halo(photo, truth, crop).items()}


def tile(crop: Crop, at: tuple[int, int]) -> NDArray[np.uint8]:
    """A window of `TILE` pixels, its top-left corner at `at` in the photo, on each of `GROUNDS`.

    Below each paste with Gaussian blending, the same with the cut-out's own alpha.
    """
    rgb, alpha, (x0, y0, x1, y1) = crop
    rows = []
    for own in (False, True):
        row = []
        for ground in GROUNDS:
            canvas = np.empty((y1 + TILE, x1 + TILE, 3), np.uint8)
            canvas[:] = ground
            if own:
                composite(canvas, rgb, alpha, x0, y0)
            else:
                gaussian_paste(canvas, rgb, alpha >= 128, x0, y0)
            row.append(canvas[at[1] : at[1] + TILE, at[0] : at[0] + TILE])
        rows.append(np.hstack(row))
    large = np.vstack(rows)
    return np.repeat(np.repeat(large, ENLARGED, axis=0), ENLARGED, axis=1)


def corner(truth: NDArray[np.bool_]) -> tuple[int, int]:
    """Where a tile starts that has the mask's edge in its middle."""
    rows, columns = np.nonzero(truth)
    topmost = rows.argmin()
    return max(int(columns[topmost]) - TILE // 2, 0), max(int(rows[topmost]) - TILE // 4, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", choices=KINDS, default="voc")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--side", type=int, default=500, help="masks are shrunk to (%(default)s)")
    parser.add_argument(
        "--exact", action="store_true", help="leave the annotated masks as they are"
    )
    parser.add_argument("--method", choices=METHODS, default=METHODS[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, help="write a picture of some objects to this file")
    parser.add_argument("--shown", type=int, default=6, help="objects on it (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()

    cv2.setNumThreads(1)
    rng = np.random.default_rng(arguments.seed)
    dataset = load_dataset(arguments.dataset, arguments.root, split=arguments.split, check="header")
    config = AlphaConfig(method=arguments.method)
    rows: dict[str, list[dict[str, float]]] = {"before": [], "after": []}
    tiles = []
    samples = objects(dataset, arguments.objects, rng)
    for photo, truth in tqdm(samples, desc="objects", total=arguments.objects):
        rough = truth if arguments.exact else roughen(truth, arguments.side, rng)
        if not rows["after"]:
            cut_out(photo, rough, config)  # compiles
        start = time.process_time()
        after = cut_out(photo, rough, config)
        seconds = time.process_time() - start
        before = crop_with_margin(photo, rough)
        rows["before"].append(measure(photo, truth, before))
        rows["after"].append(measure(photo, truth, after) | {"seconds": seconds})
        if len(tiles) < arguments.shown:
            tiles.append(np.hstack([tile(crop, corner(truth)) for crop in (before, after)]))

    figures = {
        when: {
            "objects": len(rows["after"]),
            **{name: float(np.nanmean([row[name] for row in of])) for name in of[0]},
        }
        for when, of in rows.items()
    }
    seconds = [row["seconds"] for row in rows["after"]]
    figures["after"] |= {
        "seconds": float(np.median(seconds)),
        "seconds_most": max(seconds),
        "better_contour": float(
            np.mean(
                [
                    after["contour_2px"] > before["contour_2px"]
                    for before, after in zip(rows["before"], rows["after"], strict=True)
                ]
            )
        ),
    }
    for when, row in figures.items():
        print(f"{when:7s}" + ", ".join(f"{key} {value:.3g}" for key, value in row.items()))
    if arguments.picture:
        cv2.imwrite(str(arguments.picture), np.vstack(tiles)[..., ::-1])
    write_json(arguments.json, {"config": vars(config), "figures": figures})


if __name__ == "__main__":
    main()
