"""The words of each class and the distractors of each supercategory."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from empaste_aug.offline.vocabulary.nouns import Noun, words_of
from empaste_aug.offline.vocabulary.read import Entry, read_builtin, read_entries
from empaste_aug.types import ArgumentError


@dataclass(frozen=True, kw_only=True)
class ClassWords:
    """What a caption may call the objects of one class.

    Attributes:
        name: of the class.
        names: what data sets call it: `name` first, then the others (couch, sofa).
        nouns: its names, synonyms and kinds.
        supercategory: whose distractors stand in for it; None where it has its own only.
        distractors: its own, which go before the supercategory's.
        pronouns: words that stand for a whole noun phrase, as someone does for a person.
        endings: the last part of a longer word that is a kind of the class too: boat, man.
        verbs: its words that are verbs as well; where one clearly is, it is left alone.
        keep: phrases in which the class's words mean something else. A ``<supercategory>`` at
            the start or the end stands for any word of that supercategory.
        phrases: words that tell of the class without being a noun for it, each with what stands
            for it instead: ``("biking", "riding {a}")``, in which ``{}`` is the distractor,
            ``{a}`` the distractor with its article and ``{s}`` its plural; what stands in
            brackets is said before an object: ``("reading", "looking( at)")``. A word that is
            one of the `nouns` too (ski) is such a phrase where it clearly is a verb.
        actions: verbs that suit the class alone, which change where it is their object:
            ``("flying", "holding")`` for the kite.
        modifiers: adjectives that are dropped with the class's word which they stand before; a
            class that has any also takes the proper name behind its word with it.
        adjectives: its words that are adjectives as well (Mexican, Sikh); in the singular they
            name it only where they clearly are nouns: a Sikh prays, not a Sikh temple.
        attributes: what is dropped where the class's word has it right behind: in a hijab.
        makes: its words behind which the name of a model belongs to it: Toyota Corolla.
        groups: its words for many at once by their last word, each with what stands for it, so
            that it stays one thing and many: ``("couple", "pair of {s}")``.
    """

    name: str
    names: tuple[str, ...]
    nouns: tuple[Noun, ...]
    supercategory: str | None = None
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


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The classes that `replace_targets` knows, with their words.

    Attributes:
        classes: by name.
        distractors: by supercategory, in the order in which one stands in for another whose
            distractors are all taken by the targets.
    """

    classes: Mapping[str, ClassWords]
    distractors: Mapping[str, tuple[Noun, ...]]

    @classmethod
    def builtin(cls) -> Vocabulary:
        """The 80 classes of COCO, under which the 20 of Pascal VOC are found by their names too.

        It is read once per process.

        Raises:
            MissingDependencyError: inflect or PyYAML is not installed.

        Example:
            >>> Vocabulary.builtin().words("aeroplane").name
            'airplane'
        """
        return _builtin()

    @classmethod
    def from_yaml(cls, path: str | Path) -> Vocabulary:
        """The built-in classes and those of a file, which replace built-in ones of their name.

        The file maps each class to its words; all keys but one of ``supercategory``,
        ``distractors`` and ``like`` may be left out::

            forklift:
              supercategory: vehicle              # whose distractors stand in for it
              synonyms: [fork truck, reach truck] # the plurals follow by themselves
              keep: [forklift licence]            # phrases that do not name the object
            helmet:
              distractors: [sun hat, bonnet]      # its own
              synonyms: [hard hat, headgear/]
            car:
              like: car                           # the built-in words, and
              synonyms: [Trabant]                 # one more

        ``names``, ``pronouns``, ``endings``, ``verbs``, ``adjectives`` (not repeated under
        ``synonyms``), ``modifiers``, ``attributes``, ``makes`` and the mappings ``phrases``,
        ``actions`` and ``groups`` are those of `ClassWords`; ``compounds: [boat+house]`` says that
        boathouse becomes ``<distractor> house``. A word is written as `parse_noun` reads it.

        Raises:
            ArgumentError: the file cannot be read, is no such mapping, or holds a wrong key or
                value; the message names the file, the class, the key and the value.
            MissingDependencyError: inflect or PyYAML is not installed.
        """
        if not isinstance(path, str | os.PathLike):
            raise ArgumentError(f"vocabulary: {path!r} is no path of a YAML file")
        builtin = cls.builtin()
        file = Path(path)
        entries = read_entries(file)
        made = {}
        for name, entry in entries.items():
            where = f"{file}: {name}"
            made[name] = _class(name, entry, builtin.distractors, where)
            if entry.like is not None:
                base = builtin.find(entry.like)
                if base is None:
                    raise ArgumentError(f"{where}: like: no built-in class is {entry.like!r}")
                made[name] = _extended(made[name], base)
        spellings: dict[str, str] = {}
        for name, words in made.items():
            for spelling in {_spelling(alias) for alias in words.names}:
                other = spellings.setdefault(spelling, name)
                if other != name:
                    raise ArgumentError(f"{file}: {other!r} and {name!r} have the same name")
        kept = {
            name: words
            for name, words in builtin.classes.items()
            if not any(_spelling(alias) in spellings for alias in words.names)
        }
        return cls({**kept, **made}, builtin.distractors)

    def find(self, name: str) -> ClassWords | None:
        """The class of this name, or None; case, spaces, ``_`` and ``-`` make no difference."""
        spelling = _spelling(name)
        for words in self.classes.values():
            if spelling in {_spelling(alias) for alias in words.names}:
                return words
        return None

    def words(self, name: str) -> ClassWords:
        """The class of this name.

        Raises:
            ArgumentError: there is no such class.
        """
        return self.words_of_all([name])[0]

    def words_of_all(self, names: Iterable[str]) -> list[ClassWords]:
        """The classes of these names, in their order.

        Raises:
            ArgumentError: there is no such class; the message names all that there are not.
        """
        found = {name: self.find(name) for name in names}
        unknown = [name for name, words in found.items() if words is None]
        if unknown:
            raise ArgumentError(self._unknown(unknown))
        return [words for words in found.values() if words is not None]

    def _unknown(self, names: list[str]) -> str:
        known = sorted({alias for words in self.classes.values() for alias in words.names})
        shown = []
        for name in names:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
            shown.append(f"{name!r}{hint}")
        classes = "the class" if len(names) == 1 else "the classes"
        return (
            f"targets: the vocabulary has no words for {classes} {', '.join(shown)}. The built-in "
            "one has the classes of COCO and Pascal VOC. For others, write a YAML file with their "
            "synonyms and supercategory, and pass it as --vocabulary FILE on the command line or "
            "as vocabulary=Vocabulary.from_yaml(file) in Python."
        )


