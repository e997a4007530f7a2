"""How the text of the options of the attack is read."""

from __future__ import annotations

import pytest
import typer

from skinaudit.cli.attack_options import check_use, read_epsilon, read_threat
from skinaudit.config import AuditConfig, Norm, TargetMap, TargetRule, ThreatModel


@pytest.mark.parametrize(("text", "value"), [("8/255", 8 / 255), ("0.031", 0.031), (" 1/255 ", 1 / 255)])
def test_epsilon_is_a_fraction_or_a_decimal(text: str, value: float) -> None:
    assert read_epsilon(text) == value


@pytest.mark.parametrize("text", ["8", "0", "-1/255", "65/255", "1/0", "eight", "", "nan", "inf", "1e999"])
def test_any_other_epsilon_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_epsilon(text)


def test_what_is_done_to_a_picture_has_one_measure() -> None:
    rule, wanted = TargetRule.RANDOM, TargetMap.BENIGN
    assert read_threat(None, rule, wanted) == ThreatModel(target=rule)
    assert read_threat("4/255", rule, wanted, full_resolution=True).full_resolution
    flow = read_threat(None, rule, wanted, Norm.FLOW, 0.75)
    assert (flow.norm, flow.flow_limit) == (Norm.FLOW, 0.75)
    assert read_threat(None, rule, wanted, Norm.FLOW).flow_limit == ThreatModel().flow_limit
    with pytest.raises(typer.BadParameter, match="no meaning with --norm flow"):
        read_threat("4/255", rule, wanted, Norm.FLOW)
    with pytest.raises(typer.BadParameter, match="with --norm flow alone"):
        read_threat(None, rule, wanted, Norm.LINF, 1.0)


@pytest.mark.parametrize(
    ("config", "mask_images", "option"),
    [
        (AuditConfig(interpreters=("cam", "mask"), joint=True), None, "--joint"),
        (AuditConfig(interpreters=("mask-fast",), sweep=(1, 2)), None, "--sweep"),
        (AuditConfig(interpreters=("cam", "rts")), 3, "--mask-images"),
    ],
)
def test_an_option_without_effect_is_a_usage_error(config: AuditConfig, mask_images: int | None, option: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        check_use(config, mask_images)
    assert caught.value.param_hint == option


def test_options_that_have_an_effect_pass() -> None:
    check_use(AuditConfig(interpreters=("cam", "grad", "mask"), joint=True, sweep=(1, 2)), 3)
