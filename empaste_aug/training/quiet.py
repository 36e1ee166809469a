"""What the libraries below say that a user of a tool can do nothing about."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


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


@contextmanager
def silent(name: str) -> Iterator[None]:
    """While it lasts, a logger says nothing."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
