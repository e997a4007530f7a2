"""How long a pass takes: one that met a hiccup does not count, a machine that is slow all the time does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from skinaudit.audit import pace
from skinaudit.audit.session import prepare
from tests.audit.tiny_audit import DIRECT, Listener, request


class Stopwatch:
    """Each pass takes as long as it is told to."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self._times = [sum(seconds[: n // 2 + n % 2]) for n in range(2 * len(seconds))]

    def perf_counter(self) -> float:
        return self._times.pop(0)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [((90, 1, 1, 50, 1, 1), 1.0), ((90, 1, 2, 50, 3, 1), 3.0), ((90, 4, 4, 4, 4, 4), 4.0)],
    ids=["a hiccup", "a busy machine", "a slow machine"],
)
def test_the_second_slowest_pass_counts(
    seconds: Sequence[float], expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = prepare(request(tmp_path), DIRECT, Listener()).bench
    monkeypatch.setattr(pace, "time", Stopwatch(seconds))
    assert pace.seconds_per_pass(bench, []) == pytest.approx(expected / bench.config.batch_size)


def test_the_shape_that_is_slowest_for_an_image_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = prepare(request(tmp_path), DIRECT, Listener()).bench
    budget = bench.config.budget.model_copy(update={"mask_images": 2})
    bench = replace(
        bench, config=bench.config.model_copy(update={"interpreters": ("cam", "mask-fast"), "budget": budget})
    )
    monkeypatch.setattr(pace, "time", Stopwatch([3.0] * 12))  # as long for 2 images as for 4
    assert pace.seconds_per_pass(bench, []) == pytest.approx(3 / 2)
