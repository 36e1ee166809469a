"""Time detectron2's loading with and without pasting, at large-scale jittering to 1024x1024.

DatasetMapper and EMPasteMapper map the same images with the same mask format and the same random
augmentations (ResizeScale 0.1 to 2.0, FixedSizeCrop, RandomFlip), in turns, one thread each. Then
torch's DataLoader runs with 0, 1 and 2 workers, and the memory that is private to a worker is read
from /proc (Linux only). The bank has 100,000 rows.

    python benchmarks/loader.py --json loader.json
"""

from __future__ import annotations

import argparse
import gc
import io
import logging
import multiprocessing
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from _common import write_json
from _loader_data import load_coco, make_dataset, write_bank
from detectron2.data import DatasetMapper
from detectron2.data import transforms as T  # noqa: N812
from detectron2.data.common import DatasetFromList, MapDataset
from torch.utils.data import DataLoader

from empaste_aug import kernels
from empaste_aug.adapters.detectron2 import EMPasteMapper
from empaste_aug.bank import MaskBank
from empaste_aug.paste import EMPaste

SIDE = 1024
COUNT = 4
BANK_ROWS = 100_000
BATCH = 2
FORMATS = {"polygon": "polygon", "bitmask": "bitmask", "cropped": "bitmask"}
"""EMPasteMapper's mask formats, and the one of DatasetMapper that each is compared with."""
WORKERS = (0, 1, 2)

Mapper = Callable[[dict[str, Any]], dict[str, Any]]


class SameDraws(T.Augmentation):  # type: ignore[misc]
    """Does nothing but seed numpy's generator, so that both mappers augment alike.

    Attributes:
        seed: what to seed with, or None to leave the generator alone.
    """

    def __init__(self) -> None:
        self.seed: int | None = None

    def get_transform(self, image: Any) -> T.Transform:  # noqa: ARG002
        """No change."""
        if self.seed is not None:
            np.random.seed(self.seed)  # noqa: NPY002
        return T.NoOpTransform()


def build_mappers(paste: EMPaste, draws: SameDraws) -> dict[tuple[str, bool], Mapper]:
    """(mask format, whether it pastes) -> mapper."""
    arguments: dict[str, Any] = {
        "augmentations": [
            draws,
            T.ResizeScale(min_scale=0.1, max_scale=2.0, target_height=SIDE, target_width=SIDE),
            T.FixedSizeCrop(crop_size=(SIDE, SIDE)),
            T.RandomFlip(horizontal=True),
        ],
        "image_format": "BGR",
        "use_instance_mask": True,
        "recompute_boxes": True,
    }
    mappers: dict[tuple[str, bool], Mapper] = {}
    for mask_format, stock in FORMATS.items():
        mappers[stock, False] = DatasetMapper(True, instance_mask_format=stock, **arguments)
        mappers[mask_format, True] = EMPasteMapper(
            True, paste=paste, instance_mask_format=mask_format, **arguments
        )
    return mappers


def time_mappers(
    mappers: dict[tuple[str, bool], Mapper],
    dicts: Sequence[dict[str, Any]],
    draws: SameDraws,
    passes: int,
) -> list[dict[str, Any]]:
    """Milliseconds a sample in this process; a ratio is the median over the passes."""
    spent = {case: np.zeros(passes) for case in mappers}
    objects, payload = dict.fromkeys(mappers, 0), dict.fromkeys(mappers, 0)
    for number in range(-1, passes):
        for position, entry in enumerate(dicts):
            draws.seed = (number + 1) * len(dicts) + position
            for case, mapper in mappers.items():
                start = time.perf_counter()
                sample = mapper(entry)
                if number >= 0:  # the first pass warms up
                    spent[case][number] += time.perf_counter() - start
                    objects[case] += len(sample["instances"])
                    payload[case] += count_bytes(sample)
    draws.seed = None
    rows, samples = [], passes * len(dicts)
    for case, seconds in spent.items():
        row: dict[str, Any] = {"format": case[0], "paste": case[1]}
        row["ms"] = float(np.median(seconds)) / len(dicts) * 1e3
        row["ratio"] = float(np.median(seconds / spent[FORMATS[case[0]], False]))
        row["objects"] = objects[case] / samples
        row["megabytes_sent"] = payload[case] / samples / 1e6
        rows.append(row)
    return rows


class _Counter(pickle.Pickler):
    """Pickles as a worker does: tensors go through shared memory, the rest through the pipe."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.storages: dict[int, int] = {}

    def reducer_override(self, value: Any) -> Any:
        """Count a tensor's storage once, and write no more than a handle."""
        if isinstance(value, torch.Tensor):
            storage = value.untyped_storage()
            self.storages[storage.data_ptr()] = storage.nbytes()
            return (int, (0,))
        return NotImplemented


def count_bytes(sample: Any) -> int:
    """What a worker sends to the main process: the pickle, and the storages of its tensors."""
    file = io.BytesIO()
    counter = _Counter(file)
    counter.dump(sample)
    return len(file.getvalue()) + sum(counter.storages.values())


def build_loader(
    mapper: Mapper, dicts: list[dict[str, Any]], workers: int, method: str | None, batches: int
) -> DataLoader[Any]:
    """A DataLoader over the images, in their order, again and again."""
    order = [k % len(dicts) for k in range(batches * BATCH)]
    return DataLoader(
        MapDataset(DatasetFromList(dicts, copy=False), mapper),
        batch_size=BATCH,
        sampler=order,
        num_workers=workers,
        collate_fn=list,
        multiprocessing_context=method if workers else None,
        worker_init_fn=_start_worker,
    )


