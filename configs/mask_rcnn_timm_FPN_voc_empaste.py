# ruff: noqa: N999  (named as in detectron2's model zoo)
"""LazyConfig: Mask R-CNN on a network of timm's, EM-Paste on Pascal VOC 2012; see recipe.py.

The ImageNet weights of this one come in a package, not from detectron2's server. For another one
change `name` and `pretrained`, see `TimmBackbone`.
"""

from detectron2.config import LazyCall as L

from empaste_aug.configs.recipe import recipe
from empaste_aug.training.timm_backbone import TimmBackbone, timm_pixel_statistics

dataloader, lr_multiplier, model, optimizer, train = recipe(dataset="voc", depth=50, masks=True)

model.backbone.bottom_up = L(TimmBackbone)(
    name="efficientnet_lite0",
    pretrained="packaged",
    out_features=["res2", "res3", "res4", "res5"],
    freeze_at=2,
)
model.pixel_mean, model.pixel_std = timm_pixel_statistics(model.backbone.bottom_up.name)
model.input_format = dataloader.train.mapper.image_format = "RGB"
train.init_checkpoint = ""
