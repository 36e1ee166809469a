"""The command line of export_dataset: the three kinds of photos, shards, and errors in one line."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_files import VOCFiles
from pool_data import hashes, write_folder

from empaste_aug import BankWriter

pytest.importorskip("pycocotools")

FILE = Path(__file__).resolve().parents[2] / "tools" / "export_dataset.py"


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(FILE))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A devkit of three photos, of which one has no masks; a bank of their cats; backgrounds."""
    root = tmp_path_factory.mktemp("data")
    files = VOCFiles(root / "voc")
    objects = np.zeros((40, 60), np.uint8)
    objects[10:30, 10:40] = 1
    for number in range(2):
        files.add(f"{number}", ["cat"], objects=objects, classes=objects * 8)
    with BankWriter(root / "bank", categories=["kitty", "dog"]) as writer:
        for number in range(4):
            writer.add(
                np.full((20, 30, 3), 40 * number, np.uint8),
                np.full((20, 30), 255, np.uint8),
                category_id=number // 2,
                score=0.5,
                image_id=str(number % 2),
                file_name=f"{number % 2}.jpg",
                source_size=(40, 60),
                source_bbox=(10, 10, 40, 30),
            )
    write_folder(root / "pool")
    return root


@pytest.fixture
def run(tool, data, tmp_path, capsys):
    """Call the tool: its status, and what it said."""

    def called(*arguments: str, bank: str = "bank") -> tuple[int, str, str]:
        fixed = ["--bank", str(data / bank), "--output", str(tmp_path / "export")]
        status = tool["main"]([*fixed, "--workers", "1", *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return called


def voc(data: Path) -> list[str]:
    return ["--dataset", "voc", "--root", str(data / "voc"), "--map", "kitty=cat"]


def test_a_data_set(run, data, tmp_path):
    options = ["--number", "6", "--format", "png", "--placement", "space_maximize"]
    status, said, _ = run(*voc(data), *options, "--count", "1", "2", "--max-scale", "1.5")
    assert status == 0
    content = json.loads((tmp_path / "export" / "annotations.json").read_text())
    assert len(content["images"]) == 6
    assert len(content["categories"]) == 20
    assert {a["category_id"] for a in content["annotations"]} >= {8}
    assert "export: 6 images (" in said
    settings = json.loads((tmp_path / "export" / "manifest.json").read_text())["settings"]
    assert settings["paste"]["count"] == [1, 2]
    assert settings["paste"]["placement"] == "space_maximize"
    assert settings["paste"]["max_scale"] == 1.5
    assert settings["quality"] is None


def test_a_banks_photos_and_a_pool(run, data, tmp_path):
    photos = ["--image-root", str(data / "voc" / "JPEGImages"), "--pool", str(data / "pool")]
    status, said, _ = run(*photos, "--number", "30", "--probability", "0.5", "--seed", "3")
    assert status == 0
    settings = json.loads((tmp_path / "export" / "manifest.json").read_text())["settings"]
    assert settings["photos"]["kind"] == "bank"
    assert settings["backgrounds"]["probability"] == 0.5
    assert 0 < int(said.split("; ")[-1].split()[0]) < 30


def test_a_pool_alone(run, data, tmp_path):
    status, said, _ = run("--pool", str(data / "pool"), "--number", "8", "--exclude", "dog")
    assert status == 0
    assert "; 8 on backgrounds" in said
    content = json.loads((tmp_path / "export" / "annotations.json").read_text())
    assert content["categories"] == [{"id": 1, "name": "kitty"}]
    assert all("empaste_cutout_id" in a for a in content["annotations"])


def test_shards_and_then_the_rest(run, data, tmp_path):
    arguments = [*voc(data), "--number", "90"]
    assert run(*arguments, "--shard", "1/2")[0] == 0
    assert not (tmp_path / "export" / "manifest.json").exists()
    status, said, _ = run(*arguments, "--shard", "0/2")
    assert (status, "shard 0/2 is done, 45 images, 45 of them made now" in said) == (0, True)
    status, said, _ = run(*arguments)
    assert (status, "90 images" in said, " 0 of them made now" in said) == (0, True, True)


def test_more_shards_than_images(run, data):
    status, said, _ = run(*voc(data), "--number", "2", "--shard", "0/5")
    assert (status, "0 images (there are fewer blocks of images than shards)" in said) == (0, True)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write")
def test_a_folder_that_cannot_be_made(tool, data, tmp_path, capsys):
    (tmp_path / "file").touch()
    fixed = ["--bank", str(data / "bank"), "--pool", str(data / "pool"), "--number", "1"]
    for output, why in (("/proc/x", "cannot be written"), (tmp_path / "file/x", "cannot be read")):
        assert tool["main"]([*fixed, "--output", str(output)]) == 2
        assert capsys.readouterr().err.startswith(f"error: --output: {output} {why}: ")


def test_polygons_warn_of_holes(run, data):
    many = ["--number", "60", "--segmentation", "polygon", "--count", "1", "--scale", "0.3"]
    _, _, error = run(*voc(data), *many)
    assert error.count("objects have holes, which polygons cannot hold") == 1


def test_a_dry_run_writes_nothing(run, data, tmp_path):
    before = hashes(tmp_path)
    status, said, _ = run(*voc(data), "--number", "100000", "--dry-run")
    assert status == 0
    assert said.startswith("100000 images: ")
    assert "are free" in said
    assert hashes(tmp_path) == before
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--number", "0"], "--number: 0"),
        (["--number", "1", "--quality", "0"], "--quality: 0"),
        (["--number", "1", "--format", "png", "--quality", "9"], "--quality: of no use for PNG"),
        (["--number", "1", "--shard", "2/2"], "--shard: 2/2"),
        (["--number", "1", "--shard", "0/2", "--overwrite"], "--shard, --overwrite: not together"),
        (["--number", "1", "--workers", "0"], "--workers: must be at least 1"),
        (["--number", "1", "--count", "2", "1"], "--count: "),
        (["--number", "1", "--count", "-3"], "--count: -3 "),
        (["--number", "1", "--scale", "0"], "--scale: "),
        (["--number", "1", "--scale", "-1"], "--scale: -1.0 "),
        (["--number", "1", "--max-angle", "-1"], "--max-angle: -1.0 "),
        (["--number", "1", "--max-scale", "-1"], "--max-scale: -1.0 "),
        (["--number", "1", "--flip", "2"], "--flip: 2.0 "),
        (["--number", "1", "--exclude", "emu"], "--exclude: ['emu']"),
        (["--number", "1", "--map", "emu=cat"], "--map: ['emu']"),
        (["--number", "1", "--min-visible", "2"], "--min-visible: "),
        (["--number", "1", "--blend", "glue"], "--blend: "),
        (["--number", "1", "--map", "kitty"], "--map: must be BANK=OURS"),
        (["--number", "1", "--image-root", "x"], "--dataset, --image-root: name two"),
        (["--number", "1", "--probability", "0.5"], "--probability: of no use without --pool"),
        (["--number", "1", "--pool", "POOL", "--probability", "often"], "--probability: 'often'"),
        (["--number", "1", "--min-score", "0.5"], "--min-score: of no use without --image-root"),
        (["--number", "1", "--pool", "nowhere"], ""),
    ],
)
def test_errors_are_one_line_and_name_the_option(run, data, arguments, named):
    places = {"POOL": str(data / "pool")}
    status, _, error = run(*voc(data), *(places.get(a, a) for a in arguments))
    assert status == 2
    assert error.startswith(f"error: {named}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--dataset, --image-root, --pool: give one of them"),
        (["--dataset", "voc"], "--root: is needed with --dataset"),
        (["--root", "x"], "--root: of no use without --dataset"),
        (["--image-root", "x", "--filter-empty"], "--filter-empty: of no use without --dataset"),
        (["--pool", "POOL", "--fit", "none"], "--fit: of no use where there are no photos"),
        (["--image-root", "nowhere"], "nowhere: 2 of the 2 photos that the bank has"),
        (["--dataset", "voc", "--root", "VOC"], ""),
    ],
)
def test_photos_that_make_no_sense(run, data, arguments, named):
    places = {"POOL": str(data / "pool"), "VOC": str(data / "voc")}
    status, _, error = run(*(places.get(a, a) for a in arguments), "--number", "1")
    assert status == 2
    assert error.startswith(f"error: {named}")
    assert error.count("\n") == 1


