"""Vocabularies of the user's own: what a YAML file may hold, and the errors it gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from empaste_aug.offline.distract import allowed_distractors, find_targets, replace_targets
from empaste_aug.offline.vocabulary import Vocabulary
from empaste_aug.offline.vocabulary.nouns import Noun, article, parse_noun
from empaste_aug.types import ArgumentError

EXAMPLE = """
forklift:
  supercategory: vehicle
  names: [fork lift truck]
  synonyms: [reach truck, stacker/stackers]
  keep: [forklift licence, stacker <vehicle>]
helmet:
  distractors: [sunhat, umbrella]
  synonyms: [hard hat, /headgear]
  endings: [hat]
  pronouns: [something hard]
  verbs: [helmet]
car:
  like: car
  synonyms: [Trabant]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "words.yaml"


@pytest.fixture
def example(file: Path) -> Vocabulary:
    file.write_text(EXAMPLE, encoding="utf-8")
    return Vocabulary.from_yaml(file)


def texts(caption: str, targets: list[str], vocabulary: Vocabulary) -> list[str]:
    return [mention.text for mention in find_targets(caption, targets, vocabulary=vocabulary)]


def test_own_classes(example: Vocabulary) -> None:
    targets = ["forklift", "helmet", "person"]
    caption = "Two men with hard hats by fork-lift trucks, a stacker and headgear"
    found = ["men", "hard hats", "fork-lift trucks", "stacker", "headgear"]
    assert texts(caption, targets, example) == found
    assert texts("a forklift licence; a stacker tank", ["forklift"], example) == []
    assert texts("a pickelhat", ["helmet"], example) == ["pickelhat"]
    assert texts("they helmet it", ["helmet"], example) == []
    allowed = allowed_distractors(targets, vocabulary=example)
    assert allowed["helmet"] == ("umbrella",)
    assert "bulldozer" in allowed["forklift"]
    rng = np.random.default_rng(0)
    text = replace_targets("A hard hat, something hard", targets, rng, vocabulary=example)
    assert text == "An umbrella, an umbrella"


def test_own_phrases(file: Path) -> None:
    file.write_text(
        "forklift:\n"
        "  distractors: [urn]\n"
        "  phrases: {forklifting: 'driving {a}', stacking: 'standing( by)', lift yard: '{s}'}\n"
        "  compounds: [fork+yard]\n"
        "  actions: {stack: see}\n"
        "  modifiers: [rusty, very old]\n",
        encoding="utf-8",
    )
    vocabulary = Vocabulary.from_yaml(file)
    caption = (
        "We stack a very old, rusty forklift, forklifting, stacking the forkyards by a lift yard"
    )
    rng = np.random.default_rng(0)
    assert replace_targets(caption, ["forklift"], rng, vocabulary=vocabulary) == (
        "We see an urn, driving an urn, standing by the urn yards by an urns"
    )


def test_own_words_go_before_the_built_in_ones(example: Vocabulary) -> None:
    assert texts("a Trabant and a sedan", ["car"], example) == ["Trabant", "sedan"]
    assert find_targets("a Trabant and a sedan", ["car"])[0].text == "sedan"
    assert "Trabant" not in str(Vocabulary.builtin().words("car").nouns)
    assert example.words("car").supercategory == "vehicle"


def test_a_class_replaces_the_built_in_one_of_its_name(file: Path) -> None:
    file.write_text("sofa: {supercategory: furniture, synonyms: [davenport]}", encoding="utf-8")
    vocabulary = Vocabulary.from_yaml(file)
    assert texts("a leather sofa, a couch", ["sofa"], vocabulary) == ["sofa"]
    with pytest.raises(ArgumentError, match="'couch'"):
        vocabulary.words("couch")


def test_a_wider_class_takes_the_phrases_of_the_narrower_ones(file: Path) -> None:
    file.write_text(
        "ride: {supercategory: vehicle, synonyms: [car, truck]}\n"
        "pup: {like: dog, distractors: [tree]}\n",
        encoding="utf-8",
    )
    vocabulary = Vocabulary.from_yaml(file)
    assert texts("a police car and a train car", ["ride"], vocabulary) == ["car"]
    assert texts("a hot dog, a guide dog", ["pup"], vocabulary) == ["guide dog"]
    assert allowed_distractors(["pup"], vocabulary=vocabulary) == {"pup": ("tree",)}
    assert vocabulary.words("pup").supercategory == "animal"


def test_builtin_is_read_once() -> None:
    assert Vocabulary.builtin() is Vocabulary.builtin()
    assert list(Vocabulary.builtin().distractors)[:2] == ["accessory", "animal"]


