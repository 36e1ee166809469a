"""One stream of samples for any number of workers and ranks: its order, its keys, its seeding.

A sample is keyed by (seed, position in the stream) and by nothing else. Nothing here imports torch;
`empaste_aug.adapters.loader` and `empaste_aug.adapters.detectron2` put it into torch's DataLoader.
"""

from empaste_aug.stream.dataset import KeyedDataset, check_dataset, check_loader_arguments
from empaste_aug.stream.keys import SampleKey, current_key, seeded, take_key
from empaste_aug.stream.order import (
    SampleStream,
    StreamBatchSampler,
    StreamSampler,
    aspect_groups,
)

__all__ = [
    "KeyedDataset",
    "SampleKey",
    "SampleStream",
    "StreamBatchSampler",
    "StreamSampler",
    "aspect_groups",
    "check_dataset",
    "check_loader_arguments",
    "current_key",
    "seeded",
    "take_key",
]
