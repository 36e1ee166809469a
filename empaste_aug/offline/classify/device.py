"""The device that a classifier runs on, checked before any work is done."""

from __future__ import annotations

import torch

from empaste_aug.types import ArgumentError


def checked_device(device: str | torch.device) -> torch.device:
    """The device of this name.

    Raises:
        ArgumentError: torch knows no such device, or does not find it on this machine.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ArgumentError(f"device: {str(device)!r} cannot be used: {reason}") from error
    return found
