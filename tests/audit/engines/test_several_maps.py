"""A run with a costly interpreter on few images, and with one attack on several maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skinaudit.audit.engines.local import run_audit
from skinaudit.audit.plan import Stage
from skinaudit.audit.reader import RunReader
from skinaudit.audit.session import Prepared, prepare
from skinaudit.images.decoder import DirectDecoder
from skinaudit.report.render import render
from tests.audit.tiny_audit import BUDGET, Listener, request

DIRECT = DirectDecoder()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    asked = request(tmp_path_factory.mktemp("images"), count=8)
    budget = BUDGET.model_copy(update={"mask_images": 2, "mask_steps": 12})
    config = asked.config.model_copy(
        update={"interpreters": ("cam", "grad", "mask-fast"), "joint": True, "sweep": (2, 4), "budget": budget}
    )
    return prepare(replace(asked, config=config), DIRECT, Listener())


@pytest.fixture(scope="module")
def finished(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    run_audit(prepared, folder, DIRECT, Listener())
    return folder


def test_mask_is_asked_about_two_images_alone(prepared: Prepared, finished: Path) -> None:
    with RunReader(finished) as run:
        for attack in ("adv2", "pgd", "noise", "jpeg", "shift"):
            mine = [one for one in run.records() if one.attack == attack]
            asked = {name: {one.image_id for one in mine if one.interpreter == name} for name in ("cam", "mask-fast")}
            assert asked["cam"] == set(prepared.chosen)
            assert len(asked["mask-fast"]) == 2
        with_map = [image for image in run.images() if "map-mask-fast" in image.artifacts]
        assert {image.image_id for image in with_map} == asked["mask-fast"]


def test_images_that_mask_is_asked_about_come_first_where_all_are_judged(prepared: Prepared) -> None:
    order = prepared.concerned(Stage("noise", None))
    every = sorted(prepared.chosen)
    asked = [image_id for image_id in every if "mask-fast" in prepared.asked_about(image_id)]
    assert len(asked) == 2
    assert order == asked + [image_id for image_id in every if image_id not in asked]
    assert prepared.chosen == tuple(order)


def test_the_attack_on_all_maps_counts_only_where_every_map_is_kept(prepared: Prepared, finished: Path) -> None:
    with RunReader(finished) as run:
        records = [one for one in run.records() if one.attack == "joint"]
    for image_id in prepared.chosen:
        mine = [one for one in records if one.image_id == image_id]
        assert sorted(one.interpreter for one in mine) == ["cam", "grad"]
        assert {one.joint for one in mine} == {all(one.kept and one.flipped for one in mine)}


def test_every_smaller_radius_has_a_record_inside_it(prepared: Prepared, finished: Path) -> None:
    with RunReader(finished) as run:
        records = [one for one in run.records() if one.attack == "sweep"]
    rows = sorted((one.image_id, one.interpreter, one.epsilon_levels or 0) for one in records)
    assert rows == sorted((i, name, levels) for i in prepared.chosen for name in ("cam", "grad") for levels in (2, 4))
    assert all(0 < one.linf_levels <= (one.epsilon_levels or 0) for one in records)


def test_the_report_of_such_a_run_has_every_map_and_the_attack_on_all(finished: Path) -> None:
    report = render(finished).report
    assert [row.interpreter for row in report.interpreters] == ["cam", "grad", "mask-fast"]
    assert report.interpreters[0].arm("joint") is not None
    assert report.interpreters[2].arm("joint") is None
    assert [[point.levels for point in one.points] for one in report.sweeps] == [[2, 4, 8]] * 2
