"""The offline half: from photos with image-level labels to a bank on disk, once per data set.

It needs the extra ``empaste_aug[offline]``. The online half (bank reader, kernels, paste,
adapters) never imports it: the bank on disk is the only door between them.
"""
