"""Words that tell of a class without naming an object, and the grammar of what replaces them."""

from __future__ import annotations

import numpy as np
import pytest
from distract_oracle import (
    CLASSES,
    COCO_CLASSES,
    DATA_SETS,
    VOC_AS_COCO,
    keep_only,
    left_over,
    split,
    templates,
    written,
)

from empaste_aug.offline.distract import allowed_distractors, find_targets, replace_targets
from empaste_aug.offline.vocabulary import Vocabulary

TOLD_BY = {
    "person": "childrens, womens, army, rock band, marching band, wedding party, selfie, crowded, "
    "parade, grandkids, tribe, troupe, militia, infantry, bird watcher, someones",
    "bicycle": "bike lane, bike rack, bike path, biking, cycling, mountain biking, cycleway, byke",
    "bird": "birdwatching, birdhouse, birdcage, birdfeeder, bird's eye view, aviary, henhouse",
    "boat": "boating, sailing, rowing, kayaking, boathouse, boatyard, shipyard, marina, harbor",
    "bottle": "bottled",
    "bus": "bus stop, busstop, busload, bus station",
    "car": "carport, car park, carpark, parking lot, traffic, traffic jam, carwash, motorcade",
    "chair": "beanbag, patio set, dining room",
    "cow": "cattle drive, cattle ranch, bullfight, dairy farm, rodeo, oxcart, cowshed",
    "dining table": "tablecloth, table cloth, dining room, dining area",
    "dog": "dog walking, dog park, doghouse, dogsled, sheepdog, dogfight, puppys, kennel",
    "horse": "on horseback, horseback riding, horse racing, horse drawn, horsedrawn, cavalry, "
    "mounted police, stables, carousel, show jumping, dressage, rodeo, ponys",
    "motorcycle": "motorcycling, motocross, dirt biking, motogp",
    "zebra": "zebra crossing",
    "sheep": "sheepfold, sheep herding, sheepherding, shearing",
    "couch": "living room, couch surfing",
    "potted plant": "flowers in a pot, plant nursery",
    "train": "trainyard, train station, railroad station, railway station, trainload",
    "tv": "video game, entertainment center, home theater",
    "airplane": "airport, runway, tarmac, airfield, airshow, hangar",
    "skis": "skiing, ski lift, ski slope, skied, downhill skiing, slalom",
    "snowboard": "snowboarding, halfpipe",
    "skateboard": "skateboarding, skatepark, skate park, skating, kickflip",
    "surfboard": "surfing, windsurfing, wakeboarding, paddleboarding",
    "kite": "kiteboarding, kite surfing, parasailing",
    "sports ball": "playing soccer, playing tennis, ballpark, soccer, tennis",
    "tennis racket": "tennis, playing tennis, badminton",
    "frisbee": "playing frisbee, disc golf",
    "baseball bat": "batting",
    "truck": "truckload, trucking, truckstop",
    "bed": "bedroom, hotel room, bedspread, bunkhouse",
    "toilet": "bathroom, restroom",
    "sink": "bathroom, kitchen",
    "oven": "kitchen",
    "book": "bookcase, bookshelf, library, bookstore, reading",
    "toothbrush": "brushing her teeth",
    "cup": "coffee, latte",
    "wine glass": "wine, champagne",
}
KEPT = {
    "person": "rubber band, navy blue, swiss army knife, police helicopter, army of ants",
    "bicycle": "life cycle, spin cycle",
    "bird": "crow's nest, crane truck",
    "boat": "gravy boat, rowing machine",
    "bottle": "bottleneck",
    "bus": "space shuttle",
    "car": "traffic light, traffic cone, train car",
    "cat": "catwalk, catnip, cattails",
    "chair": "chairlift, chair lift",
    "cow": "cowbell, cowhide",
    "horse": "horsepower, seahorse, horseradish",
    "sheep": "sheepskin",
    "skateboard": "ice skating, roller skating",
    "surfboard": "surfing the web, surf and turf",
    "sports ball": "tennis shoes, golf cart",
    "cup": "coffee table, coffee maker, cupboard",
    "wine glass": "wine rack",
    "book": "sign reading, reading glasses",
}


