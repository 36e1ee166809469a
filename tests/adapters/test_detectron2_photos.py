"""EMPasteMapper on photos as they lie on disk: turned by EXIF, greyscale, with alpha."""

from __future__ import annotations

import numpy as np
import pytest
from detectron2_data import CLASSES, HEIGHT, WIDTH, call, check_invariants, make_mapper, masks_of
from PIL import Image

from empaste_aug import EMPaste

pytest.importorskip("detectron2")

import torch
from detectron2.data import DatasetMapper
from detectron2.data import transforms as T  # noqa: N812
from detectron2.data.detection_utils import SizeMismatchError
from detectron2.structures import BoxMode

ORIENTATION = 0x0112


def upright_photo():
    """A photo that no turn or flip leaves as it is."""
    rng = np.random.default_rng(5)
    image = rng.integers(0, 40, size=(HEIGHT, WIDTH, 3)).astype(np.uint8)
    image[:20, :40] = (250, 200, 100)
    return image


def dataset_dict(path):
    return {
        "file_name": str(path),
        "height": HEIGHT,
        "width": WIDTH,
        "annotations": [
            {
                "category_id": 1,
                "bbox": [0, 0, 40, 20],
                "bbox_mode": BoxMode.XYWH_ABS,
                "segmentation": [[0, 0, 40, 0, 40, 20, 0, 20]],
            }
        ],
    }


def check_against_dataset_mapper(path, small_bank, after):
    """Space-Maximize covers no original: outside of what is pasted, all is as without pasting."""
    options = {
        "augmentations": [T.RandomFlip(1.0)],
        "image_format": "RGB",
        "use_instance_mask": True,
        "instance_mask_format": "bitmask",
    }
    paste = EMPaste(
        small_bank, count=2, placement="space_maximize", blend="none", class_names=CLASSES
    )
    mapper = make_mapper(paste, paste_after_augmentations=after, **options)
    mapped = call(mapper, dataset_dict(path))
    check_invariants(mapped)
    plain = DatasetMapper(is_train=True, **options)(dataset_dict(path))
    masks = masks_of(mapped["instances"])
    assert len(masks) == 3
    np.testing.assert_array_equal(masks[0], masks_of(plain["instances"])[0])
    outside = torch.from_numpy(~masks[1:].any(axis=0))
    assert torch.equal(mapped["image"][:, outside], plain["image"][:, outside])
    assert not torch.equal(mapped["image"], plain["image"])
    return mapped["image"].numpy()[:, :, ::-1].transpose(1, 2, 0), masks[0][:, ::-1]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_rotated_photos(tmp_path, small_bank, orientation, after):
    """The labels are those of the upright photo, as detectron2 turns it."""
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(upright_photo()).transpose(stored).save(path, exif=exif)
    image, mask = check_against_dataset_mapper(path, small_bank, after)
    np.testing.assert_array_equal(image[mask], upright_photo()[mask])
    assert (image[mask] == (250, 200, 100)).all()


@pytest.mark.parametrize("after", [False, True])
def test_greyscale_photos(tmp_path, small_bank, after):
    path = tmp_path / "grey.png"
    Image.fromarray(upright_photo()).convert("L").save(path)
    image, mask = check_against_dataset_mapper(path, small_bank, after)
    assert (image[mask] == image[mask][:, :1]).all()


@pytest.mark.parametrize("after", [False, True])
def test_rgba_photos_lose_their_alpha(tmp_path, small_bank, after):
    path = tmp_path / "alpha.png"
    alpha = np.random.default_rng(0).integers(0, 256, size=(HEIGHT, WIDTH, 1)).astype(np.uint8)
    Image.fromarray(np.concatenate([upright_photo(), alpha], axis=2)).save(path)
    image, mask = check_against_dataset_mapper(path, small_bank, after)
    np.testing.assert_array_equal(image[mask], upright_photo()[mask])


def test_sizes_that_ignore_exif_are_an_error(tmp_path, small_bank):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    path = tmp_path / "turned.png"
    Image.fromarray(upright_photo()).save(path, exif=exif)
    mapper = make_mapper(EMPaste(small_bank, class_names=CLASSES))
    with pytest.raises(SizeMismatchError, match=r"turned\.png"):
        mapper(dataset_dict(path))


@pytest.mark.parametrize("after", [False, True])
def test_a_photo_of_one_pixel(tmp_path, small_bank, after):
    path = tmp_path / "pixel.png"
    Image.fromarray(upright_photo()[:1, :1]).save(path)
    mapper = make_mapper(EMPaste(small_bank, class_names=CLASSES), paste_after_augmentations=after)
    label = {
        "category_id": 0,
        "bbox": [0, 0, 1, 1],
        "bbox_mode": BoxMode.XYXY_ABS,
        "segmentation": [[0, 0, 1, 0, 1, 1, 0, 1]],
    }
    for labels in ([], [label]):
        mapped = call(mapper, {"file_name": str(path), "annotations": labels})
        check_invariants(mapped)
        assert mapped["image"].shape == (3, 1, 1)
