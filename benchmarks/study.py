"""The paper's claims in miniature: small detectors trained on a CPU, with and without pasting.

    python benchmarks/study.py prepare --root VOCdevkit/VOC2012
    python benchmarks/study.py run --variants pseudo_only paste_random --seeds 0 1 2
    python benchmarks/study.py report

`prepare` links the photos of the two published splits (`study_split.json`) and makes the banks of
the published masks (`study_masks.jsonl`): `masks` made those once for all, by the classifier and
F-EM, from the training photos' image labels alone. `run` trains what is not in `study_results.csv`
yet, a row a run, and goes on after an interruption where each run was; beside the rows,
`study_draws` has of each run what a comparison needs. `report` writes the tables with their
intervals into `STUDY.md`. All other files lie in the folder `--work`.
"""

# ruff: noqa: E402  (warnings are silenced before what warns is imported)
from __future__ import annotations

import argparse
import csv
import hashlib
import json
import multiprocessing
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from empaste_aug.training.quiet import ignore_library_warnings

ignore_library_warnings()

import numpy as np
import torch
from _study_data import EVAL, SPLIT, TRAIN, TUNE_EVAL, link_photos, register_split
from _study_masks import MASKS, bank_of_masks, read_masks, write_masks
from _study_metrics import bootstrap, class_counts, draws_path, evaluate, predictions_path
from _study_model import Schedule, predict, study_config, train
from _study_report import write_report
from _study_variants import (
    ANNOTATED,
    EXPERIMENTS,
    FOUND,
    LONG_TAILS,
    VARIANTS,
    bank_path,
    banks_of,
    make_long_tail,
    make_pools,
    make_tuning_banks,
    settings_of,
    training_loader,
)
from detectron2.data import DatasetCatalog
from numpy.typing import NDArray

from empaste_aug.bank.files import atomic_file
from empaste_aug.offline.command import run_tool
from empaste_aug.offline.datasets import load_dataset
from empaste_aug.types import ArgumentError, BankError, DatasetError

HERE = Path(__file__).parent
RESULTS = HERE / "study_results.csv"
TUNING = HERE / "study_tuning.csv"
STUDY = HERE / "STUDY.md"

FIELDS = [
    "experiment", "variant", "seed", "ap50", "ap75", "ap50_large", "ap50_large_4", "ap_small",
    "ap_medium", "ap_large", "ap50_rare_half", "iterations", "learning_rate",
    "seconds", "wait_share", "bank_sha", "config_hash", "commit",
]  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("out/study"), help="(%(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    masks = commands.add_parser("masks", help="F-EM's masks, which are published: once for all")
    prepare = commands.add_parser("prepare", help="link the photos, make the banks")
    for command in (masks, prepare):
        command.add_argument("--root", type=Path, required=True, help="the photos' VOC2012 folder")
        command.add_argument("--split", type=Path, default=SPLIT, help="the published split's json")
        command.add_argument("--masks", type=Path, default=MASKS, help="the published masks")
    masks.add_argument("--extra-labels", type=Path, help="photos for the classifier alone")
    masks.add_argument("--workers", type=int, default=2, help="of build_bank (%(default)s)")
    masks.add_argument(
        "--families", nargs="+", choices=list(FOUND), default=list(FOUND), metavar="NAME",
        help=f"what is built (all): {', '.join(FOUND)}",
    )  # fmt: skip
    prepare.add_argument(
        "--object-free", type=Path, nargs=2, metavar=("FOLDER", "LIST"),
        help="photos, and a text file of the names of those without any class",
    )  # fmt: skip
    prepare.add_argument(
        "--variants", nargs="+", choices=list(VARIANTS), metavar="NAME",
        help=f"whose banks are made (all whose masks are published): {', '.join(VARIANTS)}",
    )  # fmt: skip
    run = commands.add_parser("run", help="train and evaluate what has no row yet")
    run.add_argument(
        "--variants", nargs="+", choices=list(VARIANTS), required=True, metavar="NAME",
        help=f"what is trained, in this order for each seed: {', '.join(VARIANTS)}",
    )  # fmt: skip
    run.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="(0 1 2)")
    run.add_argument(
        "--iterations", type=int, default=Schedule.iterations, help="of 4 images (%(default)s)"
    )
    run.add_argument(
        "--learning-rate", type=float, default=Schedule.learning_rate, help="AdamW's (%(default)s)"
    )
    run.add_argument("--tuning", action="store_true", help="on parts of the training photos alone")
    run.add_argument("--jobs", type=int, default=1, help="runs at once (%(default)s)")
    run.add_argument("--threads", type=int, default=1, help="of each run (%(default)s)")
    run.add_argument("--rounds", type=int, default=1000, help="draws of photos (%(default)s)")
    run.add_argument("--results", type=Path, help="(study_results.csv; study_tuning.csv)")
    report = commands.add_parser("report", help="tables and intervals from the rows")
    report.add_argument("--results", type=Path, default=RESULTS)
    report.add_argument("--tuning-results", type=Path, default=TUNING)
    report.add_argument("--output", type=Path, default=STUDY, help="has markers for the tables")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    return run_tool(
        lambda: dispatch(args),
        on_interrupt="interrupted; the same command goes on with what is not finished",
    )


