"""Every option of ``skinaudit audit`` reaches the configuration."""

from __future__ import annotations

import pytest
import typer

from skinaudit.cli.audit_options import AuditOptions
from skinaudit.config import Device, Norm, Preset, TargetMap, TargetRule


def test_every_option_is_in_the_configuration() -> None:
    config = AuditOptions(
        interpreters="grad,mask-fast",
        epsilon="4/255",
        full_resolution=True,
        target=TargetRule.RANDOM,
        target_map=TargetMap.PATCH,
        preset=Preset.QUICK,
        mask_images=3,
        device=Device.CPU,
        batch_size=5,
        threads=1,
        seed=11,
        show_file_names=True,
        frame=2,
        allow_burned_in=True,
    ).config()
    assert config.interpreters == ("grad", "mask-fast")
    assert config.threat.epsilon == pytest.approx(4 / 255)
    assert (config.threat.target, config.threat.target_map) == (TargetRule.RANDOM, TargetMap.PATCH)
    assert config.threat.full_resolution
    assert (config.preset, config.budget.mask_images) == (Preset.QUICK, 3)
    assert (config.device, config.batch_size, config.threads, config.seed) == ("cpu", 5, 1, 11)
    assert (config.show_file_names, config.frame, config.burned_in) == (True, 2, True)


def test_attacks_on_several_maps_and_smaller_radii_are_in_the_configuration() -> None:
    config = AuditOptions(interpreters="cam,grad", joint=True, sweep="2,4", device=Device.CPU).config()
    assert (config.joint, config.sweep) == (True, (2, 4))
    plain = AuditOptions(interpreters="cam,grad", device=Device.CPU).config()
    assert (plain.joint, plain.sweep, plain.show_file_names, plain.burned_in) == (False, (), False, False)


def test_a_flow_and_its_limit_are_in_the_configuration() -> None:
    threat = AuditOptions(interpreters="cam", norm=Norm.FLOW, flow_limit=1.5, device=Device.CPU).config().threat
    assert (threat.norm, threat.flow_limit) == (Norm.FLOW, 1.5)


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(typer.BadParameter, match="two kinds of map"):
        AuditOptions(interpreters="cam", joint=True, device=Device.CPU).config()
