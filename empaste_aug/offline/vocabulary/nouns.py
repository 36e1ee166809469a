"""English nouns: singular and plural, the article that goes before, and the words of a phrase."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from empaste_aug.types import ArgumentError, MissingDependencyError

WORD = re.compile(r"[^\W_]+")
"""A word of a caption: a run of letters and digits."""

PLACEHOLDERS = ("{}", "{a}", "{s}")
"""In a template: the distractor, the distractor with its article, its plural."""

_SPOKEN_WITH_VOWEL = frozenset("AEFHILMNORSX")
_LETTERS = re.compile(r"[A-Z]{2,4}|[a-zA-Z]{1,3}\d+")


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun or a noun phrase.

    Attributes:
        singular: None for one that only has a plural (people).
        plural: None for one that has none (luggage).
        variants: further plurals that a caption may hold, such as misspelt ones.
    """

    singular: str | None
    plural: str | None
    variants: tuple[str, ...] = ()

    def form(self, plural: bool) -> str:
        """The singular or the plural; the other one where the noun has no such form."""
        first, second = (self.plural, self.singular) if plural else (self.singular, self.plural)
        found = first or second
        assert found is not None
        return found

    def forms(self) -> list[tuple[str, bool]]:
        """Every form with whether it is a plural."""
        singular = [] if self.singular is None else [(self.singular, False)]
        plural = [] if self.plural is None else [(self.plural, True)]
        return [*singular, *plural, *((variant, True) for variant in self.variants)]


def parse_noun(text: str) -> Noun:
    """The noun that a table writes as `text`.

    ``dog`` has the plural that the library inflect gives it; ``passerby/passersby`` names its
    plural; ``/people`` is a plural only, ``luggage/`` a singular only, ``sheep/sheep`` both.

    Raises:
        ArgumentError: there is no word in it, or more than one slash.
        MissingDependencyError: inflect is not installed.

    Example:
        >>> parse_noun("glass of wine").plural
        'glasses of wine'
    """
    parts = [part.strip() for part in text.split("/")]
    if len(parts) > 2 or not any(words_of(part) for part in parts):
        raise ArgumentError(f"{text!r} is no noun: write 'dog', 'ox/oxen', '/people' or 'luggage/'")
    if len(parts) == 2:
        return Noun(parts[0] or None, parts[1] or None)
    singular = text.strip()
    plural = _inflected(singular)
    return Noun(singular, plural, _misspelt(singular, plural))


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, as they are compared.

    Example:
        >>> words_of("Jack-Russell's")
        ('jack', 'russell', 's')
    """
    return tuple(word.casefold() for word in WORD.findall(text))


@lru_cache(maxsize=1024)
def article(text: str) -> str:
    """``a`` or ``an``, by the sound of the first word.

    Example:
        >>> article("UFO"), article("mp4 player"), article("olive")
        ('a', 'an', 'an')
    """
    first = WORD.findall(text)[0]
    if _LETTERS.fullmatch(first):
        return "an" if first[0].upper() in _SPOKEN_WITH_VOWEL else "a"
    return str(_engine().a(text)).partition(" ")[0]


def fill(template: str, noun: Noun) -> str:
    """A template with the distractor in place of its `PLACEHOLDERS`.

    Example:
        >>> fill("riding {a}", parse_noun("olive"))
        'riding an olive'
    """
    singular = noun.form(False)
    phrase = f"{article(singular)} {singular}"
    texts = dict(zip(PLACEHOLDERS, (singular, phrase, noun.form(True)), strict=True))
    for mark, text in texts.items():
        template = template.replace(mark, text)
    return template


@lru_cache(maxsize=1)
def _engine() -> Any:
    try:
        import inflect
    except ImportError as error:
        raise MissingDependencyError("inflect", "offline", "inflecting words") from error
    return inflect.engine()


def _inflected(text: str) -> str:
    """The plural; a word in capitals gets a small s, as in TVs."""
    plural = str(_engine().plural_noun(text))
    return plural[:-1] + "s" if text.isupper() and plural.endswith("S") else plural


def _misspelt(singular: str, plural: str) -> tuple[str, ...]:
    """Plurals and possessives as many a caption has them: knifes, puppys, childrens."""
    found = [_regular(singular)]
    if " of " not in singular:
        found += [plural + "s"] if not plural.endswith(("s", "S")) else []
        found += [singular + "s"] if singular.endswith("y") else []
    return tuple(form for form in dict.fromkeys(found) if form != plural)


def _regular(text: str) -> str:
    """The plural by the regular ending alone, which many a caption has: knifes, deers, womans."""
    head, of, rest = text.partition(" of ")
    if head.endswith(("s", "x", "z", "ch", "sh")):
        head += "es"
    elif head.endswith("y") and head[-2:-1] not in tuple("aeiou"):
        head = head[:-1] + "ies"
    else:
        head += "s"
    return head + of + rest
