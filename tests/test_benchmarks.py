"""Every benchmark runs, at a tiny size, and writes the figures that benchmarks/README.md names."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
README = BENCHMARKS / "README.md"
SCRIPTS = sorted(BENCHMARKS.glob("[a-z]*.py"))


torch = pytest.importorskip("torch")


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The benchmarks can be imported; threads and loggers are afterwards as they were."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for script in SCRIPTS:  # a folder of tests has the name of one
        if getattr(sys.modules.get(script.stem), "__file__", script.name) is None:
            monkeypatch.delitem(sys.modules, script.stem)
    threads = cv2.getNumThreads(), torch.get_num_threads()
    levels = {name: logging.getLogger(name).level for name in ("detectron2", "empaste_aug")}
    yield
    cv2.setNumThreads(threads[0])
    torch.set_num_threads(threads[1])
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def run(module: ModuleType, folder: Path, *arguments: str) -> dict[str, Any]:
    """What the benchmark wrote."""
    file = folder / "figures.json"
    assert module.main(["--quick", "--json", str(file), *arguments]) == 0
    assert [path.name for path in folder.glob("figures*")] == [file.name]
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def documented_keys(script: str) -> set[str]:
    """The keys that README lists under the script's heading, after "--json:"."""
    section = README.read_text(encoding="utf-8").split(f"\n## {script}\n")[1].split("\n## ")[0]
    listed = re.search(r"`--json`: (.*?)(\n\n|\Z)", section, flags=re.DOTALL)
    assert listed is not None
    return set(re.findall(r"`(\w+)`", listed[1]))


def keys_of(content: Any) -> set[str]:
    """Every key of the figures, at any depth, that is a plain word."""
    if isinstance(content, list):
        return set().union(*map(keys_of, content)) if content else set()
    if not isinstance(content, dict):
        return set()
    own = {key for key in content if re.fullmatch(r"\w+", key)}
    return own.union(*(keys_of(value) for value in content.values()))


def check_keys(script: str, content: dict[str, Any]) -> None:
    assert documented_keys(script) == keys_of(content)


def test_readme_names_every_benchmark() -> None:
    headings = re.findall(r"^## (\w+\.py)$", README.read_text(encoding="utf-8"), flags=re.M)
    assert sorted(headings) == [path.name for path in SCRIPTS]


