"""What is left of a run, and how long it takes at most."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skinaudit.audit.engines.local import run_audit
from skinaudit.audit.failures import RunDiffers
from skinaudit.audit.outlook import outlook
from skinaudit.audit.plan import forecast_seconds, stages
from skinaudit.audit.session import prepare
from skinaudit.config import ThreatModel
from tests.audit.tiny_audit import DIRECT, Listener, request


def test_the_outlook_shrinks_as_units_are_done(tmp_path: Path) -> None:
    asked = request(tmp_path)
    prepared = prepare(asked, DIRECT, Listener())
    config, images = prepared.header.config, len(prepared.chosen)
    run = tmp_path / "run"

    fresh = outlook(prepared, run)
    assert not run.exists()
    assert (fresh.units_left, fresh.units) == (4 * images, 4 * images)
    whole = forecast_seconds(config, images, prepared.seconds_per_pass, stages(config))
    assert fresh.total_seconds == pytest.approx(whole)

    with pytest.raises(KeyboardInterrupt):
        run_audit(prepared, run, DIRECT, Listener(interrupt_after=("pgd", images)))
    halfway = outlook(prepared, run)
    assert set(halfway.seconds) == {"adv2-cam", "adv2-grad"}
    assert halfway.units_left == 2 * images

    run_audit(prepared, run, DIRECT, Listener())
    assert outlook(prepared, run).seconds == {}

    threat = ThreatModel(epsilon=4 / 255)
    other = asked.config.model_copy(update={"threat": threat})
    differing = prepared.header.model_copy(update={"config": other})
    with pytest.raises(RunDiffers, match="epsilon was 8/255, now 4/255"):
        outlook(replace(prepared, header=differing), run)
