"""What a user's script looks like: pipeline and generator are global, and methods name them."""

from __future__ import annotations

import albumentations
import numpy as np
from torch.utils.data import Dataset

RNG = np.random.default_rng(0)
aug = albumentations.Compose(
    [albumentations.HorizontalFlip(p=0.5), albumentations.RandomBrightnessContrast(p=1)]
)
after = albumentations.Compose([albumentations.GaussNoise(p=1)])


class Photos(Dataset):
    """Data set: augments its photos itself, and draws a number."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        image = np.full((8, 9, 3), 20 * index, dtype=np.uint8)
        image[:, :4] += 10
        return {**aug(image=image), "number": RNG.random()}


class Noise:
    """Transform: by a pipeline that it does not hold."""

    def __call__(self, sample):
        return {**sample, "image": after(image=sample["image"])["image"]}
