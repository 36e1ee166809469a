"""What a run is told at its start: changes to its config, and the weights that it starts from."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("detectron2")

import torch
from detectron2.checkpoint import DetectionCheckpointer
from omegaconf import OmegaConf
from torch import nn

from empaste_aug import ArgumentError
from empaste_aug.training.overrides import check_overrides, check_pairs
from empaste_aug.training.weights import check_start, checkpoint_errors, find_weights


@pytest.fixture
def lazy():
    return OmegaConf.create(
        {
            "train": {"max_iter": 5, "ddp": {"broadcast_buffers": False}, "output_dir": "out"},
            "dataloader": {
                "train": {
                    "_target_": "a.loader",
                    "mapper": {"_target_": "a.mapper", "paste": {"_target_": "a.paste"}},
                    "sizes": [1, 2],
                }
            },
        }
    )


@pytest.mark.parametrize(
    "text",
    [
        "train.max_iter=7",
        "train.seed=7",
        "train.log_period=1",
        "train.ddp.device_ids=null",
        "+train.mine=1",
        "dataloader.register=[a]",
        "dataloader.train.mapper.paste.count=3",
        "dataloader.train.sizes.0=3",
        "dataloader.train.mapper={_target_: b.mapper}",
    ],
)
def test_overrides_that_can_be_meant(lazy, text):
    check_overrides(lazy, [text], "a.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train.max_iterr=7", "train has no 'max_iterr'; did you mean 'max_iter'"),
        ("train.x=7", "train has no 'x'; it has ddp, max_iter, output_dir"),
        ("trian.max_iter=7", "the config has no 'trian'; did you mean 'train'"),
        ("train.mapper.paste=7", "train has no 'mapper'"),
        ("dataloader.train.mapper.pastee.bank=b", "mapper has no 'pastee'; did you mean 'paste'"),
        ("dataloader.registr=[a]", "dataloader has no 'registr'"),
        ("EMPASTE.BANK", "'EMPASTE.BANK': a.py is a LazyConfig, changed by key=value"),
        ("--eval-only", "--eval-only: options come before the changes"),
        ("train.max_iter=[1", "opts: "),
    ],
)
def test_overrides_that_are_mistakes(lazy, text, message):
    with pytest.raises(ArgumentError) as raised:
        check_overrides(lazy, [text], "a.py")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_pairs():
    check_pairs(["SEED", "3", "DATASETS.TRAIN", "('a=b',)"], "a.yaml")
    for opts, message in (
        (["SEED"], "'SEED' has no value: a.yaml is a yacs config, changed by KEY VALUE"),
        (["SEED=3", "SEED", "3"], "'SEED=3': a.yaml is a yacs config"),
        (["SEED", "3", "--num-gpus", "2"], "--num-gpus: options come before the changes"),
    ):
        with pytest.raises(ArgumentError) as raised:
            check_pairs(opts, "a.yaml")
        assert message in str(raised.value)


def test_weights_are_found_first(tmp_path):
    file = tmp_path / "model.pth"
    file.touch()
    find_weights("KEY", str(file))
    find_weights("KEY", f"{file}?matching_heuristics=True")
    with pytest.raises(ArgumentError, match=r"KEY: .*none.pth: there is no such file"):
        find_weights("KEY", str(tmp_path / "none.pth"))
    with pytest.raises(ArgumentError, match=r"KEY: catalog://none cannot be had: .*give a file"):
        find_weights("KEY", "catalog://none")
    with pytest.raises(ArgumentError, match="there is no such file"):
        find_weights("KEY", str(tmp_path))


def test_what_a_run_starts_from(tmp_path):
    def check(weights="", *, eval_only=False, resume=False):
        check_start("KEY", weights, tmp_path, eval_only=eval_only, resume=resume)

    check()
    check(resume=True)
    with pytest.raises(ArgumentError, match="KEY: --eval-only needs weights"):
        check(eval_only=True)
    with pytest.raises(ArgumentError, match=r"--resume: .* holds no checkpoint to evaluate"):
        check(eval_only=True, resume=True)
    with pytest.raises(ArgumentError, match=r"--resume: .* holds no checkpoint to evaluate"):
        check("detectron2://weights.pkl", eval_only=True, resume=True)
    with pytest.raises(ArgumentError, match="there is no such file"):
        check("none.pth", resume=True)
    (tmp_path / "last_checkpoint").write_text("model_1.pth")
    with pytest.raises(ArgumentError, match=r"last_checkpoint names .*model_1\.pth, which is not"):
        check(resume=True)
    (tmp_path / "model_1.pth").touch()
    check("none.pth", eval_only=True, resume=True)
    check("none.pth", resume=True)


def load(checkpointer, weights, *, resume):
    with checkpoint_errors(checkpointer, "KEY", weights, resume=resume):
        checkpointer.resume_or_load(weights, resume=resume)


def test_weights_that_are_no_checkpoint(tmp_path):
    model = nn.Linear(2, 2)
    checkpointer = DetectionCheckpointer(model, str(tmp_path))
    wrong = tmp_path / "wrong.pth"
    wrong.write_text("MODEL:\n")
    with pytest.raises(ArgumentError) as raised:
        load(checkpointer, str(wrong), resume=False)
    assert str(raised.value).startswith(f"KEY: {wrong} cannot be read as a checkpoint: ")
    assert len(str(raised.value)) < 300
    cut = tmp_path / "model_7.pth"
    torch.save({"model": model.state_dict()}, cut)
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    (tmp_path / "last_checkpoint").write_text("model_7.pth")
    checkpointer = DetectionCheckpointer(model, str(tmp_path))
    with pytest.raises(ArgumentError, match=r"the last checkpoint: .*model_7\.pth cannot be read"):
        load(checkpointer, "", resume=True)
    cut.write_bytes(whole)
    checkpointer = DetectionCheckpointer(nn.Linear(2, 2), str(tmp_path))
    load(checkpointer, "", resume=True)
    assert torch.equal(checkpointer.model.weight, model.weight)


def test_weights_that_do_not_fit(tmp_path):
    """None of them, or not those of the optimizer that goes on; detectron2 allows a part."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    file = tmp_path / "model_7.pth"
    for names in (["foo"], ["0.weight"]):  # the latter in another shape
        torch.save({"model": {name: torch.zeros(5) for name in names}}, file)
        with pytest.raises(ArgumentError, match=r"KEY: .*model_7\.pth holds no weight that fits"):
            load(DetectionCheckpointer(model, str(tmp_path)), str(file), resume=False)
    torch.save({"model": {"0.weight": torch.ones(2, 2), "foo": torch.zeros(5)}}, file)
    checkpointer = DetectionCheckpointer(model, str(tmp_path))
    load(checkpointer, str(file), resume=False)
    assert model[0].weight.sum() == 4

    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    (tmp_path / "last_checkpoint").write_text("model_7.pth")
    fewer = torch.optim.SGD(model[0].parameters(), lr=1.0)
    checkpointer = DetectionCheckpointer(model, str(tmp_path), optimizer=fewer)
    with pytest.raises(ArgumentError, match=r"the last checkpoint: .* does not fit the config: "):
        load(checkpointer, "", resume=True)


def test_the_tiny_config_is_one_for_train_net():
    from empaste_aug.configs.mask_rcnn_tiny import tiny_mask_rcnn
    from empaste_aug.training.configuration import load_config

    path = Path(__file__).parents[2] / "configs" / "mask_rcnn_tiny.yaml"
    cfg = load_config(str(path), ["MODEL.ROI_HEADS.NUM_CLASSES", "3"])
    tiny = tiny_mask_rcnn(3)
    assert {key: cfg[key] for key in tiny if key not in ("MODEL", "DATASETS")} == {
        key: tiny[key] for key in tiny if key not in ("MODEL", "DATASETS")
    }
    assert all(cfg.MODEL[key] == tiny.MODEL[key] for key in tiny.MODEL)
