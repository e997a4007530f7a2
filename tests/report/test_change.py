from __future__ import annotations

import pytest

from skinaudit.config import Norm, ThreatModel
from skinaudit.report.change import allowed, capability, measured, noise, not_tested, place, where_it_enters

LINF = ThreatModel(epsilon=4 / 255)
FLOW = ThreatModel(norm=Norm.FLOW, flow_limit=0.5)
FULL = ThreatModel(full_resolution=True)


def test_a_radius_is_stated_where_values_change_and_a_length_where_pixels_move() -> None:
    assert allowed(LINF) == "L∞ at most 4/255"
    assert "4 of 255 grey levels" in capability(LINF)
    assert allowed(FLOW) == "pixels moved by at most 0.5 pixels"
    assert "fetched from at most 0.5 pixels away" in capability(FLOW)
    assert "255" not in capability(FLOW)
    assert noise(LINF) != noise(FLOW)


def test_the_place_of_the_change_is_named() -> None:
    assert (place(LINF), place(FULL)) == ("after resizing", "before resizing")
    assert "224 × 200" in where_it_enters(LINF, 224, 200)
    assert "which was not tested" in where_it_enters(LINF, 224, 200)
    assert "enters before resizing" in where_it_enters(FULL, 224, 200)
    assert "not tested" not in where_it_enters(FULL, 224, 200)


@pytest.mark.parametrize(
    ("threat", "resolution", "geometric"), [(LINF, True, True), (FLOW, True, False), (FULL, False, True)]
)
def test_what_was_tested_is_not_listed_as_untested(threat: ThreatModel, resolution: bool, geometric: bool) -> None:
    text = " ".join(not_tested(threat))
    assert ("full camera resolution" in text) == resolution
    assert ("geometric distortion" in text) == geometric


def test_displacements_are_stated_where_pixels_were_moved() -> None:
    assert measured(8, None, None).endswith("by more than 8 of 255 grey levels.")
    assert measured(31, 0.5, 0.2612).endswith(
        "31 of 255 grey levels; no pixel was moved further than 0.50 pixels, 0.26 on average over all pixels."
    )