def _spelling(name: str) -> str:
    return "".join(words_of(name))


def _class(
    name: str, entry: Entry, distractors: Mapping[str, tuple[Noun, ...]], where: str
) -> ClassWords:
    """One class of a file, its supercategories checked."""
    if entry.supercategory is not None and entry.supercategory not in distractors:
        raise ArgumentError(
            f"{where}: supercategory: {entry.supercategory!r} is none of {', '.join(distractors)}"
        )
    for phrase in entry.keep:
        category = phrase.partition("<")[2].partition(">")[0]
        if category and category not in distractors:
            raise ArgumentError(f"{where}: keep: {phrase!r}: no supercategory {category!r}")
    return ClassWords(
        name=name,
        names=(name, *entry.names),
        nouns=entry.nouns,
        supercategory=entry.supercategory,
        distractors=entry.distractors,
        pronouns=entry.pronouns,
        endings=entry.endings,
        verbs=entry.verbs,
        keep=entry.keep,
        phrases=entry.phrases,
        actions=entry.actions,
        modifiers=entry.modifiers,
        adjectives=entry.adjectives,
        attributes=entry.attributes,
        makes=entry.makes,
        groups=entry.groups,
    )


def _extended(own: ClassWords, base: ClassWords) -> ClassWords:
    """A class that has another one's words besides its own."""
    return replace(
        own,
        nouns=own.nouns + base.nouns,
        supercategory=own.supercategory or base.supercategory,
        distractors=own.distractors or base.distractors,
        pronouns=own.pronouns + base.pronouns,
        endings=own.endings + base.endings,
        verbs=own.verbs + base.verbs,
        keep=own.keep + base.keep,
        phrases=base.phrases + own.phrases,
        actions=base.actions + own.actions,
        modifiers=base.modifiers + own.modifiers,
        adjectives=base.adjectives + own.adjectives,
        attributes=base.attributes + own.attributes,
        makes=base.makes + own.makes,
        groups=base.groups + own.groups,
    )


@lru_cache(maxsize=1)
def _builtin() -> Vocabulary:
    tables = read_builtin()
    distractors = {name: table.distractors for name, table in tables.items()}
    classes = {}
    for supercategory, table in tables.items():
        for name, entry in table.classes.items():
            entry = replace(entry, supercategory=supercategory)
            classes[name] = _class(name, entry, distractors, f"{supercategory}.yaml: {name}")
    return Vocabulary(classes, distractors)
