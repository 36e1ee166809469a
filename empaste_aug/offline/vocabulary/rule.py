"""The distractor rule for one set of targets: their mentions, and what may stand in for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from empaste_aug.offline.vocabulary.context import (
    HEADS,
    PARTS_OF_ROOMS,
    is_determiner,
    is_plural,
    starts_object,
    verb_before,
)
from empaste_aug.offline.vocabulary.following import ends_noun_phrase, model_end
from empaste_aug.offline.vocabulary.looks import cuts, modifier_before
from empaste_aug.offline.vocabulary.nouns import Noun, words_of
from empaste_aug.offline.vocabulary.scan import Index
from empaste_aug.offline.vocabulary.tables import ClassWords, Vocabulary
from empaste_aug.offline.vocabulary.text import Span, Text
from empaste_aug.types import ArgumentError

_MERGED_ACROSS = frozenset(" -")
_OBJECT = re.compile(r"\(([^)]*)\)")
_DOING = ("riding ", "watching ", "herding ")


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
    """A mention with what replacing it needs.

    Attributes:
        mention: what is found.
        name: of its class.
        first, last: the words that are replaced: the mention's, with adjectives that are dropped
            before and a proper name that is behind.
        capital: it is written with capitals even within a sentence.
        pronoun: it stands for a whole noun phrase.
        template: what stands for it, where it is no noun: see `ClassWords.phrases`.
        group: what stands for it, where it is one noun for many: see `ClassWords.groups`.
    """

    mention: Mention
    name: str
    first: int
    last: int
    capital: bool = False
    pronoun: bool = False
    template: str | None = None
    group: str | None = None


class Rule:
    """The rule for one set of targets: made once, used for every caption."""

    def __init__(self, targets: tuple[str, ...], vocabulary: Vocabulary) -> None:
        classes = vocabulary.words_of_all(targets)
        self.spellings: dict[str, str] = {}
        for target, words in zip(targets, classes, strict=True):
            self.spellings.setdefault(words.name, target)
        self._targets = frozenset(self.spellings)
        self.index = Index.of(vocabulary)
        self.actions = {words.name: dict(words.actions) for words in classes if words.actions}
        self._people = {w.name for w in classes if w.supercategory == "person"}
        self._modifiers = {
            words.name: frozenset(words_of(text) for text in words.modifiers)
            for words in classes
            if words.modifiers
        }
        self._attributes = {
            words.name: frozenset(words_of(form) for n in words.attributes for form, _ in n.forms())
            for words in classes
            if words.attributes
        }
        self._makes = {w.name: {words_of(text)[-1] for text in w.makes} for w in classes if w.makes}
        self._groups = {words.name: dict(words.groups) for words in classes if words.groups}
        self.distractors = {words.name: self._allowed(words, vocabulary) for words in classes}

    def find(self, text: Text) -> list[Found]:
        """The mentions in a caption."""
        if not self.spellings:
            return []
        found: list[Found] = []
        for span in self.index.named(text, self._targets):
            if found and span.first <= found[-1].last:
                continue
            item = self._found(text, span)
            if found and self._continues(text, found[-1], item):
                item = self._joined(text, found.pop(), item)
            found.append(item)
        if self._modifiers:
            ends = [-1, *(item.last for item in found)]
            starts = [*(item.first for item in found[1:]), len(text.words)]
            return [
                self._widened(text, item, end + 1, start - 1)
                for item, end, start in zip(found, ends, starts, strict=False)
            ]
        return found

    def edits(self, text: Text, found: list[Found]) -> Iterator[tuple[int, int, str]]:
        """What changes besides the mentions: the characters, and what is there instead.

        Verbs change with their objects, and what is said of somebody right behind goes.
        """
        limits = [*(item.first for item in found[1:]), len(text.words)]
        for item, limit in zip(found, limits, strict=True):
            if item.name in self._attributes and item.template is None:
                yield from cuts(text, item.last, limit, self._attributes[item.name])
            actions = self.actions.get(item.name)
            if actions and item.template is None:
                position = verb_before(text.words, item.first, text.start(item.first), actions)
                if position is not None:
                    yield *text.ranges[position], actions[text.words[position]]

    def _found(self, text: Text, span: Span) -> Found:
        phrase = span.phrase
        name = next(name for name in self.spellings if name in span.names)
        last = span.last
        if text.words[last] in self._makes.get(name, ()) and not span.by_template:
            last = model_end(text, last, self.index.is_noun)
        start, end = text.ranges[span.first][0], text.ranges[last][1]
        said = text.caption[start:end]
        if span.by_template:
            template = phrase.templates[name]
            if _describes(text, span) and template.startswith(_DOING):
                template = "{}"
            template = _fitted(template, text.next(span.last))
            mention = Mention(start, end, said, self.spellings[name], False)
            return Found(mention, name, span.first, span.last, template=template)
        plural = phrase.plural
        if phrase.plural and phrase.singular:
            clause = text.start(span.first)
            plural = is_plural(text.words, span.first, span.last, clause, self.index.is_noun)
        elif plural and name not in self._people and text.next(span.last) in HEADS:
            plural = text.words[span.last].endswith("s")
        mention = Mention(start, end, said, self.spellings[name], plural)
        group = None if plural else self._group(text, name, span)
        return Found(mention, name, span.first, last, phrase.capital, phrase.pronoun, group=group)

    def _group(self, text: Text, name: str, span: Span) -> str | None:
        """What stands for a noun for many, unless it only describes the noun behind it."""
        template = self._groups.get(name, {}).get(text.words[span.last])
        index = self.index
        if template is None or not ends_noun_phrase(
            text, span.last, span.first, index.is_noun, index.people
        ):
            return None
        return template

    def _continues(self, text: Text, left: Found, right: Found) -> bool:
        """Whether two mentions are one noun phrase: baby boy, female tennis player, cat lady."""
        return (
            (left.name == right.name or right.name in self._people)
            and left.last + 1 == right.first
            and text.gap(left.last) in _MERGED_ACROSS
            and (left.template is None or left.template.startswith("{}"))
            and right.template is None
            and not (left.mention.plural or left.pronoun or right.pronoun)
        )

    @staticmethod
    def _joined(text: Text, left: Found, right: Found) -> Found:
        start, end = left.mention.start, right.mention.end
        mention = replace(right.mention, start=start, text=text.caption[start:end])
        return Found(mention, right.name, left.first, right.last, left.capital, group=right.group)

    def _widened(self, text: Text, item: Found, lowest: int, highest: int) -> Found:
        """A mention with the adjectives before it that go with it, and the name behind it.

        Neither reaches beyond the words `lowest` and `highest`.
        """
        modifiers = self._modifiers.get(item.name)
        if modifiers is None or item.template is not None or item.pronoun:
            return item
        first = item.first
        while (start := modifier_before(text, first, modifiers)) is not None and start >= lowest:
            first = start
        last = item.last
        if not item.mention.plural:
            if text.next(last) == "named" and last + 1 < highest and self._is_name(text, last + 1):
                last += 1
            while last < highest and self._is_name(text, last):
                last += 1
        if first == item.first and last == item.last:
            return item
        named = last > item.last and not (first and is_determiner(text.words[first - 1]))
        return replace(item, first=first, last=last, pronoun=named)

    def _is_name(self, text: Text, last: int) -> bool:
        """Whether a proper name follows: president Obama."""
        if last + 1 >= len(text.words) or text.gap(last) != " ":
            return False
        word = text.caption[slice(*text.ranges[last + 1])]
        return (
            len(word) > 1
            and word.istitle()
            and (text.words[last + 1],) not in self.index.phrases
            and not text.is_headline
        )

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
        return not any(self.index.names_target(form, self._targets) for form, _ in noun.forms())


def _fitted(template: str, following: str) -> str:
    """A template as the next word wants it.

    With the part in brackets before an object: looking( at) a newspaper; without the room before
    a part of it: the tiled floor.
    """
    template = _OBJECT.sub(r"\1" if starts_object(following) else "", template)
    return template.removesuffix(" room") if following in PARTS_OF_ROOMS else template


def _describes(text: Text, span: Span) -> bool:
    """Whether a verb's -ing is not done but describes a noun: a biking trail, cycling gear."""
    before = text.words[span.first - 1] if span.first else ""
    return before in ("a", "an", "the") or text.next(span.last) in HEADS
