"""The one place where numba's flags are set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a kernel: nopython, cached on disk, lazy signatures, one thread, GIL released.

    Never `parallel=True`: OpenMP after a fork hangs DataLoader workers. Kernels take arrays and
    scalars, return arrays and scalars, and draw no random numbers.
    """
    return cast(F, numba.njit(cache=True, nogil=True, fastmath=False)(function))
