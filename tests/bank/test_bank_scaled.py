"""Reading cut-outs that will be shown smaller."""

from __future__ import annotations

import numpy as np
import pytest
import reference

from empaste_aug.bank import BankWriter, MaskBank
from empaste_aug.types import ArgumentError, BankError


def test_the_circle_needs_no_pixels(bank):
    for row in range(-12, 12):
        assert bank.circle(row) == bank[row].circle
    with pytest.raises(IndexError, match="row 12"):
        bank.circle(12)
    (bank.path / "shards" / bank.manifest["shards"][0]["file"]).unlink()
    bank.close()
    assert bank.circle(0)[2] > 0


@pytest.mark.parametrize("scale", [3.0, 1.0, 0.7, 0.5])
def test_full_size_from_a_half_upwards(bank, scale):
    one, other = bank[3], bank.read(3, scale=scale)
    assert other.reduction == one.reduction == 1
    assert np.array_equal(one.rgb, other.rgb)
    assert np.array_equal(one.alpha, other.alpha)


@pytest.mark.parametrize("codec", ["jpeg", "raw"])
@pytest.mark.parametrize(("scale", "factor"), [(0.49, 2), (0.2, 4), (0.07, 8), (0.05, 16)])
def test_reduced_pixels_are_means(tmp_path, build, codec, scale, factor):
    bank = MaskBank(build(tmp_path / "bank", codec=codec))
    for row in range(12):
        full, small = bank[row], bank.read(row, scale=scale)
        assert small.reduction == factor
        assert small.circle == full.circle
        assert (small.row, small.category_id, small.score) == (row, full.category_id, full.score)
        assert np.array_equal(small.alpha, reference.area_mean(full.alpha, factor, beyond="zero"))
        mean = reference.area_mean(full.rgb, factor, beyond="ignored")
        assert small.rgb.shape == mean.shape
        assert small.rgb.flags.writeable
        assert small.alpha.flags.writeable
        # libjpeg leaves out frequencies where a mean would fold them back; what lies beyond the
        # crop in its last squares is the encoder's.
        inner = np.s_[
            : max(full.alpha.shape[0] // factor, 1), : max(full.alpha.shape[1] // factor, 1)
        ]
        error = np.abs(small.rgb[inner].astype(int) - mean[inner])
        assert error.mean() <= (0 if codec == "raw" else 6)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 7), (7, 2), (8, 8), (9, 1), (1, 16), (17, 8), (65, 3)]
)
def test_sizes_that_no_factor_divides(tmp_path, size):
    rgb = np.full((*size, 3), (200, 100, 50), np.uint8)
    with BankWriter(tmp_path / "bank", categories=["a"]) as writer:
        writer.add(rgb, np.full(size, 255, np.uint8), category_id=0, score=1)
    bank = MaskBank(tmp_path / "bank")
    for factor in (2, 4, 8, 32):
        small = bank.read(0, scale=0.6 / factor)
        assert small.reduction == factor
        assert small.alpha.shape == (-(-size[0] // factor), -(-size[1] // factor))
        assert np.abs(small.rgb.astype(int) - (200, 100, 50)).max() <= 4


def test_a_point_stays_where_it_is(tmp_path):
    """The full-size x lies at (x + 0.5) / r - 0.5, in colour as in alpha."""
    y, x = np.mgrid[:96, :128]
    hill = 255 * np.exp(-((x - 70.3) ** 2 + (y - 41.6) ** 2) / 200)
    rgb = np.repeat(hill[..., None].astype(np.uint8), 3, axis=2)
    with BankWriter(tmp_path / "bank", categories=["a"]) as writer:
        writer.add(rgb, np.full((96, 128), 255, np.uint8), category_id=0, score=1)
        writer.add(rgb, rgb[..., 0], category_id=0, score=1)
    bank = MaskBank(tmp_path / "bank")
    for factor in (2, 4, 8):
        colour = bank.read(0, scale=0.9 / factor).rgb[..., 1]
        alpha = bank.read(1, scale=0.9 / factor).alpha
        for values in (colour.astype(float), alpha.astype(float)):
            rows, columns = np.mgrid[: values.shape[0], : values.shape[1]]
            found = (values * columns).sum() / values.sum(), (values * rows).sum() / values.sum()
            expected = (70.3 + 0.5) / factor - 0.5, (41.6 + 0.5) / factor - 0.5
            assert found == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_scales_that_are_none(bank, scale):
    with pytest.raises(ArgumentError, match="scale: must be above 0"):
        bank.read(0, scale=scale)


def test_reduced_reads_check_too(bank):
    shard = bank.path / "shards" / bank.manifest["shards"][int(bank.index["shard"][2])]["file"]
    data = bytearray(shard.read_bytes())
    data[int(bank.index["alpha_offset"][2])] ^= 1
    shard.write_bytes(data)
    with pytest.raises(BankError, match="row 2: damaged: CRC32"):
        bank.read(2, scale=0.1)
    with pytest.raises(IndexError, match="row 12"):
        bank.read(12, scale=0.1)
