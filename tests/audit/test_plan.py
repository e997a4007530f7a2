from __future__ import annotations

import pytest

from skinaudit.audit.plan import forecast_seconds, passes, stages
from skinaudit.config import PRESETS, AuditConfig, Preset


def test_controls_come_first_and_every_interpreter_has_a_stage() -> None:
    assert [stage.name for stage in stages(AuditConfig())] == ["controls", "pgd", "adv2-cam", "adv2-grad"]
    assert stages(AuditConfig())[2].unit_id("abc") == "abc:adv2-cam"


def test_forecast_counts_whole_batches() -> None:
    config = AuditConfig(batch_size=8)
    one, eight, nine = (forecast_seconds(config, n, 0.01, stages(config)) for n in (1, 8, 9))
    assert one == eight
    assert nine == pytest.approx(2 * eight)


def test_grad_costs_three_passes_a_step_after_the_warm_start() -> None:
    budget = PRESETS[Preset.QUICK]
    config = AuditConfig(budget=budget)
    steps = budget.warm_steps + 3 * (budget.grad_steps - budget.warm_steps)
    assert steps <= passes(stages(config)[3], config) <= steps + 10
