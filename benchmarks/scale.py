"""Is a bank the same whoever computes it, however often it is killed, and how much memory is taken?

The same bank is built whole, in robust mode, with the command line tool: by one worker; by four; by
Ray tasks on one node; on a Ray cluster of two nodes of which one is killed midway; as three shards,
one after the other, and the run that finishes them; and by runs that are killed with SIGKILL, the
whole process group, at random points, until one comes through. Every file of every bank, and every
stage file, is compared with one worker's. Peak memory is read from /proc (Linux only).

    python benchmarks/scale.py --dataset voc --root VOCdevkit/VOC2012 --classifier classifier.pt \\
        --limit 12 --json scale.json
    python benchmarks/scale.py --dataset voc --root VOCdevkit/VOC2012 --classifier classifier.pt \\
        --ways one --limit 12 48
    python benchmarks/scale.py --class-photos 12500 50000 --listed 100000 1000000

`--class-photos` runs F-EM's stage on a class of so many photos, from made-up evidence; `--listed`
makes the list of so many photos and hashes it. Options of the build, such as `--proposals slic`,
follow a `--`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _common import write_json
from _scale_watch import Watched, files_of

WORKER = Path(__file__).with_name("_scale_worker.py")
SHARDS = 3
KILLS = 6
BUILT = "work/**/*.npz"


class Builds:
    """Runs of the tool in a folder of their own each.

    Args:
        folder: where the banks are built.
        options: of the tool, but for --output and --work.
        files: stage files that a whole build leaves, once it is known.
        seed: of the points where runs are killed.
    """

    def __init__(self, folder: Path, options: Sequence[str], *, files: int, seed: int) -> None:
        self.folder = folder
        self.options = list(options)
        self.files = files
        self.rng = np.random.default_rng(seed)

    def start(self, *more: str) -> Watched:
        """A run of the tool."""
        command = [sys.executable, "-m", "empaste_aug.tools.build_bank", *self.options, *more]
        command += ["--output", str(self.folder / "bank"), "--work", str(self.folder / "work")]
        return Watched(command, self.folder.with_suffix(".log"))

    def done(self) -> int:
        """Stage files that there are now."""
        return sum(1 for _ in self.folder.glob(BUILT))

    def points(self, count: int) -> list[int]:
        """Random numbers of stage files, ascending."""
        chosen = self.rng.choice(np.arange(1, self.files), count, replace=False)
        return sorted(chosen.tolist())


def build_once(*options: str) -> Callable[[Builds], dict[str, Any]]:
    """One run with these options."""

    def way(builds: Builds) -> dict[str, Any]:
        return builds.start(*options).finish()

    return way


def build_on_two_nodes(builds: Builds) -> dict[str, Any]:
    """Two nodes of one CPU; the second is killed when half of the stage files are there."""
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    node_options = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node_options)
    try:
        node = cluster.add_node(num_cpus=1)
        run = builds.start("--executor", "ray", "--ray-address", cluster.address)
        run.wait_until(lambda: builds.done() >= builds.files // 2)
        # No call of Ray's: this process is no driver.
        node.kill_raylet(check_alive=True)
        node.kill_all_processes(check_alive=False, allow_graceful=False)
        cluster.worker_nodes.discard(node)
        return run.finish() | {"kills": 1}
    finally:
        cluster.shutdown()


def build_shards(builds: Builds) -> dict[str, Any]:
    """The parts, then the run that finishes."""
    parts = [builds.start("--shard", f"{i}/{SHARDS}").finish() for i in range(SHARDS)]
    parts.append(builds.start().finish())
    return {
        "seconds": sum(part["seconds"] for part in parts),
        "main_mib": max(part["main_mib"] for part in parts),
        "worker_mib": max(part["worker_mib"] or 0 for part in parts) or None,
    }


def build_under_fire(builds: Builds) -> dict[str, Any]:
    """Runs of two workers, killed at random numbers of files, at last while the bank is written."""
    seconds = 0.0
    kills = 0
    for point in (*builds.points(KILLS - 1), None):
        run = builds.start("--workers", "2")
        if point is None:
            run.wait_until((builds.folder / "bank" / "shards").exists)
        else:
            run.wait_until(lambda point=point: builds.done() >= point)
        kills += run.kill()
        seconds += run.seconds
    figures = builds.start("--workers", "2").finish()
    return figures | {"seconds": seconds + figures["seconds"], "kills": kills}


WAYS: dict[str, tuple[str, Callable[[Builds], dict[str, Any]]]] = {
    "one": ("1 worker", build_once("--workers", "1")),
    "four": ("4 workers", build_once("--workers", "4")),
    "ray": ("Ray, one node", build_once("--executor", "ray", "--workers", "2")),
    "nodes": ("Ray, two nodes, one killed", build_on_two_nodes),
    "shards": (f"{SHARDS} shards, then the rest", build_shards),
    "killed": ("SIGKILL, resumed", build_under_fire),
}


def run_ways(
    ways: Sequence[str], folder: Path, options: Sequence[str], *, seed: int
) -> list[dict[str, Any]]:
    """Build in each way, `one` first, and compare with it."""
    rows: list[dict[str, Any]] = []
    first: dict[str, dict[str, str]] = {}
    for name in ("one", *(way for way in ways if way != "one")):
        title, way = WAYS[name]
        place = folder / name
        place.mkdir(parents=True)
        builds = Builds(place, options, files=len(first.get("stages", ())), seed=seed)
        figures = {"way": title, "kills": 0} | way(builds)
        found = {
            "bank": files_of(place / "bank", "*"),
            "stages": files_of(place / "work", "*.npz"),
        }
        first = first or found
        figures |= {f"same_{part}": found[part] == first[part] for part in found}
        rows.append(figures | {"bank_files": len(found["bank"]), "files": len(found["stages"])})
        print(line(figures), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    same = " / ".join("yes" if row[f"same_{part}"] else "NO" for part in ("bank", "stages"))
    worker = "" if row["worker_mib"] is None else f"{row['worker_mib']:.0f}"
    return (
        f"| {row['way']} | {row['seconds']:.0f} | {row['kills']} | {same} "
        f"| {row['main_mib']:.0f} | {worker} |"
    )


def run_worker(task: str, number: int) -> dict[str, Any]:
    """A made-up measure in a fresh process."""
    call = [sys.executable, str(WORKER), task, str(number)]
    done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    print(", ".join(f"{key} {value:,.4g}" for key, value in figures.items()), flush=True)
    return figures


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", default="voc")
    parser.add_argument("--root", help="its folder; no bank is built without it")
    parser.add_argument("--split", default="train")
    parser.add_argument("--classifier", help="a trained classifier's file")
    parser.add_argument("--limit", type=int, nargs="+", default=[12], help="photos (%(default)s)")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--class-photos", type=int, nargs="+", default=[], metavar="N")
    parser.add_argument("--listed", type=int, nargs="+", default=[], metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--folder", help="keep the banks here instead of in a temporary folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    parser.add_argument("more", nargs="*", help="after --: options of every build")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Build, compare, print; 0 where all banks are the same, else 1."""
    args = build_parser().parse_args(argv)
    report: dict[str, Any] = {"builds": [], "fem": [], "listing": []}
    if args.root is not None:
        options = ["--dataset", args.dataset, "--root", args.root, "--split", args.split]
        if args.classifier is not None:
            options += ["--classifier", args.classifier]
        with tempfile.TemporaryDirectory() as temporary:
            for limit in args.limit:
                print(f"\n{limit} photos\n")
                print("| way | seconds | kills | same bank / stage files | MiB, main | a worker |")
                print("| --- | --- | --- | --- | --- | --- |")
                rows = run_ways(
                    args.ways,
                    Path(args.folder or temporary) / str(limit),
                    [*options, "--limit", str(limit), *args.more],
                    seed=args.seed,
                )
                report["builds"] += [{"photos": limit, **row} for row in rows]
    report["fem"] = [run_worker("fem", number) for number in args.class_photos]
    report["listing"] = [run_worker("listing", number) for number in args.listed]
    write_json(args.json, report)
    return 0 if all(row["same_bank"] and row["same_stages"] for row in report["builds"]) else 1


if __name__ == "__main__":
    sys.exit(main())
