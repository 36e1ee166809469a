"""Tiny models of the Segment Anything family, with random weights, written to a folder."""

from __future__ import annotations

from pathlib import Path

SIDE = 64


def write_sam(folder: Path) -> Path:
    """SAM of 30,000 weights for 64 px, whose predicted IoUs all lie near 0.9."""
    import torch
    from transformers import SamConfig, SamImageProcessor, SamModel

    torch.manual_seed(0)
    model = SamModel(
        SamConfig(
            vision_config={
                "hidden_size": 16,
                "output_channels": 16,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": SIDE,
                "patch_size": 16,
                "mlp_dim": 32,
                "global_attn_indexes": [1],
                "window_size": 2,
                "num_pos_feats": 8,
                "initializer_range": 0.1,
            },
            prompt_encoder_config={
                "hidden_size": 16,
                "image_size": SIDE,
                "patch_size": 16,
                "mask_input_channels": 4,
            },
            mask_decoder_config={
                "hidden_size": 16,
                "mlp_dim": 32,
                "num_attention_heads": 2,
                "iou_head_hidden_dim": 16,
                "iou_head_depth": 2,
            },
            initializer_range=0.2,
        )
    )
    with torch.no_grad():
        model.mask_decoder.iou_prediction_head.proj_out.bias.fill_(0.9)
        model.mask_decoder.iou_prediction_head.proj_out.weight.mul_(0.1)
    model.save_pretrained(folder)
    SamImageProcessor(
        size={"longest_edge": SIDE},
        pad_size={"height": SIDE, "width": SIDE},
        mask_size={"longest_edge": SIDE // 4},
        mask_pad_size={"height": SIDE // 4, "width": SIDE // 4},
    ).save_pretrained(folder)
    return folder


def write_sam2(folder: Path) -> Path:
    """SAM 2 likewise, with a shrunken Hiera."""
    import torch
    from transformers import Sam2Config, Sam2ImageProcessor, Sam2Model

    torch.manual_seed(0)
    model = Sam2Model(
        Sam2Config(
            vision_config={
                "backbone_config": {
                    "model_type": "sam2_hiera_det_model",
                    "hidden_size": 8,
                    "image_size": [SIDE, SIDE],
                    "window_positional_embedding_background_size": [4, 4],
                    "blocks_per_stage": [1, 1, 2, 1],
                    "embed_dim_per_stage": [8, 16, 32, 64],
                    "num_attention_heads_per_stage": [1, 1, 1, 1],
                    "window_size_per_stage": [8, 4, 4, 4],
                    "global_attention_blocks": [3],
                },
                "backbone_channel_list": [64, 32, 16, 8],
                "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
                "fpn_hidden_size": 32,
            },
            prompt_encoder_config={
                "hidden_size": 32,
                "image_size": SIDE,
                "patch_size": 16,
                "mask_input_channels": 4,
            },
            mask_decoder_config={
                "hidden_size": 32,
                "mlp_dim": 32,
                "num_attention_heads": 2,
                "iou_head_hidden_dim": 16,
                "iou_head_depth": 2,
            },
        )
    )
    model.save_pretrained(folder)
    Sam2ImageProcessor(
        size={"height": SIDE, "width": SIDE}, mask_size={"height": SIDE // 4, "width": SIDE // 4}
    ).save_pretrained(folder)
    return folder