def dispatch(args: argparse.Namespace) -> int:
    if args.command == "run" and args.results is None:
        args.results = TUNING if args.tuning else RESULTS
    if args.command in ("masks", "prepare") and not (args.root / "JPEGImages").is_dir():
        raise ArgumentError(f"--root: {args.root} is no VOC folder: it has no JPEGImages")
    if args.command == "masks":
        make_masks(args)
    elif args.command == "prepare":
        prepare(args)
    elif args.command == "run":
        run(args)
    else:
        rows, tuning = read_rows(args.results), read_rows(args.tuning_results)
        if not rows:
            raise DatasetError(f"{args.results}: holds no run yet")
        draws = {(row["variant"], row["seed"]): draws_path(args.results, row) for row in rows}
        write_report(args.output, rows, tuning, draws, args.work)
    return 0


def make_masks(args: argparse.Namespace) -> None:
    """Build the banks of F-EM by `build_bank`, and publish their masks."""
    folder = link_photos(args.root, args.work, args.split)
    for family in args.families:
        built = {}
        for name, options in FOUND[family].items():
            built[name] = args.work / "built" / name
            more = ["--work", str(args.work / "stages"), "--workers", str(args.workers)]
            if args.extra_labels is not None:
                more += ["--extra-labels", str(args.extra_labels), "--extra-for", "classifier"]
            build_bank(folder, built[name], [*more, *options])
        write_masks(built, args.masks)


def prepare(args: argparse.Namespace) -> None:
    """Link the photos, and make every bank and pool that the variants name."""
    published = {bank for line in read_masks(args.masks) for bank in line["banks"]}
    published |= ANNOTATED.keys() | LONG_TAILS.keys()
    complete = [name for name in VARIANTS if published.issuperset(banks_of([name]))]
    variants = complete if args.variants is None else args.variants
    if lacking := [name for name in variants if name not in complete]:
        raise BankError(f"{args.masks}: lacks masks of {', '.join(lacking)}; `masks` makes them")
    folder = link_photos(args.root, args.work, args.split)
    pools = {pool for name in variants if (pool := VARIANTS[name].pool) is not None}
    make_pools(args.work, pools, args.object_free)
    wanted = banks_of(variants)
    dataset = load_dataset("voc", folder, split=TRAIN)
    for name in wanted:
        if name in ANNOTATED:
            build_bank(folder, bank_path(args.work, name), ANNOTATED[name])
        elif name not in LONG_TAILS:
            bank_of_masks(name, dataset, bank_path(args.work, name), args.masks)
    if LONG_TAILS.keys() & set(wanted):
        make_long_tail(args.work)
    make_tuning_banks(args.work, wanted)


def build_bank(root: Path, output: Path, options: Sequence[str]) -> None:
    command = [sys.executable, "-m", "empaste_aug.tools.build_bank", "--dataset", "voc"]
    command += ["--root", str(root), "--split", TRAIN, "--output", str(output), "--overwrite"]
    print("+", " ".join([*command, *options]), flush=True)
    subprocess.run([*command, *options], check=True)