def test_another_export_is_not_replaced_unasked(run, data):
    assert run(*voc(data), "--number", "2")[0] == 0
    status, _, error = run(*voc(data), "--number", "3")
    assert status == 2
    assert "number: 2 there, 3 now" in error
    assert "--overwrite replaces it" in error
    assert "overwrite=True" not in error
    assert run(*voc(data), "--number", "3", "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("output", "photos", "named"),
    [
        ("pool/part0/ex", ["--pool", "pool"], "--pool"),
        ("bank/ex", ["--pool", "pool"], "--bank"),
        (".", ["--pool", "pool"], "--bank"),
        ("new/../pool", ["--pool", "pool"], "--pool"),
        ("voc/JPEGImages/ex", ["--image-root", "voc/JPEGImages"], "--image-root"),
        ("voc/ex", ["--dataset", "voc", "--root", "voc"], "--root"),
        ("pool/ex", ["--dataset", "voc", "--root", "voc", "--pool", "pool"], "--pool"),
        (
            "pool/ex",
            ["--dataset", "folder", "--root", "voc", "--images", "../pool"],
            "--images",
        ),
        ("link/ex", ["--dataset", "voc", "--root", "linked"], "--root"),
    ],
)
def test_it_lies_apart_from_all_that_it_reads(
    tool, data, tmp_path, monkeypatch, capsys, output, photos, named
):
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    (tmp_path / "linked").mkdir()
    for folder in (tmp_path / "voc").iterdir():
        (tmp_path / "linked" / folder.name).symlink_to(folder)
    (tmp_path / "link").symlink_to(tmp_path / "voc" / "JPEGImages")
    monkeypatch.chdir(tmp_path)
    before = hashes(tmp_path)
    arguments = ["--bank", "bank", "--output", output, "--number", "5", "--map", "kitty=cat"]
    assert tool["main"]([*arguments, *photos]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --output, {named}: {output} and ")
    assert error.count("\n") == 1
    assert hashes(tmp_path) == before


def test_a_path_through_a_folder_that_is_not_there(tool, data, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    fixed = ["--bank", str(data / "bank"), "--pool", str(data / "pool"), "--number", "1"]
    assert tool["main"]([*fixed, "--output", f"{tmp_path}/new/../out"]) == 2
    assert "is no export and holds other files: thesis.txt" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_finished_export_that_lost_something(run, data, tmp_path):
    arguments = ["--pool", str(data / "pool"), "--number", "6"]
    assert run(*arguments)[0] == 0
    images = tmp_path / "export" / "images" / "000"
    (images / "000002.jpg").unlink()
    (images / "000004.jpg").write_bytes(b"short")
    status, said, _ = run(*arguments, "--shard", "0/2")
    assert (status, "is done, 3 images, 1 of them made now" in said) == (0, True)
    status, said, _ = run(*arguments)
    assert (status, "6 images" in said, " 1 of them made now" in said) == (0, True, True)
    (tmp_path / "export" / "annotations.json").unlink()
    status, _, error = run(*arguments)
    assert (status, error.count("\n")) == (2, 1)
    assert error.endswith("annotations.json: is gone; --overwrite makes the export anew\n")


def test_a_bank_that_is_none(run, data):
    status, _, error = run(*voc(data), "--number", "1", bank="voc")
    assert status == 2
    assert error.count("\n") == 1
