"""What was pasted, counted from the samples' records, in detectron2's event storage."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from detectron2_data import CLASSES, large_scale_jitter, make_mapper, write_photos

pytest.importorskip("detectron2")

from detectron2.data import MetadataCatalog
from detectron2.utils.events import EventStorage

from empaste_aug import EMPaste
from empaste_aug.adapters.detectron2 import build_empaste_train_loader
from empaste_aug.training.hooks import PasteStatistics, SeededSteps
from empaste_aug.training.pictures import draw_sample
from empaste_aug.training.statistics import CountingLoader, PasteCounts
from empaste_aug.types import Background, Placement, Record, Skip


def counted_by_hand(batches, bank):
    """Images, class counts and reasons, straight from the records."""
    samples = list(itertools.chain.from_iterable(batches))
    pasted, skipped = Counter(), Counter()
    for sample in samples:
        record = sample["empaste_record"]
        for placement in record.placements:
            category = bank[placement.cutout_id].category_id
            pasted[bank.categories[category]] += 1
        skipped.update(skip.reason for skip in record.skipped)
    return len(samples), pasted, skipped


@pytest.fixture
def loader(tmp_path, small_bank):
    """Batches of 3 whose pastes hide each other often."""
    photos = write_photos(tmp_path / "photos", 6, size=(64, 64))
    mapper = make_mapper(
        EMPaste(small_bank, count=(2, 8), class_names=CLASSES, scale=(1.5, 2.0), min_visible=0.5),
        augmentations=large_scale_jitter(64),
        keep_record=True,
    )
    inner = build_empaste_train_loader(
        photos, mapper=mapper, total_batch_size=3, seed=1, num_workers=1
    )
    return CountingLoader(inner, lambda: mapper.paste)


def test_the_loader_counts_what_it_hands_out(loader, small_bank):
    batches = list(itertools.islice(iter(loader), 5))
    images, pasted, skipped = counted_by_hand(batches, small_bank)
    counts = loader.take()
    assert (counts.images, counts.pasted, counts.skipped) == (images, pasted, skipped)
    assert images == 15
    assert set(pasted) == set(CLASSES)
    assert skipped.total() > 0
    assert loader.last_batch is batches[-1]
    assert loader.take() == PasteCounts()
    assert loader.batch_sampler.start_iteration == 0  # the loader's own attributes
    assert not hasattr(loader, "nothing")


def run(hook, loader, iterations, start=0, max_iter=None, times=True):
    """As a trainer calls a hook; what is in the storage after each iteration, and the batches."""
    seen, batches = [], []
    trainer = SimpleNamespace(start_iter=start, max_iter=max_iter or start + iterations)
    hook.trainer = trainer
    with EventStorage(start) as storage:
        trainer.storage = storage
        for trainer.iter, batch in zip(range(start, start + iterations), loader, strict=False):
            storage.iter = trainer.iter
            hook.before_step()
            batches.append(batch)
            if times:
                storage.put_scalars(data_time=0.1, time=0.5 + trainer.iter)
            hook.after_step()
            seen.append({k: v for k, (v, at) in storage.latest().items() if at == trainer.iter})
        pictures = list(storage._vis_data)
    hook.after_train()
    return seen, batches, pictures


def statistics(loader, **options):
    MetadataCatalog.get("statistics_test").thing_classes = CLASSES
    options = {"checkpoint_period": 1000, "period": 2, "class_period": 4, **options}
    return PasteStatistics(loader, dataset_names=["statistics_test"], image_format="RGB", **options)


def test_the_storage_holds_the_sums(loader, small_bank):
    hook = statistics(loader, images=1, image_period=3)
    seen, batches, pictures = run(hook, loader, 5)
    assert "empaste/images" not in seen[0]
    for number in (2, 4, 5):
        images, pasted, skipped = counted_by_hand(batches[:number], small_bank)
        scalars = seen[number - 1]
        assert scalars["empaste/images"] == images == 3 * number
        assert scalars["empaste/pasted"] == pasted.total()
        assert scalars["empaste/skipped"] == skipped.total()
        for reason, count in skipped.items():
            assert scalars[f"empaste/skipped/{reason}"] == count
        by_class = {k: v for k, v in scalars.items() if k.startswith("empaste/class/")}
        expected = {f"empaste/class/{name}": count for name, count in pasted.items()}
        assert by_class == ({} if number == 2 else expected)
    window = counted_by_hand(batches[2:4], small_bank)
    assert seen[3]["empaste/pasted_per_image"] == window[1].total() / 6
    assert seen[1]["data_time_share"] == pytest.approx(0.2 / (0.5 + 1.5))
    assert seen[3]["data_time_share"] == pytest.approx(0.2 / (2.5 + 3.5))
    assert [(name, at) for name, _, at in pictures] == [
        ("empaste/sample_0", 0),
        ("empaste/sample_0", 2),
    ]
    planes = pictures[0][1]
    assert planes.shape == (3, 384, 384)
    assert planes.dtype == np.uint8


def test_sums_go_on_after_a_checkpoint(loader, small_bank):
    hook = statistics(loader, checkpoint_period=3)
    _, first, _ = run(hook, loader, 3, max_iter=100)
    state = pickle.loads(pickle.dumps(hook.state_dict()))
    assert state["images"] == 9  # also of the iteration that nothing was written in
    loader.loader.batch_sampler.start_iteration = 3
    other = statistics(CountingLoader(loader.loader, loader._paste))
    other.load_state_dict(state)
    seen, second, _ = run(other, other._loader, 3, start=3)
    images, pasted, _ = counted_by_hand(first + second, small_bank)
    assert seen[-1]["empaste/images"] == images == 18
    assert seen[-1]["empaste/pasted"] == pasted.total()


def test_all_ranks_are_counted(loader, monkeypatch):
    """What rank 0 writes, where another one has pasted two cows."""
    other = PasteCounts(images=3, pasted=Counter(cow=2), skipped=Counter(occluded=1))
    monkeypatch.setattr("detectron2.utils.comm.gather", lambda counts: [counts, other])
    hook = statistics(loader)
    seen, batches, _ = run(hook, loader, 2)
    own = PasteCounts()
    for record in (s["empaste_record"] for s in itertools.chain.from_iterable(batches)):
        own.add(record, loader._class_of)
    assert seen[-1]["empaste/images"] == 9
    assert seen[-1]["empaste/pasted"] == own.pasted.total() + 2
    assert seen[-1]["empaste/class/cow"] == own.pasted["cow"] + 2
    assert seen[-1]["empaste/skipped/occluded"] == own.skipped["occluded"] + 1


def test_without_pasting_only_the_waiting_is_told(tmp_path):
    photos = write_photos(tmp_path, 3, size=(64, 64))
    inner = build_empaste_train_loader(photos, mapper=make_mapper(None), total_batch_size=1, seed=0)
    hook = statistics(CountingLoader(inner, None))
    seen, _, pictures = run(hook, hook._loader, 2)
    assert set(seen[1]) == {"data_time", "time", "data_time_share"}
    assert len(pictures) == 1
    seen, _, _ = run(statistics(CountingLoader(inner, None)), inner, 2, times=False)
    assert seen[1] == {}


def test_the_line_of_a_run():
    counts = PasteCounts()
    for number in range(3):
        record = Record(
            placements=(Placement(0, (1.0, 1.0), 1.0), Placement(1, (1.0, 1.0), 1.0)),
            skipped=(Skip(0, "occluded"), Skip(0, "no_space"))[: number + 1],
            background=Background(7) if number == 0 else None,
        )
        counts.add(record, ["cat", "dog"].__getitem__)
    assert str(counts) == (
        "6 objects of 2 classes pasted into 3 images (2.00 each), 5 skipped "
        "(occluded 3, no_space 2), 1 on backgrounds"
    )
    assert PasteCounts.from_dict(counts.to_dict()) == counts


@pytest.mark.parametrize("mask_format", ["bitmask", "cropped", "polygon", None])
def test_a_sample_as_a_picture(tmp_path, small_bank, mask_format):
    (photo,) = write_photos(tmp_path, 1, objects=(1, 1))
    paste = EMPaste(small_bank, count=2, class_names=CLASSES)
    pictures = []
    for image_format in ("RGB", "BGR"):
        mapper = make_mapper(
            paste,
            use_instance_mask=mask_format is not None,
            instance_mask_format=mask_format or "bitmask",
            image_format=image_format,
            keep_record=True,
        )
        np.random.seed(4)  # noqa: NPY002
        sample = mapper(photo)
        pictures.append(draw_sample(sample, CLASSES, image_format=image_format))
    np.testing.assert_array_equal(*pictures)
    assert pictures[0].shape == (3 * 96, 3 * 128, 3)
    plain = sample["image"].numpy()[::-1].transpose(1, 2, 0)
    changed = (pictures[0][1::3, 1::3] != plain).any(axis=2)
    assert 0.02 < changed.mean() < 0.98
    assert sample["instances"].gt_cutout_ids.tolist()[0] == -1


def test_steps_are_seeded_by_iteration():
    import torch

    hook, drawn = SeededSteps(3), {}
    generators = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    for iteration in (5, 6, 5):
        hook.trainer = SimpleNamespace(iter=iteration)
        hook.before_step()
        drawn.setdefault(iteration, []).append((torch.rand(1).item(), np.random.random()))  # noqa: NPY002
    torch.set_rng_state(generators[0])
    np.random.set_state(generators[1])  # noqa: NPY002
    assert drawn[5][0] == drawn[5][1] != drawn[6][0]
