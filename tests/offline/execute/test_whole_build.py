"""Whole robust builds from the command line: killed and resumed, in shards, by Ray; the same bytes.

The saliency network is replaced by "how far from grey", but for Ray: its workers have the real one.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("timm")

from executor_stages import files_of

from empaste_aug import MaskBank, MissingDependencyError
from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.proposals import saliency
from empaste_aug.offline.weights import find_packaged
from empaste_aug.tools.build_bank import main

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning",  # pycocotools with numpy 2
    "ignore::ResourceWarning",
    "ignore::FutureWarning",
)

NUMBER = 10
COLOURS = {"blue": (20, 20, 230), "red": (230, 20, 20)}
SCRIPT = """
import sys

import numpy as np


class FromGrey:
    def __init__(self, *, num_threads=None):
        self.num_threads = num_threads

    def __call__(self, image):
        distance = np.ptp(image.astype(np.float32), axis=2)
        return distance / max(float(distance.max()), 60)


if __name__ == "__main__":
    from empaste_aug.offline.proposals import saliency
    from empaste_aug.tools.build_bank import main

    saliency.SaliencyModel = FromGrey
    sys.exit(main(sys.argv[1:]))
"""

Options = Callable[..., list[str]]


def has_saliency() -> bool:
    try:
        find_packaged("u2netp")
    except MissingDependencyError:
        return False
    return find_spec("onnxruntime") is not None


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey noise with a red square, a blue one, or both."""
    folder = tmp_path_factory.mktemp("data") / "colours"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    labels: dict[str, list[str]] = {}
    for index in range(NUMBER):
        pixels = rng.integers(90, 140, (48, 56, 3), dtype=np.uint8)
        names = [["red"], ["blue"], ["red", "blue"]][index % 3]
        for place, name in enumerate(names):
            x, y = 2 + 26 * place + int(rng.integers(0, 6)), int(rng.integers(2, 24))
            pixels[y : y + 18, x : x + 18] = COLOURS[name]
        labels[f"p{index}.png"] = names
        Image.fromarray(pixels).save(folder / "images" / f"p{index}.png")
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder


@pytest.fixture(scope="module")
def options(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Options:
    """The options of a build in a folder, with a classifier whose head tells red from blue."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Classifier.create(
            ["blue", "red"], backbone="timm/test_efficientnet", pretrained=None, input_size=32
        )
    crops = torch.stack(
        [made.preprocess(np.full((8, 8, 3), colour, np.uint8)) for colour in COLOURS.values()]
    )
    with torch.no_grad():
        phi = made.features(crops)
        made.head.weight.copy_(torch.stack([phi[0] - phi[1], phi[1] - phi[0]]))
    classifier = tmp_path_factory.mktemp("classifier") / "classifier.pt"
    made.save(classifier)

    def make(folder: Path, *more: str) -> list[str]:
        fixed = ["--dataset", "folder", "--root", str(root), "--classifier", str(classifier)]
        fixed += ["--proposals", "slic", "--min-images", "2"]
        return [*fixed, "--output", str(folder / "bank"), "--work", str(folder / "work"), *more]

    return make


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tool with another saliency; here it is replaced too."""
    path = tmp_path / "build.py"
    path.write_text(SCRIPT)
    monkeypatch.setattr(saliency, "SaliencyModel", runpy.run_path(str(path))["FromGrey"])
    return path


def results(folder: Path) -> dict[str, bytes]:
    """All of the bank, and what the stages left; the report tells seconds."""
    bank = {f"bank/{name}": content for name, content in files_of(folder / "bank").items()}
    work = {f"work/{name}": content for name, content in files_of(folder / "work", "*.npz").items()}
    assert len(MaskBank(folder / "bank")) >= NUMBER
    assert len(work) > 6 * NUMBER
    return bank | work


def count(folder: Path) -> int:
    return len(list((folder / "work").rglob("*.npz")))


def test_a_build_killed_at_random_points_gives_the_same_bank(
    tmp_path: Path, options: Options, script: Path
) -> None:
    assert main(options(tmp_path / "whole", "--workers", "1")) == 0
    total = count(tmp_path / "whole")
    killed = tmp_path / "killed"
    call = [sys.executable, str(script), *options(killed, "--workers", "2")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    rng = np.random.default_rng(0)
    for after in sorted(rng.choice(np.arange(1, total - 10), 3, replace=False).tolist()):
        process = subprocess.Popen(
            call, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
        )
        while count(killed) < after and process.poll() is None:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert after <= count(killed) < total
        assert not (killed / "bank" / "manifest.json").exists()
    assert main(options(killed, "--workers", "2")) == 0
    assert results(killed) == results(tmp_path / "whole")


@pytest.mark.parametrize("mode", ["robust", "fast"])
def test_shards_and_the_run_that_finishes_give_the_same_bank(
    tmp_path: Path, options: Options, script: Path, mode: str
) -> None:
    def run(folder: Path, *more: str) -> int:
        return main(options(folder, "--workers", "1", "--mode", mode, *more))

    assert run(tmp_path / "whole") == 0
    parts = tmp_path / "parts"
    counts = []
    for part in (2, 0, 1):
        assert run(parts, "--shard", f"{part}/3") == 0
        counts.append(count(parts))
        assert not (parts / "bank").exists()
    assert counts[0] < counts[1] < counts[2] < count(tmp_path / "whole")
    assert run(parts) == 0
    assert results(parts) == results(tmp_path / "whole")


@pytest.mark.skipif(not has_saliency(), reason="the saliency network is not installed")
def test_ray_gives_the_same_bank(
    tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    assert main(options(tmp_path / "whole", "--workers", "1")) == 0
    assert main(options(tmp_path / "ray", "--workers", "2", "--executor", "ray")) == 0
    assert results(tmp_path / "ray") == results(tmp_path / "whole")
