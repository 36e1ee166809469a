"""Tiny models, written once per test run."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny_models")


def tiny_model(package: str, module: str, name: str):
    """The fixture `<name>_folder`: where `module`'s ``write_<name>`` has written its model."""

    @pytest.fixture(scope="session", name=f"{name}_folder")
    def folder(models_folder: Path) -> Path:
        pytest.importorskip(package, reason=f"{package}, of the extra 'offline', is missing")
        return getattr(import_module(module), f"write_{name}")(models_folder / name)

    return folder


blip = tiny_model("transformers", "tiny_captioners", "blip")
git = tiny_model("transformers", "tiny_captioners", "git")
vit_gpt2 = tiny_model("transformers", "tiny_captioners", "vit_gpt2")
llava = tiny_model("transformers", "tiny_captioners", "llava")
stable_diffusion = tiny_model("diffusers", "tiny_diffusion", "stable_diffusion")
latent_consistency = tiny_model("diffusers", "tiny_diffusion", "latent_consistency")
flux2_klein = tiny_model("diffusers", "tiny_diffusion", "flux2_klein")
inpainting = tiny_model("diffusers", "tiny_diffusion", "inpainting")
clip = tiny_model("open_clip", "tiny_clip", "clip")
