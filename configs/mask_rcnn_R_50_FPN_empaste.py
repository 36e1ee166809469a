# ruff: noqa: N999  (named as in detectron2's model zoo)
"""LazyConfig: detectron2's Mask R-CNN R-50 FPN 1x with EM-Paste, on COCO's own masks.

For detectron2's lazyconfig_train_net.py; mask_rcnn_R_50_FPN_coco_empaste.py is the paper's recipe.

    python tools/lazyconfig_train_net.py --config-file mask_rcnn_R_50_FPN_empaste.py \
        dataloader.train.mapper.paste.bank=path/to/bank

To resume a run, give `dataloader.train.start_iteration` as well.

To train on a bank's own masks as well, register them in your training script with
`register_bank_dataset` and give that name as `dataloader.train.dataset.names`.
"""

from detectron2 import model_zoo
from detectron2.config import LazyCall as L

from empaste_aug import EMPaste
from empaste_aug.adapters.detectron2 import EMPasteMapper, build_empaste_train_loader

TRAIN = "coco_2017_train"
TEST = "coco_2017_val"
NUM_CLASSES = 80
BANK = "out/bank"

model = model_zoo.get_config("common/models/mask_rcnn_fpn.py").model
model.backbone.bottom_up.freeze_at = 2
model.roi_heads.num_classes = NUM_CLASSES

dataloader = model_zoo.get_config("common/data/coco.py").dataloader
dataloader.train.dataset.names = TRAIN
dataloader.train.dataset.filter_empty = False  # images without objects are backgrounds
dataloader.train = L(build_empaste_train_loader)(
    dataset=dataloader.train.dataset,
    mapper=L(EMPasteMapper)(
        is_train=True,
        augmentations=dataloader.train.mapper.augmentations,
        image_format="BGR",
        use_instance_mask=True,
        instance_mask_format="cropped",  # as "bitmask", but cheap to send to the main process
        dataset_names="${..dataset.names}",
        paste=L(EMPaste)(bank=BANK, placement="random", count=4, blend="gaussian"),  # the paper's
    ),
    total_batch_size=dataloader.train.total_batch_size,
    num_workers=dataloader.train.num_workers,
    seed=0,  # the same samples in each run, for any number of workers; None: others each time
)
dataloader.test.dataset.names = TEST

optimizer = model_zoo.get_config("common/optim.py").SGD
lr_multiplier = model_zoo.get_config("common/coco_schedule.py").lr_multiplier_1x
train = model_zoo.get_config("common/train.py").train
train.init_checkpoint = "detectron2://ImageNetPretrained/MSRA/R-50.pkl"
