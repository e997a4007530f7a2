"""Whole audits on the four kinds of map of the paper at once, for entries other than a change of the model's input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from skinaudit.audit.engines.local import run_audit
from skinaudit.audit.fit_rts import FitRequest, fit_rts, store
from skinaudit.audit.reader import RunReader
from skinaudit.audit.session import prepare
from skinaudit.classifier.classifier import load_classifier
from skinaudit.config import Norm, ThreatModel
from skinaudit.interpreters.rts_schedule import FitSettings
from tests.audit.tiny_audit import BUDGET, DIRECT, Listener, photograph, request

MAPS = ("cam", "grad", "rts", "mask-fast")
SMALL = BUDGET.model_copy(
    update={"images": 2, "pgd_steps": 4, "cam_steps": 6, "grad_steps": 6, "rts_steps": 6, "mask_steps": 6}
)
THREATS = {
    "moved pixels": ThreatModel(norm=Norm.FLOW, flow_limit=2.0),
    "full resolution": ThreatModel(full_resolution=True),
}


@pytest.mark.parametrize("kind", THREATS)
def test_every_map_is_attacked_and_judged_and_no_change_is_larger_than_allowed(kind: str, tmp_path: Path) -> None:
    threat = THREATS[kind]
    asked = request(tmp_path, count=9, labels=False, budget=SMALL)
    for number, path in enumerate(sorted(asked.images.glob("photo_*.png"))):
        Image.fromarray(photograph(number, (48, 64))).save(path)
    classifier = load_classifier(tmp_path / "bundle")
    settings = FitSettings(epochs=1, batch_size=4, held_out=0.2)
    fit = FitRequest(asked.images, {}, None, settings, tmp_path / "state", b"k")
    store(classifier, fit_rts(classifier, fit, DIRECT))
    config = asked.config.model_copy(update={"interpreters": MAPS, "threat": threat})
    run_audit(prepare(replace(asked, config=config), DIRECT, Listener()), tmp_path / "run", DIRECT, Listener())
    with RunReader(tmp_path / "run") as run:
        records = [record for record in run.records() if record.attack in {"adv2", "pgd"}]
    assert sorted((one.interpreter, one.attack) for one in records) == sorted(
        (name, attack) for name in MAPS for attack in ("adv2", "pgd") for _ in range(SMALL.images)
    )
    for record in records:
        assert record.status == "judged"
        assert record.to_target is not None
        assert record.linf_levels > 0
        if threat.norm is Norm.FLOW:
            assert record.displacement_max is not None
            assert record.displacement_max <= 2.0 + 1e-5
        else:
            assert record.linf_levels <= 8
