"""Whole runs of a tiny Mask R-CNN: training, statistics, resuming, evaluation."""

from __future__ import annotations

import doctest
import gc
import json
import logging
import shutil
import warnings
from pathlib import Path

import pytest
from detectron2_data import CLASSES
from training_data import SIZE, coco_line, forget, run_and_say_rank, tiny_config, write_coco

pytest.importorskip("detectron2")

import torch
from detectron2.config import LazyConfig
from detectron2.data import DatasetCatalog
from detectron2.engine import HookBase, launch

from empaste_aug import ArgumentError, BankError, DatasetError, PoolError
from empaste_aug.training import run as training_run
from empaste_aug.training import trainer
from empaste_aug.training.configuration import load_config, prepare
from empaste_aug.training.lazy import tasks_of
from empaste_aug.training.run import RunOptions, run
from empaste_aug.training.statistics import CountingLoader, PasteCounts
from empaste_aug.training.trainer import EMPasteTrainer

TRAIN, VAL = "train_of_the_run", "val_of_the_run"

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning",
    "ignore:torch.meshgrid:UserWarning",
    "ignore:pkg_resources is deprecated:UserWarning",
    "ignore:.*torch.jit",
    "ignore:unclosed file:ResourceWarning",  # detectron2's, of the config file
)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more wait for each other where others use the cores
    yield
    torch.set_num_threads(threads)
    forget(TRAIN, VAL)


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """Lines that register ten photos to train on and three to evaluate."""
    folder = tmp_path_factory.mktemp("data")
    train, val = write_coco(folder / "train", 10), write_coco(folder / "val", 3)
    return [coco_line(TRAIN, train), coco_line(VAL, val)]


def write_yacs(tmp_path, small_bank, output, **changes):
    cfg = tiny_config(small_bank.path, tmp_path / output, train=TRAIN, test=VAL)
    cfg.merge_from_list([part for pair in changes.items() for part in pair])
    path = tmp_path / f"{output}.yaml"
    path.write_text(cfg.dump())
    return str(path)


def metrics(folder: Path):
    return [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]


def weights(folder: Path):
    return torch.load(folder / "model_final.pth", weights_only=False)["model"]


class StopAfter(HookBase):
    """Stops as Ctrl-C does, in iteration 4, after the checkpoint of the third."""

    def after_step(self):
        if self.trainer.iter == 4:
            raise KeyboardInterrupt


def test_a_run_its_statistics_and_going_on(tmp_path, small_bank, lines, monkeypatch, capsys):
    records = []
    add = PasteCounts.add
    monkeypatch.setattr(
        PasteCounts, "add", lambda self, record, of: records.append(record) or add(self, record, of)
    )
    whole = write_yacs(tmp_path, small_bank, "whole")
    run(RunOptions(config_file=whole, register=lines))
    final = {k: v for row in metrics(tmp_path / "whole") for k, v in row.items()}
    assert len(records) == final["empaste/images"] == 12
    placed = [p for record in records for p in record.placements]
    assert final["empaste/pasted"] == len(placed) > 0
    assert final["empaste/skipped"] == sum(len(record.skipped) for record in records)
    for name in CLASSES:
        number = sum(CLASSES[small_bank[p.cutout_id].category_id] == name for p in placed)
        assert final.get(f"empaste/class/{name}", 0) == number
    assert 0 < final["data_time_share"] < 1
    assert {"segm/AP", "bbox/AP50", "segm/AP50-cat"} <= final.keys()
    printed = capsys.readouterr().out
    assert f"{VAL}: 3 images" in printed
    assert f"EM-Paste: {len(placed)} objects" in printed
    folder = tmp_path / "whole" / "inference" / VAL
    assert json.loads((folder / "ap.json").read_text())["dataset"] == VAL
    assert list((tmp_path / "whole").glob("events.out.tfevents.*"))

    stopped = write_yacs(tmp_path, small_bank, "stopped")
    build_hooks = EMPasteTrainer.build_hooks
    monkeypatch.setattr(
        EMPasteTrainer, "build_hooks", lambda self: [*build_hooks(self), StopAfter()]
    )
    with pytest.raises(KeyboardInterrupt):
        run(RunOptions(config_file=stopped, register=lines))
    assert not (tmp_path / "stopped" / "model_final.pth").exists()
    monkeypatch.setattr(EMPasteTrainer, "build_hooks", build_hooks)
    run(RunOptions(config_file=stopped, register=lines, resume=True))
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(torch.as_tensor(tensor), torch.as_tensor(second[name])), name
    resumed = {k: v for row in metrics(tmp_path / "stopped") for k, v in row.items()}
    for key in (k for k in final if k.startswith(("empaste/class", "empaste/images", "segm/"))):
        assert resumed[key] == pytest.approx(final[key], nan_ok=True)

    # the config that the run has saved holds the data sets; the model is the last checkpoint's
    forget(TRAIN, VAL)
    (folder / "ap.json").unlink()
    capsys.readouterr()
    saved = str(tmp_path / "whole" / "config.yaml")
    run(RunOptions(config_file=saved, eval_only=True, resume=True))
    assert f"{VAL}: 3 images" in capsys.readouterr().out
    mean = json.loads((folder / "ap.json").read_text())["mean"]
    assert mean["bbox"]["AP50"] == pytest.approx(final["bbox/AP50"])
    before = Path(saved).read_bytes()
    opts = ["MODEL.WEIGHTS", str(tmp_path / "whole" / "metrics.json")]
    with pytest.raises(ArgumentError, match=r"MODEL\.WEIGHTS: .* cannot be read as a checkpoint"):
        run(RunOptions(config_file=saved, eval_only=True, opts=opts))
    assert Path(saved).read_bytes() == before, "it is the training's"
    run(RunOptions(config_file=saved, resume=True, opts=["SEED", "6", "SOLVER.MAX_ITER", "7"]))
    assert "the seed is 6, that of the run in" in capsys.readouterr().out


