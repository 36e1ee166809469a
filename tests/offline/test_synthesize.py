"""Images by tiny pipelines of the real classes: seeds, batches, flags, negative prompts."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from empaste_aug.offline.diffusion import PipelineOptions, images_of, usable_negative_prompt
from empaste_aug.offline.pretrained import DIFFUSERS_INDEX, ModelSource
from empaste_aug.offline.synthesize import (
    DEFAULT_SYNTHESIZER,
    PRESETS,
    Synthesizer,
    image_seed,
    negative_prompt,
)
from empaste_aug.types import ArgumentError, EMPasteError, MissingDependencyError

pytest.importorskip("diffusers", reason="diffusers, of the extra 'offline', is not installed")

KINDS = ["stable_diffusion", "latent_consistency", "flux2_klein"]
SEEDS = [image_seed(0, "photo#0", i) for i in range(5)]


def synthesizer(folder: Path, **options) -> Synthesizer:
    return Synthesizer(folder, **({"steps": 3, "height": 64, "width": 64} | options))


def difference(images, others) -> int:
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(images, others, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_can_be_made_again_alone(kind, request):
    folder = request.getfixturevalue(f"{kind}_folder")
    model = synthesizer(folder, batch_size=5)
    images = model.images("a red tent", seeds=SEEDS)
    assert {(image.shape, image.dtype) for image in images} == {((64, 64, 3), np.dtype("uint8"))}
    for image, other in pairwise(images):
        assert np.abs(image.astype(int) - other).mean() > 5
    assert difference(model.images("a red tent", seeds=SEEDS), images) == 0
    for size in (1, 2):
        again = synthesizer(folder, batch_size=size).images("a red tent", seeds=SEEDS)
        assert difference(again, images) <= 2  # a batch of another size rounds differently
    assert difference(model.images("a red tent", seeds=SEEDS[3:4]), images[3:4]) <= 2
    assert model.images("a red tent", seeds=[]) == []


def test_prompt_steps_and_guidance_reach_the_model(stable_diffusion_folder):
    def image(prompt="a red tent", **options):
        return synthesizer(stable_diffusion_folder, **options).images(prompt, seeds=[1])

    first = image()
    assert difference(image(prompt="a blue balloon"), first) > 5
    assert difference(image(steps=5), first) > 5
    assert difference(image(guidance_scale=1.0), first) > 5
    assert difference(image(negative_prompt="dog, cat"), first) > 2
    assert difference(image(extra={"guidance_rescale": 1.0}), first) > 2
    assert image(height=32, width=96)[0].shape == (32, 96, 3)
    assert Synthesizer(stable_diffusion_folder, steps=1).images("a", seeds=[1])[0].shape == (
        64,
        64,
        3,
    )


def test_memory_options_change_nothing_beyond_rounding(stable_diffusion_folder):
    plain = synthesizer(stable_diffusion_folder).images("a red tent", seeds=SEEDS[:2])
    sliced = synthesizer(
        stable_diffusion_folder, options=PipelineOptions(attention_slicing=True)
    ).images("a red tent", seeds=SEEDS[:2])
    assert difference(sliced, plain) <= 2
    halved = synthesizer(stable_diffusion_folder, options=PipelineOptions(dtype="bfloat16"))
    assert halved.config()["dtype"] == "bfloat16"
    images = halved.images("a red tent", seeds=SEEDS[:2])
    mean = np.abs(images[0].astype(int) - plain[0]).mean()
    assert 0 < mean < 10


def test_flagged_images_come_back_as_none(tmp_path):
    from tiny_diffusion import write_stable_diffusion

    flags_all = write_stable_diffusion(tmp_path / "all", safety_threshold=-1.0)
    flags_none = write_stable_diffusion(tmp_path / "none", safety_threshold=1.0)
    model = synthesizer(flags_all, batch_size=2)
    assert model.images("a red tent", seeds=SEEDS) == [None] * 5
    kept = synthesizer(flags_none).images("a red tent", seeds=SEEDS[:2])
    off = PipelineOptions(safety_checker="off")
    unchecked = synthesizer(flags_all, options=off).images("a red tent", seeds=SEEDS[:2])
    assert difference(unchecked, kept) == 0
    assert min(image.std() for image in unchecked) > 5
    assert synthesizer(flags_all, options=off).config() != model.config()


def test_a_flag_beside_good_images():
    class Output:
        images = np.stack([np.zeros((4, 4, 3)), np.full((4, 4, 3), 0.5)])
        nsfw_content_detected = [True, False]  # noqa: RUF012

    flagged, good = images_of(Output(), "m", "float32")
    assert flagged is None
    assert np.array_equal(good, np.full((4, 4, 3), 128, dtype=np.uint8))


def test_nan_is_an_error_and_no_black_image(stable_diffusion_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(stable_diffusion_folder, tmp_path / "nan"))
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["decoder.conv_out.bias"].fill_(float("nan"))
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(EMPasteError, match=r"gave an image of NaN in float32; take dtype"):
        synthesizer(folder).images("a red tent", seeds=[1])


@pytest.mark.parametrize("kind", ["latent_consistency", "flux2_klein"])
def test_a_negative_prompt_without_use_is_left_away_and_said_once(kind, request, caplog):
    folder = request.getfixturevalue(f"{kind}_folder")
    model = synthesizer(folder, negative_prompt="dog")
    with caplog.at_level(logging.WARNING, logger="empaste_aug"):
        images = model.images("a red tent", seeds=SEEDS[:1])
        model.images("a red tent", seeds=SEEDS[:1])
    messages = [r.getMessage() for r in caplog.records if r.name.startswith("empaste_aug")]
    assert len(messages) == 1
    assert "negative prompt is left away" in messages[0]
    assert "takes none" in messages[0]
    assert difference(images, synthesizer(folder).images("a red tent", seeds=SEEDS[:1])) == 0


def test_a_negative_prompt_needs_guidance(stable_diffusion_folder, caplog):
    with caplog.at_level(logging.WARNING, logger="empaste_aug"):
        synthesizer(stable_diffusion_folder, negative_prompt="dog", guidance_scale=1.0).load()
    assert "no classifier-free guidance at guidance_scale 1" in caplog.text


def test_pipelines_with_a_true_scale_are_guided_by_it():
    class Flux:
        config: dict = {}  # noqa: RUF012

        def __call__(
            self, prompt=None, negative_prompt=None, true_cfg_scale=1.0, guidance_scale=3.5
        ): ...

    class Qwen:
        config: dict = {}  # noqa: RUF012

        def __call__(self, prompt=None, negative_prompt=None, true_cfg_scale=4.0): ...

    source = ModelSource("m", DIFFUSERS_INDEX, None)
    assert usable_negative_prompt(Flux(), source, "dog", {"guidance_scale": 7.0}) is None
    assert usable_negative_prompt(Flux(), source, "dog", {"true_cfg_scale": 2.0}) == "dog"
    assert usable_negative_prompt(Qwen(), source, "dog", {}) == "dog"
    assert usable_negative_prompt(Qwen(), source, "", {}) is None


def test_seeds_are_stable_and_all_different():
    assert image_seed(0, "photo#0", 0) == 7897453004380252593
    seeds = {
        image_seed(seed, key, i) for seed in (0, 1) for key in ("a#0", "a#1", "b#0") for i in (0, 1)
    }
    assert len(seeds) == 12
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_negative_prompts_name_each_class_once():
    assert negative_prompt(["person", " dog", "person", ""]) == "person, dog"
    assert negative_prompt([]) == ""


def test_presets_are_for_names_on_the_hub(stable_diffusion_folder):
    model = Synthesizer()
    assert model.source.model == DEFAULT_SYNTHESIZER
    assert (model.steps, model.guidance_scale) == (4, 1.0)
    assert (model.height, model.width) == (512, 512)
    assert Synthesizer(steps=8, height=256).steps == 8
    assert Synthesizer(height=256).height == 256
    assert Synthesizer(stable_diffusion_folder).steps is None
    assert {preset.side % 16 for preset in PRESETS.values()} == {0}


def test_the_config_holds_what_changes_images(stable_diffusion_folder):
    config = synthesizer(stable_diffusion_folder).config()
    assert json.loads(json.dumps(config)) == config
    assert synthesizer(stable_diffusion_folder, batch_size=7).config() == config
    others = [
        synthesizer(stable_diffusion_folder, **options).config()
        for options in (
            {"steps": 4},
            {"guidance_scale": 2.0},
            {"height": 32},
            {"width": 32},
            {"negative_prompt": "dog"},
            {"extra": {"eta": 0.5}},
        )
    ]
    assert config not in others


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps: must be"),
        ({"batch_size": True}, "batch_size: must be"),
        ({"guidance_scale": -1.0}, "guidance_scale: must be"),
        ({"height": 60}, "height: must be a multiple of 8, got 60"),
        ({"width": 0}, "width: must be a multiple of 8, got 0"),
    ],
)
def test_arguments_out_of_range(stable_diffusion_folder, options, message):
    with pytest.raises(ArgumentError, match=message):
        synthesizer(stable_diffusion_folder, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"offload": "disk"}, "offload: must be one of"),
        ({"offload": "model"}, "offload: 'model' needs a GPU"),
        ({"safety_checker": "no"}, "safety_checker: must be one of"),
        ({"dtype": "int8"}, "dtype: must be one of"),
        ({"device": "abacus"}, "device: 'abacus' cannot be used"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ArgumentError, match=message):
        PipelineOptions(**options)


def test_calls_that_the_pipeline_does_not_take(stable_diffusion_folder):
    with pytest.raises(ArgumentError, match="prompt: is empty"):
        synthesizer(stable_diffusion_folder).images("  ", seeds=[1])
    with pytest.raises(ArgumentError, match=r"StableDiffusionPipeline takes no \['strengthh'\]"):
        synthesizer(stable_diffusion_folder, extra={"strengthh": 1}).images("a", seeds=[1])
    with pytest.raises(ArgumentError, match="does not take these arguments"):
        synthesizer(stable_diffusion_folder, extra={"timesteps": [1], "sigmas": [1.0]}).images(
            "a", seeds=[1]
        )


def test_models_that_cannot_be_had(stable_diffusion_folder, blip_folder, tmp_path):
    with pytest.raises(ArgumentError, match=r"model: the folder .*nowhere does not exist"):
        Synthesizer(tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match=r"holds no model_index\.json"):
        Synthesizer(blip_folder)
    with pytest.raises(ArgumentError, match="'nobody/nothing' is neither a folder nor"):
        Synthesizer("nobody/nothing", local_files_only=True).load()
    folder = Path(shutil.copytree(stable_diffusion_folder, tmp_path / "odd"))
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = "DDPMPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ArgumentError, match="cannot be loaded as a pipeline for text-to-image"):
        Synthesizer(folder).load()


def test_broken_folders(stable_diffusion_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    name = "diffusion_pytorch_model.safetensors"
    folder = Path(shutil.copytree(stable_diffusion_folder, tmp_path / "lacking"))
    weights = load_file(folder / "unet" / name)
    del weights["conv_norm_out.weight"]
    save_file(weights, folder / "unet" / name, metadata={"format": "pt"})
    with pytest.raises(ArgumentError, match=r"unet lack 1 tensors, such as conv_norm_out\.weight"):
        Synthesizer(folder).load()

    folder = Path(shutil.copytree(stable_diffusion_folder, tmp_path / "cut"))
    path = folder / "unet" / name
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ArgumentError, match="cut cannot be loaded as a pipeline"):
        Synthesizer(folder).load()


@pytest.mark.parametrize("package", ["diffusers", "accelerate"])
def test_without_a_package(stable_diffusion_folder, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"'{package}': .*empaste_aug\[offline\]"):
        Synthesizer(stable_diffusion_folder)
