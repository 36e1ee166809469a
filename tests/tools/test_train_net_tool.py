"""tools/train_net.py: what it says, and its exit status."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from training_data import coco_line, forget, tiny_config, write_coco

pytest.importorskip("detectron2")

import torch

from empaste_aug.types import DatasetError

ROOT = Path(__file__).resolve().parents[2]
TRAIN, VAL = "train_of_the_tool", "val_of_the_tool"

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning",
    "ignore:torch.meshgrid:UserWarning",
    "ignore:pkg_resources is deprecated:UserWarning",
    "ignore:.*torch.jit",
    "ignore:unclosed file:ResourceWarning",  # detectron2's, of the config file
)


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("tested_train_net", ROOT / "tools/train_net.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    forget(TRAIN, VAL)


@pytest.fixture
def arguments(tmp_path, small_bank):
    """A command line up to the config's changes: four photos to train on, two to evaluate."""
    cfg = tiny_config(small_bank.path, tmp_path / "out", train=TRAIN, test=VAL)
    (tmp_path / "tiny.yaml").write_text(cfg.dump())
    train, val = write_coco(tmp_path / "train", 4), write_coco(tmp_path / "val", 2)
    lines = [coco_line(TRAIN, train), coco_line(VAL, val)]
    registered = [word for line in lines for word in ("--register", line)]
    return ["--config-file", str(tmp_path / "tiny.yaml"), *registered]


def test_train_and_evaluate(tool, arguments, tmp_path, capsys):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert tool.main([*arguments, "SOLVER.MAX_ITER", "1"]) == 0
    finally:
        torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    assert f"{VAL}: 2 images" in printed
    assert "EM-Paste: " in printed
    assert (tmp_path / "out" / "inference" / VAL / "ap.csv").is_file()


def test_the_parser_needs_neither_torch_nor_detectron2(tool):
    """--help is quick, and README's reference is made without them."""
    code = "import sys; from empaste_aug.tools import train_net; train_net.build_parser(); "
    code += "print(sorted({'torch', 'detectron2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_detectron2():
    code = "import sys; sys.modules['detectron2'] = None; from empaste_aug.tools import train_net; "
    code += "sys.exit(train_net.main(['--config-file', 'x.yaml']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "detectron2" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["EMPASTE.BANK", ""], "error: EMPASTE.BANK: is not set"),
        (["SOLVER.MAX_ITERS", "1"], "error: opts: Non-existent key: SOLVER.MAX_ITERS"),
        (["--", "SOLVER.MAX_ITERS", "1"], "error: opts: Non-existent key: SOLVER.MAX_ITERS"),
        (
            ["DATASETS.TRAIN", "('gone',)"],
            "error: DATASETS.TRAIN: no data set 'gone' is registered",
        ),
        (["--eval-only"], "error: MODEL.WEIGHTS: --eval-only needs weights"),
        (["--register", "x=zip:y"], "error: --register: 'x=zip:y' is not of the form NAME="),
        (["--register", "x=voc:none"], "error: --register: 'x=voc:none': none: no such folder"),
        (["--num-machines", "2"], "error: --dist-url: must be given"),
    ],
)
def test_errors_are_one_line(tool, arguments, more, message, capsys):
    assert tool.main([*arguments, *more]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(message)
    assert printed.count("\n") == 1
    assert "Traceback" not in printed


def test_an_error_of_a_built_run_is_one_line(tool, arguments, capsys, monkeypatch):
    def fail(*_, **__):
        raise DatasetError("photo.jpg: is broken")

    monkeypatch.setattr("empaste_aug.training.run.run_here", fail)
    assert tool.main(arguments) == 2
    assert capsys.readouterr().err == "error: photo.jpg: is broken\n"


def test_ctrl_c_says_how_to_go_on(tool, arguments, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("empaste_aug.training.run.run_here", interrupt)
    assert tool.main(arguments) == 130
    assert "--resume goes on from the last checkpoint" in capsys.readouterr().err
