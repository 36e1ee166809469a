"""What every command line tool does about errors and interruptions."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Mapping

from empaste_aug.offline.flags import reword
from empaste_aug.types import ArgumentError, EMPasteError

USAGE_ERROR = 2
INTERRUPTED = 130

STOPPED_BUILD = (
    "stopped; what was finished is kept in the work folder: the same command again goes on there"
)
"""What a tool whose stages resume says after Ctrl-C."""


def run_tool(
    work: Callable[[], int],
    *,
    on_interrupt: str = "interrupted",
    wording: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> int:
    """Run a tool's work; its exit status.

    This package's errors, and those of files that cannot be read or written, become one line on
    stderr and status 2; Ctrl-C becomes `on_interrupt` on
    stderr and status 130. Any other exception is a defect, and its traceback is shown.

    Args:
        work: what the tool does.
        on_interrupt: what Ctrl-C says.
        wording: phrases of messages -> what they are called on the command line.
        flags: arguments of the library -> their flags, for `reword`; see `flags_of`.
    """
    try:
        return work()
    except EMPasteError as error:
        message = str(error)
        for ours, theirs in (wording or {}).items():
            message = message.replace(ours, theirs)
        message = reword(message, flags or {}, head=isinstance(error, ArgumentError))
        print(f"error: {message}", file=sys.stderr)
        return USAGE_ERROR
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "; make room and give the same command again" if full else ""
        print(f"error: {error}{remedy}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print(f"\n{on_interrupt}", file=sys.stderr)
        return INTERRUPTED
