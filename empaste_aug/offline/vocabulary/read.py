"""Reading and checking the YAML files that hold the words of the classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from empaste_aug.offline.vocabulary.nouns import PLACEHOLDERS, Noun, parse_noun, words_of
from empaste_aug.types import ArgumentError, MissingDependencyError

SUPERCATEGORIES = (
    "accessory", "animal", "appliance", "electronic", "food", "furniture", "indoor", "kitchen",
    "outdoor", "person", "sports", "vehicle",
)  # fmt: skip
"""COCO's twelve, in the order of the paper's Table 6."""

_NOUNS = ("synonyms", "distractors", "endings", "verbs", "adjectives", "attributes")
_TEXTS = ("names", "pronouns", "keep", "compounds", "modifiers", "makes")
_PAIRS = ("phrases", "actions", "groups")
_NAMES = ("supercategory", "like")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a file says about one class: see `ClassWords`."""

    nouns: tuple[Noun, ...]
    names: tuple[str, ...] = ()
    supercategory: str | None = None
    like: str | None = None
    distractors: tuple[Noun, ...] = ()
    pronouns: tuple[str, ...] = ()
    endings: tuple[Noun, ...] = ()
    verbs: tuple[Noun, ...] = ()
    keep: tuple[str, ...] = ()
    phrases: tuple[tuple[str, str], ...] = ()
    actions: tuple[tuple[str, str], ...] = ()
    modifiers: tuple[str, ...] = ()
    adjectives: tuple[Noun, ...] = ()
    attributes: tuple[Noun, ...] = ()
    makes: tuple[str, ...] = ()
    groups: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Table:
    """One of the package's own files: a supercategory's distractors and classes."""

    distractors: tuple[Noun, ...]
    classes: Mapping[str, Entry]


def read_builtin() -> dict[str, Table]:
    """The package's own files, by supercategory, in the order of Table 6."""
    folder = files("empaste_aug.offline.vocabulary") / "data"
    tables = {}
    for supercategory in SUPERCATEGORIES:
        name = f"{supercategory}.yaml"
        content = _mapping(_parsed((folder / name).read_text(encoding="utf-8"), name), name)
        nouns = _nouns(content["distractors"], f"{name}: distractors")
        tables[supercategory] = Table(nouns, _entries(content["classes"], name))
    return tables


