"""The stages of robust mode on small photos, with a classifier that tells colours apart.

The saliency network is replaced by "how far from grey", so that no weights are needed.
"""

from __future__ import annotations

import copy
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from executor_stages import files_of
from PIL import Image
from torch import Tensor, nn

from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.classify.backbone import Backbone
from empaste_aug.offline.cues import CUES, GRID
from empaste_aug.offline.datasets.base import LabelledImage
from empaste_aug.offline.fem import FEMConfig
from empaste_aug.offline.instances import InstanceConfig
from empaste_aug.offline.prior import shortlist
from empaste_aug.offline.proposals import saliency as saliency_method
from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.offline.stages import head as head_stage
from empaste_aug.offline.stages import occlusions as occlusion_stage
from empaste_aug.offline.stages import proposals as proposal_stage
from empaste_aug.offline.stages.activations import ActivationStage
from empaste_aug.offline.stages.base import Progress
from empaste_aug.offline.stages.cams import CamStage
from empaste_aug.offline.stages.cues import CueStage
from empaste_aug.offline.stages.distances import DistanceStage
from empaste_aug.offline.stages.features import FeatureStage
from empaste_aug.offline.stages.foregrounds import ForegroundStage
from empaste_aug.offline.stages.head import HeadStage
from empaste_aug.offline.stages.occlusions import OcclusionStage
from empaste_aug.offline.stages.photos import Photo, hash_files
from empaste_aug.offline.stages.pool import SegmentPool, decode_masks
from empaste_aug.offline.stages.proposals import ProposalStage
from empaste_aug.offline.stages.saliency import SaliencyStage, distinct
from empaste_aug.offline.stages.salient import PATCHES, SalientStage, dull_patches
from empaste_aug.types import ArgumentError

NAMES = ("blue", "red")
COLOURS = {"blue": (20, 20, 230), "red": (230, 20, 20)}
HEIGHT, WIDTH = 96, 128
LABELS = (("red",), ("blue",), ("blue", "red"), ("red",))
"""Of the photos 0 to 3; photo 3 holds no segment that is large enough."""

PLACES = {"red": (16, 16, 48, 48), "blue": (80, 48, 112, 80)}
SQUARE = 32 * 32


def square(name: str) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x0, y0, x1, y1 = PLACES[name]
    mask[y0:y1, x0:x1] = True
    return mask