def test_workers_give_the_same_statistics(tmp_path, small_bank, lines):
    counts = []
    for number in (0, 2):
        path = write_yacs(tmp_path, small_bank, f"w{number}", **{"DATALOADER.NUM_WORKERS": number})
        cfg = load_config(path, [], lines)
        prepare(cfg, eval_only=False, resume=False)
        loader = EMPasteTrainer.build_train_loader(cfg)
        assert isinstance(loader, CountingLoader)
        for _, batch in zip(range(4), loader, strict=False):
            assert all("empaste_record" in sample for sample in batch)
        counts.append(loader.take())
    assert counts[0] == counts[1]
    assert counts[0].images == 8


def test_the_trainers_example(tmp_path, small_bank, lines, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "detectron2")  # else DefaultTrainer lets it write to stdout
    changes = {"SOLVER.MAX_ITER": 1, "DATASETS.TEST": "()"}
    path = write_yacs(tmp_path, small_bank, "example", **changes)
    prepare(load_config(path, [], lines), eval_only=False, resume=False)
    (tmp_path / "mask_rcnn_R_50_FPN_empaste.yaml").write_text(Path(path).read_text())
    shutil.copytree(small_bank.path, tmp_path / "out" / "bank")
    monkeypatch.chdir(tmp_path)
    (example,) = doctest.DocTestFinder(recurse=False).find(EMPasteTrainer, module=trainer)
    assert len(example.examples) > 3
    assert doctest.DocTestRunner(verbose=False).run(example, out=lambda _: None).failed == 0
    assert (tmp_path / "example" / "model_final.pth").is_file()


LAZY = """
from detectron2 import model_zoo
from detectron2.config import LazyCall as L
from empaste_aug import EMPaste
from empaste_aug.adapters.detectron2 import EMPasteMapper, build_empaste_train_loader
from detectron2.data import transforms as T
from detectron2.data import get_detection_dataset_dicts
from training_data import model_of

model = L(model_of)(config={config!r})
dataloader = model_zoo.get_config("common/data/coco.py").dataloader
resize = [L(T.ResizeShortestEdge)(short_edge_length={size}, max_size={size})]
dataloader.train = L(build_empaste_train_loader)(
    dataset=L(get_detection_dataset_dicts)(names={train!r}, filter_empty=False),
    mapper=L(EMPasteMapper)(
        is_train=True, augmentations=resize, image_format="RGB", use_instance_mask=True,
        instance_mask_format="cropped", dataset_names="${{..dataset.names}}",
        paste=L(EMPaste)(bank={bank!r}, count=2),
    ),
    total_batch_size=2,
    num_workers=0,
    seed=0,
)
dataloader.test.dataset.names = {val!r}
dataloader.test.mapper.augmentations = resize
dataloader.test.num_workers = 0
optimizer = model_zoo.get_config("common/optim.py").SGD
lr_multiplier = model_zoo.get_config("common/coco_schedule.py").lr_multiplier_1x
train = model_zoo.get_config("common/train.py").train
train.max_iter = 2
train.device = "cpu"
train.checkpointer.period = 1
train.output_dir = {output!r}
"""


