"""What the machine offers."""

from __future__ import annotations

import os

import pytest
import torch

from skinaudit.audit.machine import DeviceUnavailable, choose_device, usable_processors
from skinaudit.config import Device


def test_processors_are_those_of_this_process() -> None:
    assert 1 <= usable_processors() <= (os.cpu_count() or 1)


def test_auto_takes_cuda_where_it_is() -> None:
    assert choose_device(Device.AUTO) == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device(Device.CPU) == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
def test_cuda_that_is_not_there_is_refused_with_advice() -> None:
    with pytest.raises(DeviceUnavailable, match="use --device cpu"):
        choose_device(Device.CUDA)
