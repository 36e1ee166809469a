# ruff: noqa: N999  (named as in detectron2's model zoo)
"""LazyConfig: Faster R-CNN R-50 FPN, EM-Paste on Pascal VOC 2012; see recipe.py."""

from empaste_aug.configs.recipe import recipe

dataloader, lr_multiplier, model, optimizer, train = recipe(dataset="voc", depth=50, masks=False)