def _set_one_thread() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _silence() -> None:
    for name in ("detectron2", "empaste_aug"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _start_worker(_: int) -> None:
    _silence()
    _set_one_thread()
    # A forked worker's first full collection writes to, and so copies, all that its parent made:
    # over 100 MB, sooner or later, with pasting or without.
    gc.collect()


def private_memory(process: int) -> dict[str, float]:
    """What a process has for itself, and its share of what it has with others, in MB (Linux)."""
    kilobytes: dict[str, int] = {}
    with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if rest.endswith("kB\n"):
                kilobytes[name] = int(rest.split()[0])
    private = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return {"private": private * 1024 / 1e6, "pss": kilobytes["Pss"] * 1024 / 1e6}


def run_loader(
    mapper: Mapper, dicts: list[dict[str, Any]], workers: int, method: str | None, batches: int
) -> dict[str, Any]:
    """Samples a second after a warm-up, then the workers' memory.

    A worker's memory is the median over further batches, as it changes with every image; the mean
    over the workers is given.
    """
    warm = max(2 * workers, 1)
    looks = max(batches // 4, 2) if workers else 0
    gc.collect()
    iterator = iter(build_loader(mapper, dicts, workers, method, warm + batches + looks))
    for _ in range(warm):
        next(iterator)
    start = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    row: dict[str, Any] = {"workers": workers}
    row["samples_per_second"] = batches * BATCH / (time.perf_counter() - start)
    if workers:
        children = [p.pid for p in multiprocessing.active_children() if p.pid is not None]
        seen = []
        for position, _ in enumerate(
            iterator
        ):  # to the end, so that the workers leave by themselves
            if position < looks - 2 * workers or not seen:
                seen.append([private_memory(child) for child in children])
        for key in ("private", "pss"):
            median = np.median([[look[key] for look in each] for each in seen], axis=0)
            row[f"{key}_megabytes"] = float(median.mean())
    return row


def print_mappers(rows: Sequence[dict[str, Any]]) -> None:
    """A mapper a line, in this process."""
    print(f"\n{'mapper, in this process':<34} {'ms':>8} {'ratio':>7} {'objects':>8} {'MB sent':>8}")
    for row in rows:
        name = f"{'EMPasteMapper' if row['paste'] else 'DatasetMapper'}, {row['format']}"
        figures = f"{row['ms']:8.1f} {row['ratio']:6.2f}x {row['objects']:8.1f}"
        print(f"{name:<34} {figures} {row['megabytes_sent']:8.2f}", flush=True)


def print_loader(row: dict[str, Any]) -> None:
    """A line of the second table."""
    name = f"{'EMPasteMapper' if row['paste'] else 'DatasetMapper'}, {row['format']}, "
    name += f"{row['workers']} workers" + (f", {row['method']}" if row["workers"] else "")
    memory = (row.get("private_megabytes"), row.get("pss_megabytes"))
    shown = [f"{'-' if value is None else f'{value:.0f}'}" for value in memory]
    print(f"{name:<44} {row['samples_per_second']:9.1f} {shown[0]:>11} {shown[1]:>8}", flush=True)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/loader.py",
        description="Time detectron2's loading with and without pasting.",
    )
    parser.add_argument(
        "--root",
        type=Path,
        metavar="FOLDER",
        help="a COCO folder to load; without it, photos of installed packages with made-up objects",
    )
    parser.add_argument("--images", type=int, default=24, help="of --root, at most (default: 24)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument(
        "--quick", action="store_true", help="1 pass and few batches, forked workers only"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Print the tables; 0 when done."""
    arguments = build_parser().parse_args(argv)
    _set_one_thread()
    _silence()
    kernels.warmup()
    rng = np.random.default_rng(0)
    passes, batches = (1, 4) if arguments.quick else (8, 60)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.root is None:
            dicts = make_dataset(Path(folder) / "photos", rng)
        else:
            dicts = load_coco(arguments.root, arguments.images)
        if arguments.quick:
            dicts = dicts[:4]
        write_bank(Path(folder) / "bank", BANK_ROWS, rng)
        paste = EMPaste(MaskBank(Path(folder) / "bank"), count=COUNT)
        draws = SameDraws()
        mappers = build_mappers(paste, draws)
        setting = {
            "image": f"{SIDE}x{SIDE}",
            "photos": len(dicts),
            "objects": round(float(np.mean([len(d["annotations"]) for d in dicts])), 1),
            "pasted": COUNT,
            "bank_rows": len(paste.bank),
            "recompute_boxes": True,
            "batch": BATCH,
            "torch": torch.__version__,
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 2),
        }
        print(*(f"{key} {value}" for key, value in setting.items()), sep=", ", flush=True)
        mapped = time_mappers(mappers, dicts, draws, passes)
        print_mappers(mapped)
        print(f"\n{'loader':<44} {'samples/s':>9} {'private MB':>11} {'PSS MB':>8}")
        loaded = []
        for method in ("fork",) if arguments.quick else ("fork", "spawn"):
            for workers in WORKERS if method == "fork" else (1,):
                for (mask_format, pastes), mapper in mappers.items():
                    row = {"format": mask_format, "paste": pastes, "method": method}
                    row |= run_loader(mapper, dicts, workers, method, batches)
                    loaded.append(row)
                    print_loader(row)
    write_json(arguments.json, {"setting": setting, "mappers": mapped, "loaders": loaded})
    return 0


if __name__ == "__main__":
    sys.exit(main())
