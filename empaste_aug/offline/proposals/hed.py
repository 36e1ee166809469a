"""Holistically-nested edge detection (Xie & Tu, ICCV 2015) in torch, weights from a package.

The weights come as a Keras HDF5 file trained on BSDS500 (human boundaries, no classes); the layers
are read from it by name, so neither Keras nor TensorFlow is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from empaste_aug.offline.weights import find_packaged
from empaste_aug.types import DatasetError, MissingDependencyError

BGR_MEAN = (104.00699, 116.66877, 122.67892)
"""Subtracted from BGR values in [0, 255], as the original Caffe network was trained."""

CHANNELS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Output channels of the convolutions of VGG-16's five blocks."""


class HED(nn.Module):
    """VGG-16 with one side output per block, fused: (N, 3, H, W) -> (N, 1, H, W) in [0, 1].

    The input is BGR minus `BGR_MEAN`; `edge_map` does that. Any H, W >= 1: pooling rounds up, side
    outputs are upsampled bilinearly (half-pixel centres) to the input's size.
    """

    def __init__(self) -> None:
        super().__init__()
        blocks, before = [], 3
        for widths in CHANNELS:
            layers = []
            for width in widths:
                layers.append(nn.Conv2d(before, width, kernel_size=3, padding=1))
                before = width
            blocks.append(nn.ModuleList(layers))
        self.blocks = nn.ModuleList(blocks)
        self.sides = nn.ModuleList(nn.Conv2d(widths[-1], 1, kernel_size=1) for widths in CHANNELS)
        self.fuse = nn.Conv2d(len(CHANNELS), 1, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Edge probability of every pixel."""
        size = (int(x.shape[-2]), int(x.shape[-1]))
        sides = []
        for index, (block, side) in enumerate(zip(self.blocks, self.sides, strict=True)):
            if index > 0:
                x = F.max_pool2d(x, kernel_size=2, stride=2, ceil_mode=True)
            assert isinstance(block, nn.ModuleList)
            for convolution in block:
                x = F.relu(convolution(x), inplace=True)
            sides.append(F.interpolate(side(x), size=size, mode="bilinear", align_corners=False))
        fused: Tensor = self.fuse(torch.cat(sides, dim=1))
        return fused.sigmoid()


def load_hed(path: str | Path | None = None) -> HED:
    """The network in evaluation mode with the weights of a Keras ``.weights.h5`` file.

    Args:
        path: the file; None finds the one of the installed weights package.

    Raises:
        MissingDependencyError: h5py, or (for None) the weights package, is not installed.
        DatasetError: the file is missing or broken, lacks a layer, or a layer has another shape.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError("h5py", "offline", "reading the HED weights") from error
    path = find_packaged("hed") if path is None else Path(path)
    model = HED()
    layers: list[tuple[str, nn.Module]] = []
    for number, block in enumerate(model.blocks, start=1):
        assert isinstance(block, nn.ModuleList)
        for index, convolution in enumerate(block):
            suffix = f"_{index}" if index else ""
            layers.append((f"block{number}/layers/conv2d{suffix}", convolution))
    layers += [(f"dsn{number}", side) for number, side in enumerate(model.sides, start=1)]
    layers.append(("fuse", model.fuse))
    try:
        opened = h5py.File(path, "r")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read as HDF5: {error}") from error
    with opened as file, torch.no_grad():
        for name, layer in layers:
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            _copy(file, f"{name}/vars/0", layer.weight, path)
            _copy(file, f"{name}/vars/1", layer.bias, path)
    return model.eval().to(memory_format=torch.channels_last)


def _copy(file: Any, key: str, target: Tensor, path: Path) -> None:
    """Copy one array of the file; Keras keeps kernels as (h, w, in, out)."""
    if key not in file:
        raise DatasetError(f"{path}: holds no '{key}', so these are not the weights of HED")
    values = np.asarray(file[key], dtype=np.float32)
    if values.ndim == 4:
        values = np.ascontiguousarray(values.transpose(3, 2, 0, 1))
    if values.shape != tuple(target.shape):
        raise DatasetError(
            f"{path}: '{key}' has shape {values.shape}, HED has {tuple(target.shape)}"
        )
    target.copy_(torch.from_numpy(values))


@torch.inference_mode()
def edge_map(model: HED, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) float32 edge probabilities in [0, 1] of an (H, W, 3) uint8 RGB photo."""
    bgr = image[..., ::-1].astype(np.float32) - np.asarray(BGR_MEAN, dtype=np.float32)
    x = torch.from_numpy(np.ascontiguousarray(bgr.transpose(2, 0, 1)))[None]
    edges: NDArray[np.float32] = model(x)[0, 0].numpy()
    return edges
