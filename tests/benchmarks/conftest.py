from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread(_same_threads_in_every_test: None) -> None:
    """Small networks are slower on two threads, and much slower on a busy machine."""
    torch.set_num_threads(1)
