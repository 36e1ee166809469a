"""Tiny diffusion pipelines of the real classes, with random weights, written to folders."""

from __future__ import annotations

from pathlib import Path

SIDE = 32
"""Pixels a side of what the safety checker sees."""


def _clip_tokenizer():
    """A tokenizer of CLIP that spells: one token a character."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    tokens = [*letters, *(letter + "</w>" for letter in letters)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={token: i for i, token in enumerate(tokens)}, merges=[], model_max_length=77
    )


def _diffusion_parts(**unet) -> dict:
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    tokenizer = _clip_tokenizer()
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        projection_dim=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=1.0,
    )
    return {
        "tokenizer": tokenizer,
        "text_encoder": CLIPTextModel(text),
        "unet": UNet2DConditionModel(
            block_out_channels=(16, 32),
            layers_per_block=1,
            sample_size=8,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=4,
            norm_num_groups=8,
            **unet,
        ),
        "vae": AutoencoderKL(
            block_out_channels=(8, 8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=64,
        ),
        "scheduler": DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
    }


def write_stable_diffusion(folder: Path, *, safety_threshold: float | None = None) -> Path:
    """Stable Diffusion for 64 px.

    Args:
        safety_threshold: None leaves the safety checker out; with a number it flags an image where
            a cosine (of random vectors) exceeds it, so that 1 flags none and -1 flags every one.
    """
    from diffusers import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    checker = images = None
    if safety_threshold is not None:
        shape = {
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "projection_dim": 16,
        }
        vision = shape | {"image_size": SIDE, "patch_size": 16}
        checker = StableDiffusionSafetyChecker(
            CLIPConfig(text_config=shape, vision_config=vision, projection_dim=16)
        )
        checker.concept_embeds_weights.data.fill_(safety_threshold)
        checker.special_care_embeds_weights.data.fill_(1.0)
        images = CLIPImageProcessor(
            size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
        )
    StableDiffusionPipeline(
        **_diffusion_parts(),
        safety_checker=checker,
        feature_extractor=images,
        requires_safety_checker=checker is not None,
    ).save_pretrained(folder)
    return folder


def write_latent_consistency(folder: Path) -> Path:
    """A latent consistency model, which takes no negative prompt and draws noise at each step."""
    from diffusers import LatentConsistencyModelPipeline, LCMScheduler

    parts = _diffusion_parts(time_cond_proj_dim=16)
    parts["scheduler"] = LCMScheduler.from_config(parts["scheduler"].config)
    LatentConsistencyModelPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    ).save_pretrained(folder)
    return folder


def write_inpainting(folder: Path) -> Path:
    """Stable Diffusion for inpainting: a network of nine input channels, for 64 px."""
    from diffusers import StableDiffusionInpaintPipeline, UNet2DConditionModel

    parts = _diffusion_parts()
    parts["unet"] = UNet2DConditionModel.from_config(
        dict(parts["unet"].config) | {"in_channels": 9}
    )
    StableDiffusionInpaintPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    ).save_pretrained(folder)
    return folder


def write_flux2_klein(folder: Path) -> Path:
    """FLUX.2 [klein], the class of the default model: distilled, without negative prompts."""
    import torch
    from diffusers import (
        AutoencoderKLFlux2,
        FlowMatchEulerDiscreteScheduler,
        Flux2KleinPipeline,
        Flux2Transformer2DModel,
    )
    from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3ForCausalLM

    letters = [*(chr(code) for code in range(ord("!"), ord("~") + 1)), "Ġ", "Ċ"]
    tokenizer = Qwen2Tokenizer(vocab={token: i for i, token in enumerate(letters)}, merges=[])
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    torch.manual_seed(0)
    text = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=28,  # the pipeline reads the output of the 27th
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=512,
        initializer_range=0.3,
    )
    Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=AutoencoderKLFlux2(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(4, 4, 4, 4),
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=1,
            sample_size=64,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        text_encoder=Qwen3ForCausalLM(text),
        tokenizer=tokenizer,
        transformer=Flux2Transformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=24,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        is_distilled=True,
    ).save_pretrained(folder)
    return folder
