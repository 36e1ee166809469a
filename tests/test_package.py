"""The package as a user installs it: light to import, complete, with its halves kept apart."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

import empaste_aug
import empaste_aug.tools

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "empaste_aug"
HEAVY = ("torch", "detectron2", "albumentations", "pyarrow")
ONLINE = (
    "types.py",
    "geometry.py",
    "imageio.py",
    "kernels",
    "bank",
    "pool",
    "paste",
    "stream",
    "adapters",
)


def run_python(code: str, folder: Path) -> str:
    """What `code` prints in a fresh interpreter that starts in `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded(statements: str, folder: Path) -> list[str]:
    """The heavy libraries, and the offline half, that `statements` load."""
    wanted = (*HEAVY, "empaste_aug.offline")
    code = f"{statements}\nimport sys\nprint(*[m for m in {wanted!r} if m in sys.modules])"
    return run_python(code, folder).split()


def installed() -> metadata.Distribution:
    """The installed package, not what an older build may have left in the source folder."""
    path = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
    (found, *_) = metadata.distributions(name="empaste_aug", path=path)
    return found


def imports(file: Path) -> set[str]:
    """The absolute module names that a file imports anywhere, for type checking included."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def online_files() -> list[Path]:
    files = []
    for room in ONLINE:
        place = PACKAGE / room
        files += [place] if place.suffix else sorted(place.rglob("*.py"))
    return files


def test_import_is_light(tmp_path: Path) -> None:
    assert loaded("import empaste_aug", tmp_path) == []


def test_using_every_public_name_is_light(tmp_path: Path) -> None:
    code = "import empaste_aug\nfor name in empaste_aug.__all__: getattr(empaste_aug, name)"
    assert loaded(code, tmp_path) == []


def test_loaded_sees_what_is_loaded(tmp_path: Path) -> None:
    assert loaded("import empaste_aug.offline", tmp_path) == ["empaste_aug.offline"]


def test_public_names() -> None:
    assert sorted(empaste_aug.__all__) == empaste_aug.__all__
    assert set(empaste_aug.__all__) <= set(dir(empaste_aug))
    for name in empaste_aug.__all__:
        assert getattr(empaste_aug, name).__name__ == name


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'CopyPaste'"):
        _ = empaste_aug.CopyPaste
    assert not hasattr(empaste_aug, "import_torch")


def test_star_import(tmp_path: Path) -> None:
    assert run_python("from empaste_aug import *; print(Scene.__name__)", tmp_path) == "Scene"


def test_tools_and_configs_are_installed(tmp_path: Path) -> None:
    code = (
        "import empaste_aug.configs, empaste_aug.tools.install_detectron2 as t\n"
        "print(t.__name__, empaste_aug.configs.__name__)"
    )
    assert run_python(code, tmp_path) == (
        "empaste_aug.tools.install_detectron2 empaste_aug.configs"
    )


def test_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_metadata() -> None:
    assert installed().version == empaste_aug.__version__
    needs: dict[str, set[str]] = {}
    for line in installed().requires or []:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"""extra == ["'](\w+)["']""", marker)
        needs.setdefault(extra.group(1) if extra else "", set()).add(requirement.strip())
    core = {re.split(r"[<>=]", requirement)[0] for requirement in needs.pop("")}
    assert core == {"numpy", "numba", "opencv-python-headless", "simplejpeg", "zstandard"}
    everything = needs.pop("all")
    needs.pop("dev")
    assert set(needs) == {"torchvision", "albumentations", "detectron2", "offline", "ray"}
    assert everything == set().union(*needs.values())


def test_console_scripts_start_their_tools(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = {entry.name: entry.load() for entry in installed().entry_points}
    assert set(commands) == {
        "empaste-build-backgrounds",
        "empaste-build-bank",
        "empaste-evaluate-bank",
        "empaste-export-dataset",
        "empaste-make-longtail",
        "empaste-merge-bank",
        "empaste-preview",
        "empaste-train-classifier",
        "empaste-train-net",
    }
    for name, command in commands.items():
        tool = name.removeprefix("empaste-").replace("-", "_")
        module = ModuleType(tool)
        monkeypatch.setattr(module, "main", lambda: 7, raising=False)
        monkeypatch.setitem(sys.modules, f"empaste_aug.tools.{tool}", module)
        assert command() == 7
        with monkeypatch.context() as patch:
            patch.delitem(sys.modules, f"empaste_aug.tools.{tool}")
            patch.setattr(empaste_aug.tools, "import_module", import_without_torch)
            assert command() == 2
        said = capsys.readouterr().err
        assert said == f"{tool} needs the package 'torch': pip install 'empaste_aug[offline]'\n"


def import_without_torch(name: str) -> ModuleType:
    """What importing a tool does where the extra is not installed."""
    raise ModuleNotFoundError(f"No module named 'torch.nn' ({name})", name="torch.nn")


def adapter_of(name: str) -> str:
    """The framework of an adapter's module; `_detectron2_masks` is a part of `detectron2`."""
    return name.lstrip("_").partition("_")[0]


@pytest.mark.parametrize("file", online_files(), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_online_half_keeps_to_itself(file: Path) -> None:
    """No import of the offline half, nor of another adapter; frameworks only in adapters."""
    names = imports(file)
    for half in ("offline", "export", "training"):
        assert not [name for name in names if is_in(name, f"empaste_aug.{half}")]
    in_adapters = file.parent.name == "adapters"
    adapters = {name.split(".")[2] for name in names if name.startswith("empaste_aug.adapters.")}
    allowed = {adapter_of(file.stem)} if in_adapters else set()
    assert {adapter_of(name) for name in adapters} <= allowed
    if not in_adapters:
        frameworks = ("torch", "torchvision", "detectron2", "albumentations")
        assert not [name for name in names for f in frameworks if is_in(name, f)]
