"""No word of a target is left in any caption, by an oracle that shares no code with the rule."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from distract_oracle import (
    CLASSES,
    COCO_CLASSES,
    DATA_SETS,
    TABLES,
    VOC_AS_COCO,
    VOC_CLASSES,
    keep_only,
    left_over,
    listed,
    plural,
    split,
    templates,
    written,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from empaste_aug.offline.distract import allowed_distractors, find_targets, replace_targets

FILLERS = ["tree", "valley", "under", "red", "old", "mountain", "seven", "quickly", "sky", "near"]
RULES = settings(
    deadline=None,
    derandomize=True,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_tables_hold_the_classes_of_coco_and_voc() -> None:
    assert len(COCO_CLASSES) == 80
    assert {VOC_AS_COCO.get(name, name) for name in VOC_CLASSES} <= set(COCO_CLASSES)
    sizes = {name: len(table["classes"]) for name, table in TABLES.items()}
    assert sizes == {
        "accessory": 5, "animal": 10, "appliance": 5, "electronic": 6, "food": 10, "furniture": 6,
        "indoor": 7, "kitchen": 7, "outdoor": 5, "person": 1, "sports": 10, "vehicle": 8,
    }  # fmt: skip


def test_oracle_finds_what_is_left() -> None:
    assert left_over("A Man, two fire-hydrants; TVs", "coco") == [
        "fire hydrants",
        "hydrants",
        "man",
        "tvs",
    ]
    assert left_over("a fire hydrant", "voc") == []


@pytest.mark.parametrize("data_set", DATA_SETS)
def test_distractors_hold_no_word_of_a_target(data_set: str) -> None:
    for nouns in allowed_distractors(DATA_SETS[data_set]).values():
        for noun in nouns:
            assert left_over(f"{noun} {plural(noun)}", data_set) == []


@pytest.mark.parametrize("data_set", DATA_SETS)
@pytest.mark.parametrize(
    ("template", "change"),
    [("{}", str), ("An odd {} near the river.", str), ("(THE {}'S TREE)", str.upper)],
)
def test_every_word_of_every_class(data_set: str, template: str, change: object) -> None:
    assert callable(change)
    rng = np.random.default_rng(0)
    targets = DATA_SETS[data_set]
    for target in targets:
        for form in written(VOC_AS_COCO.get(target, target)):
            caption = template.format(change(form))
            result = replace_targets(caption, targets, rng)
            assert left_over(result, data_set) == [], (caption, result)
            before, after = template.split("{}")
            assert result.lower().startswith(before.lower()[:-1])
            assert result.endswith(after[2:] or result[-1])


@pytest.mark.parametrize("name", COCO_CLASSES)
def test_every_word_is_found_where_its_class_is_the_only_target(name: str) -> None:
    for form in written(name):
        mentions = find_targets(f"gravel {form} gravel", [name])
        assert [mention.text for mention in mentions] == [form.rstrip(".")]
        assert mentions[0].target == name


def words_and_fillers() -> st.SearchStrategy[list[tuple[str, str]]]:
    every = sorted({form for name in COCO_CLASSES for form in written(name)})
    case = st.sampled_from([str, str.upper, str.capitalize, str.title])
    word = st.builds(lambda word, change: change(word), st.sampled_from(every), case)
    return st.lists(st.tuples(word, st.sampled_from(FILLERS)), min_size=1, max_size=8)


@pytest.mark.parametrize("data_set", DATA_SETS)
@RULES
@given(
    pairs=words_and_fillers(),
    joint=st.sampled_from([" ", ", ", "; ", " - ", "\n", " “", "/"]),
    seed=st.integers(0, 100),
)
def test_no_target_is_left(
    data_set: str, pairs: list[tuple[str, str]], joint: str, seed: int
) -> None:
    targets = DATA_SETS[data_set]
    caption = joint.join(f"{word} {filler}" for word, filler in pairs)
    result = replace_targets(caption, targets, np.random.default_rng(seed))
    remaining = left_over(result, data_set)
    kept = left_over(keep_only(result), data_set)
    assert set(remaining) <= set(kept), (caption, result)
    assert find_targets(result, targets) == []
    again = np.random.default_rng(seed)
    assert replace_targets(result, targets, again) == result
    assert replace_targets(caption, targets, np.random.default_rng(seed)) == result


@pytest.mark.parametrize("data_set", DATA_SETS)
@RULES
@given(
    words=st.lists(
        st.sampled_from(
            sorted({form for name in COCO_CLASSES for form in written(name)})
            + FILLERS
            + ["a", "an", "the", "to", "he", "can", "his", "someone", "of", "'s", "is", "-"]
            + ["asian", "black", "year", "old", "7", "very", "Obama", "named", "Great", "flying"]
            + ["Sikh", "Mexican", "Chinese", "Ford", "F-150", "in", "hijab", "and", "eats", ","]
            + [text for name in COCO_CLASSES for text in templates(name)]
            + [noun for table in TABLES.values() for noun in table["distractors"]]
        ),
        max_size=12,
    )
)
def test_result_is_a_fixed_point_in_any_order_of_words(data_set: str, words: list[str]) -> None:
    targets = DATA_SETS[data_set]
    rng = np.random.default_rng(1)
    result = replace_targets(" ".join(words), targets, rng)
    assert find_targets(result, targets) == []
    assert replace_targets(result, targets, rng) == result


@RULES
@given(st.text(max_size=60))
def test_any_text_is_taken(text: str) -> None:
    rng = np.random.default_rng(1)
    result = replace_targets(text, COCO_CLASSES, rng)
    assert (result == text) == (not find_targets(text, COCO_CLASSES))


def test_tables_hold_nothing_twice() -> None:
    rows = [(name, key, text if "<" in text else split(text)) for name, key, text in listed()]
    twice = sorted(str(row) for row, count in Counter(rows).items() if count > 1)
    assert twice == []


def test_each_phrase_to_keep_holds_a_word_of_its_class_and_is_kept() -> None:
    useless = []
    all_forms = {
        name: {
            split(form)
            for form in (*written(name), *templates(name), *CLASSES[name].get("adjectives", []))
        }
        for name in COCO_CLASSES
    }
    for name, key, phrase in listed():
        if key != "keep" or "<" in phrase:
            continue
        forms = all_forms[name]
        endings = tuple(
            form for word in CLASSES[name].get("endings", []) for form in (word, plural(word))
        )
        words = split(phrase)
        holds = any(words[i:j] in forms for i in range(len(words)) for j in range(i + 1, 8))
        holds = holds or any(word.endswith(endings) for word in words if endings)
        if not holds:
            useless.append((name, phrase))
        assert find_targets(f"gravel {phrase} gravel", [name]) == [], phrase
    assert useless == []


def test_each_verb_is_a_word_of_its_class() -> None:
    wrong = [
        (name, word)
        for name, key, word in listed()
        if key == "verbs"
        and split(word)
        not in {split(form) for form in (*written(name), *CLASSES[name].get("adjectives", []))}
    ]
    assert wrong == []
