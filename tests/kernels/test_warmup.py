"""What `warmup` compiles, and how kernels are declared."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np
import pytest

from empaste_aug import kernels
from empaste_aug.kernels import blend, circle, mask_stack, poisson, visibility

MODULES = [
    importlib.import_module(f"{kernels.__name__}.{info.name}")
    for info in pkgutil.iter_modules(kernels.__path__)
]


def is_kernel(value: object) -> bool:
    return hasattr(value, "py_func") and hasattr(value, "targetoptions")


def kernels_named_in(function: FunctionType) -> list[object]:
    """The kernels that a function's code names, as ``kernel`` or as ``module.kernel``."""
    names = function.__code__.co_names
    found = [function.__globals__.get(name) for name in names]
    modules = [
        v for v in found if isinstance(v, ModuleType) and v.__name__.startswith("empaste_aug")
    ]
    found += [getattr(module, name, None) for module in modules for name in names]
    return [value for value in found if is_kernel(value)]


def entries() -> list[object]:
    """The kernels that Python code of this room calls, not only other kernels."""
    found = {}
    for module in MODULES:
        for _, value in inspect.getmembers(module, inspect.isfunction):
            for entry in kernels_named_in(value):
                found[f"{entry.py_func.__module__}.{entry.__name__}"] = entry
    return [found[name] for name in sorted(found)]


KERNELS = {id(v): v for m in MODULES for v in vars(m).values() if is_kernel(v)}.values()
ENTRIES = entries()


def test_entries_are_found() -> None:
    """Those that were listed by hand; and what is no entry is called by another kernel."""
    known = {
        "_column_distances",
        "_update_columns",
        "_search",
        "feather",
        "composite",
        "gaussian_paste",
        "_count_inside",
        "_count_uncovered",
        "_count_hidden",
        "_trim",
        "paint_bytes",
    }
    assert known <= {entry.__name__ for entry in ENTRIES}
    called = {id(k) for kernel in KERNELS for k in kernels_named_in(kernel.py_func)}
    reached = {id(entry) for entry in ENTRIES} | called
    assert [kernel.__name__ for kernel in KERNELS if id(kernel) not in reached] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_warmup_compiles_every_entry(entry: object) -> None:
    kernels.warmup()
    poisson.compile_poisson()
    assert entry.signatures


def test_warmup_compiles_all_that_ordinary_calls_need(rng: np.random.Generator) -> None:
    kernels.warmup()
    before = [list(entry.signatures) for entry in ENTRIES]
    kernels.warmup()
    occupied = rng.random((40, 50)) < 0.1
    strided, frozen = occupied.astype(np.uint8)[:, ::2], occupied[:, ::2].copy()
    frozen.flags.writeable = False
    image = np.zeros((40, 50, 3), np.uint8)
    for mask in (strided, frozen):
        rgb = image[: mask.shape[0], ::2]
        circle.max_inscribed_circle(mask, tie_order=5)
        blend.composite(image, rgb, blend.feather(mask), np.int32(0), np.uint8(0))
        blend.gaussian_paste(image[:, ::-1], rgb, mask, np.int16(-3), 2, mask)
        visibility.trim(mask, 1, np.int32(-1), occupied)
        visibility.trim(mask, 1, 0, occupied.view(np.uint8), np.uint8(3))
        visibility.paint(mask, 1, 1, occupied[::-1], np.uint8(1))
        for stack in (
            mask_stack.pack_masks([], []),
            mask_stack.pack_masks([mask, mask.T], [(0, -1), (np.int32(2), np.int64(3))]),
        ):
            mask_stack.count_inside(*stack, np.int32(40), 50)
            mask_stack.count_uncovered(*stack, occupied[::-1])
            mask_stack.count_hidden(mask, np.int64(1), 1, occupied.astype(np.uint8), *stack)
    assert [list(entry.signatures) for entry in ENTRIES] == before


def test_only_the_one_decorator_is_used() -> None:
    folder = Path(kernels.__file__).parent
    for file in folder.glob("*.py"):
        if file.name != "_jit.py":
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"(import|from) numba|njit|prange|np\.random", text), file


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
def test_kernels_are_single_threaded_and_release_the_lock(kernel: object) -> None:
    assert kernel.targetoptions["nogil"]
    assert not kernel.targetoptions.get("parallel", False)