class ColourCells(nn.Module):
    """(N, 3, S, S) in [0, 1] -> (N, 3, S / 8, S / 8): how much each cell exceeds grey."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d((images - 0.55).relu(), 8)


class ColourSegments:
    """Each coloured square twice, a patch of background, the left half, and a speck."""

    name = "colour"

    def config(self) -> dict[str, Any]:
        return {"kind": "colour"}

    def __call__(self, image: np.ndarray, *, image_id: str) -> list[Segment]:
        found = []
        for colour in COLOURS.values():
            near = np.abs(image.astype(int) - colour).sum(axis=2) < 30
            if near.sum() == SQUARE:
                fewer = near.copy()
                fewer[near.argmax() // WIDTH, near.argmax() % WIDTH] = False
                found += [Segment.from_mask(fewer, self.name, 0.2)]
                found += [Segment.from_mask(near, self.name, 0.4)]
        if found:
            patch = np.zeros(image.shape[:2], bool)
            patch[64:84, 8:48] = True
            half = np.zeros(image.shape[:2], bool)
            half[:, :64] = True
            found += [Segment.from_mask(patch, self.name, 0.05)]
            found += [Segment.from_mask(half, self.name, 0.1)]
        speck = np.zeros(image.shape[:2], bool)
        speck[0, 0] = True
        return [*found, Segment.from_mask(speck, self.name)]


class FromGrey:
    """In place of the saliency network: how far from grey, the farthest of the photo being 1."""

    def __init__(self, *, num_threads: int | None = None) -> None:
        pass

    def __call__(self, image: np.ndarray) -> np.ndarray:
        distance = np.ptp(image.astype(np.float32), axis=2)
        distance -= distance.min()
        return distance / max(float(distance.max()), 60)


@pytest.fixture(autouse=True)
def replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saliency_method, "SaliencyModel", FromGrey)
    monkeypatch.setattr(proposal_stage, "build_proposals", lambda names, **_: ColourSegments())


def write_photo(path: Path, names: tuple[str, ...], *, objects: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = np.repeat(rng.integers(90, 130, (HEIGHT, WIDTH, 1), dtype=np.uint8), 3, axis=2)
    for name in names if objects else ():
        image[square(name)] = COLOURS[name]
    if not objects:
        image[40:44, 60:64] = COLOURS[names[0]]
    Image.fromarray(image).save(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for index, names in enumerate(LABELS):
        paths.append(folder / f"p{index}.png")
        write_photo(paths[-1], names, objects=index < 3, seed=index)
    labels = [tuple(NAMES.index(name) for name in names) for names in LABELS]
    return [
        Photo(LabelledImage(path.stem, path, path.name, ids, HEIGHT, WIDTH), ids, digest)
        for path, ids, digest in zip(paths, labels, hash_files(paths, progress=False), strict=True)
    ]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Its classes are in another order than the data set's, and it has one more."""
    backbone = Backbone("cells", ColourCells(), 3, 64, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    made = Classifier(("red", "green", "blue"), backbone)
    with torch.no_grad():
        made.head.weight.copy_(10 * (2 * torch.eye(3) - 1))
        made.head.bias.fill_(-2)
    return made


@dataclasses.dataclass
class Chain:
    """All stages of a build, each in the same work folder."""

    activations: ActivationStage
    saliency: SaliencyStage
    proposals: ProposalStage
    pool: SegmentPool
    features: FeatureStage
    salient: SalientStage
    head: HeadStage
    cues: CueStage
    occlusions: OcclusionStage
    fem: ForegroundStage


def chain(
    work: Path,
    classifier: Classifier,
    photos: list[Photo],
    *,
    threads: int = 1,
    segments: SegmentConfig | None = None,
) -> Chain:
    segments = segments or SegmentConfig()
    activations = ActivationStage(work, classifier, NAMES, sizes=(64,), threads=threads)
    saliency = SaliencyStage(work, activations, threads=threads)
    proposals = ProposalStage(work, ["colour"])
    pool = SegmentPool(proposals, saliency, segments)
    features = FeatureStage(work, classifier, pool, batch_size=None, threads=threads)
    salient = SalientStage(work, classifier, segments, threads=threads)
    head = HeadStage(work, salient, features, photos, photos, NAMES)
    cues = CueStage(work, activations, saliency, features, head, NAMES)
    occlusions = OcclusionStage(work, cues, threads=threads)
    cams = CamStage(
        work, classifier, NAMES, threshold=0.5, component="all", sizes=None, threads=threads
    )
    fem = ForegroundStage(
        work,
        features,
        DistanceStage(work, cams, pool),
        NAMES,
        config=FEMConfig(min_images=2),
        cues=cues,
        occlusions=occlusions,
        reduce=2,
    )
    return Chain(
        activations, saliency, proposals, pool, features, salient, head, cues, occlusions, fem
    )


def run_all(stages: Chain, photos: list[Photo], *, redo: bool = False) -> list[Progress]:
    one_by_one = (
        stages.activations, stages.saliency, stages.proposals, stages.features,
        stages.fem.distances.cams,
    )  # fmt: skip
    done = [stage.run(photos, redo=redo, progress=False) for stage in one_by_one]
    return [*done, stages.fem.run(photos, redo=redo, progress=False)]


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, classifier: Classifier, photos: list[Photo]
) -> Iterator[Chain]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saliency_method, "SaliencyModel", FromGrey)
        patch.setattr(proposal_stage, "build_proposals", lambda names, **_: ColourSegments())
        stages = chain(tmp_path_factory.mktemp("work"), classifier, photos)
        run_all(stages, photos)
        yield stages


