"""What is said of a person beside the word for it: adjectives before, what is worn behind."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from empaste_aug.offline.vocabulary.context import (
    HEADS,
    is_determiner,
    is_function_word,
    is_number,
)
from empaste_aug.offline.vocabulary.nouns import article
from empaste_aug.offline.vocabulary.text import Text

_AGES = {("year", "old"), ("years", "old"), ("month", "old"), ("months", "old"), ("yr", "old")}
_LISTED = re.compile(r"[\s-]+|,\s*")
_VERY = ("very", "really", "extremely", "quite", "rather", "somewhat", "slightly")
_BELONGS_AFTER = ("in", "with", "wearing", "without", "under")
_POSSESSIVES = ("a", "an", "the", "her", "his", "their", "its")
_LINKS = ("and", "or")
_FAR = 3


def modifier_before(text: Text, first: int, modifiers: frozenset[tuple[str, ...]]) -> int | None:
    """The first word of the adjective right before the word at `first`; None where none is."""
    words = text.words
    if first and words[first - 1] in _VERY and text.gap(first - 1).isspace():
        return first - 1
    for length in (3, 2, 1):
        start = first - length
        if start < 0 or words[start:first] not in modifiers or not text.is_joined(start, first - 1):
            continue
        if _LISTED.fullmatch(text.gap(first - 1)):
            if words[start:first] in _AGES and start and is_number(words[start - 1]):
                start -= 1
            return start
    linked = first > 1 and words[first - 1] in ("and", "or")
    return modifier_before(text, first - 1, modifiers) if linked else None


def cuts(
    text: Text, last: int, limit: int, attributes: frozenset[tuple[str, ...]]
) -> Iterator[tuple[int, int, str]]:
    """The characters of what is worn or had behind the word at `last`: in a hijab."""
    while (found := _attribute_end(text, last, limit, attributes)) is not None:
        first, end, has_article = found
        if has_article:
            yield *text.ranges[first - 1], article(text.words[end + 1])
        yield text.ranges[first - 1][1], text.ranges[end][1], ""
        if first > last + 1:
            return
        last = end


def _attribute_end(
    text: Text, last: int, limit: int, attributes: Collection[tuple[str, ...]]
) -> tuple[int, int, bool] | None:
    """What is worn or had right behind the word at `last`: in a black hijab, with no legs.

    Args:
        text: the caption.
        last: position of a person's last word.
        limit: position of the next person's first word, or that behind the last word.
        attributes: what to look for, as words.

    Returns:
        Positions of the first and the last word to drop, and whether the word right before is an
        article, which must suit the next one; None where there is nothing to drop.
    """
    words = text.words
    end = _end_of_one(text, last + 1, limit, attributes)
    if end is not None:
        return last + 1, end, False
    if text.next(last) not in _BELONGS_AFTER:
        return None
    first = last + 2
    found = _end_after_adjectives(text, _after_article(words, first), limit, attributes)
    if found is None or not text.is_joined(last, found) or text.next(found) in HEADS:
        return None
    while text.next(found) in _LINKS and (
        more := _end_after_adjectives(text, _after_article(words, found + 2), limit, attributes)
    ):
        found = more
    other = found + 2
    if text.next(found) not in _LINKS or other >= len(words) or limit <= other + 1 < len(words):
        return last + 1, found, False
    bare = _after_article(words, first)
    if bare == first or is_determiner(words[other]):
        return first, found + 1, False
    return bare, found + 1, words[first] in ("a", "an")


def _after_article(words: tuple[str, ...], position: int) -> int:
    return position + (position < len(words) and words[position] in _POSSESSIVES)


def _end_after_adjectives(
    text: Text, first: int, limit: int, attributes: Collection[tuple[str, ...]]
) -> int | None:
    """The last word of an attribute before which some adjectives may stand."""
    for start in range(first, min(first + _FAR + 1, limit)):
        end = _end_of_one(text, start, limit, attributes)
        if end is not None:
            return end
        if is_function_word(text.words[start]) and text.words[start] != "and":
            return None
    return None


def _end_of_one(
    text: Text, start: int, limit: int, attributes: Collection[tuple[str, ...]]
) -> int | None:
    for end in range(min(start + _FAR, limit) - 1, start - 1, -1):
        if text.words[start : end + 1] in attributes and text.is_joined(start - 1, end):
            return end
    return None
