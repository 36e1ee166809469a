"""What the words around a word tell about it: is it a verb, is it one or many."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence


def word_set(text: str) -> frozenset[str]:
    """The words of a text that spaces part."""
    return frozenset(text.split())


_MODALS = word_set("can could will would shall should may might must cannot ll")
_NEGATED = word_set("don doesn didn can won couldn wouldn shouldn")
_BEFORE_TO = word_set(
    """able about allowed asked attempting attempts begin beginning begins designed eager getting go
    goes going has have having how learn learning learns likes looking needs prepared prepares
    preparing ready set start starting starts supposed taught tries try trying used waiting waits
    want wanting wants"""
)
_SINGULAR_SUBJECTS = word_set("he she who")
_PLURAL_SUBJECTS = word_set("they we i who")
_DETERMINERS = word_set(
    "a an another any each her his its my our some that the their these this those your"
)
_WAYS = word_set("across along around down into onto past through together toward towards up")
_OBJECTS = _DETERMINERS | _WAYS
_ONE = word_set("a an another each every one single this that 1")
_MANY = word_set(
    """two three four five six seven eight nine ten eleven twelve dozen dozens hundreds both few
    many several some these those all more most various numerous multiple countless"""
)
_STOPS = word_set(
    """of and or but nor with without by near next beside besides behind before after for in into
    inside on onto off at from to over above under below through among amongst between around about
    across along against toward towards up down out as than like while when where who which is are
    was were be been being has have had"""
)
_KINDS = word_set("baby mother father mama papa parent adult male female young orange")
PARTS_OF_ROOMS = word_set(
    """area cabinet cabinets ceiling counter counters countertop countertops door floor floors
    island mirror shelf shelves stall stalls tile tiles tub wall walls window windows"""
)
"""What is there of a room without it: a kitchen counter."""
HEADS = word_set(
    """area barn breeder breeding bus carousel cart center chariot claim class clothes club
    competition contest course drive enclosure equipment event exhibit expedition farm farming
    fence field gate gear gloves guard helmet herd herder herding instructor jersey lane lesson
    lessons market outfit paddock pasture path pen race races ranch ranching rescue resort ride
    route rule school shearing shed shoes shop shorts show skin station suit team tour track
    trail trailer trails trip truck vest wool yard"""
)
"""Nouns that make the noun before them, or the verb's -ing, a description: the sheep pen."""
_ANY_NUMBER = word_set("the his her its my our their your")
_SINGULAR_VERBS = word_set("is was has does stands sits lies grazes looks walks s")
_SINGULAR_TENSES = word_set("is was has")
_REACH = 3
_FAR = 5


def is_verb(
    words: Sequence[str],
    position: int,
    plural: bool,
    singular_subjects: Collection[str],
    plural_subjects: Collection[str],
) -> bool:
    """Whether the word at `position`, noun or verb by its spelling, is a verb beyond doubt.

    That is: after ``can`` and its like, after ``to`` where an infinitive must follow (trying to,
    ready to), after ``he``, ``she``, ``who``, ``they``, after a subject that can
    only be one (a man cooks), or between a subject and a determiner or a way (the man boards a
    train, skis down). In doubt it is a noun.

    Args:
        words: of the caption, in lower case.
        position: of the word.
        plural: whether its spelling is that of the noun's plural.
        singular_subjects: nouns after which a form in -s may be a verb.
        plural_subjects: nouns after which a form without -s may be one.
    """
    before = words[position - 1] if position > 0 else ""
    earlier = words[position - 2] if position > 1 else ""
    after = words[position + 1] if position + 1 < len(words) else ""
    if plural:
        one = not _ONE.isdisjoint(words[max(0, position - 1 - _REACH) : position - 1])
        subject = before in singular_subjects and (one or after in _OBJECTS)
        return subject or before in _SINGULAR_SUBJECTS
    if before in _MODALS or (before == "t" and earlier in _NEGATED):
        return True
    if before == "to" and earlier in _BEFORE_TO:
        return True
    subject = before in plural_subjects and after in _OBJECTS
    return subject or before in _PLURAL_SUBJECTS


def is_plural(
    words: Sequence[str], first: int, last: int, start: int, is_noun: Callable[[str], bool]
) -> bool:
    """Whether a noun whose singular is spelt like its plural stands for more than one.

    One sheep: a determiner of the singular stands before it with nothing but adjectives between
    (a black sheep), or a verb in the singular follows where nothing tells of many (the sheep is),
    or it describes the noun after it (the sheep pen). All else is many: sheep, two sheep, a herd
    of sheep, these sheep, the sheep are, a dog herding sheep, one sheep, three sheep.

    Args:
        words: of the caption, in lower case.
        first: position of the noun's first word.
        last: position of its last word.
        start: position of the first word of its clause: after the last punctuation.
        is_noun: whether a word is a noun, before which no determiner counts.
    """
    after = words[last + 1] if last + 1 < len(words) else ""
    if after in HEADS:
        return False
    for position in range(first - 1, max(start, first - _FAR) - 1, -1):
        word = words[position]
        if word in _ONE:
            return False
        if word in _ANY_NUMBER:
            return after not in _SINGULAR_VERBS
        if is_number(word) or word == "of":
            return True
        if word in _STOPS or (is_noun(word) and word not in _KINDS):
            break
        before = words[position - 1] if position > start else ""
        adjective = before and before not in _STOPS and not before.endswith("ly")
        if word.endswith("ing") and (not adjective or is_noun(before)):
            break
    return after not in _SINGULAR_TENSES


def starts_object(word: str) -> bool:
    """Whether an object of the verb before begins with a word, and not what is said of where."""
    return bool(word) and word not in _STOPS and word not in _WAYS and not word.endswith("ly")


def is_function_word(word: str) -> bool:
    """Whether a word begins something new, a preposition or a form of be: of, and, who, is."""
    return word in _STOPS


def is_way(word: str) -> bool:
    """Whether a word says where to: down, through."""
    return word in _WAYS


def is_determiner(word: str) -> bool:
    """Whether a noun follows a word for sure: the, his, two."""
    return word in _DETERMINERS or is_number(word)


def is_number(word: str) -> bool:
    """Whether a word counts: two, 7, several."""
    return word in _MANY or word.isdigit() or word == "one"


def verb_before(words: Sequence[str], first: int, start: int, verbs: Collection[str]) -> int | None:
    """The position of the verb of which the noun at `first` is the object, if it is one of `verbs`.

    Between the two stand determiners and adjectives only: flying a big red kite, but neither
    flying over a kite nor a flying kite.
    """
    for position in range(first - 1, max(start, first - _FAR) - 1, -1):
        word = words[position]
        if word in verbs:
            before = words[position - 1] if position > start else ""
            described = before in _DETERMINERS or before in _MANY or before in _ONE
            return None if described else position
        if word in _STOPS:
            return None
    return None
