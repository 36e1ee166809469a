"""The main job on real photos, end to end, in a few minutes on a CPU and without any download.

A sample data set with image-level labels is made from photos that come inside installed packages;
a classifier is trained, F-EM builds a bank, the bank is scored and previewed, and a shrunken Mask
R-CNN is trained on it through EMPasteMapper. Every step that is a command line tool is shown as the
command that does the same.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from empaste_aug.offline.command import run_tool
from empaste_aug.tools import build_bank, evaluate_bank, preview

DATASET_NAME = "empaste_demo"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__)
    parser.add_argument("--output", default="out/demo", help="where everything goes")
    parser.add_argument(
        "--images-per-class", type=int, default=14, help="size of the sample data set, of 6 classes"
    )
    parser.add_argument("--iterations", type=int, default=60, help="training steps")
    parser.add_argument("--workers", type=int, default=2, help="data loading and proposal workers")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is random")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the demo."""
    args = build_parser().parse_args(argv)
    return run_tool(
        lambda: _run(args), on_interrupt="interrupted; the same command goes on where it was"
    )


def _run(args: argparse.Namespace) -> int:
    start = time.perf_counter()
    output = Path(args.output)
    photos, bank = output / "photos", output / "bank"
    print(f"1/5  A sample data set from photos inside installed packages: {photos}")
    _make_photos(photos, args.images_per_class, args.seed)
    dataset = ["--dataset", "folder", "--root", str(photos)]

    print("\n2/5  Classifier, Grad-CAM, proposals, F-EM, bank")
    options = ["--proposals", "saliency", "--seed", str(args.seed)]
    options += ["--workers", str(args.workers), "--overwrite"]
    _call(build_bank, [*dataset, "--output", str(bank), *options])

    print("\n3/5  The bank against ground truth that nothing above has seen")
    _call(
        evaluate_bank,
        ["--bank", str(bank), *dataset, "--json", str(output / "evaluation.json")],
    )

    print("\n4/5  Pasted samples to look at")
    picture = output / "preview.png"
    _call(preview, ["--bank", str(bank), *dataset, "--output", str(picture)])
    print(
        "     The masks come from image-level labels alone: some are of the wrong object (p50\n"
        "     above says how many are right), and so are their names in the picture. What it\n"
        "     shows of pasting is whole cut-outs, soft edges, and boxes that fit."
    )

    print(f"\n5/5  A shrunken Mask R-CNN through EMPasteMapper, {args.workers} workers")
    losses = train(bank, photos / "images", args.iterations, args.workers, args.seed)
    first, last = _mean(losses[:10]), _mean(losses[-10:])
    print(f"     loss: {first:.2f} over the first 10 iterations, {last:.2f} over the last 10")

    print(f"\nDone in {time.perf_counter() - start:.0f} s. In {output}:")
    print("  photos/          the sample data set: images, labels.json, instances.json")
    print("  bank/            the mask bank       bank.work/  the stages' caches")
    print("  evaluation.json  its scores          preview.png pasted samples")
    print("\nFor photos of your own:")
    for kind, root, rest in (
        ("voc", "VOCdevkit/VOC2012", "--split train"),
        ("coco", "coco", "--split train2017"),
        ("folder", "photos", "--labels labels.json"),
    ):
        print(
            f"  python tools/build_bank.py --dataset {kind} --root {root} {rest} --output out/bank"
        )
    return 0


def train(bank: Path, image_root: Path, iterations: int, workers: int, seed: int) -> list[float]:
    """Train the shrunken Mask R-CNN on the bank's masks and pastes; the loss of each iteration."""
    # What detectron2's use of older torch functions makes torch say.
    warnings.filterwarnings("ignore", message=".*torch.(jit.script|meshgrid)")
    logging.getLogger("torch.fx").setLevel(logging.ERROR)
    import torch
    from detectron2.modeling import build_model
    from detectron2.solver import build_optimizer
    from detectron2.utils.env import seed_all_rng
    from detectron2.utils.events import EventStorage

    from empaste_aug import MaskBank
    from empaste_aug.adapters.detectron2 import build_empaste_train_loader, register_bank_dataset
    from empaste_aug.configs.mask_rcnn_tiny import tiny_mask_rcnn

    opened = MaskBank(bank)
    register_bank_dataset(DATASET_NAME, opened, image_root)
    cfg = tiny_mask_rcnn(len(opened.categories))
    cfg.DATASETS.TRAIN = (DATASET_NAME,)
    cfg.DATALOADER.NUM_WORKERS = workers
    cfg.EMPASTE.BANK = str(bank)
    cfg.SOLVER.MAX_ITER = iterations
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR = 4, 0.01
    seed_all_rng(seed)
    torch.set_num_threads(max((os.cpu_count() or 1) - workers, 1))  # the workers need theirs
    model = build_model(cfg).train()
    optimizer = build_optimizer(cfg, model)
    cfg.SEED = seed
    loader = iter(build_empaste_train_loader(cfg))
    losses: list[float] = []
    waited = 0.0
    start = time.perf_counter()
    with EventStorage():
        for iteration in range(1, iterations + 1):
            asked = time.perf_counter()
            batch = next(loader)
            waited += time.perf_counter() - asked
            loss = sum(model(batch).values())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            losses.append(float(loss.detach()))
            if iteration % 10 == 0 or iteration == iterations:
                seconds = time.perf_counter() - start
                rate = iteration * cfg.SOLVER.IMS_PER_BATCH / seconds
                print(
                    f"     iteration {iteration:3d} of {iterations}  "
                    f"loss {_mean(losses[-10:]):6.3f}  {rate:5.1f} samples/s  "
                    f"{100 * waited / seconds:4.1f} % waiting for data",
                    flush=True,
                )
    return losses


def _make_photos(photos: Path, images_per_class: int, seed: int) -> None:
    from empaste_aug.offline.proposals.saliency import saliency_map
    from empaste_aug.offline.sample import make_sample_dataset

    make_sample_dataset(photos, saliency=saliency_map, images_per_class=images_per_class, seed=seed)


def _call(tool: Any, arguments: list[str]) -> None:
    """Run a tool as the shell would, and stop the demo where it fails."""
    name = tool.__name__.rpartition(".")[2]
    print(f"$ python tools/{name}.py {shlex.join(arguments)}", flush=True)
    entry: Callable[[list[str]], int] = tool.main
    status = entry(arguments)
    if status != 0:
        raise SystemExit(status)


def _mean(values: list[float]) -> float:
    return sum(values) / max(len(values), 1)


if __name__ == "__main__":
    sys.exit(main())
