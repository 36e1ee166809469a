"""Time whole copy-paste samples against other libraries, which run in environments of their own.

The work: a decoded photo of 1024x1024 with 10 labelled objects, and 10 cut-outs that are rotated,
scaled, blended with a Gaussian and labelled; all 10 must be in the result. A peer's process gets
the same photos, masks and cut-outs. Ours and theirs take turns in one run, one thread each; each
turn does the last round again untimed, as waiting for the others leaves caches cold, and then its
own. A figure is the median over the rounds. The labels that come back are all put to one check.

    python benchmarks/peers.py --peer-python ~/peer/bin/python --json peers.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from _common import load_photos, write_bank, write_json
from _peers_worker import count_faults
from numpy.typing import NDArray
from samples import make_scene

from empaste_aug import kernels
from empaste_aug.bank import MaskBank
from empaste_aug.paste import EMPaste
from empaste_aug.types import Cutout, Instance, Record, Scene

WORKER = Path(__file__).with_name("_peers_worker.py")
ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "NO_ALBUMENTATIONS_UPDATE": "1",
}
SIDE = 1024
PASTED = 10
SCALE = (0.3, 1.0)
MAX_ANGLE = 30.0
WARM_UP = 3
"""Rounds at the start that are not counted."""
MOST_SEEDS = 200
"""How many are tried until one pastes all 10 and hides no original whole."""


class MemoryBank(MaskBank):
    """A bank whose cut-outs lie decoded in memory, as peers get theirs."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._cutouts = [MaskBank.read(self, row) for row in range(len(self))]

    def read(self, row: int, *, scale: float = 1.0, reuse: bool = False) -> Cutout:  # noqa: ARG002
        """The cut-out at full size, in memory of its own, whatever the scale."""
        return self._cutouts[row]


class Work(NamedTuple):
    """A round: the scene's number, and what our seed pastes there."""

    scene: int
    seed: int
    record: Record


class Peer:
    """A process that pastes with other libraries when told to.

    Args:
        python: the interpreter of the environment that they are installed in.
        work: the .npz file with the rounds.
    """

    def __init__(self, python: str, work: Path) -> None:
        self.python = python
        self._process = subprocess.Popen(
            [python, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ENVIRONMENT},
        )
        self.greeting = self.ask(work=str(work), scale=SCALE, max_angle=MAX_ANGLE)

    def ask(self, **order: Any) -> dict[str, Any]:
        """Send one line; the answer to it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = ""
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.python}: ended with exit status {self.close()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> int:
        """Let the process end; its exit status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait()


def plan(paste: EMPaste, scenes: Sequence[Scene], rounds: int) -> list[Work]:
    """Rounds in which every cut-out is pasted and every original stays."""
    works = []
    for number in range(rounds):
        scene = number % len(scenes)
        for seed in range(number * MOST_SEEDS, (number + 1) * MOST_SEEDS):
            record = paste(scenes[scene], np.random.default_rng(seed)).record
            assert record is not None
            if len(record.placements) == PASTED and not record.dropped:
                works.append(Work(scene, seed, record))
                break
        else:
            raise RuntimeError(f"scene {scene}: none of {MOST_SEEDS} seeds pastes all {PASTED}")
    return works


def write_work(path: Path, scenes: Sequence[Scene], bank: MaskBank, works: Sequence[Work]) -> None:
    """The rounds for the peers, as `_peers_worker.load_rounds` reads them."""
    arrays: dict[str, Any] = {"rounds": len(works)}
    for number, scene in enumerate(scenes):
        arrays[f"image_{number}"] = scene.image
        arrays[f"originals_{number}"] = len(scene.instances)
        for k, instance in enumerate(scene.instances):
            arrays[f"mask_{number}_{k}"] = instance.mask
            arrays[f"offset_{number}_{k}"] = instance.mask_offset
    for row in range(len(bank)):
        cutout = bank[row]
        arrays[f"rgb_{row}"], arrays[f"alpha_{row}"] = cutout.rgb, cutout.mask.astype(np.uint8)
        arrays[f"circle_{row}"] = cutout.circle
    for number, work in enumerate(works):
        placements = work.record.placements
        arrays[f"scene_{number}"] = work.scene
        arrays[f"rows_{number}"] = [p.cutout_id for p in placements]
        arrays[f"places_{number}"] = [(*p.center, p.scale, p.angle) for p in placements]
    np.savez(path, **arrays)


