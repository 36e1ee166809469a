"""CLIP for open_clip, tiny and with weights set by hand: it knows colours by their names."""

from __future__ import annotations

import json
from pathlib import Path

SIDE = 32
"""Pixels a side of what it sees."""

COLOURS = {
    "red": (2, -1, -1),
    "green": (-1, 2, -1),
    "blue": (-1, -1, 2),
    "yellow": (1, 1, -2),
    "white": (1, 1, 1),
    "black": (-1, -1, -1),
}

_WIDTH = 16

CONFIG = {
    "embed_dim": 8,
    "vision_cfg": {
        "image_size": SIDE,
        "layers": 1,
        "width": _WIDTH,
        "head_width": 8,
        "patch_size": 16,
        "pool_type": "avg",
    },
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": _WIDTH,
        "heads": 2,
        "layers": 1,
    },
}


def write_clip(folder: Path) -> Path:
    """Write `folder`: tiny_clip.json and tiny_clip.pt, and the two files of open_clip's own layout.

    An image's vector points to its mean colour, seen from mid-grey, a text's to the mean of the
    colours that it names, and is zero where it names none. So a text scores nearly 1 with an image
    of its colour, and 0 where it names none.
    """
    import open_clip
    import torch

    model = open_clip.CLIP(**CONFIG)
    tokenizer = open_clip.SimpleTokenizer()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            is_norm = "ln_" in name and name.endswith("weight")
            weights.fill_(1.0 if is_norm else 0.0)
        for c in range(3):  # each colour beside its opposite, so that layer norms keep directions
            model.visual.conv1.weight[c, c] = 1 / 256
            model.visual.conv1.weight[3 + c, c] = -1 / 256
            model.visual.proj[c, c] = 1.0
            model.text_projection[c, c] = 1.0
        for name, colour in COLOURS.items():
            [token] = tokenizer.encode(name)
            model.token_embedding.weight[token, :3] = torch.tensor(colour, dtype=torch.float32)
            model.token_embedding.weight[token, 3:6] = -torch.tensor(colour, dtype=torch.float32)
        attention = model.transformer.resblocks[0].attn  # an even mean of what stands before
        attention.in_proj_weight[2 * _WIDTH :] = torch.eye(_WIDTH)
        attention.out_proj.weight.copy_(torch.eye(_WIDTH))
        model.logit_scale.fill_(torch.log(torch.tensor(100.0)).item())

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny_clip.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    torch.save(model.state_dict(), folder / "tiny_clip.pt")
    preprocessing = {"mean": [0.5] * 3, "std": [0.5] * 3}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": CONFIG, "preprocess_cfg": preprocessing}), encoding="utf-8"
    )
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return folder
