"""CroppedMasks against BitMasks, method by method, and in detectron2's own code."""

from __future__ import annotations

import copy
import doctest
import pickle

import numpy as np
import pytest

from empaste_aug import ArgumentError

pytest.importorskip("detectron2")

import torch
from detectron2.modeling.roi_heads.mask_head import mask_rcnn_loss
from detectron2.modeling.roi_heads.roi_heads import select_foreground_proposals
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from torch.utils.data import DataLoader

from empaste_aug.adapters import _detectron2_structures as structures
from empaste_aug.adapters.detectron2 import CroppedMasks

HEIGHT, WIDTH = 61, 83


def random_masks(rng, count=9, height=HEIGHT, width=WIDTH):
    """Rectangles of noise: at the image's edges, single pixels, the whole image, and none."""
    masks = np.zeros((count, height, width), dtype=bool)
    for mask in masks[:-3]:
        y0, x0 = rng.integers(0, height - 1), rng.integers(0, width - 1)
        y1, x1 = rng.integers(y0 + 1, height + 1), rng.integers(x0 + 1, width + 1)
        mask[y0:y1, x0:x1] = rng.random((y1 - y0, x1 - x0)) < rng.uniform(0.3, 1.0)
    masks[-3, height - 1, width - 1] = True
    masks[-2] = True
    return masks


def random_boxes(rng, masks, height=HEIGHT, width=WIDTH):
    """Boxes on the masks, shifted and scaled; on pixel edges; outside the image; of no area."""
    boxes = BitMasks(masks).get_bounding_boxes().tensor.numpy()
    sizes = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    kind = rng.integers(0, 5, size=(len(boxes), 1))
    anywhere = rng.uniform(-1.2, 1.2, size=boxes.shape) * (width, height, width, height)
    moved = boxes + rng.normal(0, 0.3, size=boxes.shape) * sizes
    boxes = np.select(
        [kind == 0, kind == 1, kind == 2, kind == 3],
        [boxes, moved, moved.round(), anywhere],
        default=np.tile(moved[:, :2], 2),
    )
    return in_order(boxes)


def in_order(boxes):
    """x0 <= x1 and y0 <= y1: torchvision's roi_align fails on boxes that are turned over."""
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    return torch.from_numpy(np.concatenate([low, high], axis=1).astype(np.float32))


@pytest.fixture
def bitmasks(rng):
    return BitMasks(random_masks(rng))


@pytest.fixture
def cropped(bitmasks):
    return CroppedMasks.from_bitmasks(bitmasks)


def assert_equal(cropped, tensor):
    assert len(cropped) == len(tensor)
    assert torch.equal(cropped.to_bitmasks().tensor, tensor)


def test_there_is_no_tensor_but_a_hint(cropped):
    with pytest.raises(AttributeError, match=r"CroppedMasks .*\.to_bitmasks\(\)\.tensor"):
        cropped.tensor  # noqa: B018
    assert not hasattr(cropped, "tensor")


def test_the_visualizer_takes_the_bitmasks(cropped):
    pytest.importorskip("matplotlib")
    from detectron2.utils.visualizer import Visualizer

    image = np.zeros((*cropped.image_size, 3), dtype=np.uint8)
    drawn = Visualizer(image).overlay_instances(masks=cropped.to_bitmasks(), alpha=1.0)
    assert drawn.get_image().any()