def write_lazy(tmp_path, small_bank, output):
    text = LAZY.format(
        config=write_yacs(tmp_path, small_bank, "model"),
        size=SIZE,
        train=TRAIN,
        val=VAL,
        bank=str(small_bank.path),
        output=str(tmp_path / output),
    )
    path = tmp_path / f"{output}_lazy.py"
    path.write_text(text)
    return str(path)


def test_two_processes_see_what_one_sees(tmp_path, small_bank, lines):
    """Two ranks (gloo, no GPU) share the stream; the first writes the sums of both."""
    finals = []
    for output, ranks in (("one", 1), ("two", 2)):
        options = RunOptions(
            config_file=write_lazy(tmp_path, small_bank, output),
            register=lines,
            opts=["train.ddp.device_ids=null"],
        )
        launch(run_and_say_rank, ranks, dist_url="auto", args=(options, str(tmp_path / output)))
        finals.append({k: v for row in metrics(tmp_path / output) for k, v in row.items()})
    assert sorted(path.name for path in tmp_path.glob("two/rank*")) == ["rank0", "rank1"]
    one, two = finals
    assert two["empaste/images"] == 4
    counted = {key for key in one if key.startswith("empaste/") and "sample" not in key}
    assert counted <= two.keys()
    assert {key: two[key] for key in counted} == {key: one[key] for key in counted}
    report = json.loads((tmp_path / "two" / "inference" / VAL / "ap.json").read_text())
    assert report["images"] == 3


