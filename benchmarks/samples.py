"""Time whole samples, stage by stage, against decoding a JPEG of the same size, one thread.

Each sample starts from a decoded photo with 10 labelled objects and pastes 1, 4 or 10 cut-outs of
a bank, reads included (from the page cache). The cut-outs and the scenes are made from photos
inside installed packages (scikit-image, scikit-learn, matplotlib). All cases take turns, so that a
busy machine slows all of them, and each figure is the median over many rounds.

    python benchmarks/samples.py --json samples.json
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import simplejpeg
from _common import draw_blob, load_photos, write_bank, write_json
from numpy.typing import NDArray

from empaste_aug import kernels
from empaste_aug.bank import MaskBank
from empaste_aug.bank.codec import RGB_CODECS
from empaste_aug.paste import EMPaste, composition
from empaste_aug.paste.annotate import Layers
from empaste_aug.paste.place import PLACEMENTS, FreeSpace, Placer
from empaste_aug.types import Instance, Scene

PHOTO_SIZES = ((375, 500), (480, 640), (1024, 1024))
COUNTS = (1, 4, 10)
ORIGINALS = 10
JPEG_QUALITY = 95
"""Of the photos: their files are then as large as VOC's and COCO's. The bank has its default."""

STAGES = ("read", "place", "warp", "push", "blend", "annotate")
HOOKS: tuple[tuple[Any, str, str], ...] = (
    (MaskBank, "read", "read"),
    (FreeSpace, "__init__", "place"),
    (Placer, "draw", "place"),
    (FreeSpace, "occupy", "place"),
    (composition, "make_patch", "warp"),
    (Layers, "__init__", "push"),
    (Layers, "push", "push"),
    (composition, "paint_all", "blend"),
    (Layers, "instances", "annotate"),
)
"""What is timed for which stage; none of them calls another. "blend" has the image's copy in it."""


def make_scene(
    photo: NDArray[np.uint8], height: int, width: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Scene]:
    """A photo of this size as JPEG bytes, and the scene of what they decode to."""
    factor = min(photo.shape[0] / height, photo.shape[1] / width)
    crop = photo[: int(height * factor), : int(width * factor), ::-1]
    method = cv2.INTER_AREA if factor > 1 else cv2.INTER_CUBIC
    bgr = cv2.resize(np.ascontiguousarray(crop), (width, height), interpolation=method)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    instances = []
    for _ in range(ORIGINALS):
        mask = draw_blob(rng, int(min(height, width) * rng.uniform(0.1, 0.35)))
        h, w = mask.shape
        x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
        instances.append(Instance.from_mask(0, mask, (x, y)))
    image = np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    return data, Scene(image, instances)


def clock(call: Callable[[], Any]) -> tuple[float, Any]:
    """The call's time in ms, and its result."""
    start, result = time.perf_counter(), call()
    return (time.perf_counter() - start) * 1e3, result


