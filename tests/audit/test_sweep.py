"""Smaller radii: each search goes on from what the one before found, on the picture that it may change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skinaudit.audit.engines.local import run_audit
from skinaudit.audit.reader import RunReader
from skinaudit.audit.session import prepare
from skinaudit.images.decoder import DirectDecoder
from tests.audit.tiny_audit import Listener, request

DECODER = DirectDecoder()


@pytest.mark.parametrize("full_resolution", [False, True])
def test_every_radius_of_every_image_is_judged_within_itself(tmp_path: Path, full_resolution: bool) -> None:
    (tmp_path / "images").mkdir()
    asked = request(tmp_path / "images", count=4)
    threat = asked.config.threat.model_copy(update={"full_resolution": full_resolution})
    config = asked.config.model_copy(update={"interpreters": ("cam",), "sweep": (2, 4), "threat": threat})
    prepared = prepare(replace(asked, config=config), DECODER, Listener())
    run_audit(prepared, tmp_path / "run", DECODER, Listener())
    with RunReader(tmp_path / "run") as run:
        found = [record for record in run.records() if record.attack == "sweep"]
    assert len(found) == 2 * len({record.image_id for record in found}) > 0
    assert {record.epsilon_levels for record in found} == {2, 4}
    for record in found:
        assert record.status == "judged"
        assert record.epsilon_levels is not None
        assert record.linf_levels <= record.epsilon_levels