def test_a_lazy_config(tmp_path, small_bank, lines, capsys):
    path = write_lazy(tmp_path, small_bank, "lazy")
    run(RunOptions(config_file=path, register=lines, opts=["optimizer.lr=0.001"]))
    final = {k: v for row in metrics(tmp_path / "lazy") for k, v in row.items()}
    assert final["empaste/images"] == 4
    assert final["empaste/pasted"] + final["empaste/skipped"] == 8
    assert "segm/AP50-cow" in final
    assert f"{VAL}: 3 images" in capsys.readouterr().out
    for opts, error, message in (
        (["dataloader.train.mapper.paste.bank=none"], BankError, "paste.bank: .*none: there"),
        (["dataloader.train.mapper.paste.count=-1"], ArgumentError, "mapper: count: -1"),
        (["dataloader.train.mapper.bakgrounds=1"], ArgumentError, "bakgrounds"),
        (["train.init_checkpoint=none.pth"], ArgumentError, "train.init_checkpoint: none.pth"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            run(RunOptions(config_file=str(path), register=lines, opts=opts))
    cfg = load_config(str(path), [], lines)
    cfg.dataloader.train.mapper = {
        "_target_": "detectron2.data.DatasetMapper", "is_train": True, "augmentations": [],
        "image_format": "RGB", "use_instance_mask": True,
    }  # fmt: skip
    with pytest.raises(ArgumentError, match="instance_mask_format: is 'polygon', but the masks"):
        prepare(cfg, eval_only=False, resume=False)
    run(RunOptions(config_file=str(path), register=lines, opts=["train.max_iter=3"], resume=True))
    rows = metrics(tmp_path / "lazy")
    assert rows[-1]["iteration"] == 3
    assert {k: v for row in rows for k, v in row.items()}["empaste/images"] == 6
    saved = LazyConfig.load(str(tmp_path / "lazy" / "config.yaml"))
    assert list(saved.dataloader.register) == lines
    capsys.readouterr()
    forget(TRAIN, VAL)
    run(RunOptions(config_file=str(path), register=lines, eval_only=True, resume=True))
    assert f"{VAL}: 3 images" in capsys.readouterr().out
    assert TRAIN not in DatasetCatalog, "an evaluation needs no training data"


def test_what_a_model_predicts_is_what_is_evaluated(tmp_path, small_bank):
    """Also where it predicts nothing: no AP of masks for a detector of boxes."""
    cfg = tiny_config(small_bank.path, tmp_path, train=TRAIN, test=VAL)
    assert trainer.tasks_of(cfg) == ("bbox", "segm")
    cfg.MODEL.MASK_ON, cfg.MODEL.KEYPOINT_ON = False, True
    assert trainer.tasks_of(cfg) == ("bbox", "keypoints")
    cfg.MODEL.META_ARCHITECTURE = "OneOfAnotherProject"
    assert trainer.tasks_of(cfg) is None
    folder = Path(__file__).parents[2] / "configs"
    for kind, tasks in (("mask", ("bbox", "segm")), ("faster", ("bbox",))):
        lazy = load_config(str(folder / f"{kind}_rcnn_R_50_FPN_voc_empaste.py"))
        assert tasks_of(lazy) == tasks


@pytest.mark.parametrize(
    ("opts", "error", "message"),
    [
        (["NO.SUCH.KEY", "1"], ArgumentError, "opts: Non-existent key: NO.SUCH.KEY"),
        (["SOLVER.MAX_ITER"], ArgumentError, "opts: 'SOLVER.MAX_ITER' has no value"),
        (["SOLVER.MAX_ITER", "many"], ArgumentError, "opts: Type mismatch"),
        (["MODEL.ROI_HEADS.NUM_CLASSES", "80"], ArgumentError, "is 80, but data set .* has 3"),
        (["DATASETS.TRAIN", "('gone',)"], ArgumentError, "DATASETS.TRAIN: no data set 'gone'"),
        (["DATASETS.TEST", "('gone',)"], ArgumentError, "--register gone=KIND:FOLDER"),
        (["DATASETS.TRAIN", "()"], ArgumentError, "DATASETS.TRAIN: names no data set"),
        (["EMPASTE.BANK", "''"], ArgumentError, "EMPASTE.BANK: is not set"),
        (["EMPASTE.BANK", "none"], BankError, "EMPASTE.BANK: .*none: there"),
        (["EMPASTE.POOL", "none"], PoolError, "EMPASTE.POOL: .*none: "),
        (["EMPASTE.COUNT", "(3, 1)"], ArgumentError, "EMPASTE.COUNT: .*3, 1"),
        (["MODEL.WEIGHTS", "none.pth"], ArgumentError, "MODEL.WEIGHTS: none.pth: there is no"),
        (["EMPASTE.BACKGROUND_FIT", "none"], ArgumentError, "BACKGROUND_FIT: is 'none', but"),
        (["EMPASTE.CATEGORY_MAP", "[('cat', 'tv')]"], ArgumentError, "EMPASTE: .*cat -> tv"),
        (["EMPASTE.AUG.LSJ_SIZE", "-5"], ArgumentError, "EMPASTE.AUG.LSJ_SIZE: -5"),
        (["SOLVER.MAX_ITER", "0"], ArgumentError, "SOLVER.MAX_ITER: must be .* 1, is 0"),
        (["SOLVER.IMS_PER_BATCH", "0"], ArgumentError, "SOLVER.IMS_PER_BATCH: must be"),
        (["SOLVER.CHECKPOINT_PERIOD", "0"], ArgumentError, "SOLVER.CHECKPOINT_PERIOD: must be"),
        (["DATALOADER.NUM_WORKERS", "-1"], ArgumentError, "DATALOADER.NUM_WORKERS: .*0, is -1"),
        (["MODEL.DEVICE", "banana"], ArgumentError, "MODEL.DEVICE: 'banana' is no device"),
        (
            ["EMPASTE.ENABLED", "False", "INPUT.MASK_FORMAT", "polygon"],
            ArgumentError,
            "INPUT.MASK_FORMAT: is 'polygon', but the masks of .* are RLE",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_built(
    tmp_path, small_bank, lines, opts, error, message, monkeypatch
):
    monkeypatch.setattr(training_run, "run_here", None)
    path = write_yacs(tmp_path, small_bank, "errors")
    with pytest.raises(error, match=message):
        run(RunOptions(config_file=path, register=lines, opts=opts))


def test_classes_in_another_order(tmp_path, small_bank, lines):
    path = write_yacs(tmp_path, small_bank, "order")
    turned = [lines[0], f"{lines[1]},classes=dog+cat+cow"]
    with pytest.raises(DatasetError, match="thing_classes differ"):
        run(RunOptions(config_file=path, register=turned))


def test_a_run_that_cannot_start_leaves_the_config_of_the_last_one(tmp_path, small_bank, lines):
    path = write_yacs(tmp_path, small_bank, "start")
    folder, wrong = tmp_path / "run", tmp_path / "wrong.pth"
    wrong.write_text("no weights")
    opts = ["OUTPUT_DIR", str(folder), "MODEL.WEIGHTS", str(wrong)]
    for before in (None, b"SEED: 9\n"):
        if before is not None:
            (folder / "config.yaml").write_bytes(before)
        with pytest.raises(ArgumentError, match="cannot be read as a checkpoint"):
            run(RunOptions(config_file=path, register=lines, opts=opts))
        with warnings.catch_warnings():  # of the metrics.json that detectron2's writer holds open
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
        saved = folder / "config.yaml"
        assert (saved.read_bytes() if saved.is_file() else None) == before
    with pytest.raises(ArgumentError, match="OUTPUT_DIR: is empty"):
        run(RunOptions(config_file=path, register=lines, opts=["OUTPUT_DIR", ""]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_needs_a_gpu(tmp_path, small_bank, lines):
    path = write_yacs(tmp_path, small_bank, "gpu")
    for opts, message in (
        (["MODEL.DEVICE", "cuda"], "torch finds no GPU; give MODEL.DEVICE cpu"),
        (["SOLVER.AMP.ENABLED", "True"], "SOLVER.AMP.ENABLED: detectron2's mixed precision"),
    ):
        with pytest.raises(ArgumentError, match=message):
            run(RunOptions(config_file=path, register=lines, opts=opts))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_gpus": 0}, "num_gpus, num_machines: must be at least 1"),
        ({"num_machines": 2, "machine_rank": 2}, "machine_rank: must be from 0 to 1"),
        ({"num_machines": 2}, "dist_url: must be given"),
        ({"num_gpus": 4096}, "num_gpus: is 4096, but torch finds"),
        ({"eval_only": True}, "MODEL.WEIGHTS: --eval-only needs weights"),
        ({"config_file": "none.yaml"}, r"none\.yaml: no such file, nor one"),
    ],
)
def test_options_that_cannot_be(tmp_path, small_bank, lines, options, message):
    path = write_yacs(tmp_path, small_bank, "options")
    with pytest.raises(ArgumentError, match=message):
        run(RunOptions(**{"config_file": path, "register": lines, **options}))


def test_lazy_configs_that_cannot_be(tmp_path):
    path = tmp_path / "empty.py"
    path.write_text("model = dict(a=1)\n")
    with pytest.raises(ArgumentError, match="has no 'optimizer'"):
        load_config(str(path))
    with pytest.raises(ArgumentError, match="opts: "):
        load_config(str(path), ["a b = = c"])
    for text in ("model = (\n", "import no_such_module\n", "\n"):
        path.write_text(text)
        with pytest.raises(ArgumentError, match=r"empty\.py: "):
            load_config(str(path))


def test_the_configs_that_are_shipped():
    folder = Path(__file__).parents[2] / "configs"
    files = sorted(folder.glob("*_rcnn_*_empaste*"))
    assert {file.suffix for file in files} == {".py", ".yaml"}
    for file in files:
        cfg = load_config(str(file), register=["a=voc:b", "c=voc:d"])
        lazy = file.suffix == ".py"
        registered = cfg.dataloader.register if lazy else cfg.DATASETS.REGISTER
        assert list(registered) == ["a=voc:b", "c=voc:d"], file


def test_another_batch_size(tmp_path, small_bank):
    path = write_yacs(tmp_path, small_bank, "batch")
    cfg = load_config(path, ["SOLVER.CHECKPOINT_PERIOD", "5"], batch_size=1)
    assert (cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR) == (1, 0.0025)
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.CHECKPOINT_PERIOD) == (12, 5)
    file = Path(__file__).parents[2] / "configs" / "mask_rcnn_R_50_FPN_empaste.py"
    cfg = load_config(str(file), batch_size=4)
    assert cfg.dataloader.train.total_batch_size == 4
    assert cfg.train.max_iter == 4 * 90_000
    with pytest.raises(ArgumentError, match="batch_size: 0 is not positive"):
        load_config(path, batch_size=0)


def test_configs_of_the_model_zoo():
    cfg = load_config(
        "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml", ["SEED", "3"], ["a=b"]
    )
    assert cfg.MODEL.RESNETS.DEPTH == 50
    assert cfg.SEED == 3
    assert cfg.DATASETS.REGISTER == ("a=b",)
    assert cfg.EMPASTE.ENABLED
