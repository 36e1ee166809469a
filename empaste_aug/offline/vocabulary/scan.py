"""Finding the words of a vocabulary in a caption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from empaste_aug.offline.vocabulary.context import is_verb
from empaste_aug.offline.vocabulary.following import ends_noun_phrase, is_after_determiner
from empaste_aug.offline.vocabulary.nouns import Noun, words_of
from empaste_aug.offline.vocabulary.tables import ClassWords, Vocabulary
from empaste_aug.offline.vocabulary.text import Phrase, Span, Text

_LEAST_BEFORE_ENDING = 3


class Index:
    """All phrases of a vocabulary, by their words.

    A vocabulary is indexed once per process: see `Index.of`.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.phrases: dict[tuple[str, ...], Phrase] = {}
        self._endings: list[tuple[str, str, bool]] = []
        self._placeholders: dict[str, list[tuple[str, tuple[str, ...], bool]]] = {}
        self._subjects: tuple[set[str], set[str]] = (set(), set())
        self.people: set[str] = set()
        self._supercategories = {n: c.supercategory for n, c in vocabulary.classes.items()}
        self._names = {
            name: {words_of(alias) for alias in words.names}
            for name, words in vocabulary.classes.items()
        }
        for supercategory, nouns in vocabulary.distractors.items():
            self._add_distractors(nouns, {supercategory})
        for words in vocabulary.classes.values():
            self._add_class(words)
            kinds = {words.supercategory} if words.supercategory else set()
            self._add_distractors(words.distractors, kinds)
        self._all_endings = tuple(ending for ending, _, _ in self._endings)
        self._longest: dict[str, int] = {}
        for key in self.phrases:
            self._longest[key[0]] = max(self._longest.get(key[0], 0), len(key))

    @staticmethod
    @lru_cache(maxsize=8)
    def of(vocabulary: Vocabulary) -> Index:
        """The index of a vocabulary, made at the first call."""
        return Index(vocabulary)

    def spans(self, text: Text) -> list[Span]:
        """Every phrase of the vocabulary in a caption, overlapping ones too."""
        found = []
        words = text.words
        for first, word in enumerate(words):
            for last in range(first, min(first + self._longest.get(word, 0), len(words))):
                if last > first and not text.is_joined(last - 1, last):
                    break
                phrase = self.phrases.get(words[first : last + 1])
                if phrase is not None:
                    found.append(Span(first, last, phrase))
            compound = self._compound(word)
            if compound is not None:
                found.append(Span(first, first, compound))
        return found

    def named(self, text: Text, targets: frozenset[str]) -> list[Span]:
        """The phrases that name a target, leftmost and longest first, none overlapping another."""
        spans = self.spans(text)
        used = (self._in_use(text, span, targets) for span in spans)
        named = [span for span in used if span is not None]
        if not named:
            return []
        owners: set[str] = set().union(*(span.owners for span in named))
        kept = {owner: list(self._kept(text, spans, owner)) for owner in owners}
        named = [
            Span(span.first, span.last, span.phrase, span.by_template, names)
            for span in named
            if (names := self._not_kept(span, kept, targets))
            and not any(self._is_other(longer, span, targets) for longer in spans)
        ]
        chosen: list[Span] = []
        for span in sorted(named, key=lambda s: (s.first, -s.length)):
            if not chosen or span.first > chosen[-1].last:
                chosen.append(span)
        return chosen

    def names_target(self, text: str, targets: frozenset[str]) -> bool:
        """Whether any word or phrase of a text is a word of a target, in whatever context."""
        return any(
            not owners.isdisjoint(targets)
            for span in self.spans(Text.of(text))
            for owners in (span.phrase.owners, span.phrase.templates.keys())
        )

    def is_noun(self, word: str) -> bool:
        """Whether a word names any class or is a distractor."""
        phrase = self.phrases.get((word,))
        if phrase is None or phrase.adjective_of:
            return False
        return bool(phrase.owners or phrase.kinds)

    def _is_other(self, longer: Span, span: Span, targets: frozenset[str]) -> bool:
        """Whether a word is only the head of a phrase that names no target, as in hot dog.

        A class that is itself a kind of the word's class (its name is one of the latter's
        words) does not count as another.
        """
        if longer.last != span.last or longer.first >= span.first:
            return False
        others = longer.phrase.owners
        if not others or not others.isdisjoint(targets):
            return False
        if not targets.isdisjoint(longer.phrase.templates):
            return False
        owners = set(span.owners).intersection(targets)
        return not any(
            not owners.isdisjoint(self.phrases[name].owners)
            for other in others
            for name in self._names[other]
        )

    def _not_kept(
        self, span: Span, kept: Mapping[str, list[Span]], targets: frozenset[str]
    ) -> list[str]:
        """The targets that a phrase names where it stands.

        What one class keeps the others of its supercategory keep too, as they share words: bag.
        """
        keepers = {
            self._supercategories[owner]
            for owner in span.owners
            if any(longer.holds(span) for longer in kept[owner])
        }
        names = [name for name in span.owners if name in targets]
        if not keepers:
            return names
        return [name for name in names if self._supercategories[name] not in keepers]

    def _in_use(self, text: Text, span: Span, targets: frozenset[str]) -> Span | None:
        """The phrase as a noun for a target or as what tells of one; None where it is neither."""
        phrase = span.phrase
        if phrase.owners.isdisjoint(targets) or self._is_no_noun(text, span):
            if phrase.templates and not targets.isdisjoint(phrase.templates):
                return Span(span.first, span.last, phrase, by_template=True)
            return None
        return span

    def _is_no_noun(self, text: Text, span: Span) -> bool:
        """Whether a word that may be a noun is a verb here, or an adjective."""
        phrase = span.phrase
        if phrase.adjective_of and phrase.singular and not self._is_nominal(text, span):
            return True
        if span.length > 1 or not phrase.verb_of:
            return False
        return is_verb(text.words, span.first, phrase.plural, *self._subjects)

    def _is_nominal(self, text: Text, span: Span) -> bool:
        """Whether a word that may be an adjective is a noun: a Mexican eats, two Sikhs."""
        return is_after_determiner(text, span.first, self.is_noun) and ends_noun_phrase(
            text, span.last, span.first, self.is_noun, self.people
        )

    def _kept(self, text: Text, spans: list[Span], owner: str) -> Iterator[Span]:
        """The phrases to keep of a class, those that a `<supercategory>` begins or ends too."""
        yield from (span for span in spans if owner in span.phrase.kept_by)
        words = text.words
        for kind, key, before in self._placeholders.get(owner, ()):
            if key[0] not in words:
                continue
            for span in spans:
                if kind not in span.phrase.kinds:
                    continue
                first = span.first - len(key) if before else span.first
                last = span.last if before else span.last + len(key)
                found = words[first : span.first] if before else words[span.last + 1 : last + 1]
                if found == key and text.is_joined(first, last):
                    yield Span(first, last, span.phrase)

    def _compound(self, word: str) -> Phrase | None:
        """What a longer word is that ends like the words of a class: handyman."""
        if not word.endswith(self._all_endings):
            return None
        known = self.phrases.get((word,))
        if known is not None and known.owners:
            return None
        for ending, owner, plural in self._endings:
            if word.endswith(ending) and len(word) >= len(ending) + _LEAST_BEFORE_ENDING:
                kind = self._supercategories[owner]
                kinds = {kind} if kind else set()
                return Phrase({owner}, kinds=kinds, singular=not plural, plural=plural)
        return None

    def _add_class(self, words: ClassWords) -> None:
        for noun in words.nouns:
            for form, plural in noun.forms():
                for phrase in self._at_each_spelling(form):
                    phrase.owners.add(words.name)
                    phrase.plural |= plural
                    phrase.singular |= not plural
                    phrase.capital |= form != form.lower()
                    if words.supercategory:
                        phrase.kinds.add(words.supercategory)
                if words.supercategory == "person":
                    self._subjects[plural].add(words_of(form)[-1])
                    self.people.add(words_of(form)[-1])
        for pronoun in words.pronouns:
            for phrase in self._at_each_spelling(pronoun):
                phrase.owners.add(words.name)
                phrase.pronoun = phrase.singular = True
        for noun in words.adjectives:
            self._at(words_of(noun.form(False))).adjective_of.add(words.name)
        for noun in words.verbs:
            for form, _ in noun.forms():
                self._at(words_of(form)).verb_of.add(words.name)
        for noun in words.endings:
            forms = ((noun.form(plural).casefold(), plural) for plural in (False, True))
            self._endings += [(form, words.name, plural) for form, plural in forms]
        for text, template in words.phrases:
            self._at(words_of(text)).templates[words.name] = template
        for text in words.keep:
            start, _, end = text.partition("<")
            kind, _, rest = end.partition(">")
            if kind:
                key = words_of(start) or words_of(rest)
                known = self._placeholders.setdefault(words.name, [])
                known.append((kind, key, bool(words_of(start))))
            else:
                for form in (text, f"{text}s") if " " in text else (text,):
                    self._at(words_of(form)).kept_by.add(words.name)

    def _add_distractors(self, nouns: tuple[Noun, ...], kinds: set[str]) -> None:
        for noun in nouns:
            for form, plural in noun.forms():
                self._at(words_of(form)).kinds |= kinds
                self._subjects[plural].add(words_of(form)[-1])

    def _at_each_spelling(self, text: str) -> list[Phrase]:
        """The phrase, and where it has two words the one word that they may be written as."""
        key = words_of(text)
        found = [self._at(key)]
        if len(key) == 2 and min(map(len, key)) > 1:
            found.append(self._at((key[0] + key[1],)))
        return found

    def _at(self, key: tuple[str, ...]) -> Phrase:
        return self.phrases.setdefault(key, Phrase())