def run(args: argparse.Namespace) -> None:
    """Train and evaluate every variant with every seed, seeds first, that has no row."""
    schedule = Schedule(iterations=args.iterations, learning_rate=args.learning_rate)
    missing = []
    for seed in args.seeds:
        for name in args.variants:
            row = describe(name, seed, schedule, args.work, tuning=args.tuning)
            if any(all(row[key] == other[key] for key in row) for other in read_rows(args.results)):
                print(f"{name}, seed {seed}: has its row", flush=True)
            else:
                rounds = 0 if args.tuning else args.rounds
                missing.append((row, schedule, args.work, args.tuning, rounds, args.threads))
    if args.jobs == 1:
        for task in missing:
            append(args.results, *train_and_evaluate(*task))
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        waiting = [pool.submit(train_and_evaluate, *task) for task in missing]
        try:
            for done in as_completed(waiting):
                append(args.results, *done.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def train_and_evaluate(
    row: dict[str, str], schedule: Schedule, work: Path, tuning: bool, rounds: int, threads: int
) -> tuple[dict[str, str], NDArray[np.float64] | None]:
    """One run; the row with its figures, and its `bootstrap` unless there are no rounds of it."""
    torch.set_num_threads(threads)
    split = TUNE_EVAL if tuning else EVAL
    truth = register_split(work, split)
    variant, seed = VARIANTS[row["variant"]], int(row["seed"])
    cfg = study_config(len(truth["categories"]))
    loader = training_loader(variant, work, schedule.batch_size, seed, tuning=tuning)
    path = predictions_path(work, row)
    path.parent.mkdir(exist_ok=True)
    checkpoint = path.with_suffix(".pt")
    trained = train(cfg, loader, schedule, seed=seed, checkpoint=checkpoint)
    results = predict(trained.model, DatasetCatalog.get(split))
    path.write_text(json.dumps(results))
    checkpoint.unlink(missing_ok=True)
    counts = class_counts(work, variant)
    row |= evaluate(truth, results, counts)
    row["seconds"] = f"{trained.seconds:.0f}"
    row["wait_share"] = f"{trained.wait_share:.4f}"
    print(f"{row}\n  losses {trained.losses}", flush=True)
    return row, bootstrap(truth, results, counts, rounds) if rounds else None


def describe(
    name: str, seed: int, schedule: Schedule, work: Path, *, tuning: bool = False
) -> dict[str, str]:
    """What a run is known by."""
    variant = VARIANTS[name]
    banks = hashlib.sha256()
    for bank in variant.banks:
        manifest = bank_path(work, bank, tuning=tuning) / "manifest.json"
        if not manifest.is_file():
            raise BankError(
                f"{manifest.parent}: is not there; `prepare --variants {name}` makes it"
            )
        banks.update(manifest.read_bytes())
    settings = settings_of(variant, work) | {
        "schedule": asdict(schedule),
        "model": study_config(20).MODEL.dump(),
        "evaluated": TUNE_EVAL if tuning else EVAL,
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return {
        "experiment": "tuning" if tuning else EXPERIMENTS[name],
        "variant": name,
        "seed": str(seed),
        "iterations": str(schedule.iterations),
        "learning_rate": f"{schedule.learning_rate:g}",
        "bank_sha": banks.hexdigest()[:12],
        "config_hash": digest[:12],
    }


def read_rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def append(path: Path, row: dict[str, Any], draws: NDArray[np.float64] | None) -> None:
    """A row of `FIELDS`, with the commit; and before it the run's draws."""
    if draws is not None:
        beside = draws_path(path, row)
        beside.parent.mkdir(exist_ok=True)
        with atomic_file(beside) as file:
            np.save(file, draws.astype(np.float32))
    command = ["git", "-C", str(HERE), "rev-parse", "--short=12", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    row["commit"] = found.stdout.strip() or "unknown"
    new = not path.is_file()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        if new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    sys.exit(main())
