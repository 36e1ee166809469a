"""Data sets registered with detectron2 from one line of text: banks, VOC, COCO, folders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from empaste_aug.adapters.detectron2 import register_bank_dataset
from empaste_aug.offline.datasets import KINDS, Dataset, load_dataset
from empaste_aug.training._dataset_dicts import InstanceDicts
from empaste_aug.types import ArgumentError, BankError, DatasetError

_TAKEN = {
    "bank": ("images", "min_score"),
    "voc": ("split", "difficult"),
    "coco": ("split", "annotations", "images"),
    "folder": ("annotations", "images", "labels"),
}
_ALWAYS = ("classes", "limit", "skip_bad", "check")


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """A data set as one line says it: ``NAME=KIND:ROOT[,option=value...]``.

    Attributes:
        name: what it is registered as.
        kind: "bank", "voc", "coco" or "folder".
        root: the bank's or the data set's folder.
        options: the rest.
        text: the line.
    """

    name: str
    kind: str
    root: Path
    options: Mapping[str, str]
    text: str


def parse_spec(text: str) -> DatasetSpec:
    """Read a line; files are not touched.

    Raises:
        ArgumentError: it has another form, or an option that its kind does not take.
    """
    kinds = "|".join(_TAKEN)
    form = f"NAME={{{kinds}}}:FOLDER[,option=value...]"
    name, equals, rest = text.partition("=")
    kind, colon, rest = rest.partition(":")
    root, *pairs = rest.split(",")
    if not (name and equals and colon and root) or kind not in _TAKEN:
        raise ArgumentError(f"register: {text!r} is not of the form {form}")
    options: dict[str, str] = {}
    taken = _TAKEN[kind] + (() if kind == "bank" else _ALWAYS)
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not value or key in options:
            raise ArgumentError(f"register: {text!r}: {pair!r} is no option=value, or given twice")
        if key not in taken:
            raise ArgumentError(
                f"register: {text!r}: a {kind} takes no {key!r}; it takes {', '.join(taken)}"
            )
        options[key] = value
    if kind == "bank" and "images" not in options:
        raise ArgumentError(f"register: {text!r}: a bank needs images=FOLDER, its photos' folder")
    return DatasetSpec(name, kind, Path(root), options, text)


def register_all(texts: Iterable[str], *, only: Collection[str] | None = None) -> None:
    """Register the data sets that these lines name; one that is there from the same line stays.

    ``NAME=bank:BANK,images=FOLDER`` is `register_bank_dataset` (with ``min_score=0.5``, say).
    ``NAME=voc:ROOT``, ``coco`` and ``folder`` are the data sets of
    `empaste_aug.offline.datasets.load_dataset`, with its options split, annotations, images,
    labels, ``classes=a+b+c``, ``skip_bad=yes`` and ``check=decode``, which finds truncated photos
    now, as it reads every one whole (by default, "header", it opens them only); ``limit=100`` takes
    the first 100 photos, and VOC's ``difficult=count`` counts difficult objects in evaluations,
    which by VOC's rules are ignored (``difficult=ignore``).

    Args:
        texts: the lines.
        only: names; the others' lines are read, but not registered. None: all are.

    Raises:
        ArgumentError: a line is not of its form, or its name is taken.
        BankError, DatasetError: files are missing or bad.
    """
    for text in texts:
        spec = parse_spec(text)
        if only is not None and spec.name not in only:
            continue
        if spec.name in DatasetCatalog:
            if MetadataCatalog.get(spec.name).get("registered_as") == spec.text:
                continue
            raise ArgumentError(
                f"register: a data set {spec.name!r} is already registered (detectron2's own are "
                "read from $DETECTRON2_DATASETS); take another name"
            )
        try:
            _register(spec)
        except (ArgumentError, BankError, DatasetError) as error:
            raise type(error)(f"register: {text!r}: {error}") from error
        MetadataCatalog.get(spec.name).set(registered_as=spec.text)


def _register(spec: DatasetSpec) -> None:
    if spec.kind == "bank":
        min_score = _number(spec, "min_score", float, 0.0)
        register_bank_dataset(spec.name, spec.root, spec.options["images"], min_score=min_score)
        return
    difficult = spec.options.get("difficult", "ignore")
    if difficult not in ("ignore", "count"):
        raise ArgumentError(f"difficult must be 'ignore' or 'count', not {difficult!r}")
    register_instances(spec.name, _loaded(spec), ignore_difficult=difficult == "ignore")


def register_instances(name: str, dataset: Dataset, *, ignore_difficult: bool = True) -> None:
    """Register a data set's annotated photos, with its masks as instances.

    The dicts are in detectron2's format, segmentations in RLE (``INPUT.MASK_FORMAT`` "bitmask", or
    with an EMPasteMapper "cropped"). Photos whose objects are not known are left out: most of VOC's
    have no masks. Crowd regions are annotations with ``iscrowd``. The masks are read once, when
    detectron2 first asks for the dicts.

    The metadata get `thing_classes`, `image_root` and `coco_form`, a function that makes the
    content of a COCO json for the evaluation, where VOC's void pixels (255) are crowd regions of
    every class and its difficult objects have ``ignore``.

    Args:
        name: free in detectron2's DatasetCatalog.
        dataset: with instances.
        ignore_difficult: an evaluation gives objects that VOC marks difficult ``ignore``.

    Raises:
        ArgumentError: `name` is taken.
        DatasetError: no photo is annotated.
    """
    if name in DatasetCatalog:
        raise ArgumentError(f"name: a data set {name!r} is already registered")
    if not any(dataset.is_annotated(image) for image in dataset.images):
        raise DatasetError(f"{dataset.name}: no photo has masks, to train or to evaluate on")
    dicts = InstanceDicts(dataset, ignore_difficult=ignore_difficult)
    DatasetCatalog.register(name, dicts)
    MetadataCatalog.get(name).set(
        thing_classes=list(dataset.class_names),
        image_root=str(dataset.image_root),
        coco_form=dicts.coco_form,
    )


def _loaded(spec: DatasetSpec) -> Dataset:
    options: dict[str, Any] = dict(spec.options)
    options.pop("difficult", None)
    limit = _number(spec, "limit", int, None)
    options.pop("limit", None)
    skip_bad = options.pop("skip_bad", "no")
    if skip_bad not in ("yes", "no"):
        raise ArgumentError(f"skip_bad must be yes or no, not {skip_bad!r}")
    check: Any = options.pop("check", "header")
    classes = options.pop("classes", None)
    assert spec.kind in KINDS
    dataset = load_dataset(
        spec.kind,
        spec.root,
        skip_bad=skip_bad == "yes",
        class_names=None if classes is None else classes.split("+"),
        check=check,
        **options,
    )
    if limit is not None:
        dataset.images = dataset.images[:limit]
    return dataset


def _number(spec: DatasetSpec, key: str, kind: Callable[[str], Any], default: Any) -> Any:
    if key not in spec.options:
        return default
    try:
        value = kind(spec.options[key])
    except ValueError:
        value = -1
    if value < 0 or (kind is int and value < 1):
        raise ArgumentError(f"{key} must be a positive number, not {spec.options[key]!r}")
    return value