def read_entries(file: Path) -> dict[str, Entry]:
    """The classes of a user's file; the supercategories are left to the caller to check.

    Raises:
        ArgumentError: the file cannot be read, or is not what `Vocabulary.from_yaml` describes.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ArgumentError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    except OSError as error:
        reason = error.strerror or error
        raise ArgumentError(f"{file}: the vocabulary file cannot be read: {reason}") from error
    entries = _entries(_parsed(text, str(file)), str(file))
    for name, entry in entries.items():
        if not (entry.supercategory or entry.distractors or entry.like):
            raise ArgumentError(
                f"{file}: {name}: one of supercategory, distractors and like is needed, to know "
                "what stands in for the class"
            )
    return entries


def _parsed(text: str, file: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MissingDependencyError("PyYAML", "offline", "reading a vocabulary") from error
    make: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader = make(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_keys(node, file)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ArgumentError(f"{file}: not valid YAML: {error}") from error
    finally:
        loader.dispose()


def _check_keys(node: Any, file: str) -> None:
    """Refuse a key that is written twice, of which YAML would keep the last one only."""
    if node.id != "mapping":
        return
    seen = set()
    for key, value in node.value:
        if key.id == "scalar" and key.value in seen:
            line = key.start_mark.line + 1
            raise ArgumentError(f"{file}: line {line}: the key {key.value!r} is written twice")
        seen.add(key.value if key.id == "scalar" else None)
        _check_keys(value, file)


def _entries(content: Any, file: str) -> dict[str, Entry]:
    entries = {}
    for name, entry in _mapping(content, file).items():
        if not isinstance(name, str) or not words_of(name):
            raise ArgumentError(f"{file}: {name!r}: a class name is a text; quote it if it is one")
        entries[name] = _entry(name, entry, f"{file}: {name}")
    return entries


def _entry(name: str, content: Any, where: str) -> Entry:
    known = (*_NOUNS, *_TEXTS, *_PAIRS, *_NAMES)
    values: dict[str, Any] = {}
    for key, value in _mapping(content, where).items():
        if key not in known:
            raise ArgumentError(f"{where}: {key!r} is none of the keys {', '.join(known)}")
        at = f"{where}: {key}"
        if key in _NAMES:
            values[key] = _text(value, at)
        elif key in _NOUNS:
            values[key] = _nouns(value, at)
        elif key in _PAIRS:
            values[key] = _pairs(value, at)
        else:
            values[key] = _texts(value, at)
    for phrase in values.get("keep", ()):
        _check_placeholder(phrase, f"{where}: keep")
    for key in ("phrases", "groups"):
        for text, template in values.get(key, ()):
            _check_template(text, template, f"{where}: {key}")
    compounds = _compounds(values.pop("compounds", ()), f"{where}: compounds")
    values["phrases"] = (*values.get("phrases", ()), *compounds)
    synonyms = values.pop("synonyms", ())
    named = _nouns([name, *values.get("names", ())], where)
    nouns = (*named, *synonyms, *values.get("adjectives", ()))
    return Entry(nouns=nouns, **values)


def _check_placeholder(phrase: str, where: str) -> None:
    """A ``<supercategory>`` stands alone at one end of the phrase, beside at least one word."""
    stripped = phrase.strip()
    if "<" not in stripped and ">" not in stripped:
        return
    first, _, rest = stripped.partition(">") if stripped.startswith("<") else ("", "", "")
    start, _, last = stripped.partition("<") if stripped.endswith(">") else ("", "", "")
    words, name = (rest, first[1:]) if first else (start, last[:-1])
    if not words_of(words) or "<" in words + name or ">" in words + name:
        raise ArgumentError(f"{where}: {phrase!r}: write '<animal> calf' or 'baby <animal>'")


def _check_template(text: str, template: str, where: str) -> None:
    """The braces of a template are those of `fill` alone."""
    rest = template
    for mark in PLACEHOLDERS:
        rest = rest.replace(mark, "")
    if "{" in rest or "}" in rest:
        raise ArgumentError(
            f"{where}: {text!r}: {template!r}: write {', '.join(PLACEHOLDERS)} where the "
            "distractor goes"
        )


def _compounds(texts: tuple[str, ...], where: str) -> Iterator[tuple[str, str]]:
    """Words written together, boat+house: in the singular and the plural, with their templates."""
    for text in texts:
        name, plus, head = (part.strip() for part in text.partition("+"))
        if not (plus and name and head) or "+" in head:
            raise ArgumentError(f"{where}: {text!r}: write 'boat+house' for boathouse")
        for form, _ in parse_noun(head).forms():
            yield name + form, f"{{}} {form}"


def _pairs(content: Any, where: str) -> tuple[tuple[str, str], ...]:
    items = _mapping(content, where).items()
    for key, value in items:
        if not isinstance(value, str) or not value.strip():
            raise ArgumentError(f"{where}: {key!r}: {value!r} is no text; quote it if it is one")
    return tuple((_text(key, where), value) for key, value in items)


def _mapping(content: Any, where: str) -> dict[Any, Any]:
    if not isinstance(content, dict):
        raise ArgumentError(f"{where}: {_shown(content)} where a mapping (key: value) is expected")
    return content


def _nouns(content: Any, where: str) -> tuple[Noun, ...]:
    nouns = []
    for text in _texts(content, where):
        try:
            nouns.append(parse_noun(text))
        except ArgumentError as error:
            raise ArgumentError(f"{where}: {error}") from error
    return tuple(nouns)


def _texts(content: Any, where: str) -> tuple[str, ...]:
    if not isinstance(content, list):
        raise ArgumentError(f"{where}: {_shown(content)} where a list of words is expected")
    return tuple(_text(value, where) for value in content)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ArgumentError(f"{where}: {value!r} is no text; quote it if it is meant as one")
    if not words_of(value):
        raise ArgumentError(f"{where}: {value!r} holds no word")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
