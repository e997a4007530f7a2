"""Success against the radius: counts by hand, words, pages."""

from __future__ import annotations

from io import BytesIO

from pypdf import PdfReader
from reportlab.graphics.shapes import Drawing
from reportlab.platypus import SimpleDocTemplate

from skinaudit.audit.records import Record
from skinaudit.report.findings.sweep import sweeps
from skinaudit.report.style import register_fonts
from skinaudit.report.sweep import sweeps as chapter
from tests.report.synthetic import header, verdict


def within(levels: int, kept: int, count: int = 20) -> list[Record]:
    return [
        verdict(f"image-{place:02d}", "sweep", kept=place < kept).model_copy(update={"epsilon_levels": levels})
        for place in range(count)
    ]


RECORDS = [
    *within(4, 12), *within(1, 2), *within(2, 7),
    *(verdict(f"image-{place:02d}", "adv2", kept=place < 18) for place in range(20)),
]  # fmt: skip


def test_points_come_by_radius_and_end_with_that_of_the_run() -> None:
    (found,) = sweeps(header(("cam",)), RECORDS)
    assert [(point.levels, point.joint.successes, point.joint.n) for point in found.points] == [
        (1, 2, 20), (2, 7, 20), (4, 12, 20), (8, 18, 20)
    ]  # fmt: skip
    assert all(point.flipped.successes == 20 for point in found.points)


def test_the_finding_names_the_radius_from_which_half_are_deceived() -> None:
    (found,) = sweeps(header(("cam",)), RECORDS)
    assert "half of the images or more are deceived within 4/255" in found.finding
    (weak,) = sweeps(header(("cam",)), [one for one in RECORDS if one.attack == "sweep" and one.epsilon_levels != 4])
    assert "too few" in weak.finding  # the run's own radius has no record


def test_a_curve_that_falls_is_no_from_on() -> None:
    records = [*within(1, 2), *within(4, 12), *(verdict(f"image-{n:02d}", "adv2", kept=n < 6) for n in range(20))]
    (found,) = sweeps(header(("cam",)), records)
    assert "deceived within 4/255" in found.finding
    assert "The search itself found fewer, 6 of 20 images" in found.finding
    assert "within 8/255, but the pictures of a smaller radius lie within a larger one" in found.finding
    (rising,) = sweeps(header(("cam",)), RECORDS)
    assert "fewer" not in rising.finding


def test_few_images_are_too_few_to_say() -> None:
    register_fonts()
    (found,) = sweeps(header(("cam",)), [*within(1, 1, 3), *(verdict(f"i{n}", "adv2") for n in range(3))])
    assert "too few" in found.finding
    assert found.points[0].joint.value is None
    assert not any(isinstance(one, Drawing) for one in chapter((found,)))  # axes without a point say nothing


def test_a_run_of_one_radius_has_no_curve() -> None:
    assert sweeps(header(("cam",)), [one for one in RECORDS if one.attack == "adv2"]) == ()


def test_the_chapter_prints_every_radius_and_rate() -> None:
    register_fonts()
    target = BytesIO()
    SimpleDocTemplate(target).build(chapter(sweeps(header(("cam",)), RECORDS)))
    text = "".join(page.extract_text() for page in PdfReader(target).pages)
    assert all(words in text for words in ("1/255", "2/255", "4/255", "8/255", "35", "60", "90"))
