"""The paper's claims in miniature: small detectors trained on a CPU, with and without pasting.

    python benchmarks/study.py prepare --root VOCdevkit/VOC2012 --extra-labels voc_labels
    python benchmarks/study.py run --variants pseudo_only paste_random --seeds 0 1 2
    python benchmarks/study.py report

`prepare` links the photos of the two published splits (`study_split.json`) and builds the banks, by
the classifier and F-EM, from the training photos' image labels alone. `run` trains what is not in
`study_results.csv` yet, a row a run, and goes on after an interruption. `report` writes the tables
with their intervals into `STUDY.md`. All files but these two lie in the folder `--work`.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from _study_data import EVAL, SPLIT, TRAIN, link_photos
from _study_model import Schedule, predict, study_config, train
from _study_report import class_counts, evaluate, write_report
from _study_variants import (
    EXPERIMENTS,
    LONG_TAIL,
    VARIANTS,
    banks_of,
    make_long_tail,
    training_loader,
)
from detectron2.data import DatasetCatalog, MetadataCatalog

from empaste_aug.bank import MaskBank
from empaste_aug.offline.datasets import load_dataset
from empaste_aug.training.datasets import register_instances

HERE = Path(__file__).parent
RESULTS = HERE / "study_results.csv"
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
    prepare = commands.add_parser("prepare", help="link the photos, build the banks")
    prepare.add_argument("--root", type=Path, required=True, help="coco_as_voc's VOC2012 folder")
    prepare.add_argument("--extra-labels", type=Path, help="photos for the classifier alone")
    prepare.add_argument("--split", type=Path, default=SPLIT, help="the published split's json")
    prepare.add_argument("--object-free", type=Path, help="a folder of photos without any class")
    prepare.add_argument("--workers", type=int, default=2)
    prepare.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    run = commands.add_parser("run", help="train and evaluate what has no row yet")
    run.add_argument("--variants", nargs="+", choices=list(VARIANTS), required=True)
    run.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    run.add_argument("--iterations", type=int, default=Schedule.iterations)
    run.add_argument("--learning-rate", type=float, default=Schedule.learning_rate)
    run.add_argument("--threads", type=int, default=2)
    run.add_argument("--results", type=Path, default=RESULTS)
    report = commands.add_parser("report", help="tables and intervals from the rows")
    report.add_argument("--results", type=Path, default=RESULTS)
    report.add_argument("--output", type=Path, default=STUDY, help="has markers for the tables")
    report.add_argument("--rounds", type=int, default=1000, help="of the bootstrap")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.command == "prepare":
        prepare(args)
    elif args.command == "run":
        run(args)
    else:
        write_report(args.output, read_rows(args.results), args.work, rounds=args.rounds)
    return 0


def prepare(args: argparse.Namespace) -> None:
    """Link the photos, and run `build_bank` for every bank that the variants name."""
    folder = link_photos(args.root, args.work, args.split)
    for name, more in banks_of(args.variants).items():
        if "--masks" in more and (args.work / name / "manifest.json").exists():
            continue
        command = [sys.executable, "-m", "empaste_aug.tools.build_bank", "--dataset", "voc"]
        command += ["--root", str(folder), "--split", TRAIN, "--output", str(args.work / name)]
        if "--masks" not in more:
            command += ["--work", str(args.work / "stages"), "--workers", str(args.workers)]
            if args.extra_labels is not None:
                command += ["--extra-labels", str(args.extra_labels), "--extra-for", "classifier"]
        print("+", " ".join([*command, *more]), flush=True)
        subprocess.run([*command, *more], check=True)
    if any(VARIANTS[name].bank == LONG_TAIL for name in args.variants):
        make_long_tail(args.work)
    pool = args.work / "pool_object_free"
    if args.object_free is not None and not pool.exists():
        pool.symlink_to(args.object_free.resolve())


def run(args: argparse.Namespace) -> None:
    """Train and evaluate every variant with every seed, seeds first, that has no row."""
    torch.set_num_threads(args.threads)
    schedule = Schedule(iterations=args.iterations, learning_rate=args.learning_rate)
    folder = args.work / "VOC2012"
    for split in (TRAIN, EVAL):
        register_instances(split, load_dataset("voc", folder, split=split, check="header"))
    truth = MetadataCatalog.get(EVAL).coco_form()
    for seed in args.seeds:
        for name in args.variants:
            row = describe(name, seed, schedule, args.work)
            if any(all(row[key] == other[key] for key in row) for other in read_rows(args.results)):
                print(f"{name}, seed {seed}: has its row", flush=True)
                continue
            variant = VARIANTS[name]
            cfg = study_config(len(truth["categories"]))
            loader = training_loader(variant, args.work, schedule.batch_size, seed)
            trained = train(cfg, loader, schedule, seed=seed)
            results = predict(trained.model, DatasetCatalog.get(EVAL))
            runs = args.work / "runs"
            runs.mkdir(exist_ok=True)
            (runs / f"{name}-{seed}-{row['config_hash']}.json").write_text(json.dumps(results))
            row |= evaluate(truth, results, class_counts(args.work, variant.bank))
            row["seconds"] = f"{trained.seconds:.0f}"
            row["wait_share"] = f"{trained.wait_share:.4f}"
            append(args.results, row)
            print(f"{name}, seed {seed}: {row}\n  losses {trained.losses}", flush=True)


def describe(name: str, seed: int, schedule: Schedule, work: Path) -> dict[str, str]:
    """What a run is known by."""
    variant = VARIANTS[name]
    bank = None if variant.bank is None else MaskBank(work / variant.bank)
    settings = [asdict(variant), asdict(schedule), study_config(20).MODEL.dump()]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return {
        "experiment": EXPERIMENTS[name],
        "variant": name,
        "seed": str(seed),
        "iterations": str(schedule.iterations),
        "learning_rate": f"{schedule.learning_rate:g}",
        "bank_sha": "" if bank is None else bank.manifest["build_hash"][:12],
        "config_hash": digest[:12],
    }


def read_rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def append(path: Path, row: dict[str, Any]) -> None:
    """A row of `FIELDS`, with the commit."""
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
