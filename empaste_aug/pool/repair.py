"""Taking up a finished pool again whose images were lost or damaged since."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from empaste_aug.pool.built import BuiltPool
from empaste_aug.pool.journal import Entry, Journal
from empaste_aug.pool.schema import JOURNAL, SUFFIXES, file_crc
from empaste_aug.types import PoolError


def sound_rows(path: Path, manifest: dict[str, Any], header: Mapping[str, Any]) -> dict[str, int]:
    """The row of each key of a finished pool, if all of its images are sound; else nothing.

    Where one is missing or damaged, a journal is left, so that the pool can be taken up as an
    unfinished one, with a hole for each image that is not sound.

    Raises:
        PoolError: a table is missing or damaged, or another process is writing the pool.
        OSError: the journal cannot be written.
    """
    pool = BuiltPool(path, manifest, verify=True)
    rows: dict[str, int] = {}
    entries: list[Entry] = []
    bad = []
    for row in range(len(pool)):
        entry = pool.tables.rows[row]
        provenance = pool.provenance(row)
        rows[str(provenance["key"])] = row
        crc = 0
        try:
            crc = file_crc(pool.load(row))
        except PoolError:
            bad.append(row)
        entries.append(
            {
                "number": int(entry["number"]),
                "suffix": SUFFIXES[int(entry["suffix"])],
                **{name: int(entry[name]) for name in ("height", "width", "bytes")},
                "crc32": crc,
                "provenance": provenance,
            }
        )
    pool.close()
    if not bad:
        (path / JOURNAL).unlink(missing_ok=True)  # of a build that was killed at its very end
        return rows
    journal = Journal(path / JOURNAL, dict(header), restart=True)
    for line in entries:
        journal.append(line)
    journal.close()
    for row in bad:
        pool.file(row).unlink(missing_ok=True)
    return {}