def pairs(table: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, word.strip()) for name, words in table.items() for word in words.split(",")]


@pytest.mark.parametrize(("name", "word"), pairs(TOLD_BY))
def test_words_that_tell_of_a_class_are_found(name: str, word: str) -> None:
    assert find_targets(f"gravel {word} gravel", [name]) != []


@pytest.mark.parametrize(("name", "word"), pairs(KEPT))
def test_words_that_hardly_show_the_class_are_kept(name: str, word: str) -> None:
    assert find_targets(f"gravel {word} gravel", [name]) == []


def test_tables_have_a_meaning_for_each_phrase() -> None:
    useless = []
    for name in COCO_CLASSES:
        verbs = {split(word)[-1] for word in CLASSES[name].get("verbs", [])}
        nouns = {split(form) for form in written(name)}
        for text in templates(name):
            if split(text) in nouns and not any(text.startswith(verb[:-1]) for verb in verbs):
                useless.append((name, text))
    assert useless == []


@pytest.mark.parametrize("data_set", DATA_SETS)
@pytest.mark.parametrize("frame", ["{}", "The {} near the river.", "two old {} ON A HILL"])
def test_nothing_is_left_of_any_phrase(data_set: str, frame: str) -> None:
    rng = np.random.default_rng(0)
    targets = DATA_SETS[data_set]
    for target in targets:
        for text in templates(VOC_AS_COCO.get(target, target)):
            caption = frame.format(text)
            result = replace_targets(caption, targets, rng)
            assert set(left_over(result, data_set)) <= set(left_over(keep_only(result), data_set))
            assert not set("{}()") & set(result), (caption, result)
            assert "  " not in result, (caption, result)
            assert find_targets(result, targets) == [], (caption, result)


