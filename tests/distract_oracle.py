"""What names a class in a caption, worked out without any code of the package.

It reads the package's YAML files itself, makes plurals by rules of its own, and looks for every
form as a run of whole words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

import empaste_aug

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
DATA = Path(empaste_aug.__file__).parent / "offline" / "vocabulary" / "data"
TABLES = {file.stem: yaml.safe_load(file.read_text("utf-8")) for file in sorted(DATA.iterdir())}
CLASSES = {name: entry for table in TABLES.values() for name, entry in table["classes"].items()}
COCO_CLASSES = tuple(CLASSES)
VOC_AS_COCO = {
    "aeroplane": "airplane", "diningtable": "dining table", "motorbike": "motorcycle",
    "pottedplant": "potted plant", "sofa": "couch", "tvmonitor": "tv",
}  # fmt: skip
DATA_SETS = {"voc": VOC_CLASSES, "coco": COCO_CLASSES}
IRREGULAR = {
    "man": "men", "woman": "women", "child": "children", "person": "people", "mouse": "mice",
    "goose": "geese", "ox": "oxen", "knife": "knives", "wife": "wives", "calf": "calves",
    "housewife": "housewives", "sheep": "sheep", "titmouse": "titmice", "grandchild":
    "grandchildren", "schoolchild": "schoolchildren", "loaf": "loaves", "human": "humans",
    "ottoman": "ottomans",
}  # fmt: skip


def split(text: str) -> tuple[str, ...]:
    return tuple(re.sub(r"[^a-zà-ÿ0-9]+", " ", text.lower()).split())


def plural(text: str) -> str:
    """The last word (or the one before of) in the plural."""
    head, of, rest = text.partition(" of ")
    *before, word = re.split(r"(?=[ -])", head)
    mark = word[0] if word[0] in " -" else ""
    bare = word[len(mark) :]
    for singular, many in sorted(IRREGULAR.items(), key=lambda pair: -len(pair[0])):
        if bare.lower() == singular or (len(singular) > 2 and bare.lower().endswith(singular)):
            bare = bare[: len(bare) - len(singular)] + many
            break
    else:
        if re.search(r"(s|x|z|ch|sh)$", bare):
            bare += "es"
        elif re.search(r"[^aeiou]y$", bare):
            bare = bare[:-1] + "ies"
        else:
            bare += "s"
    return "".join(before) + mark + bare + of + rest


@cache
def written(name: str) -> tuple[str, ...]:
    """Every form of the words of a class: what the table writes, and the oracle's plurals."""
    entry = CLASSES[name]
    forms: list[str] = []
    for word in [name, *entry.get("names", []), *entry["synonyms"]]:
        if "/" in word:
            forms += [part for part in word.split("/") if part]
        else:
            forms += [word, plural(word)]
    forms += [plural(word) for word in entry.get("adjectives", []) if "/" not in word]
    return tuple(forms)


@cache
def templates(name: str) -> dict[str, str]:
    """What tells of a class without being a noun for it, and what stands for it."""
    entry = CLASSES[name]
    found = dict(entry.get("phrases", {}))
    for word in entry.get("compounds", []):
        first, head = word.split("+")
        found |= {first + head: f"{{}} {head}", first + plural(head): f"{{}} {plural(head)}"}
    return found


@cache
def forbidden(data_set: str) -> frozenset[tuple[str, ...]]:
    names = [VOC_AS_COCO.get(name, name) for name in DATA_SETS[data_set]]
    return frozenset(
        split(form)
        for name in names
        for form in (*written(name), *misspelt(name), *templates(name))
    )


@cache
def misspelt(name: str) -> tuple[str, ...]:
    """Possessives without an apostrophe: childrens, womens."""
    return tuple(f"{form}s" for form in written(name) if form.endswith(("men", "children")))


def left_over(caption: str, data_set: str) -> list[str]:
    """The target words in a caption, by whole words, without regard to what is around them."""
    return sorted(" ".join(run) for run in runs(caption) & forbidden(data_set))


def runs(caption: str) -> set[tuple[str, ...]]:
    """All runs of at most six words."""
    words = split(caption)
    return {
        words[i : i + length]
        for i in range(len(words))
        for length in range(1, min(7, len(words) - i + 1))
    }


def keep_only(caption: str) -> str:
    """What a caption holds of phrases that the tables (or the heads of compounds) keep."""
    return " . ".join(" ".join(run) for run in runs(caption) & keeps())


@cache
def keeps() -> frozenset[tuple[str, ...]]:
    found = {split(phrase) for name in COCO_CLASSES for phrase in written(name) if " " in phrase}
    for entry in CLASSES.values():
        for phrase in entry.get("keep", []):
            found |= {split(re.sub(r"<\w+>", "", phrase)), split(f"{phrase}s")}
    return frozenset(found)


def listed() -> Iterator[tuple[str, str, str]]:
    for name, entry in CLASSES.items():
        for key in ("synonyms", "keep", "verbs", "pronouns", "endings", "names", "adjectives"):
            for text in entry.get(key, []):
                yield name, key, text
