"""The search for generators: what user code refers to is found, libraries are left alone."""

from __future__ import annotations

import functools
import importlib
import random
import sys
import textwrap

import numpy as np
import pytest

from empaste_aug.stream import KeyedDataset
from empaste_aug.stream.generators import held_generators

CODE = {
    "method": """
        class DS(Base):
            def __getitem__(self, index):
                return RNG.random()
    """,
    "function that a method calls": """
        def outer():
            return inner()
        def inner():
            return RNG.random()
        class DS(Base):
            def __getitem__(self, index):
                return outer()
    """,
    "comprehension": """
        class DS(Base):
            def __getitem__(self, index):
                return sum([(lambda: RNG.random())() for _ in range(2)])
    """,
    "base class": """
        class Parent(Base):
            def draw(self):
                return RNG.random()
        class DS(Parent):
            def __getitem__(self, index):
                return self.draw()
    """,
    "property": """
        class DS(Base):
            @property
            def drawn(self):
                return RNG.random()
            def __getitem__(self, index):
                return self.drawn
    """,
    "static method": """
        class DS(Base):
            @staticmethod
            def draw():
                return RNG.random()
            def __getitem__(self, index):
                return self.draw()
    """,
    "class method": """
        class DS(Base):
            @classmethod
            def draw(cls):
                return RNG.random()
            def __getitem__(self, index):
                return self.draw()
    """,
    "class attribute": """
        class DS(Base):
            rng = RNG
            def __getitem__(self, index):
                return self.rng.random()
    """,
    "class that a method names": """
        class Helper:
            @staticmethod
            def draw():
                return RNG.random()
        class DS(Base):
            def __getitem__(self, index):
                return Helper.draw()
    """,
    "instance that a method names": """
        class Helper:
            def __call__(self):
                return RNG.random()
        helper = Helper()
        class DS(Base):
            def __getitem__(self, index):
                return helper()
    """,
    "slots": """
        class Helper:
            __slots__ = ("rng", "empty")
        helper = Helper()
        helper.rng = RNG
        class DS(Base):
            def __getitem__(self, index):
                return helper.rng.random()
    """,
    "dict": """
        AUGS = {"train": [RNG]}
        class DS(Base):
            def __getitem__(self, index):
                return AUGS["train"][0].random()
    """,
    "subclass of list": """
        class DS(list):
            def __init__(self):
                super().__init__(range(1000))
            def __getitem__(self, index):
                return RNG.random()
    """,
    "decorator": """
        import functools
        def twice(function):
            @functools.wraps(function)
            def wrapper(self, index):
                return function(self, index) + function(self, index)
            return wrapper
        class DS(Base):
            @twice
            def __getitem__(self, index):
                return RNG.random()
    """,
    "decorator of a library": """
        import contextlib
        @contextlib.contextmanager
        def drawing():
            yield RNG.random()
        class DS(Base):
            def __getitem__(self, index):
                with drawing() as value:
                    return value
    """,
    "module": """
        import {package}.augs
        class DS(Base):
            def __getitem__(self, index):
                return {package}.augs.hidden.random()
    """,
    "module by another name": """
        from {package} import augs as other
        class DS(Base):
            def __getitem__(self, index):
                return other.draw()
    """,
    "import within": """
        import {package}.augs
        class DS(Base):
            def __getitem__(self, index):
                from {package}.augs import hidden as drawn
                return drawn.random()
    """,
    "relative import within": """
        import {package}.augs
        class DS(Base):
            def __getitem__(self, index):
                from . import augs
                return augs.draw()
    """,
}

PREFACE = """
import numpy as np
class Base:
    def __len__(self):
        return 3
"""

NUMBERS = iter(range(1000))


@pytest.fixture(params=["project", "site-packages"])
def package(request, tmp_path, monkeypatch):
    """A new package of the user's, in a project or installed: a function of its module's code."""
    folder = tmp_path / request.param
    name = f"user_package_{next(NUMBERS)}"
    (folder / name).mkdir(parents=True)
    monkeypatch.syspath_prepend(folder)

    def write(code, *, module="data"):
        text = PREFACE + textwrap.dedent(code).replace("{package}", name)
        (folder / name / f"{module}.py").write_text(text)
        importlib.invalidate_caches()
        return importlib.import_module(f"{name}.{module}")

    (folder / name / "__init__.py").write_text("")
    (folder / name / "augs.py").write_text(
        "import numpy as np\nhidden = np.random.default_rng(0)\n"
        "def draw():\n    return hidden.random()\n"
    )
    yield write
    for loaded in [key for key in sys.modules if key.partition(".")[0] == name]:
        del sys.modules[loaded]


