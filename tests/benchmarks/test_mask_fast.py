"""The table of the fast setting of MASK on maps made by hand."""

from __future__ import annotations

import pytest
import torch

from benchmarks.mask_fast import agreement, report
from skinaudit.interpreters.mask import FAST, PUBLISHED

FACTS = {"device": "a processor", "threads": "1", "torch": "2", "python": "3"}


@pytest.mark.parametrize(
    ("seconds", "noise", "verdicts"),
    [(3.0, 0.0, ("met", "met")), (4.0, 0.0, ("met", "missed")), (3.0, 9.0, ("missed", "met"))],
)
def test_report_says_whether_the_fast_setting_keeps_its_promise(
    seconds: float, noise: float, verdicts: tuple[str, str]
) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(4, 8, 8, generator=generator)
    others = (maps + noise * torch.rand(4, 8, 8, generator=generator)).clamp(max=10) / 10
    text = report(
        [agreement("published", PUBLISHED, maps, maps, 9.0), agreement("fast", FAST, others, maps, seconds)], FACTS
    )
    assert f"0.9 ({verdicts[0]}), at most a third of the cost ({verdicts[1]})" in text
    assert "| published | 300 | 1.000 | 1.000 | 0.0000 | 1.000 | 2.2 | 1.00 |" in text
    assert f"| fast | {FAST.iterations} | {'1.000' if noise == 0 else '0.'}" in text