@pytest.mark.parametrize("limit", [1, 3 * HEIGHT * WIDTH, 1 << 22])
@pytest.mark.parametrize("side", [1, 7, 28])
def test_crop_and_resize_is_that_of_bitmasks_to_the_bit(monkeypatch, limit, side):
    """Whatever the number of masks that are widened together."""
    monkeypatch.setattr(structures, "_PIXELS_ON_CPU", limit)
    differing = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        masks = random_masks(rng)
        index = torch.from_numpy(rng.integers(0, len(masks), size=60))
        bitmasks = BitMasks(masks)[index]
        cropped = CroppedMasks.from_bitmasks(BitMasks(masks))[index]
        boxes = random_boxes(rng, bitmasks.tensor.numpy())
        expected = bitmasks.crop_and_resize(boxes, side)
        result = cropped.crop_and_resize(boxes, side)
        assert result.dtype == torch.bool
        assert torch.equal(result, expected)
        differing += int(expected.any() and not expected.all())
    assert differing == 25


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_crop_and_resize_on_a_gpu_is_that_of_bitmasks_there():
    for seed in range(25):
        rng = np.random.default_rng(seed)
        masks = random_masks(rng)
        index = torch.from_numpy(rng.integers(0, len(masks), size=60)).cuda()
        boxes = random_boxes(rng, masks[index.cpu().numpy()]).cuda()
        bitmasks = BitMasks(masks).to("cuda")
        cropped = CroppedMasks.from_bitmasks(bitmasks)
        assert cropped.device.type == "cuda"
        result = cropped[index].crop_and_resize(boxes, 28)
        assert torch.equal(result, bitmasks[index].crop_and_resize(boxes, 28))
        assert torch.equal(cropped.to("cpu").to_bitmasks().tensor, torch.from_numpy(masks))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (40, 1), (2, 2)])
def test_crop_and_resize_in_tiny_images(height, width):
    rng = np.random.default_rng(1)
    masks = rng.random((50, height, width)) < 0.6
    boxes = in_order(rng.uniform(-3, 1.2 * max(height, width) + 3, size=(50, 4)))
    expected = BitMasks(masks).crop_and_resize(boxes, 5)
    result = CroppedMasks.from_bitmasks(BitMasks(masks)).crop_and_resize(boxes, 5)
    assert torch.equal(result, expected)


def test_boxes_of_another_number_are_an_error(cropped):
    with pytest.raises(ArgumentError, match="boxes: 2 for 9 masks"):
        cropped.crop_and_resize(torch.zeros((2, 4)), 7)


def test_no_masks(cropped):
    none = cropped[torch.zeros(0, dtype=torch.int64)]
    assert len(none) == 0
    assert none.crop_and_resize(torch.zeros((0, 4)), 7).shape == (0, 7, 7)
    assert none.get_bounding_boxes().tensor.shape == (0, 4)
    assert none.nonempty().shape == (0,)
    assert none.to_bitmasks().tensor.shape == (0, HEIGHT, WIDTH)
    assert list(none) == []
    empty = CroppedMasks.from_crops([], (HEIGHT, WIDTH))
    assert empty.crop_and_resize(torch.zeros((0, 4)), 7).shape == (0, 7, 7)
    assert_equal(pickle.loads(pickle.dumps(empty)), torch.zeros((0, HEIGHT, WIDTH)))


def test_boxes_and_nonempty(bitmasks, cropped):
    assert torch.equal(cropped.get_bounding_boxes().tensor, bitmasks.get_bounding_boxes().tensor)
    assert torch.equal(cropped.nonempty(), bitmasks.nonempty())
    assert not cropped.nonempty().all()


def test_indexing(bitmasks, cropped):
    vector = torch.tensor([True, False, True, False, True, False, True, False, False])
    items = [0, -1, slice(2, 5), slice(None, None, 2), vector, torch.tensor([4, 0, 0, 8]), [3, 1]]
    for item in items:
        assert_equal(cropped[item], bitmasks[item].tensor)
        assert_equal(cropped[1:][:5], bitmasks.tensor[1:6])
    with pytest.raises(IndexError):
        cropped[9]
    with pytest.raises(ArgumentError, match="index"):
        cropped[torch.zeros((2, 2), dtype=torch.int64)]


def test_iteration_and_repr(bitmasks, cropped):
    for mine, theirs in zip(cropped, bitmasks, strict=True):
        assert torch.equal(mine, theirs)
    assert repr(cropped) == f"CroppedMasks(num_instances=9, image_size=({HEIGHT}, {WIDTH}))"


