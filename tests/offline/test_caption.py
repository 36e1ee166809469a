"""Captions by real, tiny models: seeds, batches, prompts, failures."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from empaste_aug.offline.caption import ATTEMPTS, Captioner, photo_seed
from empaste_aug.offline.token_choice import HEAD, Sampling, TokenChoice
from empaste_aug.types import ArgumentError, EMPasteError, MissingDependencyError

torch = pytest.importorskip("torch")

SEEDS = [11, 12, 13, 14, 15]
KINDS = ["blip", "git", "vit_gpt2", "llava"]


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = [(20, 60), (33, 33), (64, 48), (7, 90), (50, 21)]
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


@pytest.fixture(params=KINDS)
def folder(request) -> Path:
    return request.getfixturevalue(f"{request.param}_folder")


def test_every_family_gives_captions_that_do_not_depend_on_the_batch(folder, photos):
    captioner = Captioner(folder, batch_size=5)
    captions = captioner.captions(photos, seeds=SEEDS)
    assert [len(texts) for texts in captions] == [2] * 5
    for text in (text for texts in captions for text in texts):
        assert text
        assert text == " ".join(text.split())
        assert "[" not in text  # no special tokens
    assert len({text for texts in captions for text in texts}) >= 8
    for size in (1, 2, 3):
        assert Captioner(folder, batch_size=size).captions(photos, seeds=SEEDS) == captions
    assert captioner.captions(photos[::-1], seeds=SEEDS[::-1]) == captions[::-1]
    assert captioner.captions(photos[3:4], seeds=SEEDS[3:4]) == captions[3:4]


def test_a_caption_does_not_depend_on_how_many_there_are(blip_folder, photos):
    captioner = Captioner(blip_folder)
    four = captioner.captions(photos, seeds=SEEDS, n=4)
    assert captioner.captions(photos, seeds=SEEDS, n=1) == [texts[:1] for texts in four]
    assert any(len(set(texts)) == 4 for texts in four)


def test_another_seed_or_photo_gives_other_captions(blip_folder, photos):
    captioner = Captioner(blip_folder)
    first = captioner.captions(photos, seeds=SEEDS)
    assert captioner.captions(photos, seeds=[s + 100 for s in SEEDS]) != first
    [alone] = captioner.captions(photos[1:2], seeds=SEEDS[:1])
    assert alone != first[0]


def test_the_global_generator_is_left_alone(blip_folder, photos):
    captioner = Captioner(blip_folder)
    torch.manual_seed(5)
    first = captioner.captions(photos[:1], seeds=[1])
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn)
    torch.manual_seed(6)
    assert captioner.captions(photos[:1], seeds=[1]) == first


def test_the_prompt_is_continued_and_cut_off(blip_folder, git_folder, llava_folder, photos):
    for folder in (blip_folder, git_folder, llava_folder):
        free = Captioner(folder).captions(photos, seeds=SEEDS)
        asked = Captioner(folder, prompt="A  photo of").captions(photos, seeds=SEEDS)
        assert asked != free
        assert not any(text.startswith("a photo of") for texts in asked for text in texts)


def test_a_near_greedy_nucleus_gives_the_same_caption_for_every_seed(blip_folder, photos):
    captioner = Captioner(blip_folder, sampling=Sampling(top_p=1e-6))
    [texts] = captioner.captions(photos[:1], seeds=[1], n=4)
    assert len(set(texts)) == 1


@pytest.mark.parametrize("kind", ["blip", "git"])
def test_the_likeliest_caption_is_what_the_library_gives(kind, request, photos):
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = request.getfixturevalue(f"{kind}_folder")
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    words = processor.tokenizer
    pixels = processor(images=Image.fromarray(photos[0]), return_tensors="pt")["pixel_values"]
    prompt = words("a photo of", add_special_tokens=False)["input_ids"]
    given = [words.cls_token_id, *prompt]
    if kind == "blip":  # drops the last token, an end, by itself
        given.append(words.sep_token_id)
    tokens = model.generate(
        pixel_values=pixels,
        input_ids=torch.tensor([given]),
        do_sample=False,
        max_new_tokens=12,
        min_new_tokens=4,
    )
    expected = words.decode(tokens[0], skip_special_tokens=True)
    assert expected.startswith("a photo of ")
    sampling = Sampling(top_p=1e-6, max_new_tokens=12)
    captioner = Captioner(folder, prompt="a photo of", sampling=sampling)
    [[text]] = captioner.captions(photos[:1], seeds=[1], n=1)
    assert text == expected.removeprefix("a photo of ")


def test_lengths_are_bounded(blip_folder, photos):
    def lengths(low: int, high: int) -> list[int]:
        sampling = Sampling(min_new_tokens=low, max_new_tokens=high)
        captions = Captioner(blip_folder, sampling=sampling).captions(photos, seeds=SEEDS)
        return [len(text.split()) for texts in captions for text in texts]

    assert max(lengths(6, 6)) == 6
    assert min(lengths(40, 45)) > 30  # some of the tokens drawn are special ones


def test_half_precision_runs(blip_folder, photos):
    captioner = Captioner(blip_folder, dtype="bfloat16")
    assert captioner.config()["dtype"] == "bfloat16"
    assert all(text for texts in captioner.captions(photos, seeds=SEEDS) for text in texts)


def test_tokens_are_drawn_by_their_probability():
    scores = torch.log(torch.tensor([0.1, 0.5, 0.15, 0.25]))
    rows = 4000

    def shares(**options) -> np.ndarray:
        choice = TokenChoice(range(rows), Sampling(**options))
        chosen = choice(torch.zeros(rows, 1), scores.repeat(rows, 1))
        assert torch.equal(chosen.isneginf().sum(dim=1), torch.full((rows,), 3))
        return np.bincount(chosen.argmax(dim=1).numpy(), minlength=4) / rows

    assert shares(top_p=1.0) == pytest.approx([0.1, 0.5, 0.15, 0.25], abs=0.03)
    # The nucleus of 0.8 holds 0.5, 0.25 and, which crosses it, 0.15.
    assert shares(top_p=0.8) == pytest.approx([0, 0.5 / 0.9, 0.15 / 0.9, 0.25 / 0.9], abs=0.03)
    squared = np.array([0.01, 0.25, 0.0225, 0.0625])
    assert shares(top_p=1.0, temperature=0.5) == pytest.approx(squared / squared.sum(), abs=0.03)


def test_a_nucleus_may_be_wider_than_the_head():
    flat = torch.zeros(2000, 3 * HEAD)
    choice = TokenChoice(range(2000), Sampling(top_p=0.9))
    drawn = choice(torch.zeros(2000, 1), flat).argmax(dim=1)
    shares = np.histogram(drawn.numpy(), bins=3, range=(0, 3 * HEAD))[0] / 2000
    assert shares.min() > 0.15
    assert len(drawn.unique()) > 1200


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_a_row_draws_the_same_in_any_batch(scale):
    scores = scale * torch.randn(6, 5000, generator=torch.Generator().manual_seed(0))
    together = TokenChoice([1, 2, 3, 4, 5, 6], Sampling())
    alone = TokenChoice([4], Sampling())
    for _ in range(5):
        assert torch.equal(together(scores, scores)[3:4], alone(scores[3:4], scores[3:4]))


def test_an_empty_caption_is_drawn_again_and_then_reported(blip_folder, tmp_path, photos):
    from transformers import BlipForConditionalGeneration

    folder = tmp_path / "silent"
    shutil.copytree(blip_folder, folder)
    model = BlipForConditionalGeneration.from_pretrained(folder)
    sep = model.config.text_config.sep_token_id
    bias = model.text_decoder.cls.predictions.decoder.bias

    def save(amount: float) -> None:
        with torch.no_grad():
            bias[sep] = amount
        model.save_pretrained(folder)

    save(1e4)  # the end is certain
    silent = Captioner(folder, sampling=Sampling(min_new_tokens=0))
    with pytest.raises(EMPasteError, match=rf"cat\.jpg: .* empty caption {ATTEMPTS} times"):
        silent.captions(photos[:2], seeds=[1, 2], names=["cat.jpg", "dog.jpg"])

    save(4.0)  # the end is likely
    moody = Captioner(folder, batch_size=5, sampling=Sampling(min_new_tokens=0, top_p=1.0))
    seeds = list(range(40))
    drawn = moody._draw(photos[:1] * 40, [[_first_seed(s)] for s in seeds])
    assert 0 < sum(not text for [text] in drawn) < 40
    kept = [s for s, [text] in zip(seeds, drawn, strict=True) if text]
    empty = [s for s, [text] in zip(seeds, drawn, strict=True) if not text]
    rescued = 0
    for seed in empty:
        try:
            [[text]] = moody.captions(photos[:1], seeds=[seed], n=1)
        except EMPasteError:
            continue
        rescued += bool(text)
    assert rescued
    [[text]] = moody.captions(photos[:1], seeds=kept[:1], n=1)
    assert [text] == drawn[kept[0]]


def _first_seed(seed: int) -> int:
    from empaste_aug.offline.caption import _seed

    return _seed(seed, 0, 0)


def test_seeds_of_photos_are_stable_and_differ():
    seeds = [photo_seed(seed, name) for seed in (0, 1) for name in ("a.jpg", "b.jpg")]
    assert len(set(seeds)) == 4
    assert seeds[0] == photo_seed(0, "a.jpg")


def test_the_config_knows_a_model_by_its_files(blip_folder, tmp_path):
    config = Captioner(blip_folder).config()
    copied = tmp_path / "copy"
    shutil.copytree(blip_folder, copied)
    assert Captioner(copied, batch_size=3).config() == config
    (copied / "config.json").write_text((copied / "config.json").read_text() + " ")
    assert Captioner(copied).config()["model"] != config["model"]
    assert Captioner(blip_folder, sampling=Sampling(top_p=0.5)).config() != config
    assert Captioner(blip_folder, prompt="a").config() != config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"device": "abacus"}, "device: 'abacus'"),
        ({"dtype": "float64"}, "dtype: .*'float64'"),
        ({"dtype": "float16"}, "dtype: float16 is not for the CPU"),
        ({"revision": "main"}, "revision: .* is a local folder"),
    ],
)
def test_arguments_out_of_range(blip_folder, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Captioner(blip_folder, **arguments)


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_new_tokens": -1},
        {"max_new_tokens": 0},
        {"min_new_tokens": 9, "max_new_tokens": 8},
    ],
)
def test_sampling_out_of_range(values):
    with pytest.raises(ArgumentError, match=next(iter(values))):
        Sampling(**values)


def test_calls_that_do_not_fit(blip_folder, vit_gpt2_folder, photos):
    with pytest.raises(ArgumentError, match="seeds: 5 photos have 4 seeds"):
        Captioner(blip_folder).captions(photos, seeds=SEEDS[:4])
    with pytest.raises(ArgumentError, match="n: must be"):
        Captioner(blip_folder).captions(photos, seeds=SEEDS, n=0)
    assert Captioner(blip_folder).captions([], seeds=[]) == []
    with pytest.raises(ArgumentError, match=r"prompt: .* takes none"):
        Captioner(vit_gpt2_folder, prompt="a").captions(photos, seeds=SEEDS)


def test_models_that_cannot_be_had(blip_folder, stable_diffusion_folder, tmp_path, photos):
    with pytest.raises(ArgumentError, match=r"model: the folder .*nowhere does not exist"):
        Captioner(tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match=r"holds no config\.json"):
        Captioner(tmp_path)
    with pytest.raises(ArgumentError, match=r"config\.json is a file"):
        Captioner(blip_folder / "config.json")
    with pytest.raises(ArgumentError, match="'nobody/nothing' is neither a folder nor"):
        Captioner("nobody/nothing", local_files_only=True).captions(photos[:1], seeds=[1])
    with pytest.raises(ArgumentError, match="cannot be loaded as an image-to-text model"):
        Captioner(stable_diffusion_folder / "text_encoder").captions(photos[:1], seeds=[1])


def test_broken_folders(blip_folder, tmp_path, photos, caplog):
    from safetensors.torch import load_file, save_file

    def broken(name: str) -> Path:
        return Path(shutil.copytree(blip_folder, tmp_path / name))

    def caption(folder: Path) -> None:
        Captioner(folder).captions(photos[:1], seeds=[1])

    folder = broken("without_weights")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ArgumentError, match=r"without_weights.*model\.safetensors"):
        caption(folder)

    folder = broken("lacking")
    weights = load_file(folder / "model.safetensors")
    kept = {k: v for k, v in weights.items() if not k.startswith("vision_model.encoder")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArgumentError, match=r"lack \d+ tensors, such as vision_model\.encoder"):
        caption(folder)

    weights.pop("vision_model.post_layernorm.bias")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with caplog.at_level(logging.WARNING, logger="empaste_aug"):
        caption(folder)
    assert "lack 1 tensors, such as vision_model.post_layernorm.bias: they are" in caplog.text

    folder = broken("wordless")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ArgumentError, match="wordless"):
        caption(folder)


def test_without_transformers(blip_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r"captioning needs .*empaste_aug\[offline\]"):
        Captioner(blip_folder)
