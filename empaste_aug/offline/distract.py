"""The distractor rule: no caption that is drawn from names a class of the data set.

Paper, 3.2, appendix 7 and Table 6: each word that names a target class, or a synonym of one, is
replaced by a random distractor of the class's supercategory. The words are those of
`empaste_aug.offline.vocabulary`.

One supercategory is not as in Table 6. It lists monkey and gorilla for the person; a caption that
says what a person looks like or is called (an elderly black man, president Smith) would become a
slur, and prompts are kept in the pool and shown on its contact sheets. So people become a kangaroo,
an otter or a squirrel, and adjectives of descent, nation, faith, disability, skin, hair, body,
undress and age right before them go, as do a name and what tells of faith or disability right
behind them. For the paper's own words give a vocabulary with
``person: {like: person, distractors: [monkey, gorilla]}``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from empaste_aug.offline.vocabulary.nouns import Noun, article, fill
from empaste_aug.offline.vocabulary.rule import Found, Mention, Rule
from empaste_aug.offline.vocabulary.tables import Vocabulary
from empaste_aug.offline.vocabulary.text import Text
from empaste_aug.types import ArgumentError

_PASSES = 8


def find_targets(
    caption: str, targets: Sequence[str], *, vocabulary: Vocabulary | None = None
) -> list[Mention]:
    """The places where a caption names one of the targets, from left to right.

    Args:
        caption: any text; words are compared without regard to case.
            Besides nouns these are words that tell of a class (biking, bedroom).
        targets: class names of COCO, of Pascal VOC or of the vocabulary.
        vocabulary: with classes of your own; default `Vocabulary.builtin()`.

    Raises:
        ArgumentError: the caption is no text, or targets are in no vocabulary: all are named.

    Example:
        >>> [(m.text, m.target) for m in find_targets("Two puppies eat a hot dog", ["dog"])]
        [('puppies', 'dog')]
    """
    rule = _rule(targets, vocabulary)
    return [found.mention for found in rule.find(Text.of(_checked(caption)))]


def replace_targets(
    caption: str,
    targets: Sequence[str],
    rng: np.random.Generator,
    *,
    vocabulary: Vocabulary | None = None,
) -> str:
    """The caption with every word that names a target replaced by a distractor.

    - Whole words only, the longest phrase first: with the target ``dog``, ``hot dog`` stays.
    - The distractor is one of `allowed_distractors`, drawn anew for each mention, and no one
      a second time in a caption before the others.
    - Singular stands for singular and plural for plural, ``a`` and ``an`` follow, and so do
      capitals at the start of a sentence and in a headline. ``He``, ``she`` and ``they`` stay;
      ``someone`` becomes ``an otter``, and a couple a pair of otters.
    - Words that are adjectives too name the class where they are nouns: a Mexican eats tacos,
      but not a Mexican restaurant.
    - Words that follow each other and name the same class (baby boy), or end in a person (cat
      lady), become one distractor. Adjectives that say what a person looks like (an old asian
      man) go with it, and so does what is right behind: in a hijab, with Down syndrome.
    - Names of people stay where no word for a person is beside them: Elton John plays.
    - Words that tell of a class without naming one of its objects are replaced by what the
      vocabulary has for them: ``biking`` by ``riding a tank``, ``bedroom`` by ``room``; so is a
      verb that suits the class alone: ``flying a kite`` becomes ``holding a tent``.
    - Nothing else changes: a caption without targets comes back as it is, and so does what this
      function returns when it is given to it again.

    Args:
        caption: any text.
        targets: class names of COCO, of Pascal VOC or of the vocabulary: all classes of the data
            set, since no distractor may name any of them.
        rng: draws one integer for each mention, and none for a caption without.
        vocabulary: with classes of your own; default `Vocabulary.builtin()`.

    Raises:
        ArgumentError: targets are in no vocabulary (all are named), no distractor is left for
            one, or an argument is not of its type.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> replace_targets("A policeman on a horse.", ["person", "horse"], rng)
        'A squirrel on a pig.'
    """
    _checked(caption)
    if not isinstance(rng, np.random.Generator):
        raise ArgumentError(f"rng: {rng!r} is no numpy.random.Generator: np.random.default_rng(0)")
    rule = _rule(targets, vocabulary)
    for _ in range(_PASSES):
        text = Text.of(caption)
        found = rule.find(text)
        if not found:
            return caption
        caption = _replaced(text, found, rule, rng)
    raise ArgumentError(
        f"targets: after {_PASSES} rounds of the distractor rule {caption!r} still names one: "
        "distractors that follow each other make a target's name; change the vocabulary's"
    )


def allowed_distractors(
    targets: Sequence[str], *, vocabulary: Vocabulary | None = None
) -> dict[str, tuple[str, ...]]:
    """For each target the distractors that may stand in for it, in the singular.

    Those are its own or else its supercategory's (Table 6, but for the person: see the module),
    without those that are, or contain, a word of any target: scooter is one of motorbike, mp4
    player holds one of person, a bookcase is drawn with a book. Where a
    supercategory has none left, the next one's of `Vocabulary.distractors` stand in.

    Raises:
        ArgumentError: a target is in no vocabulary, or no distractor is left for one.

    Example:
        >>> allowed_distractors(["sofa", "person"])["sofa"]
        ('bookcase', 'piano', 'wardrobe', 'washstand')
    """
    rule = _rule(targets, vocabulary)
    return {
        spelling: tuple(noun.form(False) for noun in rule.distractors[name])
        for name, spelling in rule.spellings.items()
    }


def _checked(caption: str) -> str:
    if not isinstance(caption, str):
        raise ArgumentError(f"caption: {caption!r} is no text")
    return caption


def _rule(targets: Sequence[str], vocabulary: Vocabulary | None) -> Rule:
    if isinstance(targets, str) or not isinstance(targets, Iterable):
        raise ArgumentError(f"targets: {targets!r} is no list of class names")
    names = tuple(targets)
    if vocabulary is None:
        vocabulary = Vocabulary.builtin()
    if not isinstance(vocabulary, Vocabulary):
        raise ArgumentError(f"vocabulary: {vocabulary!r} is no Vocabulary: Vocabulary.from_yaml")
    for name in names:
        if not isinstance(name, str):
            raise ArgumentError(f"targets: {name!r} is no class name")
    return _cached_rule(names, vocabulary)


@lru_cache(maxsize=32)
def _cached_rule(targets: tuple[str, ...], vocabulary: Vocabulary) -> Rule:
    return Rule(targets, vocabulary)


def _replaced(text: Text, found: list[Found], rule: Rule, rng: np.random.Generator) -> str:
    """The caption with each mention replaced, and what goes with it put right."""
    edits = list(rule.edits(text, found))
    drawn: Counter[Noun] = Counter()
    for item in found:
        nouns = rule.distractors[item.name]
        fewest = min(drawn[noun] for noun in nouns)
        free = [noun for noun in nouns if drawn[noun] == fewest]
        noun = free[int(rng.integers(len(free)))]
        drawn[noun] += 1
        edits += _edits(text, item, noun)
    parts: list[str] = []
    done = 0
    for start, end, new in sorted(set(edits)):
        if start < done:  # within what is dropped
            continue
        parts += [text.caption[done:start], new]
        done = end
    return "".join([*parts, text.caption[done:]])


def _edits(text: Text, item: Found, noun: Noun) -> Iterator[tuple[int, int, str]]:
    """The characters that change for one mention, and what comes in their place."""
    caption, mention = text.caption, item.mention
    new = noun.form(mention.plural)
    template = item.template or item.group
    if template is not None:
        new = fill(template, noun)
    before = item.first - 1
    if before >= 0 and text.words[before] in ("a", "an") and text.gap(before).isspace():
        start, end = text.ranges[before]
        yield start, end, _article_like(caption[start:end], new, text, item)
    phrase = f"{article(new)} {new}" if item.pronoun else new
    start, end = text.ranges[item.first][0], text.ranges[item.last][1]
    phrase = _cased(phrase, text, item)
    many = mention.plural or item.group is not None
    if item.template is None and many and new.endswith("s"):
        if _has_possessive_s(text, item):
            yield end, end + 2, caption[end]
    elif item.template is None and _has_bare_apostrophe(caption, mention):
        phrase, end = f"{phrase}{caption[end]}s", end + 1
    yield start, end, phrase


def _cased(new: str, text: Text, item: Found) -> str:
    """The distractor in capitals, or with a capital, as the words that it replaces."""
    starts = item.first == 0 or any(mark in text.gap(item.first - 1) for mark in ".!?\n")
    old = text.caption[text.ranges[item.first][0]] if starts else item.mention.text[0]
    if _is_shouted(text, item):
        return new.upper()
    if old.isupper() and (starts or (text.is_headline and not item.capital)):
        return new[0].upper() + new[1:]
    return new


def _article_like(old: str, new: str, text: Text, item: Found) -> str:
    """The article for the distractor, with the capitals of the one that was there."""
    word = article(new)
    if old == "AN" or (old == "A" and _is_shouted(text, item)):
        return word.upper()
    return word.capitalize() if old[0].isupper() else word


def _is_shouted(text: Text, item: Found) -> bool:
    """Whether a mention is in capitals, and not only since it always is, as TV is."""
    shouted = item.mention.text.isupper() and len(item.mention.text) > 1
    return shouted and (not item.capital or text.caption.isupper())


def _has_bare_apostrophe(caption: str, mention: Mention) -> bool:
    """Whether a singular in -s has its possessive without one: the bus' door."""
    quoted = caption[mention.start - 1 : mention.start] in ("'", "‘")
    after = caption[mention.end : mention.end + 2]
    singular = not mention.plural and mention.text[-1] in "sS"
    return singular and not quoted and after[:1] in ("'", "’") and after[1:].isspace()


def _has_possessive_s(text: Text, item: Found) -> bool:
    """Whether 's follows: men's becomes otters'."""
    return (
        item.last + 1 < len(text.words)
        and text.words[item.last + 1] == "s"
        and text.gap(item.last) in ("'", "’")
    )


__all__ = ["Mention", "allowed_distractors", "find_targets", "replace_targets"]
