"""Batch norms folded into convolutions give the same function, or are left alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.classify.fold import fold_batch_norms


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def settle(network: nn.Module) -> nn.Module:
    """Statistics and scales as after training, in evaluation mode."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    return network.eval()


class Crossed(nn.Module):
    """Its batch norms are defined in another order than they run in, and one reads no conv."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1, bias=False)
        self.after_second, self.alone = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.after_first = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.after_second(self.second(self.after_first(self.first(x)).relu()))
        result: Tensor = self.alone(x.relu())
        return result


class ReadTwice(nn.Module):
    """What its convolution gives goes round the batch norm, too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        result: Tensor = x + self.norm(x)
        return result


class RunTwice(ReadTwice):
    """One convolution and one batch norm serve two places."""

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(self.conv(self.norm(self.conv(x))))
        return result


def test_norms_are_folded_by_what_they_read() -> None:
    network, images = settle(Crossed()), torch.randn(2, 3, 9, 9)
    folded = fold_batch_norms(network, torch.randn(1, 3, 9, 9))
    assert (norms(network), norms(folded)) == (3, 1)
    torch.testing.assert_close(folded(images), network(images))


@pytest.mark.parametrize("kind", [ReadTwice, RunTwice])
def test_what_cannot_be_folded_stays(kind: type[nn.Module]) -> None:
    network = settle(kind())
    folded = fold_batch_norms(network, torch.randn(1, 3, 5, 5))
    assert norms(folded) == 1
    images = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(folded(images), network(images))


def test_a_network_without_convolutions() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).eval()
    images = torch.randn(1, 3, 2, 2)
    torch.testing.assert_close(fold_batch_norms(network, images)(images), network(images))


@pytest.mark.parametrize("backbone", ["timm/test_efficientnet", "torchvision/resnet18"])
def test_a_folded_classifier_gives_the_same(backbone: str) -> None:
    torch.manual_seed(0)
    classifier = Classifier.create(["a", "b"], backbone=backbone, pretrained=None, input_size=64)
    settle(classifier)
    nn.init.normal_(classifier.head.weight)
    before = classifier.fingerprint()
    folded = classifier.folded()
    assert norms(folded) == 0 < norms(classifier)
    assert (folded.mean, folded.std, folded.input_size) == (
        classifier.mean, classifier.std, 64,
    )  # fmt: skip
    assert classifier.fingerprint() == before
    for size in (64, 96):
        images = torch.rand(2, 3, size, size)
        with torch.inference_mode():
            expected = classifier(images)
            torch.testing.assert_close(folded(images), expected, rtol=1e-3, atol=1e-3)
