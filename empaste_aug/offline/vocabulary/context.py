"""What the words around a word tell about it: is it a verb, is it one or many."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MODALS = _words("can could will would shall should may might must cannot ll")
_NEGATED = _words("don doesn didn can won couldn wouldn shouldn")
_BEFORE_TO = _words(
    """able about allowed asked attempting attempts begin beginning begins designed eager getting go
    goes going has have having how learn learning learns likes looking needs prepared prepares
    preparing ready set start starting starts supposed taught tries try trying used waiting waits
    want wanting wants"""
)
_SINGULAR_SUBJECTS = _words("he she who")
_PLURAL_SUBJECTS = _words("they we i who")
_DETERMINERS = _words(
    "a an another any each her his its my our some that the their these this those your"
)
_WAYS = _words("across along down into onto past through together toward towards up")
_OBJECTS = _DETERMINERS | _WAYS
_ONE = _words("a an another each every one single this that")
_ANY_NUMBER = _words("the his her its my our their your")
_SINGULAR_VERBS = _words("is was has does stands sits lies grazes looks walks s")
_REACH = 3


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


def is_plural(words: Sequence[str], first: int, last: int) -> bool:
    """Whether a noun whose singular is spelt like its plural stands for more than one.

    One sheep: a determiner of the singular stands close before it (a black sheep), or it has
    the, his, ... before and a verb in the singular behind. All else is many: sheep, two sheep,
    a herd of sheep, these sheep, the sheep are.

    Args:
        words: of the caption, in lower case.
        first: position of the noun's first word.
        last: position of its last word.
    """
    for word in reversed(words[max(0, first - _REACH) : first]):
        if word in _ONE:
            return False
        if word in _ANY_NUMBER:
            return not (last + 1 < len(words) and words[last + 1] in _SINGULAR_VERBS)
        if word == "of":
            return True
    return True
