"""What the words behind a noun tell: where its phrase ends, and what belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from empaste_aug.offline.vocabulary.context import (
    HEADS,
    is_determiner,
    is_function_word,
    is_number,
    is_way,
    word_set,
)
from empaste_aug.offline.vocabulary.text import Text

_LINKS = frozenset(["and", "or", "nor", "than"])
_ONE = frozenset(["a", "an", "another", "each", "every", "one", "single", "1"])
_ACTS = word_set(
    """carry eat embrace enjoy get hold hug kiss kneel lean lie listen make pose pray prepare read
    share sing sit smile speak stand take talk wait wear write"""
)
"""Verbs that are hardly ever nouns, nor are their forms in -s."""
_NOUNS_TOO = word_set("bow cook dance drink fight gather look march play ride run walk watch")
_THIRD = {verb: verb + "es" for verb in ("kiss", "watch", "march")}
_THIRD |= {"carry": "carries"}
_STATES = word_set(
    """ate clad crouched drank dressed gathered held huddled kneeled knelt lined parked perched
    posed prayed sat seated stood surrounded talked walked watched wore"""
)
_SURE = frozenset(_THIRD.get(verb, verb + "s") for verb in _ACTS) | _STATES
_DONE_BY_MANY = _ACTS | _NOUNS_TOO
_NOT_VERBS = word_set(
    """airlines airways arms clothes foods games glasses goods news railways sports systems woods
    """
)
_THINGS = word_set(
    """building ceiling clothing covering crossing dressing drawing dumpling evening
    gathering greeting housing king landing lettering lightning meeting morning offering opening
    painting pudding railing ring saying setting sibling sling spring stocking string styling thing
    wedding wing writing"""
)
_DESCRIBING = word_set(
    """boxing cooking cutting dancing dining drinking fighting fishing flying hunting living mixing
    parking racing riding rowing running sailing serving shipping shopping sitting swimming training
    visiting waiting walking washing wrestling"""
)
_PLACES = word_set("arena center centre dealership field logo plant sign stadium")
_JOINING = frozenset(["-", "/", "&", "_", "‐", "‑"])
_FAR = 3


def ends_noun_phrase(
    text: Text, last: int, first: int, is_noun: Callable[[str], bool], people: Collection[str]
) -> bool:
    """Whether the word at `last` is beyond doubt the last of its noun phrase.

    Nothing follows, or punctuation, or a word such as on, is and who, or a verb: a Mexican eats,
    but neither a Mexican restaurant nor a Mexican and Italian restaurant. In doubt it is not.

    Args:
        text: the caption.
        last: position of the word.
        first: position of the first word of the noun.
        is_noun: whether a word is known to be a noun.
        people: nouns for people, with which a verb in the plural goes: two boys and a Sikh pray.
    """
    if last + 1 == len(text.words):
        return True
    gap, word = text.gap(last), text.words[last + 1]
    after = text.next(last + 1)
    if gap in ("'", "’"):
        return True
    if gap.strip() == "," or (gap.isspace() and word in _LINKS):
        found = after if word in _LINKS else word
        return is_determiner(found) or is_function_word(found) or is_number(found)
    if not gap.isspace():
        return gap.strip() not in _JOINING
    if is_function_word(word) or is_determiner(word) or is_way(word) or word in _SURE:
        return True
    if word.endswith("ing"):
        return _is_doing(word, after, is_noun)
    one = not _ONE.isdisjoint(text.words[max(0, first - _FAR) : first])
    if word.endswith("s"):
        return _is_third_person(text, last + 1, after, one, is_noun)
    return word in _DONE_BY_MANY and _are_many(text, first, people)


def _is_doing(word: str, after: str, is_noun: Callable[[str], bool]) -> bool:
    if word in _THINGS:
        return False
    ended = not after or is_function_word(after) or is_determiner(after) or is_way(after)
    return ended or word not in _DESCRIBING or (is_noun(after) and after.endswith("s"))


def _is_third_person(
    text: Text, position: int, after: str, one: bool, is_noun: Callable[[str], bool]
) -> bool:
    """Whether a word in -s is a verb: after ``a`` it is no plural, elsewhere its object tells."""
    word = text.words[position]
    ended = not after or is_function_word(after) or is_determiner(after)
    if word.endswith(("ss", "us", "is")) or word in _NOT_VERBS:
        return False
    if is_noun(word) and not (one and ended):
        return False
    if text.caption[text.ranges[position][0]].isupper() and not text.is_headline:
        return False
    return one or is_determiner(after)


def _are_many(text: Text, first: int, people: Collection[str]) -> bool:
    """Whether others are named before: two boys and a Sikh; two Chinese."""
    words = text.words
    if first and is_number(words[first - 1]) and words[first - 1] != "one":
        return True
    return first > 2 and words[first - 2] in _LINKS and words[first - 3] in people


def is_after_determiner(text: Text, first: int, is_noun: Callable[[str], bool]) -> bool:
    """Whether a determiner stands before the word at `first`, at most two adjectives between."""
    for position in range(first - 1, max(-1, first - 1 - _FAR), -1):
        if not text.gap(position).isspace():
            return False
        word = text.words[position]
        if is_determiner(word) or is_number(word) or word in _ONE:
            return True
        if is_function_word(word) or is_noun(word):
            return False
    return False


def model_end(text: Text, last: int, is_known: Callable[[str], bool]) -> int:
    """The last word of the model that follows a make: Toyota Corolla, BMW 320i, Honda CR-V.

    A word of a model begins with a capital where the caption's others do not, or holds a digit.
    """
    end = last
    while end + 1 < len(text.words) and end - last < _FAR and text.gap(end) in (" ", "-"):
        start, stop = text.ranges[end + 1]
        said, word = text.caption[start:stop], text.words[end + 1]
        digits = any(character.isdigit() for character in word)
        if word.isdigit() and len(word) < 2 and not _may_follow_a_digit(text.next(end + 1)):
            break
        capital = said[0].isupper() and not text.is_headline
        other = is_known(word) or word in HEADS or word in _PLACES
        if not (digits or capital) or (other and text.gap(end) == " "):
            break
        end += 1
    if end > last and text.next(end) in ("series", "class"):
        end += 1
    return end


def _may_follow_a_digit(word: str) -> bool:
    """Whether a digit before the word is a model's name and no count: Mazda 3 on a road."""
    return not word or word in ("series", "class") or is_function_word(word)
