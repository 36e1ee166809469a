"""People by nation and faith, what is said of them, groups of them; makes of cars; draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from distract_oracle import CLASSES, COCO_CLASSES, DATA_SETS, plural, split

from empaste_aug.offline.distract import find_targets, replace_targets
from empaste_aug.offline.vocabulary import Vocabulary
from empaste_aug.types import ArgumentError


@pytest.fixture(scope="module")
def one_each(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """The built-in words, but one distractor for each class, so that the result is known."""
    things = {"person": "otter", "dog": "rabbit", "car": "tank", "cat": "lion", "tv": "UFO"}
    path = tmp_path_factory.mktemp("words") / "one_each.yaml"
    lines = [f"{name}: {{like: {name}, distractors: [{new}]}}\n" for name, new in things.items()]
    path.write_text("".join(lines), encoding="utf-8")
    return Vocabulary.from_yaml(path)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        # nations and faiths
        ("A Jew prays at a wall", "An otter prays at a wall"),
        ("Two boys and a Muslim pray", "Two otters and an otter pray"),
        ("A Mexican eats tacos", "An otter eats tacos"),
        ("A smiling Thai sells noodles", "A smiling otter sells noodles"),
        ("A Chinese and a Japanese bow", "An otter and an otter bow"),
        ("Blacks and whites sit apart", "Otters and otters sit apart"),
        ("Mexicans and three Muslims", "Otters and three otters"),
        ("Two Chinese eat rice", "Two otters eat rice"),
        ("The Sikh's drum, an old Hindu, the Italian.", "The otter's drum, an otter, the otter."),
        ("an Indian with a drum, an Arab riding a camel", "an otter with a drum, an otter riding "
         "a camel"),
        ("a Native American dances, a German drinks", "an otter dances, an otter drinks"),
        ("The Korean holds a sign", "The otter holds a sign"),
        ("a Buddhist seated on a rug", "an otter seated on a rug"),
        ("an American couple, a Mexican boy", "a pair of otters, an otter"),
        # what is said of them
        ("an autistic boy and a crippled man", "an otter and an otter"),
        ("a nude woman, a nude on a rug", "an otter, an otter on a rug"),
        ("a slave picks cotton, an enslaved man", "an otter picks cotton, an otter"),
        ("a woman in a hijab sits", "an otter sits"),
        ("a man wearing a black turban", "an otter"),
        ("women wearing hijabs and burqas walk", "otters walk"),
        ("a woman in a hijab and a coat", "an otter in a coat"),
        ("a woman in a hijab and overcoat", "an otter in an overcoat"),
        ("a man wearing a turban and scarf", "an otter wearing a scarf"),
        ("men in turbans and scarves", "otters in scarves"),
        ("a woman in a hijab and a man", "an otter and an otter"),
        ("a boy with autism and his mother", "an otter and his otter"),
        ("a girl with Down syndrome in a sled", "an otter in a sled"),
        ("a girl with Down's syndrome wearing a headscarf", "an otter"),
        ("a man with no legs in a race", "an otter in a race"),
        ("a naked man in chains", "an otter"),
        # many at once
        ("A couple kissing on a rug", "A pair of otters kissing on a rug"),
        ("A couple sits; an elderly couple", "A pair of otters sits; a pair of otters"),
        ("The couple's house, couples", "The pair of otters' house, otters"),
        ("he leads the orchestra", "he leads the group of otters"),
        ("A wedding party in a garden", "A group of otters in a garden"),
        ("An audience watches a show", "A large group of otters watches a show"),
        ("A family photo, the family eats", "An otter photo, the group of otters eats"),
        ("people crowd around a tree", "otters crowd around a tree"),
        ("CROWD WATCHING A SHOW", "LARGE GROUP OF OTTERS WATCHING A SHOW"),
        ("a couple of tourists, a crowd of people", "a couple of otters, a crowd of otters"),
        # cars
        ("a Toyota Corolla and a Ford F-150 on a hill", "a tank and a tank on a hill"),
        ("a toyota corolla, a ford f150", "a tank, a tank"),
        ("a BMW X5, a BMW 320i parked, a BMW 3 Series", "a tank, a tank parked, a tank"),
        ("a Honda CR-V, a Mercedes C-Class", "a tank, a tank"),
        ("a Honda Pilot, a Tesla Model S, a Mazda 3 on a road", "a tank, a tank, a tank on a road"),
        ("a Ford parked on a road, two Fords", "a tank parked on a road, two tanks"),
        ("a Toyota sign, a Honda Center", "a tank sign, a tank Center"),
        ("A Car Parked In Paris", "A Tank Parked In Paris"),
        ("three BMW 2 doors", "three tank 2 doors"),
        # capitals
        ("A Dog sleeping on a rug", "A rabbit sleeping on a rug"),
        ("Dog sleeping. Cat sleeping", "Rabbit sleeping. Lion sleeping"),
        ("A Dog Sleeping", "A Rabbit Sleeping"),
    ],
)  # fmt: skip
def test_sentences(caption: str, expected: str, one_each: Vocabulary) -> None:
    targets = ["person", "dog", "car", "cat", "tv"]
    rng = np.random.default_rng(0)
    assert replace_targets(caption, targets, rng, vocabulary=one_each) == expected
    assert replace_targets(expected, targets, rng, vocabulary=one_each) == expected


@pytest.mark.parametrize(
    "caption",
    [
        "Chinese food on a plate", "a black and white photo", "a Mexican restaurant",
        "a Mexican and Italian restaurant", "the American flags across a street",
        "a Catholic church, a Christian cross, a Muslim market", "a Sikh temple",
        "two Chinese lanterns, the Mexican dishes", "an American Airlines sign", "a Greek salad",
        "an Indian-style rug, a Chinese/Japanese menu", "a Chinese building", "a Japanese fishing "
        "village", "egg whites, tennis whites", "an American sports club", "a Ford dealership",
        "Elton John plays", "a turban and a hijab in a shop window",
        "signs in Chinese and Korean", "a Chinese, Thai and Indian menu",
    ],
)  # fmt: skip
def test_adjectives_alone_stay(caption: str) -> None:
    assert find_targets(caption, ["person", "car"]) == []


def test_a_verb_within_what_is_dropped_goes_with_it() -> None:
    rng = np.random.default_rng(0)
    result = replace_targets("a woman in flying hijab kite", ["person", "kite"], rng)
    assert split(result)[0] == "a"
    assert len(split(result)) <= 4
    assert "hijab" not in result


def test_a_breed_is_no_person() -> None:
    caption = "a German shepherd, a Great Dane and an American bulldog"
    assert find_targets(caption, ["person"]) == []


@pytest.mark.parametrize("caption", ["a woman in a hijab shop", "a man in colorful clothes"])
def test_what_is_worn_stays_where_it_tells_of_nothing_or_another_thing(caption: str) -> None:
    result = replace_targets(caption, ["person"], np.random.default_rng(0))
    assert result.partition(" in ")[2] == caption.partition(" in ")[2]


@pytest.mark.parametrize("word", CLASSES["person"]["adjectives"])
def test_every_nation_and_faith(word: str) -> None:
    singular = word.partition("/")[0]
    caption = f"A {singular} eats rice, a {singular} house"
    assert [m.text for m in find_targets(caption, ["person"])] == [singular]
    if "/" not in word:
        found = find_targets(f"gravel {plural(word)} gravel", ["person"])
        assert [m.plural for m in found] == [True]


@pytest.mark.parametrize("text", CLASSES["person"]["attributes"])
def test_every_attribute_goes(text: str) -> None:
    for form in filter(None, text.split("/")):
        link = "" if form.startswith(("in ", "without ")) else "with "
        caption = f"gravel woman {link}{form} near gravel"
        result = replace_targets(caption, ["person"], np.random.default_rng(0))
        assert split(result)[2:] == ("near", "gravel"), result


@pytest.mark.parametrize("word", CLASSES["person"]["groups"])
def test_every_group_is_a_word_for_people(word: str) -> None:
    phrase = {"party": "wedding party"}.get(word, word)
    (found,) = find_targets(f"a {phrase} on gravel", ["person"])
    assert not found.plural
    result = replace_targets(f"a {phrase} on gravel", ["person"], np.random.default_rng(0))
    assert " of " in result
    assert result.endswith("s on gravel")


@pytest.mark.parametrize("make", CLASSES["car"]["makes"])
def test_every_make_takes_its_model(make: str) -> None:
    (found,) = find_targets(f"a blue {make} Zeta 400i stands on gravel", ["car"])
    assert found.text.endswith("Zeta 400i")


@pytest.mark.parametrize("data_set", DATA_SETS)
def test_no_distractor_twice_where_others_are_left(data_set: str) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        text = replace_targets("a boy, a girl, a man, a dog, a cat", DATA_SETS[data_set], rng)
        words = [part.split()[-1] for part in text.split(",")]
        assert len(set(words[:3])) == 3
        assert words[3] != words[4] or words[3] in words[:3]


def test_the_least_used_distractor_follows() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        text = replace_targets("a laptop, a phone, a remote, a mouse pad", COCO_CLASSES, rng)
        words = [part.split()[-1] for part in text.split(",")][:3]
        assert sorted(words.count(word) for word in set(words)) == [1, 2]


def test_own_words_that_are_adjectives_too(tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text(
        "robot:\n"
        "  distractors: [urn]\n"
        "  adjectives: [Martian]\n"
        "  attributes: [antenna]\n"
        "  makes: [Robo]\n"
        "  synonyms: [Robo, swarm]\n"
        "  groups: {swarm: 'row of {s}'}\n",
        encoding="utf-8",
    )
    vocabulary = Vocabulary.from_yaml(path)
    caption = "A Martian with an antenna eats a Martian rock, a Robo R2 sees a swarm"
    rng = np.random.default_rng(0)
    assert replace_targets(caption, ["robot"], rng, vocabulary=vocabulary) == (
        "An urn eats a Martian rock, an urn sees a row of urns"
    )
    path.write_text("robot: {distractors: [urn], groups: {swarm: 'row of {x}'}}", encoding="utf-8")
    with pytest.raises(ArgumentError, match=r"robot: groups: 'swarm': 'row of \{x\}'"):
        Vocabulary.from_yaml(path)