@pytest.fixture(scope="module")
def one_each(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """The built-in words, but one distractor for each class, so that the result is known."""
    things = {
        "person": "otter", "horse": "pig", "bicycle": "tank", "boat": "UFO", "bird": "lion",
        "kite": "tent", "sheep": "tiger", "cow": "lion", "dog": "rabbit", "cat": "lion",
        "bus": "tank", "car": "tank", "surfboard": "tent", "airplane": "tank", "book": "olive",
        "skis": "tent", "frisbee": "tent", "tennis racket": "tent",
    }  # fmt: skip
    path = tmp_path_factory.mktemp("words") / "one_each.yaml"
    lines = [f"{name}: {{like: {name}, distractors: [{new}]}}\n" for name, new in things.items()]
    path.write_text("".join(lines), encoding="utf-8")
    return Vocabulary.from_yaml(path)


ALL = [
    "person", "horse", "bicycle", "boat", "bird", "kite", "sheep", "cow", "dog", "cat", "bus",
    "car", "surfboard", "airplane", "book", "skis", "frisbee", "tennis racket",
]  # fmt: skip


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        # what tells of a class
        ("A man on horseback", "An otter on a pig"),
        ("A woman horseback riding on a beach", "An otter riding a pig on a beach"),
        ("Horseback riders in a bike lane", "Otters in a tank lane"),
        ("People biking; a biking trail", "Otters riding a tank; a tank trail"),
        ("cycling gear", "tank gear"),
        ("A boathouse, two birdhouses", "A UFO house, two lion houses"),
        ("an old bird's eye view", "an old aerial view"),
        ("a bird's eye view of a city", "an aerial view of a city"),
        ("A rock band and an army", "A group of otters and a large group of otters"),
        ("an army of soldiers", "an army of otters"),
        ("a family of four", "a group of four otters"),
        ("the childrens toys, womens shoes", "the otters toys, otters shoes"),
        ("someones hat", "an otter's hat"),
        ("A man bikes down a hill on skis", "An otter rides a tank down a hill on tents"),
        ("A MAN BIKING", "AN OTTER RIDING A TANK"),
        ("Biking is fun", "Riding a tank is fun"),
        ("He skis down; two skis", "He slides down; two tents"),
        ("mounted police on a street", "otters on a street"),
        # verbs and their objects
        ("A boy flying a kite", "An otter holding a tent"),
        ("people flying two big red kites", "otters holding two big red tents"),
        ("a girl flies her kite", "an otter holds her tent"),
        ("a kite flying over a flying kite", "a tent flying over a flying tent"),
        ("a lark flying with kites", "a lion flying with tents"),
        ("people reading", "otters looking"),
        ("a man surfing; a man surfing a wave", "an otter floating; an otter floating on a wave"),
        ("men reading newspapers", "otters looking at newspapers"),
        ("a man reading; a man reading a sign", "an otter looking; an otter looking at a sign"),
        ("playing frisbee and playing tennis", "playing with a tent and playing with a tent"),
        ("two men rowing a boat", "two otters moving a UFO"),
        # one or many
        ("one sheep, three sheep", "one tiger, three tigers"),
        ("a dog herding sheep", "a rabbit herding tigers"),
        ("a man with sheep", "an otter with tigers"),
        ("a big grazing sheep and two sheep", "a big grazing tiger and two tigers"),
        ("a baby sheep", "a baby tiger"),
        ("1 sheep, 2 sheep", "1 tiger, 2 tigers"),
        ("the white sheep is here", "the white tiger is here"),
        ("sheep is here", "tiger is here"),
        ("a herd of sheep is here", "a herd of tigers is here"),
        ("the sheep pen, a cattle drive", "the tiger pen, a lion drive"),
        # people
        ("an asian man", "an otter"),
        ("A young African-American boy", "An otter"),
        ("Old white men. Chinese women", "Otters. Otters"),
        ("the 5 year old girl, a two-year-old boy", "the otter, an otter"),
        ("a young, blonde woman", "an otter"),
        ("a very old, really fat man", "an otter"),
        ("a black and white couple", "a pair of otters"),
        ("a black and white photo of a black man", "a black and white photo of an otter"),
        ("a black dog and a black man", "a black rabbit and an otter"),
        ("an old house, an old bus", "an old house, an old tank"),
        ("a tall asian man", "a tall otter"),
        ("stands with Iraqi children", "stands with otters"),
        ("President Obama speaks", "An otter speaks"),
        ("a photo of president Barack Obama's house", "a photo of an otter's house"),
        ("a woman named Mary sits", "an otter sits"),
        ("the queen Great Dane", "the otter rabbit"),
        ("A Man Walking In Paris", "An Otter Walking In Paris"),
        ("a cat lady, bus drivers, a horse trainer", "an otter, otters, an otter"),
        ("the coach and the tennis coach", "the otter and the otter"),
    ],
)  # fmt: skip
def test_grammar(caption: str, expected: str, one_each: Vocabulary) -> None:
    rng = np.random.default_rng(0)
    assert replace_targets(caption, ALL, rng, vocabulary=one_each) == expected
    assert replace_targets(expected, ALL, rng, vocabulary=one_each) == expected


def test_no_ape_stands_for_a_person() -> None:
    apes = {"monkey", "gorilla", "ape", "chimpanzee", "orangutan", "baboon"}
    for targets in DATA_SETS.values():
        assert apes.isdisjoint(allowed_distractors(targets)["person"])


@pytest.mark.parametrize("look", CLASSES["person"]["modifiers"])
def test_no_look_of_a_person_is_left_beside_a_distractor(look: str) -> None:
    rng = np.random.default_rng(0)
    result = replace_targets(f"The {look} man, very {look} people", ["person"], rng)
    assert set(split(result)) <= {"the", "kangaroo", "otter", "squirrel", "s"} | {
        f"{name}s" for name in ("kangaroo", "otter", "squirrel")
    }


def test_what_one_class_keeps_a_class_of_another_kind_does_not() -> None:
    assert [m.text for m in find_targets("a tennis coach", ["bus", "person"])] == ["tennis coach"]
    assert find_targets("a tennis coach", ["bus"]) == []
    assert find_targets("a paper bag", ["suitcase", "handbag"]) == []


def test_a_rider_tells_of_what_is_ridden_where_people_are_no_class() -> None:
    rng = np.random.default_rng(0)
    assert replace_targets("Two cyclists", ["bicycle"], rng) == "Two people"
    assert replace_targets("a surfer and a skier", ["surfboard", "skis"], rng) == (
        "a person and a person"
    )
