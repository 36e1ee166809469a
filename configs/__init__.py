"""detectron2 configs, installed as `empaste_aug.configs`."""
