"""The offline form: pasted samples of the stream as image files with a COCO json.

It stands on both halves: photos come from `empaste_aug.offline.datasets`, samples from
`empaste_aug.stream` and `empaste_aug.paste`. Nothing else imports it.
"""

from empaste_aug.export.estimate import Estimate, estimate_export
from empaste_aug.export.options import ExportOptions
from empaste_aug.export.photos import BankPhotos, DatasetPhotos, Photos, PoolPhotos
from empaste_aug.export.run import ExportSummary, export_dataset
from empaste_aug.export.sample import ExportSample, ExportStream

__all__ = [
    "BankPhotos",
    "DatasetPhotos",
    "Estimate",
    "ExportOptions",
    "ExportSample",
    "ExportStream",
    "ExportSummary",
    "Photos",
    "PoolPhotos",
    "estimate_export",
    "export_dataset",
]
