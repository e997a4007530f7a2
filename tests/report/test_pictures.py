from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skinaudit.config import ThreatModel
from skinaudit.report.findings import summarise
from skinaudit.report.palette import colour_table
from skinaudit.report.pictures import LONGEST_SIDE, OVERLAY, Gallery, amplification, difference, overlay, raster
from tests.report.synthetic import synthetic_run


def test_difference_is_grey_where_nothing_was_added_and_amplified_elsewhere() -> None:
    clean = np.full((4, 4, 3), 100, np.uint8)
    changed = clean.copy()
    changed[0, 0] = 104
    changed[1, 1] = 92
    shown = difference(clean, changed, 10)
    assert shown[0, 0, 0] == 167
    assert shown[1, 1, 0] == 47
    assert (shown[2:] == 127).all()


def test_the_largest_change_allowed_stays_inside_the_picture() -> None:
    for levels in (1, 8, 64):
        assert amplification(ThreatModel(epsilon=levels / 255)) * levels <= 127.5


def test_overlay_mixes_grey_photograph_and_map_colour() -> None:
    photograph = np.full((8, 8, 3), 200, np.uint8)
    shown = overlay(photograph, np.ones((2, 2), np.float32))
    assert np.abs(shown[0, 0] - ((1 - OVERLAY) * 200 + OVERLAY * colour_table()[255])).max() <= 1


def test_overlay_survives_values_outside_the_range() -> None:
    values = np.array([[np.nan, 7.0], [-3.0, np.inf]], np.float32)
    assert overlay(np.zeros((6, 6, 3), np.uint8), values).shape == (6, 6, 3)


def test_large_photographs_are_embedded_small() -> None:
    assert max(raster(np.zeros((900, 1200, 3), np.uint8)).getSize()) == LONGEST_SIDE


def test_a_picture_that_the_run_does_not_hold_is_none(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 14, pictures_of=2)
    view.image_rows = [image.model_copy(update={"artifacts": {}}) for image in view.image_rows]
    gallery, case = Gallery(view), summarise(view).interpreters[0].cases[0]
    assert gallery.photograph(case) is None
    assert gallery.map_before(case) is None
    assert gallery.change(case) is None
    assert gallery.adversarial(case) is not None


def test_interpreters_that_share_a_unit_keep_their_own_maps(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 14, pictures_of=2)
    view.record_rows = [
        row.model_copy(update={"unit_id": f"shared-{row.image_id}"}) if row.attack == "pgd" else row
        for row in view.record_rows
    ]
    gallery = Gallery(view)
    for result in summarise(view).interpreters:
        found = gallery.verdict(result.cases[0], "pgd")
        assert found is not None
        assert found.interpreter == result.interpreter
        assert result.interpreter in found.artifacts["map"]


def test_a_pickled_map_is_refused(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 14, pictures_of=2)
    case = summarise(view).interpreters[0].cases[0]
    record = Gallery(view).verdict(case, "adv2")
    assert record is not None
    np.save(view.artifact(record.artifacts["map"]), np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        Gallery(view).map_after(case, "adv2")


def test_overlay_has_the_size_of_its_photograph() -> None:
    photograph = np.asarray(Image.new("RGB", (30, 20)))
    assert overlay(photograph, np.zeros((7, 7), np.float32)).shape == (20, 30, 3)
