"""Models by hub name, from the local cache alone, and seeds derived from values."""

from __future__ import annotations

import doctest
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from empaste_aug.offline import seeds, synthesize
from empaste_aug.offline.pretrained import hash_of_folder
from empaste_aug.offline.seeds import derived_seed

HUB = """
import json
import numpy as np
from empaste_aug.offline.caption import Captioner
from empaste_aug.offline.synthesize import Synthesizer
from empaste_aug.types import ArgumentError
captioner = Captioner("someone/blip", local_files_only=True)
[texts] = captioner.captions([np.zeros((40, 40, 3), np.uint8)], seeds=[1])
synthesizer = Synthesizer("someone/diffusion", local_files_only=True, steps=1)
[image] = synthesizer.images("a tent", seeds=[1])
try:
    Captioner("someone/blip", local_files_only=True, revision="v9").load()
except ArgumentError as error:
    message = str(error)
models = [captioner.config()["model"], synthesizer.config()["model"]]
print(json.dumps([models, texts, image.shape, message]))
"""


def test_hub_models_are_known_by_their_commit(blip_folder, stable_diffusion_folder, tmp_path):
    commits = {"blip": "01234567" * 5, "diffusion": "89abcdef" * 5}
    for name, folder in (("blip", blip_folder), ("diffusion", stable_diffusion_folder)):
        cached = tmp_path / "hub" / f"models--someone--{name}"
        shutil.copytree(folder, cached / "snapshots" / commits[name])
        (cached / "refs").mkdir()
        (cached / "refs" / "main").write_text(commits[name])
    done = subprocess.run(
        [sys.executable, "-c", HUB],
        env=os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    models, texts, shape, message = json.loads(done.stdout.splitlines()[-1])
    assert models == [{"commit": commits["blip"]}, {"commit": commits["diffusion"]}]
    assert len(texts) == 2
    assert shape == [64, 64, 3]
    assert "model: 'someone/blip' at 'v9' is neither a folder nor to be had from the hub" in message


def test_the_modules_load_no_framework():
    code = (
        "import sys\n"
        "from empaste_aug.offline import caption, captions_file, rank, synthesize\n"
        "from empaste_aug.offline import class_judges, inpaint, inpaint_model, visible\n"
        "heavy = {'torch', 'transformers', 'diffusers', 'open_clip'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)


def test_a_folder_is_known_by_its_model_files(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "unet" / "weights.safetensors").write_bytes(b"abc")
    first = hash_of_folder(tmp_path)
    (tmp_path / "README.md").write_text("nothing that counts")
    assert hash_of_folder(tmp_path) == first
    (tmp_path / "unet" / "weights.safetensors").write_bytes(b"abd")
    changed = hash_of_folder(tmp_path)
    assert changed != first
    (tmp_path / "unet" / "weights.safetensors").rename(tmp_path / "weights.safetensors")
    assert hash_of_folder(tmp_path) not in (first, changed)


def test_seeds_follow_every_part_and_their_order():
    parts = [(0, "a"), ("a", 0), (0, "b"), (1, "a"), (0, "a", 0), ("0", "a"), (0, "a ")]
    assert len({derived_seed(*p) for p in parts}) == len(parts)
    assert derived_seed(0, "ä") == derived_seed(0, "ä")
    assert all(0 <= derived_seed(i) < 2**63 for i in range(100))


def test_examples_in_docstrings():
    for module in (seeds, synthesize):
        results = doctest.testmod(module)
        assert results.attempted
        assert not results.failed