def test_samples(
    scripts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    samples = import_module("samples")
    monkeypatch.setattr(samples, "PHOTO_SIZES", ((60, 90),))
    monkeypatch.setattr(samples, "COUNTS", (2,))
    monkeypatch.setattr(import_module("_common"), "CUTOUTS", 20)
    monkeypatch.setattr(import_module("_common"), "CUTOUT_SIDES", (15, 30))
    content = run(samples, tmp_path)
    check_keys("samples.py", content)
    assert {row["placement"] for row in content["cases"]} == {"random", "space_maximize"}
    assert "90x60" in capsys.readouterr().out


def test_peers(scripts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    peers = import_module("peers")
    monkeypatch.setattr(peers, "SIDE", 200)
    monkeypatch.setattr(import_module("_common"), "CUTOUTS", 30)
    content = run(peers, tmp_path, "--sides", "20", "50", "--peer-python", sys.executable)
    check_keys("peers.py", content)
    assert content["setting"]["cutout_sides"] == [20, 50]
    by_hand = content["peers"][0]
    assert by_hand["name"].startswith("by hand")
    assert set(by_hand["ratios"]) == {row["name"] for row in content["ours"]}
    printed = capsys.readouterr().out
    for row in [*content["ours"], by_hand]:
        assert row["pasted"] == 10
        assert row["objects"] == 20
        assert row["empty"] == row["wrong_boxes"] == row["hidden_pixels"] == 0
        assert row["name"] in printed
    pixels = [row["pasted_pixels"] for row in content["ours"]]
    assert pixels == pytest.approx([by_hand["pasted_pixels"]] * len(pixels), rel=0.05)


def test_peers_checks_labels(scripts: None) -> None:
    worker = import_module("_peers_worker")
    masks = np.zeros((4, 20, 20), np.uint8)
    masks[0, 2:5, 2:5] = 1
    masks[1, 6:9, 6:9] = 1
    masks[2, 8:12, 8:12] = 1  # takes a pixel of the paste before
    boxes = np.array([[2, 2, 5, 5], [6, 6, 9, 9], [8, 8, 16, 12], [0, 0, 3, 3]])
    found = worker.count_faults(masks, boxes, pasted=3)
    assert found == {
        "objects": 4,
        "pasted": 3,
        "pasted_pixels": 9 + 16,
        "empty": 1,
        "wrong_boxes": 1,
        "hidden_pixels": 1,
    }


def test_peers_says_when_a_peer_dies(
    scripts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = import_module("peers")
    worker = tmp_path / "worker.py"
    worker.write_text("raise SystemExit(7)\n", encoding="utf-8")
    monkeypatch.setattr(peers, "WORKER", worker)
    with pytest.raises(RuntimeError, match=rf"{re.escape(sys.executable)}: .* status 7$"):
        peers.Peer(sys.executable, tmp_path / "work.npz")


def test_loader(
    scripts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    pytest.importorskip("detectron2")
    loader, data = import_module("loader"), import_module("_loader_data")
    monkeypatch.setattr(loader, "SIDE", 96)
    monkeypatch.setattr(loader, "BANK_ROWS", 500)
    monkeypatch.setattr(loader, "WORKERS", (0, 1))
    monkeypatch.setattr(data, "SIZE", (96, 128))
    monkeypatch.setattr(import_module("_common"), "CUTOUTS", 20)
    content = run(loader, tmp_path)
    check_keys("loader.py", content)
    assert content["setting"]["bank_rows"] == 500
    mapped = {(row["format"], row["paste"]): row for row in content["mappers"]}
    assert mapped["polygon", False]["ratio"] == 1
    assert mapped["polygon", True]["objects"] > mapped["polygon", False]["objects"]
    assert mapped["cropped", True]["megabytes_sent"] < mapped["bitmask", True]["megabytes_sent"]
    assert {row["workers"] for row in content["loaders"]} == {0, 1}
    if Path("/proc/self/smaps_rollup").exists():
        assert all(row["private_megabytes"] > 0 for row in content["loaders"] if row["workers"])
    assert "EMPasteMapper, cropped" in capsys.readouterr().out


def test_loader_reads_a_coco_folder(scripts: None, tmp_path: Path) -> None:
    pytest.importorskip("detectron2")
    data = import_module("_loader_data")
    with pytest.raises(SystemExit, match="instances_"):
        data.load_coco(tmp_path, 3)


def test_large_bank_is_read_at_every_row(scripts: None, tmp_path: Path) -> None:
    from empaste_aug.bank import MaskBank

    data = import_module("_loader_data")
    data.write_bank(tmp_path / "bank", 700, np.random.default_rng(0))
    bank = MaskBank(tmp_path / "bank")
    assert len(bank) == 700
    np.testing.assert_array_equal(bank[5].rgb, bank[5 + 300].rgb)
    bank.verify_checksums()


def test_kernels(
    scripts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    kernels = import_module("kernels")
    monkeypatch.setattr(kernels, "PHOTO_SIZES", ((60, 90),))
    monkeypatch.setattr(kernels, "OBJECT_SIZES", ((20, 30), (24, 36)))
    monkeypatch.setattr(kernels, "time_in_turns", lambda case, _: (2.0, 1.0))
    content = run(kernels, tmp_path)
    check_keys("kernels.py", content)
    assert {row["ratio"] for row in content["cases"]} == {0.5}
    assert "circle 90x60" in capsys.readouterr().out
