"""What this machine offers an audit: processors and devices."""

from __future__ import annotations

import os
from typing import Literal

import torch

from skinaudit.config import Device


class DeviceUnavailable(ValueError):
    """The device that was asked for is not here; the message says what to do."""


def usable_processors() -> int:
    """Processors that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):  # Linux only; it knows the limits that a cluster sets
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_device(wanted: Device) -> Literal["cpu", "cuda"]:
    """The device a run uses; ``auto`` takes CUDA when it is there.

    Raises:
        DeviceUnavailable: CUDA was asked for and there is none.
    """
    there = torch.cuda.is_available()
    if wanted is Device.CUDA and not there:
        raise DeviceUnavailable(
            "--device cuda: PyTorch finds no CUDA GPU here; use --device cpu, or install a driver and a CUDA build"
        )
    return "cuda" if there and wanted is not Device.CPU else "cpu"
