from __future__ import annotations

import pytest

from skinaudit.audit.plan import most_attacked, most_images, shapes, stages
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


def test_mask_is_asked_about_few_images_in_a_batch_of_its_own() -> None:
    config = AuditConfig(
        interpreters=("cam", "mask"), budget=PRESETS[Preset.QUICK].model_copy(update={"mask_images": 2})
    )
    assert (most_images(config, "mask"), most_images(config, "cam")) == (2, None)
    assert shapes(config) == {"mask": 2}


@pytest.mark.parametrize(
    ("names", "images", "mask_images", "most"),
    [
        (("cam", "mask"), 50, 2, 50),
        (("mask",), 50, 2, 2),
        (("mask", "mask-fast"), None, 2, 2),
        (("mask",), 1, 2, 1),
        (("mask",), None, None, None),
        (("cam",), None, 2, None),
    ],
)
def test_no_more_images_are_attacked_than_some_map_is_asked_about(
    names: tuple[str, ...], images: int | None, mask_images: int | None, most: int | None
) -> None:
    budget = PRESETS[Preset.QUICK].model_copy(update={"images": images, "mask_images": mask_images})
    assert most_attacked(AuditConfig(interpreters=names, budget=budget)) == most