def test_activations_point_at_the_objects_of_the_labels(
    finished: Chain, photos: list[Photo]
) -> None:
    for photo in photos[:3]:
        maps = finished.activations.load(photo)["maps"]
        assert (maps.shape, maps.dtype) == ((len(photo.labels), GRID, GRID), np.float16)
        for values, label in zip(maps, photo.labels, strict=True):
            row, column = np.unravel_index(values.argmax(), values.shape)
            y, x = (row + 0.5) / GRID * HEIGHT, (column + 0.5) / GRID * WIDTH
            assert square(NAMES[label])[int(y), int(x)]


def test_activations_follow_the_labels(
    finished: Chain, photos: list[Photo], classifier: Classifier
) -> None:
    other = dataclasses.replace(photos[0], labels=(0, 1))
    with pytest.raises(ArgumentError, match="activations"):
        finished.activations.load(other)
    work = finished.activations.cache.work
    default = ActivationStage(work, classifier, NAMES, sizes=None, threads=1)
    assert default.key != finished.activations.key
    with pytest.raises(ArgumentError, match="does not know"):
        ActivationStage(work, classifier, ["cat"], sizes=None, threads=1)


@pytest.mark.parametrize("scale", [1e5, 1e-8])
def test_maps_out_of_float16s_range_are_kept(
    tmp_path: Path, classifier: Classifier, photos: list[Photo], finished: Chain, scale: float
) -> None:
    loud = copy.deepcopy(classifier)
    with torch.no_grad():
        loud.head.weight.mul_(scale)
    stage = ActivationStage(tmp_path, loud, NAMES, sizes=(64,), threads=1)
    stage.run(photos[:1], progress=False)
    maps = stage.load(photos[0])["maps"]
    assert maps.dtype == np.float32
    usual = finished.activations.load(photos[0])["maps"].astype(np.float32)
    np.testing.assert_allclose(maps / scale, usual, rtol=1e-2, atol=2e-3 * np.abs(usual).max())


def test_windows_that_show_the_same_are_looked_at_once() -> None:
    first, close, other = (0, 0, 40, 40), (2, 2, 42, 42), (60, 10, 90, 70)
    assert distinct([first, close, other, (0, 0, 95, 95)], 100, 100) == [first, other]
    assert distinct([], 100, 100) == []