@contextmanager
def stage_clocks() -> Iterator[dict[str, float]]:
    """Within, the time spent in each stage adds up in the dictionary, in ms."""
    clocks: dict[str, float] = dict.fromkeys(STAGES, 0.0)

    def timed(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            spent, result = clock(lambda: function(*args, **kwargs))
            clocks[stage] += spent
            return result

        return call

    with ExitStack() as stack:
        for owner, name, stage in HOOKS:
            stack.enter_context(patch.object(owner, name, timed(getattr(owner, name), stage)))
        yield clocks


def time_round(
    pastes: dict[tuple[str, int], EMPaste], data: NDArray[np.uint8], scene: Scene, seed: int
) -> dict[tuple[str, int], dict[str, float]]:
    """Every placement and count once on one scene, in ms, and the JPEG's decoding beside each."""
    results = {}
    for case, paste in pastes.items():
        # No result outlives its clock: each call finds the memory that the last one gave back.
        decode, _ = clock(lambda: cv2.imdecode(data, cv2.IMREAD_COLOR).size)
        total, record = clock(lambda p=paste: p(scene, np.random.default_rng(seed)).record)
        render, _ = clock(lambda p=paste, r=record: p.render(scene, r.placements).record)
        with stage_clocks() as clocks:
            whole, _ = clock(lambda p=paste: p(scene, np.random.default_rng(seed)).record)
        results[case] = {
            "decode": decode,
            "total": total,
            "render": render,
            **clocks,
            "rest": whole - sum(clocks.values()),
            "finding": total / render - 1,
            "pasted": len(record.placements),
            "jpeg_bytes": data.size,
        }
    return results


def describe(bank: MaskBank) -> dict[str, Any]:
    """The machine, the cut-outs' sizes in pixels, and what decodes them."""
    height, width = (np.asarray(bank.index[side]) for side in ("height", "width"))
    longest = np.maximum(height, width)
    return {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "opencv": cv2.__version__,
        "decoder": f"simplejpeg {simplejpeg.__version__}",
        "cutouts": len(bank),
        "median_size": f"{np.median(width):.0f}x{np.median(height):.0f}",
        "longer_sides": f"{longest.min()} to {longest.max()}",
        "codec": bank.manifest["codec"]["rgb"],
        "median_bytes": int(np.median(bank.index["rgb_bytes"])),
    }


def print_tables(rows: list[dict[str, Any]]) -> None:
    """A table for each photo size, a case a line."""
    columns = (*STAGES, "rest", "total", "/decode", "render", "finding")
    size = None
    for row in rows:
        if row["size"] != size:
            size, kilobytes = row["size"], row["jpeg_bytes"] / 1e3
            print(f"\n{size}: decoding its JPEG ({kilobytes:.0f} kB) {row['decode']:.2f} ms")
            print(f"{'placement, count (pasted)':<28}", *(f"{name:>8}" for name in columns))
        name = f"{row['placement']}, {row['count']} ({row['pasted']:.1f})"
        figures = " ".join(f"{row[stage]:8.2f}" for stage in columns[:-3])
        finding = f"{row['finding']:+.0%}" if row["placement"] == "space_maximize" else "-"
        print(f"{name:<28} {figures} {row['ratio']:7.2f}x {row['render']:8.2f} {finding:>8}")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/samples.py",
        description="Time whole samples, stage by stage, against decoding the photo, one thread.",
    )
    parser.add_argument(
        "--codec", choices=RGB_CODECS, default="jpeg", help="of the bank's pixels (jpeg)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--quick", action="store_true", help="18 rounds, not 180: a first look")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Print a table for each photo size; 0 when done."""
    arguments = build_parser().parse_args(argv)
    cv2.setNumThreads(1)
    kernels.warmup()
    rng = np.random.default_rng(0)
    photos = load_photos()
    samples = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        bank = write_bank(Path(folder) / "bank", photos, rng, codec=arguments.codec)
        setting = describe(bank)
        print(*(f"{key} {value}" for key, value in setting.items()), sep=", ")
        pastes = {
            (placement, count): EMPaste(bank, placement=placement, count=count)  # type: ignore[arg-type]
            for placement in PLACEMENTS
            for count in COUNTS
        }
        scenes = {size: [make_scene(p, *size, rng) for p in photos] for size in PHOTO_SIZES}
        for number in range(18 if arguments.quick else 180):
            for size in PHOTO_SIZES:
                data, scene = scenes[size][number % len(photos)]
                for case, result in time_round(pastes, data, scene, number).items():
                    samples[size, *case].append(result)
    rows = []
    for (size, placement, count), results in samples.items():
        row = {key: float(np.median([r[key] for r in results])) for key in results[0]}
        decodes = [r["decode"] for key in samples if key[0] == size for r in samples[key]]
        row["decode"] = float(np.median(decodes))
        row["ratio"] = row["total"] / row["decode"]
        row["pasted"] = float(np.mean([r["pasted"] for r in results]))
        name = {"size": f"{size[1]}x{size[0]}", "placement": placement, "count": count}
        rows.append(name | row)
    print_tables(rows)
    print(
        "\nms, medians; pasted: mean. blend: with the image's copy. /decode: over cv2.imdecode."
        "\nrender: the recorded placements again, with reads; finding: what the call adds to it."
    )
    write_json(arguments.json, {"setting": setting, "cases": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
