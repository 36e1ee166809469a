from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_data import MemoryDataset, box, make_dataset, truth, write_bank

from empaste_aug.bank import MaskBank
from empaste_aug.offline.bootstrap import PhotoDraws, interval
from empaste_aug.offline.curve import YIELDS, curve
from empaste_aug.offline.evaluate import evaluate_bank
from empaste_aug.offline.evaluation_text import format_report
from empaste_aug.offline.ranking import RankedMasks, rank_masks
from empaste_aug.offline.scoring import score_bank
from empaste_aug.types import ArgumentError

PHOTOS = 40


def one_cat_each(photos: int = PHOTOS) -> MemoryDataset:
    """Photos of a cat of 40 x 10; every fourth is of a dog of that size instead."""
    keys = [f"{k:02}" for k in range(photos)]
    truths = {key: [truth(int(k % 4 == 0), box(0, 0, 40, 10))] for k, key in enumerate(keys)}
    return make_dataset({key: [int(k % 4 == 0)] for k, key in enumerate(keys)}, truths)


def narrowing_bank(path: Path, photos: int = PHOTOS) -> MaskBank:
    """The mask of photo k has IoU (40 - k) / 40, rank k by quality, and the reverse by score."""
    masks = [(f"{k:02}", int(k % 4 == 0), box(0, 0, 40 - k, 10)) for k in range(photos)]
    qualities = [float(-k) for k in range(photos)]
    scores = [k / photos for k in range(photos)]
    return write_bank(path, masks, qualities=qualities, scores=scores)


def test_the_curve_of_a_known_ranking(tmp_path: Path) -> None:
    bank, dataset = narrowing_bank(tmp_path / "bank"), one_cat_each()
    report = evaluate_bank(bank, dataset, bootstrap=0)
    ious = (40 - np.arange(PHOTOS)) / 40
    assert [row["asked"] for row in report["curve"]] == list(YIELDS)
    for row in report["curve"]:
        n = round(row["asked"] * PHOTOS)
        assert (row["n"], row["yield"]) == (n, n / PHOTOS)
        assert row["mean_iou"] == pytest.approx(ious[:n].mean())
        assert row["p50"] == pytest.approx((ious[:n] >= 0.5).mean())
        assert row["p70"] == pytest.approx((ious[:n] >= 0.7).mean())
        by_class = [(ious[:n][np.arange(n) % 4 == 0]), ious[:n][np.arange(n) % 4 != 0]]
        assert row["macro_p50"] == pytest.approx(np.mean([(v >= 0.5).mean() for v in by_class]))
        assert row["classes_present"] == 2
        assert row["mean_iou_interval"] is None
    last = report["curve"][-1]
    assert last["mean_iou"] == pytest.approx(report["overall"]["mean_iou"])
    assert report["all_pairs"]["mean_iou"] == pytest.approx(ious.mean())
    by_score = evaluate_bank(bank, dataset, ranking="score", bootstrap=0)
    assert by_score["curve"][0]["mean_iou"] == pytest.approx(ious[-4:].mean())
    assert by_score["rankings"] == report["rankings"]
    assert by_score["curve"] == report["rankings"]["score"]["curve"]
    json.dumps(report, allow_nan=False)


def test_the_best_of_every_class(tmp_path: Path) -> None:
    report = evaluate_bank(narrowing_bank(tmp_path / "bank"), one_cat_each(), bootstrap=0)
    ious = (40 - np.arange(PHOTOS)) / 40
    dogs, cats = ious[::4], np.delete(ious, np.s_[::4])
    row = report["curve_per_class"][1]
    assert (row["asked"], row["n"], row["yield"]) == (0.2, 8, 0.2)
    assert row["mean_iou"] == pytest.approx(np.concatenate([dogs[:2], cats[:6]]).mean())


def test_no_class_is_emptied_per_class(tmp_path: Path) -> None:
    """One pair of dog, whose mask is the worst of all: gone over everything, kept per class."""
    truths = {f"{k:02}": [truth(0, box(0, 0, 10, 10))] for k in range(10)}
    truths["10"] = [truth(1, box(0, 0, 10, 10))]
    dataset = make_dataset({key: [int(key == "10")] for key in truths}, truths)
    masks = [(key, int(key == "10"), box(0, 0, 10, 10)) for key in truths]
    bank = write_bank(tmp_path / "bank", masks, qualities=[1.0] * 10 + [0.0])
    report = evaluate_bank(bank, dataset, bootstrap=0)
    assert [row["classes_present"] for row in report["curve"]] == [1, 1, 1, 1, 1, 2]
    assert [row["classes_present"] for row in report["curve_per_class"]] == [2] * len(YIELDS)
    assert report["curve_per_class"][0]["n"] == 2


def test_a_bank_with_fewer_masks_than_asked_for(tmp_path: Path) -> None:
    dataset = one_cat_each()
    report = evaluate_bank(narrowing_bank(tmp_path / "bank", 10), dataset, bootstrap=20)
    assert [row["n"] for row in report["curve"]] == [4, 8, 10, 10, 10, 10]
    assert [row["yield"] for row in report["curve"]] == [0.1, 0.2, 0.25, 0.25, 0.25, 0.25]
    whole = report["all_pairs"]
    assert (whole["pairs"], whole["pairs_with_mask"]) == (40, 10)
    assert whole["mean_iou"] == pytest.approx(report["overall"]["mean_iou"] / 4)


