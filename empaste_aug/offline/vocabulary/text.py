"""A caption as a row of words, and what a run of them means in a vocabulary."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from empaste_aug.offline.vocabulary.nouns import WORD

_WITHIN_PHRASE = re.compile(r"\s+|[_\-‐‑‒.]|['’]\s?|\s?&\s?")


@dataclass(slots=True)
class Phrase:
    """What one word or run of words, in lower case, means in a vocabulary.

    Attributes:
        owners: the classes that it names.
        verb_of: those of them for which it may be a verb.
        adjective_of: those of them for which it may be an adjective.
        templates: by class, what stands for it where it tells of the class without being a noun
            for it (biking): see `ClassWords.phrases`.
        kept_by: the classes of which it is a phrase to keep.
        kinds: supercategories of its classes, or of which it is a distractor.
        singular, plural: which of the two it can be.
        capital: it is written with capitals even within a sentence (TV, Dalmatian).
        pronoun: it stands for a whole noun phrase (someone).
    """

    owners: set[str] = field(default_factory=set)
    verb_of: set[str] = field(default_factory=set)
    adjective_of: set[str] = field(default_factory=set)
    templates: dict[str, str] = field(default_factory=dict)
    kept_by: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)
    singular: bool = False
    plural: bool = False
    capital: bool = False
    pronoun: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A phrase at its place: words `first` to `last`, `last` included.

    `names` are those of its classes that it names or tells of, and `by_template` is whether it is
    one of its `templates`' phrases here, not a noun.
    """

    first: int
    last: int
    phrase: Phrase
    by_template: bool = False
    names: Collection[str] = ()

    def holds(self, other: Span) -> bool:
        """Whether the other one lies within this one."""
        return self.first <= other.first and other.last <= self.last

    @property
    def length(self) -> int:
        """In words."""
        return self.last - self.first + 1

    @property
    def owners(self) -> Collection[str]:
        """The classes that it names or, by a template, tells of."""
        return self.phrase.templates if self.by_template else self.phrase.owners


@dataclass(frozen=True, slots=True)
class Text:
    """A caption as words: in lower case, and the range of characters of each."""

    caption: str
    words: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, caption: str) -> Text:
        """The words of a caption."""
        found = list(WORD.finditer(caption))
        words = tuple(match[0].casefold() for match in found)
        return cls(caption, words, tuple(match.span() for match in found))

    def gap(self, position: int) -> str:
        """The characters between the word at this position and the next one."""
        return self.caption[self.ranges[position][1] : self.ranges[position + 1][0]]

    def next(self, position: int) -> str:
        """The word behind the one at this position where nothing but a space parts them, or ""."""
        following = position + 1 < len(self.words) and self.gap(position).isspace()
        return self.words[position + 1] if following else ""

    def start(self, position: int) -> int:
        """The first word of the run without punctuation in which the word at this position is."""
        while position and self.is_joined(position - 1, position):
            position -= 1
        return position

    @property
    def is_headline(self) -> bool:
        """Whether the first word and all but short ones have a capital, which so tells nothing."""
        if self.ranges and self.caption[self.ranges[0][0]].islower():
            return False
        return not any(self.caption[i].islower() for i, end in self.ranges if end - i > 3)

    def is_joined(self, first: int, last: int) -> bool:
        """Whether no punctuation parts the words from `first` to `last`, `last` included."""
        for position in range(first, last):
            gap = self.gap(position)
            if gap != " " and not _WITHIN_PHRASE.fullmatch(gap):
                return False
        return True
