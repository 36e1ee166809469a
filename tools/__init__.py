"""Command line tools, installed as `empaste_aug.tools`: each is thin, over one library call.

The functions here are the installed commands: they start a tool, and say in one line which extra
is missing where it cannot be imported.
"""

from __future__ import annotations

import sys
from importlib import import_module


def run_build_bank() -> int:
    """The command `empaste-build-bank`."""
    return _run("build_bank")


def run_build_backgrounds() -> int:
    """The command `empaste-build-backgrounds`."""
    return _run("build_backgrounds")


def run_merge_bank() -> int:
    """The command `empaste-merge-bank`."""
    return _run("merge_bank")


def run_evaluate_bank() -> int:
    """The command `empaste-evaluate-bank`."""
    return _run("evaluate_bank")


def run_preview() -> int:
    """The command `empaste-preview`."""
    return _run("preview")


def run_train_classifier() -> int:
    """The command `empaste-train-classifier`."""
    return _run("train_classifier")


def run_export_dataset() -> int:
    """The command `empaste-export-dataset`."""
    return _run("export_dataset")


def run_make_longtail() -> int:
    """The command `empaste-make-longtail`."""
    return _run("make_longtail")


def run_train_net() -> int:
    """The command `empaste-train-net`."""
    return _run("train_net")


def _run(tool: str) -> int:
    try:
        main = import_module(f"{__name__}.{tool}").main
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "empaste_aug"):
            raise
        print(
            f"{tool} needs the package '{package}': pip install 'empaste_aug[offline]'",
            file=sys.stderr,
        )
        return 2
    return int(main())
