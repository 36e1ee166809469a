"""What the tests of the detectron2 proposals import by name, as users' own code would be."""

from __future__ import annotations

from typing import Any

import torch


def add_test_config(cfg: Any) -> None:
    """A key that detectron2 does not know."""
    from detectron2.config import CfgNode

    cfg.PROPOSAL_TEST = CfgNode({"KEY": 1})


class UpperHalf(torch.nn.Module):
    """Answers every photo with its upper half."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        from detectron2.structures import BitMasks, Instances

        outputs = []
        for entry in inputs:
            size = entry["height"], entry["width"]
            masks = torch.zeros(1, *size)
            masks[:, : size[0] // 2] = 1
            instances = Instances(size, pred_masks=BitMasks(masks), scores=torch.tensor([0.75]))
            outputs.append({"instances": instances})
        return outputs


def tiny_model(seed: int) -> UpperHalf:
    """For a lazy config."""
    return UpperHalf(seed)