def widen(instances: Sequence[Instance], height: int, width: int) -> NDArray[np.bool_]:
    """(N, height, width): the masks at full size."""
    masks = np.zeros((len(instances), height, width), dtype=bool)
    for full, instance in zip(masks, instances, strict=True):
        assert instance.mask is not None
        (x, y), (h, w) = instance.mask_offset, instance.mask.shape
        full[y : y + h, x : x + w] = instance.mask
    return masks


OURS = {
    "JPEG bank, cropped masks": ("jpeg", False),
    "JPEG bank, full-size masks": ("jpeg", True),
    "raw bank, cropped masks": ("raw", False),
    "raw bank, full-size masks": ("raw", True),
    "in memory, cropped masks": ("memory", False),
    "in memory, full-size masks": ("memory", True),
}
"""Our rows: where the cut-outs come from, and whether the masks are widened."""
RATIOS = {
    "JPEG bank, cropped masks": "cropped",
    "JPEG bank, full-size masks": "full",
    "in memory, cropped masks": "cropped",
    "in memory, full-size masks": "full",
}
"""The rows that the table shows peers' ratios over, and their headings."""


def time_ours(paste: EMPaste, scene: Scene, work: Work, *, full: bool) -> dict[str, Any]:
    """One round of ours, in ms, and what the check finds."""
    rng = np.random.default_rng(work.seed)
    start = time.perf_counter()
    pasted = paste(scene, rng)
    masks = widen(pasted.instances, scene.height, scene.width) if full else None
    boxes = np.array([instance.bbox for instance in pasted.instances])
    spent = (time.perf_counter() - start) * 1e3
    if masks is None:
        masks = widen(pasted.instances, scene.height, scene.width)
    count = sum(instance.cutout_id is not None for instance in pasted.instances)
    return {"milliseconds": spent, **count_faults(masks, boxes, count)}


@contextmanager
def start_peers(pythons: Sequence[str], work: Path) -> Iterator[list[Peer]]:
    """The processes, which end on leaving."""
    with ExitStack() as stack:
        peers = []
        for python in pythons:
            peer = Peer(python, work)
            stack.callback(peer.close)
            peers.append(peer)
        yield peers


def measure(
    paste: dict[str, EMPaste], scenes: Sequence[Scene], works: Sequence[Work], peers: Sequence[Peer]
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, dict[str, Any]]]:
    """Every row's answers, a round each, and what is known of the peers' rows."""
    told: dict[str, dict[str, Any]] = {}
    turns = []
    for peer in peers:
        for number, about in enumerate(peer.greeting["peers"]):
            if about["name"] not in told:
                told[about["name"]] = about
                turns.append((about["name"], peer, number))
    answers = defaultdict(list)
    for number, work in enumerate(works):
        for name, (source, full) in OURS.items():
            for each in (works[number - 1], work):
                answer = time_ours(paste[source], scenes[each.scene], each, full=full)
            answers[name].append(answer)
        for name, peer, which in turns:
            answers[name].append(peer.ask(peer=which, round=number))
    return {name: rounds[WARM_UP:] for name, rounds in answers.items()}, told


