"""The documentation says what the code says.

Run as a script (``make docs``), this file writes the tools' flags into README.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import empaste_aug

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
TOOLS = sorted(file for file in (ROOT / "tools").glob("*.py") if file.stem != "__init__")
SECTION = re.compile(r"(?<=<!-- tools -->\n).*?(?=<!-- /tools -->)", flags=re.DOTALL)
FLAG = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")


def blocks(language: str, text: str) -> list[str]:
    """The fenced code blocks of one language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, flags=re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(code) for _, code in found]


def load_tool(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"documented_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def parser_of(file: Path) -> argparse.ArgumentParser:
    parser = load_tool(file).build_parser()
    assert isinstance(parser, argparse.ArgumentParser)
    return parser


def flags_of(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def reference() -> str:
    """README's command line reference: the --help of every tool, in collapsed sections."""
    os.environ["COLUMNS"] = "100"
    os.environ["NO_COLOR"] = "1"
    parts = []
    for file in TOOLS:
        parser = parser_of(file)
        parser.prog = f"python -m empaste_aug.tools.{file.stem}"
        text = parser.format_help().rstrip()
        parts.append(
            f"<details><summary><code>{file.stem}</code></summary>\n\n"
            f"```text\n{text}\n```\n\n</details>\n"
        )
    return "\n".join(parts)


def documented_help(name: str) -> str:
    """What README's reference holds for one tool."""
    section = SECTION.search(README.read_text(encoding="utf-8"))
    assert section is not None, "README.md: the markers of the command line reference are gone"
    heading = f"<details><summary><code>{name}</code></summary>"
    _, found, rest = section.group().partition(heading)
    assert found, f"README.md: no section for {name}: run `make docs`"
    return rest.partition("</details>")[0]


def commands() -> Iterator[tuple[str, list[str]]]:
    """(tool, words) of every call of one of our tools in README's shell blocks."""
    for block in blocks("sh", README.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            for i, word in enumerate(words):
                called = re.fullmatch(r"tools/(\w+)\.py|empaste_aug\.tools\.(\w+)", word)
                if called is not None:
                    yield called.group(1) or called.group(2), words[i + 1 :]


@pytest.mark.parametrize("name", empaste_aug.__all__)
def test_public_name_is_documented(name: str) -> None:
    assert (getattr(empaste_aug, name).__doc__ or "").strip()
    assert re.search(rf"\b{name}\b", README.read_text(encoding="utf-8")), f"README.md: no {name}"


@pytest.mark.parametrize("file", TOOLS, ids=lambda f: f.stem)
def test_tool_and_its_flags_are_documented(file: Path) -> None:
    parser = parser_of(file)
    assert callable(load_tool(file).main)
    assert parser.description
    for action in parser._actions:
        words = re.search(r"[a-z]{2}", action.help or "")
        assert words, f"{file.name}: {action.dest} has no help text, or only a default"
    stated = set(FLAG.findall(documented_help(file.stem)))
    flags = flags_of(parser)
    assert flags <= stated, f"README.md lacks {sorted(flags - stated)}: run `make docs`"
    usage = {flag for flag in stated if flag.startswith("--")}
    assert usage <= flags, f"README.md has {sorted(usage - flags)}: run `make docs`"


def test_reference_has_no_tool_that_is_gone() -> None:
    section = SECTION.search(README.read_text(encoding="utf-8"))
    assert section is not None
    names = re.findall(r"<summary><code>(\w+)</code>", section.group())
    assert names == [file.stem for file in TOOLS], "run `make docs`"


def test_commands_in_readme_use_real_flags() -> None:
    seen = set()
    for tool, words in commands():
        flags = flags_of(parser_of(ROOT / "tools" / f"{tool}.py"))
        unknown = [w for w in words if w.startswith("--") and w.split("=")[0] not in flags]
        assert not unknown, f"README.md: {tool} has no {unknown}"
        seen.add(tool)
    assert {"build_bank", "evaluate_bank", "preview"} <= seen


def test_python_in_readme_compiles() -> None:
    code = blocks("python", README.read_text(encoding="utf-8"))
    assert code
    for number, block in enumerate(code):
        compile(block, f"README.md, python block {number}", "exec")


def test_imports_in_readme_work() -> None:
    """Every name that README imports from this package exists."""
    lines = [
        line
        for block in blocks("python", README.read_text(encoding="utf-8"))
        for line in block.splitlines()
        if line.startswith("from empaste_aug")
    ]
    assert lines
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_one_test_command_for_ci() -> None:
    text = README.read_text(encoding="utf-8")
    assert re.findall(r"^<!-- test command -->\n```sh\n(.*?)\n```$", text, flags=re.MULTILINE) == [
        "make test"
    ]


def test_make_targets_are_real() -> None:
    """The make targets that the documents name are in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    text = README.read_text(encoding="utf-8") + (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, flags=re.MULTILINE))
    assert {"demo", "test", "lint"} <= named
    assert named <= targets


def test_links_in_documents_lead_somewhere() -> None:
    for document in (README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        text = document.read_text(encoding="utf-8")
        anchors = {
            re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
        }
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
            if target.startswith("#"):
                assert target[1:] in anchors, f"{document.name}: no heading for {target}"
            else:
                assert (ROOT / target).exists(), f"{document.name}: no file {target}"


def test_changelog_has_unreleased_changes() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased = re.search(r"^## \[Unreleased\]$(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert unreleased is not None
    released = f"## [{empaste_aug.__version__}]" in text
    assert released or re.search(r"^- \S", unreleased.group(1), flags=re.MULTILINE)


if __name__ == "__main__":
    old = README.read_text(encoding="utf-8")
    if SECTION.search(old) is None:
        sys.exit("README.md: the lines <!-- tools --> and <!-- /tools --> are missing")
    text = reference()
    README.write_text(SECTION.sub(lambda _: text, old), encoding="utf-8")
    print(f"README.md: wrote the flags of {len(TOOLS)} tools")
