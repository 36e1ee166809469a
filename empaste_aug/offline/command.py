"""What every command line tool does about errors and interruptions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from empaste_aug.types import EMPasteError

USAGE_ERROR = 2
INTERRUPTED = 130


def run_tool(
    work: Callable[[], int],
    *,
    on_interrupt: str = "interrupted",
    wording: Mapping[str, str] | None = None,
) -> int:
    """Run a tool's work; its exit status.

    This package's errors, and those of files that cannot be read or written, become one line on
    stderr and status 2; Ctrl-C becomes `on_interrupt` on
    stderr and status 130. Any other exception is a defect, and its traceback is shown. `wording`
    says what an error's message calls otherwise on the command line, such as an argument by its
    flag.
    """
    try:
        return work()
    except EMPasteError as error:
        message = str(error)
        for ours, theirs in (wording or {}).items():
            message = message.replace(ours, theirs)
        print(f"error: {message}", file=sys.stderr)
        return USAGE_ERROR
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print(f"\n{on_interrupt}", file=sys.stderr)
        return INTERRUPTED
