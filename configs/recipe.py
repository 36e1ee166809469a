"""The paper's training recipe as a LazyConfig: what the configs `*_voc_*` and `*_coco_*` share.

Batch 128 and learning rate 0.1, ImageNet weights, large-scale jittering, brightness and contrast
each with probability 0.5, four objects on every image, Gaussian blending, Random placement (the
paper, 4.1 and appendix 8). What the paper leaves open: the jitter is that of detectron2's LSJ
baselines (0.1 to 2.0, 1024 x 1024); brightness and contrast vary by a fifth; COCO is seen 50 times,
as in the shortest of those baselines, and VOC 65 times; the rate falls to a tenth after 8/9 and
26/27 of the iterations, as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from detectron2 import model_zoo
from detectron2.config import LazyCall as L
from detectron2.data import transforms as T  # noqa: N812
from detectron2.solver import WarmupParamScheduler
from fvcore.common.param_scheduler import MultiStepParamScheduler

from empaste_aug import EMPaste
from empaste_aug.adapters.detectron2 import EMPasteMapper, build_empaste_train_loader

BATCH_SIZE = 128
LEARNING_RATE = 0.1
IMAGE_SIZE = 1024
WARMUP_ITERATIONS = 500


@dataclass(frozen=True)
class DataSet:
    """What the recipe differs in between data sets.

    Attributes:
        train: the bank's masks on their own photos, as `register_bank_dataset` makes it; or the
            name of a data set that is fully labelled.
        test: what is evaluated on.
        num_classes: of both.
        iterations: at a batch of 128.
        period: iterations between checkpoints, and between evaluations.
    """

    train: str
    test: str
    num_classes: int
    iterations: int
    period: int


DATA_SETS = {
    # 65 epochs of trainaug's 10,582 images
    "voc": DataSet("voc_2012_bank", "voc_2012_val_instances", 20, 5_400, 1_800),
    # 50 epochs of train2017's 118,287 images
    "coco": DataSet("coco_2017_bank", "coco_2017_val", 80, 45_900, 5_100),
}


def recipe(
    *,
    dataset: Literal["voc", "coco"],
    depth: Literal[50, 101],
    masks: bool,
    placement: Literal["random", "space_maximize"] = "random",
    bank: str = "out/bank",
) -> tuple[Any, Any, Any, Any, Any]:
    """The five nodes of a LazyConfig: dataloader, lr_multiplier, model, optimizer, train.

    For another batch size see `empaste_aug.training.batch_size.scale_to_batch_size`. A pool of
    backgrounds, in the paper's mix, is one override:

        "dataloader.train.mapper.backgrounds={_target_: empaste_aug.Backgrounds, pool: out/pool}"

    Args:
        dataset: which of `DATA_SETS`.
        depth: of the ResNet.
        masks: Mask R-CNN; else Faster R-CNN, which learns from the boxes of masks.
        placement: how objects are placed.
        bank: the folder of the bank.
    """
    data = DATA_SETS[dataset]
    train = model_zoo.get_config("common/train.py").train
    train.init_checkpoint = f"detectron2://ImageNetPretrained/MSRA/R-{depth}.pkl"
    train.max_iter = data.iterations
    train.eval_period = train.checkpointer.period = data.period

    optimizer = model_zoo.get_config("common/optim.py").SGD
    optimizer.lr = LEARNING_RATE
    lr_multiplier = L(WarmupParamScheduler)(
        # relative to train.max_iter, whatever that is
        scheduler=L(MultiStepParamScheduler)(values=[1.0, 0.1, 0.01], milestones=[24, 26, 27]),
        warmup_length=WARMUP_ITERATIONS / data.iterations,
        warmup_method="linear",
        warmup_factor=0.001,
    )
    return (
        _dataloader(data, masks, placement, bank),
        lr_multiplier,
        _model(data, depth, masks),
        optimizer,
        train,
    )


def _model(data: DataSet, depth: int, masks: bool) -> Any:
    model = model_zoo.get_config("common/models/mask_rcnn_fpn.py").model
    model.backbone.bottom_up.stages.depth = depth
    model.backbone.bottom_up.freeze_at = 2
    model.roi_heads.num_classes = data.num_classes
    if not masks:
        for key in ("mask_in_features", "mask_pooler", "mask_head"):
            model.roi_heads.pop(key)
    return model


def _dataloader(data: DataSet, masks: bool, placement: str, bank: str) -> Any:
    dataloader = model_zoo.get_config("common/data/coco.py").dataloader
    dataloader.train.dataset.names = data.train
    dataloader.train.dataset.filter_empty = False  # images without objects are backgrounds
    dataloader.test.dataset.names = data.test
    dataloader.train = L(build_empaste_train_loader)(
        dataset=dataloader.train.dataset,
        mapper=L(EMPasteMapper)(
            is_train=True,
            augmentations=[
                # Before the padding, which contrast would take for a part of the photo.
                L(T.RandomApply)(
                    tfm_or_aug=L(T.RandomBrightness)(intensity_min=0.8, intensity_max=1.2), prob=0.5
                ),
                L(T.RandomApply)(
                    tfm_or_aug=L(T.RandomContrast)(intensity_min=0.8, intensity_max=1.2), prob=0.5
                ),
                L(T.ResizeScale)(
                    min_scale=0.1,
                    max_scale=2.0,
                    target_height=IMAGE_SIZE,
                    target_width=IMAGE_SIZE,
                ),
                L(T.FixedSizeCrop)(crop_size=(IMAGE_SIZE, IMAGE_SIZE)),
                L(T.RandomFlip)(horizontal=True),
            ],
            image_format="BGR",
            use_instance_mask=masks,
            instance_mask_format="cropped",  # as "bitmask", but cheap to send to the main process
            recompute_boxes=masks,  # where nothing is pasted: a crop cuts objects
            dataset_names="${..dataset.names}",
            paste=L(EMPaste)(bank=bank, placement=placement, count=4, blend="gaussian"),
            backgrounds=None,
        ),
        total_batch_size=BATCH_SIZE,
        num_workers=dataloader.train.num_workers,
        seed=0,  # the same samples in each run, for any number of workers; None: others each time
    )
    return dataloader