@pytest.mark.parametrize("code", CODE.values(), ids=CODE)
def test_what_methods_refer_to_is_found(package, code):
    keyed = KeyedDataset(
        package("RNG = np.random.default_rng(0)\n" + textwrap.dedent(code)).DS(), seed=3
    )
    assert len(keyed.generators) == 1
    values = [keyed[position, 0] for position in (0, 1, 1, 0)]
    assert values == values[::-1]
    assert values[0] != values[1]
    keyed.verify()


def test_transforms_and_what_wraps_them(package):
    data = pytest.importorskip("torch.utils.data")
    module = package("""
        RNG = np.random.default_rng(0)
        OTHER = np.random.default_rng(0)
        class DS(Base):
            def __getitem__(self, index):
                return OTHER.random()
        class Transform:
            def __call__(self, value):
                return value, RNG.random()
            def method(self, value):
                return value, RNG.random()
    """)
    wrapped = data.ConcatDataset([data.Subset(module.DS(), [0, 1])])
    for transform in (
        module.Transform(),
        module.Transform().method,
        functools.partial(module.Transform()),
        [module.Transform()].__getitem__(0).__call__,
    ):
        keyed = KeyedDataset(wrapped, transform, seed=3)
        assert {id(source) for source in keyed.generators} == {id(module.RNG), id(module.OTHER)}
        keyed.verify()


def test_albumentations_pipelines_of_a_module(package):
    albumentations = pytest.importorskip("albumentations")
    module = package("""
        import albumentations as A
        aug = A.Compose([A.HorizontalFlip(p=0.5), A.RandomBrightnessContrast(p=1)])
        class DS(Base):
            def __getitem__(self, index):
                return aug(image=np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    """)
    assert isinstance(module.aug, albumentations.Compose)
    keyed = KeyedDataset(module.DS(), seed=0)
    assert keyed.generators == [module.aug]
    keyed.verify()


def test_nothing_is_called(package):
    module = package("""
        def refuse(*_):
            raise AssertionError("called")
        class Touchy:
            drawn = property(refuse)
            __getattr__ = __getattribute__ = __iter__ = __len__ = __eq__ = __bool__ = refuse
            __hash__ = refuse
        class TouchyList(list):
            __iter__ = __len__ = __getitem__ = __bool__ = refuse
        class TouchyDict(dict):
            values = items = keys = __iter__ = __len__ = __bool__ = refuse
        held = Touchy(), TouchyList([1]), TouchyDict(a=1)
        RNG = np.random.default_rng(0)
        class DS(Base):
            def __getitem__(self, index):
                return held, RNG, missing
            @property
            def broken(self):
                raise AssertionError("called")
    """)
    assert held_generators(module.DS()) == [module.RNG]


def test_globals_of_libraries_are_not_searched(package, tmp_path, monkeypatch):
    folder = tmp_path / "other" / "site-packages"
    folder.mkdir(parents=True)
    name = f"library_{next(NUMBERS)}"
    (folder / f"{name}.py").write_text(
        "import random\nSHARED = random.Random(0)\nclass Base:\n"
        "    def draw(self):\n        return SHARED.random()\n"
        "def draw():\n    return SHARED.random()\n"
    )
    monkeypatch.syspath_prepend(folder)
    module = package(f"""
        import random
        import numpy.random
        import {name}
        RNG = random.Random(0)
        class DS(Base, {name}.Base):
            def __getitem__(self, index):
                {name}.draw(), {name}.SHARED, self.draw(), random._inst, numpy.random.mtrand
                return RNG.random()
    """)
    assert held_generators(module.DS()) == [module.RNG]
    library = sys.modules.pop(name)
    assert held_generators(library.draw) == [library.SHARED]  # the transform's own package


def test_the_search_is_bounded():
    class Link:
        pass

    first = last = Link()
    for _ in range(30_000):
        last.next = Link()
        last = last.next
    last.rng = random.Random(0)
    assert held_generators(first) == []
    ring = Link()
    ring.next, ring.rng = ring, random.Random(0)
    assert held_generators(ring) == [ring.rng]


def test_code_is_searched_before_data():
    class Data:
        def __init__(self):
            self.annotations = [
                [{"boxes": [[0.0] * 4]} for _ in range(100)] for _ in range(100)
            ]  # 40,000 lists and dicts

        def __getitem__(self, index):
            return rng.random()

    rng = np.random.default_rng(0)
    assert held_generators(Data()) == [rng]
