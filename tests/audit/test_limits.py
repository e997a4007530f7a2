"""Where the drift limits of a run come from, with the measurement itself replaced."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from skinaudit.audit import limits
from skinaudit.audit.limits import drift_limits
from skinaudit.config import AuditConfig
from tests.audit.tiny_audit import DIRECT, Listener


def specimens(count: int) -> list[Any]:
    return [SimpleNamespace(image_id=f"{number:03d}", seed=number) for number in range(count)]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Image ids by interpreter, as they are asked to be measured on."""
    asked: dict[str, list[str]] = {}

    def measure(
        _judge: object, _preprocess: object, names: list[str], images: list[Any], _digest: str, **_rest: object
    ) -> list[Any]:
        asked.update({name: [one.image_id for one in images] for name in names})
        return [SimpleNamespace(interpreter=name) for name in names]

    monkeypatch.setattr(limits, "measure_drift", measure)
    monkeypatch.setattr(limits, "_calibration_images", lambda _classifier, source, *_rest: source)
    return asked


def found(stored: tuple[str, ...], config: AuditConfig, usable: int, attacked: int, said: Listener) -> dict[str, str]:
    classifier = SimpleNamespace(description=SimpleNamespace(calibration=None), digest="d", preprocess=None)
    chosen = {one.image_id for one in specimens(attacked)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            limits, "read_thresholds", lambda *_: {name: SimpleNamespace(interpreter=name) for name in stored}
        )
        thresholds, origins = drift_limits(
            cast("Any", classifier), cast("Any", None), config, specimens(usable), chosen, DIRECT, said
        )
    assert list(thresholds) == list(config.interpreters)
    return dict(origins)


def test_images_that_are_not_attacked_come_first_and_attacked_ones_fill_up(measured: dict[str, list[str]]) -> None:
    said = Listener()
    origins = found((), AuditConfig(interpreters=("cam", "mask")), 110, 50, said)
    assert origins == {"cam": "calibrated on the attacked images", "mask": "calibrated in this run"}
    assert measured["cam"] == [f"{number:03d}" for number in (*range(50, 110), *range(40))]
    assert measured["mask"] == [f"{number:03d}" for number in range(50, 80)]
    assert len(said.said) == 1
    assert "40 of the 100 images" in said.said[0]


def test_each_map_has_an_origin_of_its_own(measured: dict[str, list[str]]) -> None:
    origins = found(("cam", "rts"), AuditConfig(interpreters=("cam", "rts", "mask")), 40, 5, Listener())
    assert origins == {"cam": "bundle", "rts": "bundle", "mask": "calibrated in this run"}
    assert list(measured) == ["mask"]


def test_with_stored_limits_nothing_is_measured(measured: dict[str, list[str]]) -> None:
    assert found(("cam",), AuditConfig(interpreters=("cam",)), 4, 4, Listener()) == {"cam": "bundle"}
    assert not measured