def test_masks_are_matched_anew_at_every_cut(tmp_path: Path) -> None:
    """Of three masks of one cat the middle one is the best, but ranks second."""
    dataset = make_dataset({"a": [0], "b": [0], "c": [0]}, {key: [CAT] for key in "abc"})
    masks = [("a", 0, box(0, 0, width, 10)) for width in (6, 10, 8)]
    bank = write_bank(tmp_path / "bank", masks, qualities=[3.0, 2.0, 1.0])
    ranked = rank_masks(score_bank(bank, dataset), "quality")
    np.testing.assert_allclose(ranked.gains, [[0.6, 1, 0], [0.4, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(ranked.first, [True, False, False])
    report = evaluate_bank(bank, dataset, bootstrap=0)
    by_asked = {row["asked"]: row for row in report["curve"]}
    assert by_asked[0.34]["mean_iou"] == pytest.approx(0.6)
    assert by_asked[0.65]["mean_iou"] == pytest.approx(1.0 / 2)
    assert by_asked[1.0]["mean_iou"] == pytest.approx(1.0 / 3)
    assert report["failures"]["kinds"]["duplicate"]["n"] == 2
    assert report["overall"]["failures"]["duplicate"] == 2


CAT = truth(0, box(0, 0, 10, 10))


def test_intervals_are_those_of_banks_of_the_drawn_photos(tmp_path: Path) -> None:
    """Against the plain way: lay the drawn photos' masks out, sort them, cut, average."""
    dataset, bank = one_cat_each(), narrowing_bank(tmp_path / "bank")
    ranked = rank_masks(score_bank(bank, dataset), "quality")
    draws = PhotoDraws(PHOTOS, 200, seed=5)
    rows = {cut: curve(ranked, draws, cut) for cut in ("whole", "per_class")}
    ious = (40 - np.arange(PHOTOS)) / 40
    is_dog = np.arange(PHOTOS) % 4 == 0
    for k, asked in enumerate(YIELDS):
        whole, per_class, macro = [], [], []
        for times in draws:
            drawn = np.repeat(np.arange(PHOTOS), times)
            kept = drawn[: int(asked * PHOTOS + 0.5)]  # photos are in the order of quality
            whole.append(ious[kept].mean())
            shares = [(ious[kept[is_dog[kept] == dog]] >= 0.5) for dog in (True, False)]
            macro.append(np.mean([values.mean() for values in shares if len(values)]))
            parts = [drawn[is_dog[drawn] == dog] for dog in (True, False)]
            cut = [part[: max(int(asked * len(part) + 0.5), 1)] for part in parts]
            per_class.append(ious[np.concatenate(cut)].mean())
        assert rows["whole"][k]["mean_iou_interval"] == pytest.approx(interval(whole))
        assert rows["whole"][k]["macro_p50_interval"] == pytest.approx(interval(macro))
        assert rows["per_class"][k]["mean_iou_interval"] == pytest.approx(interval(per_class))
        low, high = interval(whole) or (0, 0)
        assert low <= rows["whole"][k]["mean_iou"] <= high


def test_unknown_ranks_last_and_ties_do_not_follow_the_bank(tmp_path: Path) -> None:
    dataset = one_cat_each()
    masks = [(f"{k:02}", int(k % 4 == 0), box(0, 0, 40 - k, 10)) for k in range(PHOTOS)]
    unknown = [float("nan")] * 20 + [1.0] * 20
    scores = score_bank(write_bank(tmp_path / "bank", masks, qualities=unknown), dataset)
    orders = [rank_masks(scores, "quality", seed).photo for seed in (0, 0, 1)]
    assert set(orders[0][:20]) == set(range(20, 40))
    assert orders[0].tolist() == orders[1].tolist() != orders[2].tolist()
    assert orders[0][:20].tolist() != list(range(20, 40))


def test_what_to_rank_by(tmp_path: Path) -> None:
    dataset = one_cat_each(2)
    masks = [("00", 1, box(0, 0, 40, 10))]
    plain = write_bank(tmp_path / "plain", masks)
    report = evaluate_bank(plain, dataset, bootstrap=0)
    assert (report["ranking"], list(report["rankings"])) == ("score", ["score"])
    with pytest.raises(ArgumentError, match="plain knows no quality of any of its masks"):
        evaluate_bank(plain, dataset, ranking="quality")
    with pytest.raises(ArgumentError, match="must be one of quality, score, not 'size'"):
        evaluate_bank(plain, dataset, ranking="size")
    known = write_bank(tmp_path / "known", masks, qualities=[0.3])
    assert evaluate_bank(known, dataset, bootstrap=0)["ranking"] == "quality"


def test_a_bank_without_a_scored_mask(tmp_path: Path) -> None:
    dataset = one_cat_each(3)
    bank = write_bank(tmp_path / "bank", [("extra/a", 0, box(0, 0, 9, 9))])
    report = evaluate_bank(bank, dataset, other=bank, bootstrap=10)
    assert [(row["n"], row["yield"], row["p50"]) for row in report["curve"]] == [(0, 0, None)] * 6
    assert report["curve"][0]["p50_interval"] is None
    assert report["comparison"]["curve"][0]["p50_difference"] is None
    assert report["all_pairs"]["mean_iou"] == 0
    json.dumps(report, allow_nan=False)
    assert "0 of 0 masks" in format_report(report)


def test_a_bank_against_itself_differs_nowhere(tmp_path: Path) -> None:
    bank, dataset = narrowing_bank(tmp_path / "bank"), one_cat_each()
    comparison = evaluate_bank(bank, dataset, other=bank.path, bootstrap=50)["comparison"]
    for row in [*comparison["curve"], *comparison["curve_per_class"], comparison["all_pairs"]]:
        for name in ("mean_iou", "p50", "p70"):
            assert row[f"{name}_difference"] == 0
            assert row[f"{name}_difference_interval"] == [0, 0]


def test_a_comparison_is_paired_and_at_equal_yields(tmp_path: Path) -> None:
    """The other bank's masks are all narrower by a tenth of the cat: no interval is needed."""
    dataset, bank = one_cat_each(20), narrowing_bank(tmp_path / "bank", 20)
    masks = [(f"{k:02}", int(k % 4 == 0), box(0, 0, 36 - k, 10)) for k in range(15)]
    other = write_bank(tmp_path / "other", masks, qualities=[float(-k) for k in range(15)])
    report = evaluate_bank(bank, dataset, other=other, bootstrap=100)
    rows = report["comparison"]["curve"]
    assert [row["n"] for row in rows] == [2, 4, 7, 10, 13, 15]
    for row in rows:
        assert row["mean_iou"] - row["mean_iou_other"] == pytest.approx(0.1)
        assert row["mean_iou_difference"] == pytest.approx(0.1)
        low, high = row["mean_iou_difference_interval"]
        assert (low, high) == pytest.approx((0.1, 0.1))
    pairs = report["comparison"]["all_pairs"]
    ious = (40 - np.arange(20)) / 40
    assert pairs["mean_iou"] == pytest.approx(ious.mean())
    assert pairs["mean_iou_other"] == pytest.approx((ious[:15] - 0.1).sum() / 20)
    low, high = pairs["mean_iou_difference_interval"]
    assert low < pairs["mean_iou_difference"] < high
    text = format_report(report)
    assert "against " in text
    assert "= +0.100 [+0.100, +0.100]" in text


def test_draws_are_the_same_each_time() -> None:
    draws = PhotoDraws(7, 5, seed=1)
    once, again = np.stack(list(draws)), np.stack(list(draws))
    np.testing.assert_array_equal(once, again)
    assert once.shape == (5, 7)
    assert (once.sum(axis=1) == 7).all()
    assert (once != np.stack(list(PhotoDraws(7, 5, seed=2)))).any()
    assert len(PhotoDraws(0, 5, seed=0)) == len(list(PhotoDraws(0, 5, seed=0))) == 0
    assert interval([]) is None
    assert interval([float("nan")] * 3) is None


def test_ranked_masks_know_their_number(tmp_path: Path) -> None:
    scores = score_bank(narrowing_bank(tmp_path / "bank", 6), one_cat_each())
    ranked = rank_masks(scores, "quality")
    assert isinstance(ranked, RankedMasks)
    assert len(ranked) == scores.scored == 6
    assert ranked.pairs.sum() == PHOTOS


def test_the_first_mask_of_every_pair_alone(tmp_path: Path) -> None:
    """Further instances rank higher here; without them it is the bank that never had them."""
    dataset = make_dataset({"a": [0], "b": [0]}, {key: [CAT] for key in "ab"})
    first = [("a", 0, box(0, 0, 6, 10)), ("b", 0, box(0, 0, 8, 10))]
    further = [("a", 0, box(0, 0, 10, 10)), ("a", 0, box(20, 0, 30, 10))]
    masks = [first[0], *further, first[1]]
    bank = write_bank(tmp_path / "more", masks, qualities=[1.0, 3.0, 4.0, 2.0])
    alone = write_bank(tmp_path / "one", first, qualities=[1.0, 2.0])
    assert evaluate_bank(bank, dataset, bootstrap=0)["overall"]["masks"] == 4
    found = evaluate_bank(bank, dataset, one_per_pair=True, other=bank, bootstrap=20)
    expected = evaluate_bank(alone, dataset, other=alone, bootstrap=20)
    for key in ("overall", "curve", "curve_per_class", "all_pairs", "failures"):
        assert found[key] == expected[key]
    assert found["comparison"]["curve"] == expected["comparison"]["curve"]
    assert (found["bank_masks"], found["masks_not_evaluated"]) == (4, 2)
    assert "beside the first of their pair" in format_report(found)
    assert "beside the first of their pair" not in format_report(expected)
