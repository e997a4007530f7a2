"""Where a benchmark runs, and the unit its costs are given in: one bare forward pass with the input gradient."""

from __future__ import annotations

import platform
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

#: Bare passes behind one measurement of the unit.
REPETITIONS = 5


def machine(device: torch.device) -> dict[str, str]:
    """Processor or card, threads and releases, as every table names them."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def processor() -> str:
    """Model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def machine_line(facts: dict[str, str]) -> str:
    """One line for under a table."""
    return f"Machine: {facts['device']}, {facts['threads']} threads, torch {facts['torch']}, Python {facts['python']}."


def wait(device: torch.device) -> None:
    """Wait until a card has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def bare_pass(classifier: nn.Module, x: Tensor) -> Tensor:
    """One forward pass and the gradient of the input: what every cost is compared with."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(classifier(leaf).logsumexp(1).sum(), leaf)
    return gradient


def unit_seconds(classifier: nn.Module, batch: int, size: tuple[int, int], device: torch.device) -> float:
    """Seconds of a bare pass per image at this batch size: median of a few."""
    x = torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(0)).to(device)
    times = []
    for _ in range(REPETITIONS):
        wait(device)
        begun = time.perf_counter()
        bare_pass(classifier, x)
        wait(device)
        times.append(time.perf_counter() - begun)
    return statistics.median(times) / batch


class Unit:
    """The unit of cost, measured again every now and then: a shared machine is not equally fast all the time."""

    def __init__(self, classifier: nn.Module, batch: int, size: tuple[int, int], device: torch.device) -> None:
        self._classifier, self._batch, self._size, self._device = classifier, batch, size, device
        self._measured = float("-inf")
        self.seconds = 0.0

    def refresh(self, every: float = 30.0) -> float:
        """Seconds per image, measured again when the last measurement is older than ``every`` seconds."""
        if time.monotonic() - self._measured > every:
            self.seconds = unit_seconds(self._classifier, self._batch, self._size, self._device)
            self._measured = time.monotonic()
        return self.seconds
