"""A network's batch norms folded into the convolutions before them: the same function, faster."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.hooks import RemovableHandle

TOLERANCE = 1e-3
"""The most by which a folded network's output may differ, as a share of the largest value."""


def fold_batch_norms(network: nn.Module, probe: Tensor) -> nn.Module:
    """A copy of a network for inference, without the batch norms that follow a convolution.

    The network runs once on a probe to see which batch norm reads which convolution's output, so
    that neither names nor the order of definition matter. What else belongs to a batch norm's
    module, such as timm's activation, stays.

    Args:
        network: in evaluation mode; it is not changed.
        probe: an input of the network, on its device.

    Returns:
        The copy; where its output for the probe differs by more than `TOLERANCE`, as it does when
        a convolution's output is read twice, `network` itself.
    """
    result = copy.deepcopy(network).eval()  # torchvision's feature extractors forget it
    with torch.no_grad():
        expected = network(probe)
        for convolution, norm in _pairs(result, probe):
            _fold(result, convolution, norm)
        found = result(probe)
    limit = TOLERANCE * float(expected.abs().max())
    same = found.shape == expected.shape and float((found - expected).abs().max()) <= limit
    return result if same else network


def _pairs(network: nn.Module, probe: Tensor) -> list[tuple[str, str]]:
    """The names of convolutions and of the batch norms that read their outputs."""
    outputs: dict[int, tuple[str, Tensor]] = {}
    found: list[tuple[str, str]] = []
    handles: list[RemovableHandle] = []

    def remember(name: str, output: Tensor) -> None:
        outputs[id(output)] = (name, output)  # with the output, or its id could be another's

    def match(name: str, tensor: Tensor) -> None:
        if id(tensor) in outputs:
            found.append((outputs[id(tensor)][0], name))

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(
                module.register_forward_hook(lambda _m, _i, output, n=name: remember(n, output))
            )
        elif isinstance(module, _BatchNorm) and _rest(module) is not None:
            handles.append(
                module.register_forward_pre_hook(lambda _m, inputs, n=name: match(n, inputs[0]))
            )
    try:
        network(probe)
    finally:
        for handle in handles:
            handle.remove()
    return found if _unique(found) else []


def _unique(pairs: list[tuple[str, str]]) -> bool:
    """Whether every module runs once."""
    return all(len(set(names)) == len(pairs) for names in zip(*pairs, strict=True))


def _rest(norm: nn.Module) -> nn.Module | None:
    """What a batch norm's module does after the norm; None where that is not known."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    parts = [getattr(norm, name, None) for name in ("drop", "act")]  # timm's BatchNormAct2d
    if all(isinstance(part, nn.Module) for part in parts):
        useful = [part for part in parts if part is not None and not _is_identity(part)]
        return nn.Sequential(*useful)
    return None


def _is_identity(module: nn.Module) -> bool:
    return isinstance(module, (nn.Identity, nn.Dropout))


def _fold(network: nn.Module, convolution: str, norm: str) -> None:
    before, after = network.get_submodule(convolution), network.get_submodule(norm)
    assert isinstance(before, nn.Conv2d)
    assert isinstance(after, _BatchNorm)
    rest = _rest(after)
    assert rest is not None
    network.set_submodule(convolution, fuse_conv_bn_eval(before, after))
    network.set_submodule(norm, rest)
