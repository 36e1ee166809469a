"""Registered data sets and a config small enough to train in a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from detectron2_data import CLASSES, write_photos

SIZE = 64


def write_coco(folder: Path, count: int, *, objects: tuple[int, int] = (1, 2)) -> Path:
    """Photos of 64 x 64 pixels in a folder, with instances.json beside them; the folder."""
    dicts = write_photos(folder / "images", count, objects=objects, size=(SIZE, SIZE))
    annotations = []
    for entry in dicts:
        for annotation in entry["annotations"]:
            w, h = annotation["bbox"][2:]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": entry["image_id"],
                    "category_id": annotation["category_id"] + 1,
                    "bbox": annotation["bbox"],
                    "area": w * h,
                    "segmentation": annotation["segmentation"],
                    "iscrowd": 0,
                }
            )
    content = {
        "images": [
            {
                "id": entry["image_id"],
                "file_name": Path(entry["file_name"]).name,
                "height": SIZE,
                "width": SIZE,
            }
            for entry in dicts
        ],
        "annotations": annotations,
        "categories": [{"id": n, "name": name} for n, name in enumerate(CLASSES, start=1)],
    }
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def coco_line(name: str, folder: Path) -> str:
    """The line that registers what `write_coco` wrote."""
    return f"{name}=coco:{folder},annotations=instances.json,images=images"


def tiny_config(bank: Path, output: Path, *, train: str, test: str) -> Any:
    """A yacs config: the tiny Mask R-CNN on images of 64 pixels, for a few iterations."""
    from empaste_aug.configs.mask_rcnn_tiny import tiny_mask_rcnn

    cfg = tiny_mask_rcnn(len(CLASSES))
    cfg.SEED = 5
    cfg.INPUT.MIN_SIZE_TRAIN = (SIZE,)
    cfg.INPUT.MAX_SIZE_TRAIN = cfg.INPUT.MIN_SIZE_TEST = cfg.INPUT.MAX_SIZE_TEST = SIZE
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.EMPASTE.BANK = str(bank)
    cfg.EMPASTE.COUNT = (1, 3)
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (train,), (test,)
    cfg.SOLVER.MAX_ITER = 6
    cfg.SOLVER.CHECKPOINT_PERIOD = 3
    cfg.OUTPUT_DIR = str(output)
    return cfg


def forget(*names: str) -> None:
    """Take data sets out of detectron2's catalogues."""
    from detectron2.data import DatasetCatalog, MetadataCatalog

    for name in names:
        if name in DatasetCatalog:
            DatasetCatalog.remove(name)
        MetadataCatalog.pop(name, None)


def model_of(config: str) -> Any:
    """The model of a yacs config's file, for a LazyConfig to call."""
    from detectron2.modeling import build_model

    from empaste_aug.training.configuration import training_config

    cfg = training_config()
    cfg.merge_from_file(config)
    return build_model(cfg)


def run_and_say_rank(options: Any, output: str) -> None:
    """Train in this process, one of those of `launch`, and leave a file of its rank."""
    import torch
    from detectron2.utils import comm

    from empaste_aug.training.configuration import load_config, prepare
    from empaste_aug.training.run import run_here

    torch.set_num_threads(1)
    cfg = load_config(options.config_file, options.opts, options.register)
    prepare(cfg, eval_only=False, resume=False)
    run_here(cfg, options)
    (Path(output) / f"rank{comm.get_rank()}").touch()
