"""Linear scaling of a recipe to another batch size."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("detectron2")

from detectron2.config import LazyConfig, get_cfg, instantiate

from empaste_aug import ArgumentError
from empaste_aug.adapters.detectron2 import add_empaste_config
from empaste_aug.training import batch_size
from empaste_aug.training.batch_size import scale_to_batch_size

# detectron2's model zoo, at its first import
pytestmark = pytest.mark.filterwarnings("ignore:pkg_resources is deprecated:UserWarning")

CONFIGS = Path(__file__).parents[2] / "configs"
CONFIG = CONFIGS / "mask_rcnn_R_50_FPN_voc_empaste"


@pytest.fixture
def yacs():
    cfg = get_cfg()
    add_empaste_config(cfg)
    cfg.merge_from_file(f"{CONFIG}.yaml")
    return cfg


@pytest.fixture
def lazy():
    return LazyConfig.load(f"{CONFIG}.py")


def test_a_yacs_config_sees_as_many_images(yacs):
    before = yacs.dump()
    yacs.freeze()
    small = scale_to_batch_size(yacs, 16)
    assert yacs.dump() == before
    assert small.is_frozen()
    solver = small.SOLVER
    assert (solver.IMS_PER_BATCH, solver.BASE_LR) == (16, 0.0125)
    assert (solver.MAX_ITER, solver.STEPS, solver.WARMUP_ITERS) == (43200, (38400, 41600), 4000)
    assert (solver.CHECKPOINT_PERIOD, small.TEST.EVAL_PERIOD) == (14400, 14400)
    again = scale_to_batch_size(small, 128)
    again.defrost()
    assert again.dump() == before


def test_both_kinds_of_config_are_scaled_alike(yacs, lazy):
    for size in (2, 48, 256):
        small, other = scale_to_batch_size(lazy, size), scale_to_batch_size(yacs, size)
        assert small.dataloader.train.total_batch_size == other.SOLVER.IMS_PER_BATCH == size
        assert small.optimizer.lr == pytest.approx(other.SOLVER.BASE_LR)
        assert small.train.max_iter == other.SOLVER.MAX_ITER
        assert small.train.eval_period == other.TEST.EVAL_PERIOD
        assert small.train.checkpointer.period == other.SOLVER.CHECKPOINT_PERIOD
    assert lazy.train.max_iter == 5400


def test_the_schedule_of_a_lazy_config_keeps_its_shape(lazy):
    """Also where milestones count iterations, as in detectron2's LSJ baselines."""
    counted = LazyConfig.load(f"{CONFIG}.py")
    counted.lr_multiplier.scheduler.update(milestones=[4800, 5200], num_updates=5400)
    for cfg in (lazy, counted):
        small = scale_to_batch_size(cfg, 16)
        before, after = instantiate(cfg.lr_multiplier), instantiate(small.lr_multiplier)
        places = np.linspace(0, 1, 500)[:-1]
        assert [before(p) for p in places] == [after(p) for p in places]


def test_what_is_switched_off_stays_off():
    cfg = get_cfg()
    assert cfg.TEST.EVAL_PERIOD == 0
    assert scale_to_batch_size(cfg, 4).TEST.EVAL_PERIOD == 0


@pytest.mark.parametrize("size", [0, -8])
def test_a_batch_of_nothing_is_an_error(yacs, size):
    with pytest.raises(ArgumentError, match=r"^batch_size: "):
        scale_to_batch_size(yacs, size)


def test_the_example_in_the_docstring():
    assert doctest.testmod(batch_size).failed == 0
    assert doctest.testmod(batch_size).attempted > 0