def test_the_saliency_map_and_the_whole_object(finished: Chain, photos: list[Photo]) -> None:
    content = finished.saliency.load(photos[2])
    assert (content["map"].shape, content["map"].dtype) == ((GRID, GRID), np.uint8)
    for (x, y), value in (((96, 64), 255), ((32, 32), 255), ((32, 64), 0), ((96, 32), 0)):
        assert content["map"][y * GRID // HEIGHT, x * GRID // WIDTH] == value
    masks = [segment.mask() for segment in finished.saliency.segments(photos[2])]
    for expected in (square("red") | square("blue"), square("red"), square("blue")):
        assert any(np.array_equal(mask, expected) for mask in masks)
    assert {segment.source for segment in finished.saliency.segments(photos[2])} == {"saliency"}


def test_what_is_faint_in_the_photo_is_found_in_a_window(
    tmp_path: Path, photos: list[Photo], classifier: Classifier
) -> None:
    """A blue haze beside a dark square, which is far more salient but of no class."""
    image = photos[0].read()
    haze, dark = square("blue"), square("red")
    image[dark] = (120, 0, 0)
    image[haze] = (120, 120, 155)
    path = tmp_path / "haze.png"
    Image.fromarray(image).save(path)
    (digest,) = hash_files([path], progress=False)
    activations = ActivationStage(tmp_path, classifier, NAMES, sizes=(64,), threads=1)
    stage = SaliencyStage(tmp_path, activations, threads=1)
    found = {}
    for labels in ((1,), (0,)):
        photo = Photo(LabelledImage("haze", path, path.name, labels, HEIGHT, WIDTH), labels, digest)
        activations.run([photo], progress=False)
        stage.run([photo], progress=False)
        masks = [segment.mask() for segment in stage.segments(photo)]
        found[labels] = any((mask & haze).sum() > 0.6 * mask.sum() for mask in masks)
        assert np.array_equal(masks[0], dark)
    assert found == {(1,): False, (0,): True}


def test_the_pool_puts_salient_segments_first_and_keeps_positions(
    finished: Chain, photos: list[Photo]
) -> None:
    for photo in photos:
        found = finished.pool.segments(photo)
        assert finished.pool.count(photo) == len(found)
        parts = finished.saliency.segments(photo) + finished.proposals.segments(photo)
        assert [segment.rle for segment in found] == [segment.rle for segment in parts]
        assert [segment.source for segment in found] == [segment.source for segment in parts]
        rows = finished.pool.eligible(found)
        assert rows.dtype == np.int64
        assert (np.diff(rows) > 0).all()
        assert finished.features.load(photo)["segment"].tolist() == rows.tolist()


def test_the_pool_drops_specks_and_duplicates(finished: Chain, photos: list[Photo]) -> None:
    plain = SegmentPool(finished.proposals, None, SegmentConfig())
    found = plain.segments(photos[0])
    assert len(found) == plain.count(photos[0]) == 5
    assert plain.eligible(found).tolist() == [1, 2, 3]  # the stronger twin; no speck
    every = SegmentPool(finished.proposals, None, SegmentConfig(max_overlap=None))
    assert every.eligible(found).tolist() == [0, 1, 2, 3]
    narrow = SegmentPool(finished.proposals, None, SegmentConfig(max_span=0.95))
    assert narrow.eligible(found).tolist() == [1, 2]
    large = SegmentPool(finished.proposals, None, SegmentConfig(min_area=0.2, max_overlap=None))
    assert large.eligible(found).tolist() == [3]
    assert plain.eligible([]).tolist() == []
    (mask,) = decode_masks(found, np.array([1]))
    assert mask.dtype == bool
    assert np.array_equal(mask, square("red"))
    keys = [str(pool.key) for pool in (plain, every, narrow, large, finished.pool)]
    assert len(set(keys)) == 5


def test_features_follow_the_labels_as_the_salient_segments_do(
    finished: Chain, photos: list[Photo]
) -> None:
    other = dataclasses.replace(photos[0], labels=(0,))
    assert finished.saliency.token(other) != finished.saliency.token(photos[0])
    assert finished.features.token(other) != finished.features.token(photos[0])


def test_cutouts_to_learn_from(finished: Chain, photos: list[Photo]) -> None:
    content = finished.salient.load(photos[0])
    phi, salient = content["phi"], content["salient"]
    assert len(phi) == len(salient)
    assert salient.dtype == bool
    assert 1 <= (~salient).sum() <= PATCHES
    assert (phi[salient].argmax(axis=1) == 0).all()  # the red channel
    assert not phi[~salient].any()  # grey
    assert phi[salient].min(axis=0)[0] > 0


def test_cutouts_of_the_main_photos_come_from_the_saliency_stage(
    tmp_path: Path,
    finished: Chain,
    photos: list[Photo],
    classifier: Classifier,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options: dict[str, Any] = {"saliency": finished.saliency, "threads": 1}
    stage = SalientStage(tmp_path, classifier, SegmentConfig(), **options)
    alone = finished.salient
    assert stage.key != alone.key
    assert stage.token(photos[0]) == finished.saliency.token(photos[0]) != alone.token(photos[0])
    extra = dataclasses.replace(photos[0], extra=True)
    assert stage.token(extra) == alone.token(extra)
    for photo in (photos[0], photos[2], extra):
        phi, salient = (stage.compute(photo)[name] for name in ("phi", "salient"))
        expected = alone.load(photos[0] if photo.extra else photo)
        np.testing.assert_allclose(phi[salient], expected["phi"][expected["salient"]], rtol=1e-3)
        assert phi[~salient].max() < 0.01 < phi[salient].max()
    monkeypatch.setattr(stage.method, "model", None)
    stage.compute(photos[0])  # the network is not asked
    with pytest.raises(TypeError):
        stage.compute(extra)


def test_patches_lie_on_what_is_dull(rng: np.random.Generator) -> None:
    dull = np.ones((60, 80), bool)
    dull[:, 40:] = False
    patches = dull_patches(dull, rng)
    assert 1 <= len(patches) <= PATCHES
    for patch in patches:
        assert (patch.shape, patch.dtype) == (dull.shape, bool)
        assert patch.any()
        assert dull[patch].mean() > 0.8
    assert len(dull_patches(np.ones((60, 80), bool), rng)) == PATCHES
    assert dull_patches(np.zeros((60, 80), bool), rng) == []


def test_patches_of_small_photos(rng: np.random.Generator) -> None:
    for height in (1, 2, 5, 6, 7, 11):
        for width in (1, 5, 6, 8, 300):
            for patch in dull_patches(np.ones((height, width), bool), rng):
                assert patch.shape == (height, width)
                assert patch.any()
    assert dull_patches(np.ones((5, 300), bool), rng) == []


def test_the_head_tells_the_classes_apart(finished: Chain) -> None:
    head = finished.head.load()
    assert head.weight.shape == (3, len(NAMES))
    blue, red, grey = head.logits(np.array([[0, 0, 1], [1, 0, 0], [0, 0, 0]], np.float32))
    assert blue[0] > blue[1] + 2
    assert red[1] > red[0] + 2
    assert grey.max() < 0


def test_labels_of_photos_with_two_classes_are_unknown(
    finished: Chain, photos: list[Photo]
) -> None:
    _, single, weights = finished.head._salient(photos[0])
    salient = finished.salient.load(photos[0])["salient"]
    np.testing.assert_array_equal(single[salient], [[0, 1]] * salient.sum())
    np.testing.assert_array_equal(single[~salient], 0)
    assert weights[salient].sum() == pytest.approx(head_stage.PRESENT_WEIGHT)
    assert (weights[~salient] == head_stage.ABSENT_WEIGHT).all()
    _, both, _ = finished.head._salient(photos[2])
    salient = finished.salient.load(photos[2])["salient"]
    assert np.isnan(both[salient]).all()
    np.testing.assert_array_equal(both[~salient], 0)


def test_segments_of_photos_without_a_class_are_contrast(
    finished: Chain, photos: list[Photo]
) -> None:
    phi, targets, weights = finished.head._contrast(photos[0])
    count = min(head_stage.CONTRAST, len(finished.features.load(photos[0])["segment"]))
    assert (len(phi), targets.shape) == (count, (count, 2))
    np.testing.assert_array_equal(targets[:, 0], 0)  # not blue
    assert np.isnan(targets[:, 1]).all()
    assert (weights == head_stage.ABSENT_WEIGHT).all()


def test_a_photo_without_eligible_segments(finished: Chain, photos: list[Photo]) -> None:
    assert finished.pool.count(photos[3]) > 0
    assert len(finished.features.load(photos[3])["segment"]) == 0
    assert finished.cues.load(photos[3])["cues"].shape == (1, 0, len(CUES))
    phi, targets, weights = finished.head._contrast(photos[3])
    assert (phi.shape, targets.shape, weights.shape) == ((0, 3), (0, 2), (0,))


def test_the_head_is_learned_once(finished: Chain, photos: list[Photo]) -> None:
    path = finished.head.cache.path(finished.head.name)
    before = path.read_bytes()
    assert finished.head.run(progress=False) == Progress(0, 1)
    assert finished.head.run(redo=True, progress=False) == Progress(1, 0)
    assert path.read_bytes() == before


def test_the_head_depends_on_photos_and_labels(finished: Chain, photos: list[Photo]) -> None:
    def key(main: list[Photo], contrast: list[Photo]) -> str:
        work = finished.head.cache.work
        return HeadStage(work, finished.salient, finished.features, main, contrast, NAMES).key

    relabelled = [dataclasses.replace(photos[0], labels=(0,)), *photos[1:]]
    keys = {key(photos, photos), key(photos[:3], photos), key(photos, photos[:3])}
    keys |= {key(relabelled, photos), key([*photos, photos[0]], photos[1:])}
    assert len(keys) == 5
    assert key(photos, photos) == finished.head.key


def test_no_more_photos_than_fit_the_memory(
    finished: Chain, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    for most, expected in ((2, [0, 2]), (3, [0, 2]), (4, [0, 1, 2, 3]), (1, [0])):
        monkeypatch.setattr(head_stage, "MOST_PHOTOS", most)
        stage = HeadStage(
            finished.head.cache.work, finished.salient, finished.features, photos, [], NAMES
        )
        assert [photos.index(photo) for photo in stage.photos] == expected
        assert stage.contrast == []


def test_stages_that_have_not_run_say_so(
    tmp_path: Path, classifier: Classifier, photos: list[Photo]
) -> None:
    stages = chain(tmp_path, classifier, photos)
    with pytest.raises(ArgumentError, match="segment head"):
        stages.head.load()
    for stage in (stages.activations, stages.saliency, stages.salient, stages.cues):
        with pytest.raises(ArgumentError, match=f"stage {stage.name}.*{photos[0].name}"):
            stage.load(photos[0])
    with pytest.raises(ArgumentError, match="stage saliency"):
        stages.pool.segments(photos[0])


def test_cues_of_every_label_and_segment(finished: Chain, photos: list[Photo]) -> None:
    columns = list(CUES)
    for photo in photos[:3]:
        values = finished.cues.load(photo)["cues"]
        rows = finished.features.load(photo)["segment"]
        found = finished.pool.segments(photo)
        assert values.shape == (len(photo.labels), len(rows), len(CUES))
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        proposed = [found[row].source == "saliency" for row in rows]
        assert any(proposed)
        assert not all(proposed)
        logits = finished.features.load(photo)["logits"]
        learned = finished.head.load().logits(finished.features.load(photo)["phi"])
        strength = np.array([found[row].strength for row in rows], np.float32)
        for position, label in enumerate(photo.labels):
            own = dict(zip(columns, values[position].T, strict=True))
            assert own["is_salient"].tolist() == proposed
            column = {"red": 0, "blue": 2}[NAMES[label]]
            np.testing.assert_array_equal(own["class_logit"], logits[:, column])
            other = {"red": 2, "blue": 0}[NAMES[label]]  # green is not of the data set
            np.testing.assert_array_equal(own["other_classes"], -logits[:, other])
            np.testing.assert_allclose(own["segment_logit"], learned[:, label], atol=1e-5)
            contours = ~np.array(proposed)  # of salient segments it is no contour's
            np.testing.assert_array_equal(own["contour"][contours], strength[contours])
            assert np.ptp(own["contour"][~contours]) == 0
            assert own["label_margin"].any() == (len(photo.labels) > 1)


def test_the_object_of_each_label_is_chosen(finished: Chain, photos: list[Photo]) -> None:
    chosen = finished.fem.choices(photos)
    assert [(c.photo, NAMES[c.category_id]) for c in chosen] == [
        ("p1", "blue"),
        ("p2", "blue"),
        ("p0", "red"),
        ("p2", "red"),
    ]
    by_name = {photo.name: photo for photo in photos}
    for made in chosen:
        found = finished.pool.segments(by_name[made.photo])
        expected = square(NAMES[made.category_id])
        mask = found[made.segment].mask()
        assert (mask & expected).sum() / (mask | expected).sum() > 0.9
        assert 0 < made.quality < 1
        assert made.score > 0.5


def test_a_second_run_computes_nothing(finished: Chain, photos: list[Photo]) -> None:
    again = run_all(finished, photos)
    assert [progress.computed for progress in again] == [0] * len(again)


def test_the_same_bytes_with_threads_and_twice(
    tmp_path: Path, classifier: Classifier, photos: list[Photo], finished: Chain
) -> None:
    stages = chain(tmp_path / "again", classifier, photos, threads=2)
    run_all(stages, photos)
    for name in ("activations", "saliency", "features", "salient", "head", "cues", "fem"):
        expected = files_of(finished.cues.cache.work / name)
        assert expected
        assert files_of(tmp_path / "again" / name) == expected


def test_candidates_for_further_instances(finished: Chain, photos: list[Photo]) -> None:
    def stage(**options: Any) -> ForegroundStage:
        given = finished.fem
        return ForegroundStage(
            given.cache.work, given.features, given.distances, NAMES, config=given.config,
            cues=given.cues, occlusions=given.occlusions, reduce=2,
                instances=InstanceConfig(**options),
        )  # fmt: skip

    assert finished.fem.candidates(photos) == []
    assert (
        stage(max_instances=1, min_quality=0.9).key == finished.fem.key
    )  # of no use with one instance
    everything = stage(max_instances=3, min_quality=0.0, min_similarity=-1.0)
    assert stage(max_instances=2, min_quality=0.0, min_similarity=-1.0).key == everything.key
    assert everything.key != finished.fem.key
    everything.run(photos, progress=False)
    choices = everything.choices(photos)
    assert choices == finished.fem.choices(photos)
    found = everything.candidates(photos)
    for made in choices:
        own = [
            (candidate.choice.segment, candidate)
            for candidate in found
            if (candidate.choice.photo, candidate.choice.category_id)
            == (made.photo, made.category_id)
        ]
        photo = next(photo for photo in photos if photo.name == made.photo)
        rows = finished.features.load(photo)["segment"].tolist()
        assert sorted([made.segment, *(segment for segment, _ in own)]) == sorted(rows)
    limit = sorted(candidate.choice.quality for candidate in found)[len(found) // 2]
    better = stage(max_instances=3, min_quality=limit, min_similarity=-1.0)
    better.run(photos, progress=False)
    assert better.candidates(photos) == [c for c in found if c.choice.quality >= limit]
    alike = stage(max_instances=3, min_quality=0.0, min_similarity=0.9)
    alike.run(photos, progress=False)
    assert 0 < len(alike.candidates(photos)) < len(found)


def test_further_instances_need_cues(finished: Chain) -> None:
    given = finished.fem
    with pytest.raises(ArgumentError, match="max_instances"):
        ForegroundStage(
            given.cache.work, given.features, given.distances, NAMES, config=given.config,
            instances=InstanceConfig(max_instances=2),
        )  # fmt: skip


def test_occlusion_is_measured_for_the_shortlist_of_each_label(
    tmp_path: Path, finished: Chain, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    for photo in photos:
        drop = finished.occlusions.load(photo)["drop"]
        assert drop.shape == finished.cues.load(photo)["cues"].shape[:2]
        assert not np.isnan(drop).any()  # fewer segments than the shortlist takes
    shutil.copytree(finished.cues.cache.work, tmp_path / "work")
    cues = finished.cues
    monkeypatch.setattr(occlusion_stage, "SHORTLIST", 2)
    monkeypatch.setattr(occlusion_stage, "shortlist", lambda values: shortlist(values, 2))
    stage = OcclusionStage(tmp_path / "work", cues, threads=1)
    assert stage.key != finished.occlusions.key
    stage.run(photos, progress=False)
    for photo in photos[:3]:
        drop = stage.load(photo)["drop"]
        whole = finished.occlusions.load(photo)["drop"]
        for label, values, all_values in zip(photo.labels, drop, whole, strict=True):
            listed = np.flatnonzero(~np.isnan(values))
            position = photo.labels.index(label)
            assert listed.tolist() == shortlist(cues.load(photo)["cues"][position], 2).tolist()
            np.testing.assert_allclose(values[listed], all_values[listed], rtol=1e-5)


def test_the_object_of_a_label_takes_most_of_its_class_along(
    finished: Chain, photos: list[Photo]
) -> None:
    photo = photos[2]
    found = finished.pool.segments(photo)
    masks = decode_masks(found, finished.features.load(photo)["segment"])
    for label, drop in zip(photo.labels, finished.occlusions.load(photo)["drop"], strict=True):
        best = masks[int(drop.argmax())]
        own = square(NAMES[label])
        assert (best & own).sum() / (best | own).sum() > 0.9


def test_without_occlusion_all_segments_are_compared(finished: Chain, photos: list[Photo]) -> None:
    fem = finished.fem
    plain = ForegroundStage(
        fem.cache.work, fem.features, fem.distances, NAMES,
        config=fem.config, cues=fem.cues, reduce=2,
    )  # fmt: skip
    assert plain.key != fem.key
    plain.run(photos, progress=False)
    assert len(plain.choices(photos)) == len(fem.choices(photos))