def test_no_path_is_needed_twice(example: Vocabulary, file: Path) -> None:
    file.unlink()
    assert texts("a stacker", ["forklift"], example) == ["stacker"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "None where a mapping"),
        ("- a", r"\['a'\] where a mapping"),
        ("a: [", "not valid YAML"),
        ("a: {supercategory: vehicle}\na: {supercategory: food}", "line 2: the key 'a'.*twice"),
        ("a: {like: car, like: bus}", "the key 'like' is written twice"),
        ("a: b", "a: 'b' where a mapping"),
        ("a: {}", "a: one of supercategory, distractors and like is needed"),
        ("a: {distractors: []}", "a: one of supercategory, distractors and like"),
        ("a: {supercategory: vehicles}", "a: supercategory: 'vehicles' is none of accessory, "),
        ("a: {supercategory: [vehicle]}", r"a: supercategory: \['vehicle'\] is no text"),
        ("a: {like: horsecart}", "a: like: no built-in class is 'horsecart'"),
        ("a: {like: car, synonym: [b]}", "a: 'synonym' is none of the keys synonyms, "),
        ("a: {like: car, synonyms: b}", "a: synonyms: 'b' where a list"),
        ("a: {like: car, synonyms: [b, 3]}", "a: synonyms: 3 is no text; quote it"),
        ("a: {like: car, synonyms: [no]}", "a: synonyms: False is no text; quote it"),
        ("a: {like: car, synonyms: ['-']}", "a: synonyms: '-' holds no word"),
        ("a: {like: car, synonyms: [b/c/d]}", "a: synonyms: 'b/c/d' is no noun"),
        ("a: {like: car, keep: [old <cars>]}", "a: keep: 'old <cars>': no supercategory 'cars'"),
        ("a: {like: car, keep: [<vehicle>]}", "a: keep: '<vehicle>': write"),
        ("a: {like: car, keep: [b <vehicle> c]}", "a: keep: 'b <vehicle> c': write"),
        ("a: {like: car, keep: [b <vehicle]}", "a: keep: 'b <vehicle': write"),
        ("7: {like: car}", "7: a class name is a text; quote it"),
        ("a: {like: car, phrases: [b]}", r"a: phrases: \['b'\] where a mapping"),
        ("a: {like: car, phrases: {b: 3}}", "a: phrases: 'b': 3 is no text; quote it"),
        ("a: {like: car, phrases: {b: 'c {d}'}}", r"a: phrases: 'b': 'c \{d\}': write \{\}, \{a\}"),
        (
            "a: {like: car, compounds: [boathouse]}",
            r"a: compounds: 'boathouse': write 'boat\+house'",
        ),
        ("a b: {like: car}\na_b: {like: bus}", "'a b' and 'a_b' have the same name"),
        ("a: {like: car, names: [b]}\nb: {like: bus}", "'a' and 'b' have the same name"),
    ],
)
def test_errors_name_file_key_and_value(text: str, message: str, file: Path) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ArgumentError, match=rf"(?s)words\.yaml: .*{message}"):
        Vocabulary.from_yaml(file)


def test_file_that_cannot_be_read(tmp_path: Path, file: Path) -> None:
    with pytest.raises(ArgumentError, match=r"words\.yaml: .*cannot be read"):
        Vocabulary.from_yaml(file)
    with pytest.raises(ArgumentError, match="cannot be read"):
        Vocabulary.from_yaml(tmp_path)
    file.write_bytes(b"a: {like: \xff}")
    with pytest.raises(ArgumentError, match=r"words\.yaml: .*cannot be read"):
        Vocabulary.from_yaml(file)


@pytest.mark.parametrize(
    ("text", "singular", "plural"),
    [
        ("dog", "dog", "dogs"),
        ("policewoman", "policewoman", "policewomen"),
        ("knife", "knife", "knives"),
        ("bottle of wine", "bottle of wine", "bottles of wine"),
        ("pair of gloves", "pair of gloves", "pairs of gloves"),
        ("TV", "TV", "TVs"),
        ("sheep", "sheep", "sheep"),
        ("passerby/passersby", "passerby", "passersby"),
        ("/people", None, "people"),
        ("luggage/", "luggage", None),
        (" ox / oxen ", "ox", "oxen"),
    ],
)
def test_nouns(text: str, singular: str | None, plural: str | None) -> None:
    noun = parse_noun(text)
    assert (noun.singular, noun.plural) == (singular, plural)
    assert noun.form(False) == (singular or plural)
    assert noun.form(True) == (plural or singular)


def test_forms_hold_the_regular_plural_too() -> None:
    assert parse_noun("knife").forms() == [("knife", False), ("knives", True), ("knifes", True)]
    assert parse_noun("pony").forms() == [("pony", False), ("ponies", True), ("ponys", True)]
    assert parse_noun("fox").forms() == [("fox", False), ("foxes", True)]
    assert ("childrens", True) in parse_noun("child").forms()
    assert Noun(None, "people").forms() == [("people", True)]


@pytest.mark.parametrize("text", ["", "/", "-", "a/b/c"])
def test_what_is_no_noun(text: str) -> None:
    with pytest.raises(ArgumentError, match="is no noun"):
        parse_noun(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lion", "a"), ("olive", "an"), ("UFO", "a"), ("mp4 player", "an"), ("SUV", "an"),
        ("T-shirt", "a"), ("hot pot", "a"), ("hourglass", "an"), ("unicycle", "a"),
        ("air conditioner", "an"), ("TV", "a"), ("LED lamp", "an"), ("board game", "a"),
    ],
)  # fmt: skip
def test_article(text: str, expected: str) -> None:
    assert article(text) == expected
