"""Label fields of an Albumentations sample while it is inside a pipeline.

How Albumentations carries them. Before the first transform, A.Compose's bounding box processor
takes every entry that BboxParams names in `label_fields` out of the sample, encodes it, and appends
it to `bboxes` as a column, in the order of `label_fields`; after the last one it decodes the
columns. Numbers are encoded as they are, in float32. For anything else the processor's
`label_manager` keeps an encoder, a table of the labels that it has met, and a column holds
positions in it; how a field is decoded (numbers or not, list or array, dtype) is kept there too. In
2.0.8 a manager lives as long as its Compose, in AlbumentationsX as long as one call. A sample
without boxes is not encoded at all: its label fields stay as they are, and the manager may not know
them.

So a label that is new to the sample has no number yet. ``label_manager.process_field``, which the
processors themselves call for every sample, gives it one: it extends the encoder where there is
one, analyses the field where there is none, and returns the column. The libraries' own mixing
transforms (Mosaic; AlbumentationsX's CopyAndPaste) let their processor do the same for foreign
labels. It is what we use, in both, with the two things that it leaves open:

- an array of strings is decoded to the dtype of the first one that was encoded, which cuts longer
  names (2.0.8): its dtype is widened to the encoder's longest label;
- strings added to numbers, or numbers to strings, confuse the encoder: they are refused here.

Where the sample has no `bboxes`, nothing encodes label fields: they are plain entries, lists or
arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import ArgumentError

BOXES = "bboxes"


class LabelFields:
    """The label fields of one sample, whichever way it carries them.

    Args:
        data: the sample, inside the pipeline.
        processor: the pipeline's bounding box processor, None where there is none.

    Raises:
        ArgumentError: `bboxes` without a processor, or with columns that no label field explains.
    """

    def __init__(self, data: Mapping[str, Any], processor: Any) -> None:
        self._data = data
        self._boxes: NDArray[np.floating] | None = data.get(BOXES)
        self.encoded: tuple[str, ...] = ()
        if self._boxes is None:
            return
        if processor is None:
            raise ArgumentError(
                f"{BOXES}: needs A.Compose with bbox_params, which says what the numbers are"
            )
        self._manager = processor.label_manager
        self.encoded = tuple(processor.params.label_fields or ())
        width = 4 + len(self.encoded)
        if len(self._boxes) and self._boxes.shape[1] != width:
            raise ArgumentError(
                f"{BOXES}: {self._boxes.shape[1] - width} columns after the four numbers have no "
                "name; pass them as entries that bbox_params names in label_fields"
            )

    def __contains__(self, field: str) -> bool:
        return field in self.encoded or self._data.get(field) is not None

    def read(self, field: str) -> list[Any]:
        """The field's values, one for each object."""
        if field not in self.encoded:
            value = self._data[field]
            if not (isinstance(value, (list, tuple)) or np.ndim(value) == 1):
                raise ArgumentError(
                    f"{field}: {type(value).__name__}; expected a list or array of one value for "
                    "each object"
                )
            return list(value)
        assert self._boxes is not None
        if not len(self._boxes):
            return []
        self._widen(field)
        column = self._boxes[:, 4 + self.encoded.index(field)]
        return list(self._manager.restore_field(BOXES, field, column))

    def encode(self, field: str, values: Sequence[Any]) -> NDArray[np.floating]:
        """The column of `bboxes` that stands for these values, which may be new to the sample.

        Raises:
            ArgumentError: strings for a field of numbers, or the other way round.
        """
        metadata = self._manager.metadata[BOXES].get(field)
        if metadata is None:
            like = self._data.get(field)
            made = np.asarray(values) if isinstance(like, np.ndarray) else list(values)
            column = self._manager.process_field(BOXES, field, made)
        else:
            numeric = metadata.is_numerical or all(
                isinstance(label, Real) for label in metadata.encoder.classes_
            )
            for value in values:
                if isinstance(value, Real) != numeric:
                    raise ArgumentError(
                        f"{field}: cannot add {value!r} of a pasted object to labels that are "
                        f"{'numbers' if numeric else 'not numbers'}; see label_as and fill"
                    )
            column = self._manager.process_field(BOXES, field, list(values))
        self._widen(field)
        encoded: NDArray[np.floating] = column[:, 0]
        return encoded

    def extended(self, field: str, rows: Sequence[int], added: Sequence[Any]) -> Any:
        """A plain entry with these of its rows, then the added values; an array stays an array."""
        value = self._data[field]
        if not isinstance(value, np.ndarray):
            return [value[row] for row in rows] + list(added)
        kept = value[list(rows)]
        if not added:
            return kept
        new = np.asarray(added, dtype=object if value.dtype == object else None)
        if value.dtype.kind in "biuf" and len(value):
            new = new.astype(value.dtype)
        return np.concatenate((kept, new)) if len(kept) else new

    def _widen(self, field: str) -> None:
        """Let arrays of strings hold the encoder's longest label."""
        metadata = self._manager.metadata[BOXES][field]
        if metadata.dtype is not None and metadata.dtype.kind == "U" and metadata.encoder.classes_:
            longest = max(len(str(label)) for label in metadata.encoder.classes_)
            metadata.dtype = np.result_type(metadata.dtype, np.dtype(f"<U{longest}"))
