"""The distractor rule for one set of targets: their mentions, and what may stand in for them."""

from __future__ import annotations

from dataclasses import dataclass

from empaste_aug.offline.vocabulary.context import is_plural
from empaste_aug.offline.vocabulary.nouns import Noun
from empaste_aug.offline.vocabulary.scan import Index
from empaste_aug.offline.vocabulary.tables import ClassWords, Vocabulary
from empaste_aug.offline.vocabulary.text import Span, Text
from empaste_aug.types import ArgumentError

_MERGED_ACROSS = frozenset(" -")


@dataclass(frozen=True, slots=True)
class Mention:
    """A place where a caption names a target class.

    Attributes:
        start, end: the characters ``caption[start:end]``.
        text: those characters.
        target: the class, as the caller spells it.
        plural: whether it stands for more than one.
    """

    start: int
    end: int
    text: str
    target: str
    plural: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A mention with what replacing it needs: its class and its spans' first and last word."""

    mention: Mention
    name: str
    first: int
    last: int
    capital: bool
    pronoun: bool


class Rule:
    """The rule for one set of targets: made once, used for every caption."""

    def __init__(self, targets: tuple[str, ...], vocabulary: Vocabulary) -> None:
        classes = [vocabulary.words(target) for target in targets]
        self.spellings: dict[str, str] = {}
        for target, words in zip(targets, classes, strict=True):
            self.spellings.setdefault(words.name, target)
        self.index = Index.of(vocabulary)
        self.distractors = {words.name: self._allowed(words, vocabulary) for words in classes}

    def find(self, text: Text) -> list[Found]:
        """The mentions in a caption."""
        if not self.spellings:
            return []
        found: list[Found] = []
        for span in self.index.named(text, self.spellings.keys()):
            item = self._found(text, span)
            if found and self._continues(text, found[-1], item):
                item = self._joined(text, found.pop(), item)
            found.append(item)
        return found

    def _found(self, text: Text, span: Span) -> Found:
        phrase = span.phrase
        name = next(name for name in self.spellings if name in phrase.owners)
        start, end = text.ranges[span.first][0], text.ranges[span.last][1]
        plural = phrase.plural
        if phrase.plural and phrase.singular:
            plural = is_plural(text.words, span.first, span.last)
        mention = Mention(start, end, text.caption[start:end], self.spellings[name], plural)
        return Found(mention, name, span.first, span.last, phrase.capital, phrase.pronoun)

    @staticmethod
    def _continues(text: Text, left: Found, right: Found) -> bool:
        """Whether two mentions are one noun phrase: baby boy, female tennis player."""
        return (
            left.name == right.name
            and left.last + 1 == right.first
            and text.gap(left.last) in _MERGED_ACROSS
            and not (left.mention.plural or left.pronoun or right.pronoun)
        )

    @staticmethod
    def _joined(text: Text, left: Found, right: Found) -> Found:
        start, end = left.mention.start, right.mention.end
        mention = Mention(
            start, end, text.caption[start:end], left.mention.target, right.mention.plural
        )
        return Found(mention, left.name, left.first, right.last, left.capital, False)

    def _allowed(self, words: ClassWords, vocabulary: Vocabulary) -> tuple[Noun, ...]:
        """What may stand in for a class: see `allowed_distractors`."""
        if words.distractors:
            lists = [words.distractors]
        else:
            order = list(vocabulary.distractors)
            start = order.index(words.supercategory) if words.supercategory else 0
            lists = [vocabulary.distractors[name] for name in order[start:] + order[:start]]
        for nouns in lists:
            free = tuple(noun for noun in nouns if self._is_free(noun))
            if free:
                return free
        texts = ", ".join(noun.form(False) for nouns in lists for noun in nouns)
        raise ArgumentError(
            f"targets: no distractor is left for {words.name!r}: each of {texts} holds a word of "
            "a target; give the class distractors of its own in the vocabulary's YAML file"
        )

    def _is_free(self, noun: Noun) -> bool:
        names = self.spellings.keys()
        return not any(self.index.names_target(form, names) for form, _ in noun.forms())
