"""What a value holds and what the user's code refers to: the steps of the search for generators."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import PurePath
from types import (
    BuiltinMethodType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

_LONG = 100
"""Lists and dicts with more entries are data, and are not searched."""

_MOST = 10_000
"""Values that one search looks at, the user's code before data."""

_NEAR = 200
"""Values among which the search looks for what data set and transform wrap."""

_FRAMEWORKS = frozenset(
    ["PIL", "albumentations", "cv2", "detectron2", "empaste_aug", "numpy", "torch", "torchvision"]
)
"""Libraries wherever they lie: some are often installed from a clone."""

_STANDARD = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})

_ATOMS = (str, bytes, int, float, complex, type(None), np.ndarray, np.generic)
_CONTAINERS = (list, tuple, dict)
_METHODS = (MethodType, BuiltinMethodType)
_WRAPPERS = (staticmethod, classmethod)


def search(roots: Iterable[Any], wanted: Callable[[Any], bool]) -> list[Any]:
    """What is wanted among all that can be reached from the roots, in an order that does not vary.

    What is wanted is not searched itself.
    """
    user = _UserCode(roots)
    found = []
    code, data = deque(roots), deque[Any]()
    seen: dict[int, Any] = {}  # the values stay alive: ids are used again
    while (code or data) and len(seen) < _MOST:
        value = (code or data).popleft()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if wanted(value):
            found.append(value)
            continue
        for part in _held(value, user.slots(type(value))):
            kind = type(part)
            if kind in _CONTAINERS and part:
                data.append(part)
            elif kind not in _CONTAINERS and not issubclass(kind, _ATOMS):
                code.append(part)
        code.extend(_named(value, user))
    return found


class _UserCode:
    """Tells the user's modules from libraries.

    A library is what lies in the standard library or in site-packages, and the frameworks. The
    packages of data set and transform themselves are the user's, even if they are installed.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self._known: dict[str, bool] = {}
        self._packages = set(_packages(roots))
        self._slots: dict[type, list[MemberDescriptorType]] = {}
        self._classes: dict[type, list[type]] = {}

    def __contains__(self, module: str) -> bool:
        if module not in self._known:
            self._known[module] = self._is_user(module)
        return self._known[module]

    def slots(self, kind: type) -> list[MemberDescriptorType]:
        """The slots of a class's instances."""
        if kind not in self._slots:
            self._slots[kind] = _slots(kind)
        return self._slots[kind]

    def classes(self, kind: type) -> list[type]:
        """Those of a class and its bases that are the user's."""
        if kind not in self._classes:
            self._classes[kind] = [base for base in kind.__mro__ if _module_of(base) in self]
        return self._classes[kind]

    def _is_user(self, name: str) -> bool:
        package = name.partition(".")[0]
        if package in _FRAMEWORKS:
            return False
        file = getattr(sys.modules.get(name), "__file__", None)
        if not isinstance(file, str):
            return package not in sys.stdlib_module_names
        if {"site-packages", "dist-packages"}.isdisjoint(PurePath(file).parts):
            return not file.startswith(_STANDARD)
        return package in self._packages


def _packages(roots: Iterable[Any]) -> Iterator[str]:
    """The packages of the roots, and of what they wrap: in torch's Subset, partials, lists."""
    values = deque(roots)
    seen: dict[int, Any] = {}
    while values and len(seen) < _NEAR:
        value = values.popleft()
        if issubclass(type(value), _ATOMS) or id(value) in seen:
            continue
        seen[id(value)] = value
        package = _module_of(value).partition(".")[0]
        if package in _FRAMEWORKS or package in sys.stdlib_module_names:
            values.extend(_held(value, _slots(type(value))))
        else:
            yield package


def _module_of(value: Any) -> str:
    """The name of the module in which a function, or a class or the class of a value, is defined.

    A function's own `__module__` is another one where a decorator has copied it.
    """
    if type(value) is FunctionType:
        name = value.__globals__.get("__name__", "__main__")
    else:
        name = vars(_class_of(value)).get("__module__")
    return name if isinstance(name, str) else "builtins"


def _class_of(value: Any) -> type:
    """The class of a value, or the value if it is one."""
    return value if issubclass(type(value), type) else type(value)


def _slots(kind: type) -> list[MemberDescriptorType]:
    return [
        member
        for base in kind.__mro__
        if "__slots__" in vars(base)
        for member in vars(base).values()
        if type(member) is MemberDescriptorType
    ]


def _held(value: Any, slots: Iterable[MemberDescriptorType]) -> Iterator[Any]:
    """What a value holds. No code of the value's runs: no property, no iterator of its own."""
    kind = type(value)
    if issubclass(kind, (type, ModuleType)):
        return
    if issubclass(kind, list):
        yield from list.__iter__(value) if list.__len__(value) <= _LONG else ()
    elif issubclass(kind, tuple):
        yield from tuple.__iter__(value) if tuple.__len__(value) <= _LONG else ()
    elif issubclass(kind, dict):
        yield from dict.values(value) if dict.__len__(value) <= _LONG else ()
    elif issubclass(kind, _METHODS):
        yield value.__self__
        yield getattr(value, "__func__", None)
    elif issubclass(kind, _WRAPPERS):
        yield value.__func__
    elif issubclass(kind, property):
        yield from (value.fget, value.fset, value.fdel)
    elif issubclass(kind, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif kind is FunctionType:
        yield from value.__defaults__ or ()
        yield from (value.__kwdefaults__ or {}).values()
        for cell in value.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # the cell is still empty
                continue
    for slot in slots:
        try:
            yield slot.__get__(value, kind)
        except AttributeError:  # the slot is still empty
            continue
    try:
        yield from object.__getattribute__(value, "__dict__").values()
    except AttributeError:
        return


def _named(value: Any, user: _UserCode) -> Iterator[Any]:
    """What the user's functions name, and all that their classes define."""
    if type(value) is FunctionType:
        if _module_of(value) in user:
            yield from _globals_named(value, user)
        return
    for base in user.classes(_class_of(value)):
        yield from vars(base).values()


def _globals_named(function: FunctionType, user: _UserCode) -> Iterator[Any]:
    """The globals that a function names, also as attributes of modules, and what it imports."""
    names = list(dict.fromkeys(_names(function.__code__)))
    known = function.__globals__
    modules = deque(_imported(names, known))
    yield from _sorted_out((known[name] for name in names if name in known), modules)
    seen = set()
    while modules:
        module = modules.popleft()
        attributes = vars(module)
        name = attributes.get("__name__")
        if id(module) in seen or not isinstance(name, str) or name not in user:
            continue
        seen.add(id(module))
        yield from _sorted_out((attributes[name] for name in names if name in attributes), modules)


def _sorted_out(values: Iterable[Any], modules: deque[ModuleType]) -> Iterator[Any]:
    """Yield what is no module; append what is one."""
    for value in values:
        if issubclass(type(value), ModuleType):
            modules.append(value)
        else:
            yield value


def _imported(names: Iterable[str], known: dict[str, Any]) -> Iterator[ModuleType]:
    """The modules that an import within the function may mean, if they are loaded already."""
    package = known.get("__package__") or ""
    prefixes = [""]
    while package:
        prefixes.append(f"{package}.")
        package = package.rpartition(".")[0]
    for name in names:
        for prefix in prefixes:
            module: Any = sys.modules.get(prefix + name)
            if issubclass(type(module), ModuleType):
                yield module


def _names(code: CodeType) -> Iterator[str]:
    """The names in a function, and in the functions and comprehensions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
