"""The port of HED: its shape always, its values where the weights are installed."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from empaste_aug.offline.proposals import Hierarchy
from empaste_aug.offline.weights import find_packaged
from empaste_aug.types import DatasetError, MissingDependencyError

torch = pytest.importorskip("torch", reason="torch, of the extra 'offline', is not installed")
h5py = pytest.importorskip("h5py", reason="h5py, of the extra 'offline', is not installed")

from empaste_aug.offline.proposals.hed import HED, edge_map, load_hed  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"  # pycocotools 2.0
)


@pytest.fixture(scope="module")
def network() -> HED:
    try:
        find_packaged("hed")
    except MissingDependencyError as error:
        pytest.skip(str(error))
    return load_hed()


def disc(size: int = 96, radius: int = 28) -> tuple[np.ndarray, np.ndarray]:
    image = np.full((size, size + 17, 3), (60, 110, 70), dtype=np.uint8)
    cv2.circle(image, (50, 48), radius, (220, 70, 40), -1)
    rows, columns = np.mgrid[:size, : size + 17]
    return image, np.abs(np.hypot(columns - 50, rows - 48) - radius)


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (16, 64)])
def test_any_size_comes_back(size):
    with torch.inference_mode():
        edges = HED().eval()(torch.zeros(1, 3, *size))
    assert edges.shape == (1, 1, *size)
    assert ((edges >= 0) & (edges <= 1)).all()


def test_edges_lie_on_the_border_of_a_disc(network):
    image, distance = disc()
    edges = edge_map(network, image)
    assert (edges.shape, edges.dtype) == (image.shape[:2], np.float32)
    inner = np.zeros_like(edges, dtype=bool)
    inner[8:-8, 8:-8] = True
    assert edges[inner & (distance <= 1)].mean() > 0.6
    assert edges[inner & (distance > 12)].mean() < 0.1


def test_channels_are_swapped_to_bgr(network):
    seen = {}
    handle = network.blocks[0][0].register_forward_pre_hook(
        lambda _, inputs: seen.update(x=inputs[0].clone())
    )
    try:
        edge_map(network, np.full((8, 8, 3), (10, 20, 30), dtype=np.uint8))
    finally:
        handle.remove()
    expected = torch.tensor([30 - 104.00699, 20 - 116.66877, 10 - 122.67892])
    assert torch.allclose(seen["x"][0, :, 4, 4], expected, atol=1e-4)


def test_hierarchy_on_hed_edges_survives_pickling(network):
    image, _ = disc()
    method = Hierarchy(edges="hed")
    assert method.config()["edges"] == "hed"
    before = method(image)
    again = pickle.loads(pickle.dumps(method))
    assert len(pickle.dumps(method)) < 10_000
    assert again(image) == before
    mask = np.zeros(image.shape[:2], dtype=np.uint8)
    cv2.circle(mask, (50, 48), 28, 1, -1)
    overlaps = [
        float((s.mask() & (mask > 0)).sum() / (s.mask() | (mask > 0)).sum()) for s in before
    ]
    assert max(overlaps) > 0.85


def test_other_weights_are_refused(tmp_path: Path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["block1/layers/conv2d/vars/0"] = np.zeros((3, 3, 3, 8), dtype=np.float32)
    with pytest.raises(DatasetError, match=r"other\.h5: 'block1/layers/conv2d/vars/0' has shape"):
        load_hed(path)
    with h5py.File(path, "w") as file:
        file["dense"] = np.zeros(3)
    with pytest.raises(DatasetError, match="holds no 'block1/layers/conv2d/vars/0'"):
        load_hed(path)
    path.write_bytes(b"no HDF5")
    with pytest.raises(DatasetError, match=r"other\.h5: cannot be read as HDF5"):
        load_hed(path)
