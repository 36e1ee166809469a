"""Tiny models, written once per test run."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny_models")


@pytest.fixture(scope="session")
def blip_folder(models_folder: Path) -> Path:
    pytest.importorskip("transformers", reason="transformers, of the extra 'offline', is missing")
    from tiny_captioners import write_blip

    return write_blip(models_folder / "blip")


@pytest.fixture(scope="session")
def git_folder(models_folder: Path) -> Path:
    pytest.importorskip("transformers", reason="transformers, of the extra 'offline', is missing")
    from tiny_captioners import write_git

    return write_git(models_folder / "git")


@pytest.fixture(scope="session")
def vit_gpt2_folder(models_folder: Path) -> Path:
    pytest.importorskip("transformers", reason="transformers, of the extra 'offline', is missing")
    from tiny_captioners import write_vit_gpt2

    return write_vit_gpt2(models_folder / "vit_gpt2")


@pytest.fixture(scope="session")
def llava_folder(models_folder: Path) -> Path:
    pytest.importorskip("transformers", reason="transformers, of the extra 'offline', is missing")
    from tiny_captioners import write_llava

    return write_llava(models_folder / "llava")


@pytest.fixture(scope="session")
def stable_diffusion_folder(models_folder: Path) -> Path:
    pytest.importorskip("diffusers", reason="diffusers, of the extra 'offline', is missing")
    from tiny_diffusion import write_stable_diffusion

    return write_stable_diffusion(models_folder / "stable_diffusion")


@pytest.fixture(scope="session")
def latent_consistency_folder(models_folder: Path) -> Path:
    pytest.importorskip("diffusers", reason="diffusers, of the extra 'offline', is missing")
    from tiny_diffusion import write_latent_consistency

    return write_latent_consistency(models_folder / "latent_consistency")


@pytest.fixture(scope="session")
def flux2_klein_folder(models_folder: Path) -> Path:
    pytest.importorskip("diffusers", reason="diffusers, of the extra 'offline', is missing")
    from tiny_diffusion import write_flux2_klein

    return write_flux2_klein(models_folder / "flux2_klein")


@pytest.fixture(scope="session")
def inpainting_folder(models_folder: Path) -> Path:
    pytest.importorskip("diffusers", reason="diffusers, of the extra 'offline', is missing")
    from tiny_diffusion import write_inpainting

    return write_inpainting(models_folder / "inpainting")


@pytest.fixture(scope="session")
def clip_folder(models_folder: Path) -> Path:
    pytest.importorskip("open_clip", reason="open_clip, of the extra 'offline', is missing")
    from tiny_clip import write_clip

    return write_clip(models_folder / "clip")
