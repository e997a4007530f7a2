from __future__ import annotations

import pytest

from skinaudit.audit.plan import forecast_seconds, most_images, shapes, stages
from skinaudit.config import PRESETS, AuditConfig, Preset, TargetMap, TargetRule, ThreatModel


def test_controls_come_first_and_every_interpreter_has_a_stage() -> None:
    assert [stage.name for stage in stages(AuditConfig())] == [
        "controls", "pgd", "adv2-cam", "adv2-grad", "adv2-rts", "adv2-mask"
    ]  # fmt: skip
    assert stages(AuditConfig())[2].unit_id("abc") == "abc:adv2-cam"


def test_there_is_no_pgd_where_the_diagnosis_is_to_stay() -> None:
    threat = ThreatModel(target=TargetRule.SAME, target_map=TargetMap.PATCH)
    names = [stage.name for stage in stages(AuditConfig(threat=threat))]
    assert names == ["controls", "adv2-cam", "adv2-grad", "adv2-rts", "adv2-mask"]


def test_forecast_counts_whole_batches() -> None:
    config = AuditConfig(interpreters=("cam", "grad"), batch_size=8)
    one, eight, nine = (forecast_seconds(config, n, 0.01, stages(config)[1:]) for n in (1, 8, 9))
    assert one == eight
    assert nine == pytest.approx(2 * eight)


def test_grad_costs_three_passes_a_step_after_the_warm_start() -> None:
    budget = PRESETS[Preset.QUICK]
    config = AuditConfig(budget=budget)
    steps = budget.warm_steps + 3 * (budget.grad_steps - budget.warm_steps)
    assert steps <= forecast_seconds(config, 8, 1 / 8, [stages(config)[3]]) <= steps + 10


def test_mask_is_asked_about_few_images_in_a_batch_of_its_own() -> None:
    config = AuditConfig(
        interpreters=("cam", "mask"), budget=PRESETS[Preset.QUICK].model_copy(update={"mask_images": 2})
    )
    assert (most_images(config, "mask"), most_images(config, "cam")) == (2, None)
    assert shapes(config) == {"mask": 2}
    stage = stages(config)[3]
    assert forecast_seconds(config, 100, 1.0, [stage]) == forecast_seconds(config, 2, 1.0, [stage])