def summarise(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians of times, means of counts of objects, sums of faults."""
    row: dict[str, Any] = {"ms": float(np.median([r["milliseconds"] for r in rounds]))}
    for key in ("objects", "pasted", "pasted_pixels"):
        row[key] = float(np.mean([r[key] for r in rounds]))
    for key in ("empty", "wrong_boxes", "hidden_pixels"):
        row[key] = int(np.sum([r[key] for r in rounds]))
    return row


def print_table(ours: Sequence[dict[str, Any]], peers: Sequence[dict[str, Any]]) -> None:
    """A line for each row: times and ratios, then what was found in the results."""
    print(f"\n{'':<48} {'':>7} {'over ours, JPEG':>15} {'over in memory':>15}", end="")
    print(f" {'in each result:':>24} {'wrong, in all:':>22}")
    print(f"{'':<48} {'ms':>7}", *(f"{heading:>7}" for heading in RATIOS.values()), end="")
    print(f" {'objects (pasted, px)':>24} {'empty':>6} {'box':>5} {'hidden px':>9}")
    for row in (*ours, *peers):
        ratios = [row.get("ratios", {}).get(name) for name in RATIOS]
        shown = " ".join(f"{'-' if r is None else f'{r:.2f}x':>7}" for r in ratios)
        found = f"{row['objects']:.1f} ({row['pasted']:.1f}, {row['pasted_pixels'] / 1e3:.0f}k)"
        wrong = f"{row['empty']:6} {row['wrong_boxes']:5} {row['hidden_pixels']:9}"
        print(f"{row['name']:<48} {row['ms']:7.2f} {shown} {found:>24} {wrong}")
    print(
        "\nms: medians. full: all masks widened to the image's size. px: in the pasted masks."
        "\nempty: masks without a pixel. box: with a side over 1 px from the tight one. hidden px:"
        "\npasted objects whose mask has pixels that a later paste hides."
    )
    for row in peers:
        print(f"{row['name']} {row['version']}: {row['does']}")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/peers.py",
        description="Time whole copy-paste samples against other libraries, one thread each.",
    )
    parser.add_argument(
        "--peer-python",
        action="append",
        metavar="PYTHON",
        help="an interpreter that has peers installed; may be given more than once; without it, "
        "this one, with OpenCV by hand as the peer",
    )
    parser.add_argument(
        "--sides",
        nargs=2,
        type=int,
        default=(60, 300),
        metavar=("LOW", "HIGH"),
        help="the cut-outs' longer sides in pixels (default: 60 300)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--quick", action="store_true", help="9 rounds, not 90")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Print the table; 0 when done."""
    arguments = build_parser().parse_args(argv)
    cv2.setNumThreads(1)
    kernels.warmup()
    rng = np.random.default_rng(0)
    count = (9 if arguments.quick else 90) + WARM_UP
    photos = load_photos()
    with tempfile.TemporaryDirectory() as folder:
        paths = {codec: Path(folder) / codec for codec in ("jpeg", "raw")}
        for codec, path in paths.items():
            write_bank(path, photos, np.random.default_rng(1), codec=codec, sides=arguments.sides)
        banks = {codec: MaskBank(path) for codec, path in paths.items()}
        banks["memory"] = MemoryBank(paths["jpeg"])
        paste = {
            name: EMPaste(bank, count=PASTED, scale=SCALE, max_angle=MAX_ANGLE)
            for name, bank in banks.items()
        }
        scenes = [make_scene(photo, SIDE, SIDE, rng)[1] for photo in photos]
        works = plan(paste["memory"], scenes, count)
        work_file = Path(folder) / "work.npz"
        write_work(work_file, scenes, banks["memory"], works)
        with start_peers(arguments.peer_python or [sys.executable], work_file) as peers:
            answers, told = measure(paste, scenes, works, peers)
            missing = {peer.python: peer.greeting["missing"] for peer in peers}
    setting = {
        "image": f"{SIDE}x{SIDE}",
        "originals": len(scenes[0].instances),
        "pasted": PASTED,
        "cutout_sides": list(arguments.sides),
        "scale": list(SCALE),
        "max_angle": MAX_ANGLE,
        "rounds": count - WARM_UP,
        "opencv": cv2.__version__,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }
    ours = [{"name": name, **summarise(answers[name])} for name in OURS]
    others = []
    for name, about in told.items():
        row = {**about, **summarise(answers[name])}
        row["ratios"] = {mine["name"]: row["ms"] / mine["ms"] for mine in ours}
        others.append(row)
    print(*(f"{key} {value}" for key, value in setting.items()), sep=", ")
    for python, reasons in missing.items():
        print(*(f"not in {python}: {reason}" for reason in reasons), sep="\n")
    print_table(ours, others)
    write_json(
        arguments.json, {"setting": setting, "ours": ours, "peers": others, "missing": missing}
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
