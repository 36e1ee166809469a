"""Warnings of the libraries below, which a user of a tool can do nothing about."""

from __future__ import annotations

import logging
import warnings


def ignore_library_warnings() -> None:
    """What detectron2's use of older torch functions makes torch say; call it before importing."""
    for message in (
        "pkg_resources",
        ".*torch.jit",
        ".*torch.(jit.script|meshgrid)",
        ".*torch.cuda.amp",
    ):
        warnings.filterwarnings("ignore", message=message)
    for name in ("torch.fx", "torch.utils.cpp_extension"):
        logging.getLogger(name).setLevel(logging.ERROR)
