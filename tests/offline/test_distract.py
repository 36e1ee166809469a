"""The distractor rule: what is replaced, by what, and what stays."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest

from empaste_aug.offline import distract
from empaste_aug.offline.datasets.voc import VOC_CLASSES
from empaste_aug.offline.distract import allowed_distractors, find_targets, replace_targets
from empaste_aug.offline.vocabulary import Vocabulary, nouns, tables
from empaste_aug.types import ArgumentError, EMPasteError

COCO_CLASSES = tuple(Vocabulary.builtin().classes)


@pytest.fixture(scope="module")
def one_each(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """The built-in words, but one distractor for each class, so that the result is known."""
    lines = {
        "person": "monkey",
        "dog": "lion",
        "cat": "olive",
        "car": "UFO",
        "bus": "air conditioner",
        "boat": "pair of gloves/pairs of gloves",
        "tv": "iron",
        "sheep": "pig",
        "wine glass": "kettle",
        "mouse": "deer",
    }
    path = tmp_path_factory.mktemp("words") / "one_each.yaml"
    path.write_text(
        "".join(f"{name}:\n  like: {name}\n  distractors: [{d}]\n" for name, d in lines.items()),
        encoding="utf-8",
    )
    return Vocabulary.from_yaml(path)


ALL = ["person", "dog", "cat", "car", "bus", "boat", "tv", "sheep", "wine glass", "mouse"]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man and a dog.", "A monkey and a lion."),
        ("a cat", "an olive"),
        ("An automobile", "A UFO"),
        ("an SUV", "a UFO"),
        ("A  cat", "An  olive"),
        ("A CAT ON A CAR", "AN OLIVE ON A UFO"),
        ("A DOG", "A LION"),
        ("A bus", "An air conditioner"),
        ("a yellow cat", "a yellow olive"),
        ("Dogs, cats and people", "Lions, olives and monkeys"),
        ("two women, three children, men", "two monkeys, three monkeys, monkeys"),
        ("Wives and housewives", "Monkeys and monkeys"),
        ("Puppies chase the policewomen", "Lions chase the monkeys"),
        ("the man's dog and the dogs' bowl", "the monkey's lion and the lions' bowl"),
        ("the men's car, the children’s cat", "the monkeys' UFO, the monkeys’ olive"),
        ("the bus' door", "the air conditioner's door"),
        ("A sign says 'bus'.", "A sign says 'air conditioner'."),
        ("a canoe; two kayaks", "a pair of gloves; two pairs of gloves"),
        ("TV on the wall of a TV set. Television.", "Iron on the wall of an iron. Iron."),
        ("two TVs", "two irons"),
        ("A TV on A CAR", "An iron on A UFO"),
        ("A TV ON A CAR", "AN IRON ON A UFO"),
        ("vitamin a, cat", "vitamin a, olive"),
        ("Look. TV here", "Look. Iron here"),
        ("the sign 'bus' is", "the sign 'air conditioner' is"),
        ("two mice's wheels", "two deer's wheels"),
        ("A German shepherd", "A lion"),
        ("the German shepherd", "the lion"),
        ("Someone walks", "A monkey walks"),
        ("a car that somebody left", "a UFO that a monkey left"),
        ("A baby boy holds a puppy dog", "A monkey holds a lion"),
        ("a young female tennis player", "a monkey"),
        ("boys, girls", "monkeys, monkeys"),
        ("what men women like", "what monkeys monkeys like"),
        ("a boy someone likes", "a monkey a monkey likes"),
        ("here someone boys like", "here a monkey monkeys like"),
        ("A sheep is here.", "A pig is here."),
        ("A big black sheep", "A big black pig"),
        ("the sheep are white", "the pigs are white"),
        ("the sheep is white", "the pig is white"),
        ("a herd of sheep", "a herd of pigs"),
        ("Sheep on grass", "Pigs on grass"),
        ("handymen and a deliverywoman in a swordboat", "monkeys and a monkey in a pair of gloves"),
        ("a\nman", "a\nmonkey"),
        ("wine-glass, wineglass, wine_glasses", "kettle, kettle, kettles"),
        ("The Man In The Car", "The Monkey In The UFO"),
        ("He sees her and they see it", "He sees her and they see it"),
        ("a snowman and an ottoman", "a snowman and an ottoman"),
    ],
)  # fmt: skip
def test_grammar(caption: str, expected: str, one_each: Vocabulary) -> None:
    rng = np.random.default_rng(0)
    assert replace_targets(caption, ALL, rng, vocabulary=one_each) == expected
    assert replace_targets(expected, ALL, rng, vocabulary=one_each) == expected


@pytest.mark.parametrize(
    ("caption", "targets", "found"),
    [
        ("a dog eats a hot dog", ["dog"], ["dog"]),
        ("a dog eats a hot dog", ["hot dog"], ["hot dog"]),
        ("a dog eats a hot dog", ["dog", "hot dog"], ["dog", "hot dog"]),
        ("a bear and a teddy bear", ["bear"], ["bear"]),
        ("a bear and a teddy bear", ["teddy bear"], ["teddy bear"]),
        ("a car on a train car", ["car"], ["car"]),
        ("a glass and a wine glass", ["cup"], ["glass"]),
        ("glass door, glass vase, glasses of water", ["wine glass"], []),
        ("a glass vase", ["vase", "wine glass"], ["glass vase"]),
        ("a man wearing glasses", ["wine glass", "cup"], []),
        ("a bus stop and a train station", ["bus", "train"], ["bus", "train"]),
        ("orange slices", ["orange"], ["orange slices"]),
        ("an orange cat in an orange shirt", ["orange"], []),
        ("an orange cat in an orange shirt", ["orange", "cat"], ["cat"]),
        ("a couple of couples", ["person"], ["couples"]),
        ("ramen, an omen, a lumen; model kits, jets of water", ["person", "airplane"], []),
        ("policecars by a benchseat", ["car", "bench"], ["policecars", "benchseat"]),
        ("a doberman, dobermans, an ottoman and a handyman", ["person"], ["handyman"]),
        ("It is hot. Dogs run; hot - dogs, hot, dogs", ["dog"], ["Dogs", "dogs", "dogs"]),
        ("hot-dogs, hot\ndogs, hot_dog", ["dog"], []),
        ("The baby. Elephants; a baby, elephants", ["person"], ["baby", "baby"]),
        ("a baby elephant with a baby", ["person"], ["baby"]),
        ("baseball player", ["sports ball"], ["baseball"]),
        ("baseball player", ["sports ball", "person"], ["baseball player"]),
        ("catalog, bustle, carpet, scarf, dogma", ["cat", "bus", "car", "dog"], []),
        ("a canoe, a yacht and a sailboat", ["boat"], ["canoe", "yacht", "sailboat"]),
        ("loveseat by a television", ["sofa", "tvmonitor"], ["loveseat", "television"]),
        ("a paper bag, a bag", ["handbag"], ["bag"]),
        ("a paper bag, a bag", ["suitcase"], ["bag"]),
        ("a young man cooks rice; cooks", ["person"], ["man", "cooks"]),
        ("she can cook; a man cooks the rice", ["person"], ["man"]),
        ("a dog next to train tracks", ["train"], ["train"]),
        ("learning to train", ["train"], []),
        ("the dogs they can't train", ["train"], []),
        ("next to train tracks", ["train"], ["train"]),
        ("two surfers board a plane with boards", ["surfboard"], ["surfers", "boards"]),
    ],
)
def test_which_words_are_found(caption: str, targets: list[str], found: list[str]) -> None:
    mentions = find_targets(caption, targets)
    assert [mention.text for mention in mentions] == found
    assert all(caption[m.start : m.end] == m.text for m in mentions)
    assert {mention.target for mention in mentions} <= set(targets)


def test_mention_names_the_class_as_the_caller_does() -> None:
    assert find_targets("an airliner", ["aeroplane"])[0].target == "aeroplane"
    assert find_targets("an airliner", ["airplane"])[0].target == "airplane"
    assert find_targets("two airliners", ["airplane"])[0].plural
    assert not find_targets("an airliner", ["airplane"])[0].plural


@pytest.mark.parametrize("targets", [VOC_CLASSES, COCO_CLASSES], ids=["voc", "coco"])
@pytest.mark.parametrize(
    "caption",
    [
        "",
        " ",
        "...",
        "  Two  trees ,\ta river—and\n the   sky…  ",
        "A sunset over the mountains (seen from far); 100% clouds!",
        "naïve café über Straße 山 🏔️",
        "scarecrow carpet cathedral dogma busy peoplé",
    ],
)
def test_caption_without_targets_is_identical(targets: list[str], caption: str) -> None:
    rng = np.random.default_rng(3)
    state = rng.bit_generator.state
    assert replace_targets(caption, targets, rng) == caption
    assert rng.bit_generator.state == state


def test_no_targets() -> None:
    caption = "A man on a horse"
    assert replace_targets(caption, [], np.random.default_rng(0)) == caption
    assert find_targets(caption, []) == []
    assert allowed_distractors([]) == {}


def test_same_generator_same_result_and_every_distractor_is_drawn() -> None:
    def run(seed: int) -> list[str]:
        rng = np.random.default_rng(seed)
        return [replace_targets("a dog", VOC_CLASSES, rng) for _ in range(200)]

    assert run(1) == run(1)
    assert set(run(1)) == {"a lion", "a tiger", "a cheetah", "a pig", "a rabbit"}


def test_distractors_are_those_of_table_6_without_the_targets() -> None:
    voc = allowed_distractors(VOC_CLASSES)
    assert voc["person"] == ("kangaroo", "otter", "squirrel")
    assert voc["cat"] == ("lion", "tiger", "cheetah", "pig", "rabbit")
    assert voc["chair"] == ("bookcase", "piano", "wardrobe", "washstand")
    assert voc["bottle"] == ("water-tap", "juicer", "sink", "hot pot", "kettle")
    assert voc["motorbike"] == ("tank", "helicopter", "bulldozer", "UFO")
    coco = allowed_distractors(COCO_CLASSES)
    assert coco["cup"] == ("water-tap", "juicer", "hot pot", "kettle")
    assert coco["kite"] == ("tent", "balloon", "swimming ring")
    assert coco["zebra"] == ("lion", "tiger", "cheetah", "pig", "rabbit")
    assert coco["tv"] == ("battery", "headphone")
    assert coco["book"] == ("detergent", "pencil case", "drinking straw")
    assert coco["chair"] == ("piano", "wardrobe")
    assert list(coco) == list(COCO_CLASSES)


def test_only_one_target_leaves_the_table_whole() -> None:
    assert allowed_distractors(["cup"])["cup"] == (
        "water-tap", "juicer", "sink", "hot pot", "kettle",
    )  # fmt: skip
    assert "horse" in allowed_distractors(["zebra"])["zebra"]


def words_file(folder: Path, text: str) -> Vocabulary:
    path = folder / "words.yaml"
    path.write_text(text, encoding="utf-8")
    return Vocabulary.from_yaml(path)


def test_another_supercategory_stands_in_where_none_is_left(tmp_path: Path) -> None:
    vocabulary = words_file(
        tmp_path, "ape: {supercategory: person, synonyms: [kangaroo, otter, squirrel]}"
    )
    allowed = allowed_distractors(["person", "ape"], vocabulary=vocabulary)
    assert allowed["person"] == ("basketball", "tent", "balloon", "swimming ring", "football")
    assert allowed["ape"] == allowed["person"]
    rng = np.random.default_rng(0)
    text = replace_targets("a man and an otter", ["person", "ape"], rng, vocabulary=vocabulary)
    assert find_targets(text, ["person", "ape"], vocabulary=vocabulary) == []


def test_error_where_no_distractor_is_left(tmp_path: Path) -> None:
    vocabulary = words_file(tmp_path, "mug: {distractors: [soup bowl]}")
    with pytest.raises(ArgumentError, match=r"no distractor is left for 'mug'.*soup bowl"):
        find_targets("a mug", ["mug", "bowl"], vocabulary=vocabulary)
    assert allowed_distractors(["mug"], vocabulary=vocabulary) == {"mug": ("soup bowl",)}


def test_distractors_that_make_a_target_together_are_replaced_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = words_file(
        tmp_path,
        "left: {distractors: [night]}\nright: {distractors: [stand]}\n"
        "shelf: {distractors: [olive], synonyms: [night stand]}\n",
    )
    names = ["left", "right", "shelf"]
    rng = np.random.default_rng(0)
    assert replace_targets("a left; right", names, rng, vocabulary=vocabulary) == "a night; stand"
    assert replace_targets("a left right", names, rng, vocabulary=vocabulary) == "an olive"
    monkeypatch.setattr(distract, "_PASSES", 1)
    with pytest.raises(ArgumentError, match="'a night stand' still names"):
        replace_targets("a left right", names, rng, vocabulary=vocabulary)


@pytest.mark.parametrize("name", ["Person", "dining_table", "Dining-Table", "DININGTABLE"])
def test_spelling_of_class_names(name: str) -> None:
    assert find_targets("people at dining tables", [name])[0].target == name


def test_unknown_class() -> None:
    with pytest.raises(
        ArgumentError,
        match=r"^targets: .*'forklift' .*--vocabulary FILE .*from_yaml\(file\) in Python\.$",
    ):
        find_targets("a", ["forklift"])
    with pytest.raises(
        ArgumentError, match=r"the classes 'zebras' \(did you mean 'zebra'\?\), 'forklift' "
    ):
        replace_targets("a", ["zebras", "dog", "forklift"], np.random.default_rng(0))
    with pytest.raises(EMPasteError, match="'dog' is no list"):
        find_targets("a", "dog")
    with pytest.raises(ArgumentError, match=r"targets: \['dog'\] is no class name"):
        find_targets("a", [["dog"]])  # type: ignore[list-item]


def test_arguments_of_the_wrong_type() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ArgumentError, match="caption: None is no text"):
        replace_targets(None, ["dog"], rng)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="caption: 5 is no text"):
        find_targets(5, ["dog"])  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"rng: 5 is no numpy\.random\.Generator"):
        replace_targets("a", ["dog"], 5)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="vocabulary: 'words' is no Vocabulary"):
        find_targets("a", ["dog"], vocabulary="words")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="vocabulary: None is no path"):
        Vocabulary.from_yaml(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("module", [distract, nouns, tables])
def test_examples_in_docstrings(module: object) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