def test_cat(bitmasks, cropped):
    parts = [cropped[:2], cropped[torch.tensor([5, 5, 3])], cropped[:0]]
    expected = torch.cat([bitmasks.tensor[:2], bitmasks.tensor[[5, 5, 3]]])
    assert_equal(CroppedMasks.cat(parts), expected)
    other = CroppedMasks.from_crops([], (5, 5))
    with pytest.raises(ArgumentError, match="image size"):
        CroppedMasks.cat([cropped, other])
    with pytest.raises(ArgumentError, match="masks_list"):
        CroppedMasks.cat([])


def test_copies_and_pickles_hold_only_what_is_in_use(rng, bitmasks, cropped):
    assert_equal(copy.deepcopy(cropped), bitmasks.tensor)
    index = torch.tensor([4, 0, 0])
    few = pickle.loads(pickle.dumps(cropped[index]))
    assert_equal(few, bitmasks.tensor[index])
    assert len(few._boxes) == 2
    assert len(few._bits) < len(cropped._bits)
    order = torch.from_numpy(rng.permutation(9))
    assert_equal(pickle.loads(pickle.dumps(cropped[order])), bitmasks.tensor[order])
    assert len(pickle.dumps(cropped)) < bitmasks.tensor.numel() / 3


def test_to_keeps_bits_whatever_the_dtype(bitmasks, cropped):
    assert_equal(cropped.to("cpu", torch.float32), bitmasks.tensor)
    assert_equal(cropped.to(device=torch.device("cpu"), non_blocking=True), bitmasks.tensor)
    assert cropped.to("cpu").device == torch.device("cpu")
    meta = cropped.to("meta")
    assert meta.device.type == "meta"
    assert len(meta[:3]) == 3


def test_crops_need_not_be_tight_but_must_lie_in_the_image():
    mask = np.zeros((6, 7), dtype=bool)
    mask[2:4, 3] = True
    masks = CroppedMasks.from_crops([(mask, (-2, 5)), (mask[:2], (0, 0))], (10, 10))
    assert masks.get_bounding_boxes().tensor.tolist() == [[1, 7, 2, 9], [0, 0, 0, 0]]
    with pytest.raises(ArgumentError, match="boxes: not inside an image of 8 x 10"):
        CroppedMasks.from_crops([(mask, (0, 5))], (8, 10))
    with pytest.raises(ArgumentError, match="bits: shape"):
        CroppedMasks(torch.zeros(3, dtype=torch.uint8), np.array([[0, 0, 4, 4]]), (8, 8))


class Produced:
    """A data set of Instances."""

    def __init__(self, masks):
        self.masks = masks

    def __len__(self):
        return 4

    def __getitem__(self, item):
        instances = Instances((HEIGHT, WIDTH))
        instances.gt_masks = self.masks[item : item + 3]
        return instances


def test_masks_come_through_a_worker(bitmasks, cropped):
    loader = DataLoader(Produced(cropped), batch_size=2, num_workers=1, collate_fn=list)
    samples = [instances for batch in loader for instances in batch]
    for position, instances in enumerate(samples):
        assert_equal(instances.gt_masks, bitmasks.tensor[position : position + 3])


def test_detectron2s_mask_loss_and_instances_take_them(rng, bitmasks, cropped):
    losses = []
    index = torch.from_numpy(rng.integers(0, 6, size=20))
    boxes = random_boxes(rng, bitmasks.tensor[index].numpy())
    logits = torch.from_numpy(rng.normal(size=(20, 3, 14, 14)).astype(np.float32))
    for masks in (bitmasks, cropped):
        proposals = Instances((HEIGHT, WIDTH))
        proposals.proposal_boxes = Boxes(boxes)
        proposals.gt_classes = torch.arange(20) % 4
        proposals.gt_masks = masks[index]
        proposals = Instances.cat([proposals[:12], proposals[12:]]).to("cpu")
        foreground, chosen = select_foreground_proposals([proposals], bg_label=3)
        assert chosen[0].sum() == 15
        assert len(proposals[2].gt_masks) == 1
        with EventStorage():
            losses.append(mask_rcnn_loss(logits[:15], foreground))
    assert torch.equal(losses[0], losses[1])


def test_the_docstrings_example():
    text = CroppedMasks.__doc__
    example = doctest.DocTestParser().get_doctest(text, {}, "CroppedMasks", None, 0)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0
