"""Photos with a COCO instances json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from empaste_aug.imageio import follow_text_link
from empaste_aug.offline.datasets.base import Dataset, GroundTruth, LabelledImage
from empaste_aug.offline.datasets.checks import (
    Check,
    Report,
    photo_sizes,
    resolve,
)
from empaste_aug.offline.datasets.coco_json import encode_annotations, read_coco
from empaste_aug.offline.datasets.instance_table import InstanceTable
from empaste_aug.types import DatasetError

_DEFAULT_SPLIT = "train2017"


@dataclass(kw_only=True)
class CocoDataset(Dataset):
    """A COCO data set; `table` holds its instances, compressed."""

    table: InstanceTable

    @property
    def has_instances(self) -> bool:
        """Whether the file has segmentations; boxes alone are no instances."""
        return len(self.table) > 0

    def is_annotated(self, image: LabelledImage) -> bool:
        """Whether the photo's objects are known: of every photo, where the file has masks."""
        return self.has_instances and image.image_id in self.table

    def instances(self, image: LabelledImage) -> list[GroundTruth]:
        """The photo's objects and crowd regions, in the order of the file."""
        return self.table.decode(image.image_id)

    def object_counts(self, image: LabelledImage) -> Counter[int]:
        """Objects per category id, without crowd regions; decodes nothing."""
        return self.table.counts(image.image_id)

    def ignored(self, image: LabelledImage) -> NDArray[np.bool_] | None:  # noqa: ARG002
        """None: COCO has no void pixels; its crowd regions are instances."""
        return None


def load_coco(
    root: str | Path,
    *,
    split: str | None = None,
    annotations: str | Path | None = None,
    images: str | Path | None = None,
    class_names: Sequence[str] | None = None,
    skip_bad: bool = False,
    check: Check = "decode",
) -> CocoDataset:
    """Load a COCO json and its photos.

    Contiguous ids follow the sorted category ids. An image's labels are the classes of its
    annotations, crowd regions too, since the class does occur in the image. Image ids become
    strings. The photos' sizes are those of the files after EXIF rotation, and must be the json's.

    Args:
        root: the folder that the defaults and relative paths are looked for under.
        split: names root/annotations/instances_<split>.json and root/<split>; "train2017" by
            default.
        annotations: the json file, instead of the split's.
        images: the folder of photos, instead of the split's; where only `annotations` is given,
            root/images.
        class_names: the wanted order of classes; a category that is not among them is a problem.
        skip_bad: leave bad images and annotations out, and list them in `problems`. An image whose
            annotation is bad is kept, with the label of that annotation if its class is known.
        check: "decode" reads the photos whole; "header" only opens them.

    Raises:
        DatasetError: the json or the folder is missing, or files are bad and `skip_bad` is False.
    """
    root = Path(root)
    json_path, folder = locate(root, split, annotations, images)
    report = Report(f"{root.resolve().name} {json_path.stem}")
    file = read_coco(json_path, class_names, report)

    paths = [follow_text_link(folder / image.file_name) for image in file.images]
    entries = []
    sizes = {}
    ids: set[str] = set()
    for image, path, size in zip(
        file.images, paths, photo_sizes(paths, report, check=check), strict=True
    ):
        image_id = str(image.key)
        if size is None:
            continue
        if image.size not in (None, size):
            assert image.size is not None
            report.add(
                path,
                f"is {size[1]} x {size[0]} after EXIF rotation; "
                f"the json says {image.size[1]} x {image.size[0]}",
            )
            continue
        if image_id in ids or "/" in image_id or "\\" in image_id:
            report.add(f"{json_path} image {image_id}", "the id is not unique or holds a slash")
            continue
        ids.add(image_id)
        sizes[image.key] = size
        entries.append(
            LabelledImage(image_id, path, image.file_name, file.labels(image.key), *size)
        )
    entries.sort(key=lambda image: image.image_id)
    rows = encode_annotations(file, sizes, report)
    return CocoDataset(
        name=report.name,
        class_names=file.class_names,
        images=entries,
        image_root=folder,
        problems=report.close(skip_bad=skip_bad),
        table=InstanceTable(
            {str(key): instances for key, instances in rows.items()},
            {str(key): size for key, size in sizes.items()},
        ),
    )


def locate(
    root: Path,
    split: str | None,
    annotations: str | Path | None,
    images: str | Path | None,
) -> tuple[Path, Path]:
    """The json file and the folder of photos."""
    name = split or _DEFAULT_SPLIT
    if annotations is None:
        json_path = root / "annotations" / f"instances_{name}.json"
    else:
        json_path = resolve(root, annotations)
    if images is not None:
        folder = resolve(root, images)
    elif annotations is not None and split is None:
        folder = root / "images"
    else:
        folder = root / name
    if not json_path.is_file():
        raise DatasetError(f"{json_path}: no such file; annotations= (--annotations) names another")
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; images= (--images) names another")
    return json_path, folder
