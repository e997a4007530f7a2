from __future__ import annotations

from skinaudit.report.results import Average, Rate
from skinaudit.report.tally import average, rate
from skinaudit.report.wording import average_cell, date_text, epsilon_text, image_name, percent, rate_cell, rate_text
from tests.report.synthetic import excluded


def test_a_rate_of_few_images_states_counts_and_no_share() -> None:
    few = rate([True, True, False])
    assert rate_text(few) == "2 of 3 images (too few to say how often)"
    assert rate_cell(few) == ("2 of 3", "too few to say")


def test_a_rate_of_nothing_says_so() -> None:
    assert rate_text(rate([])) == "none (nothing was judged)"
    assert rate_cell(rate([])) == ("–", "n = 0")


def test_a_rate_carries_its_interval() -> None:
    known = Rate(successes=8, n=10, value=0.8, low=0.4902, high=0.9433)
    assert rate_text(known).replace("\u00a0", " ") == "8 of 10 images (80 %, 95 % interval 49–94 %)"


def test_a_share_that_is_not_nothing_is_never_printed_as_nothing() -> None:
    assert percent(0.002).replace("\u00a0", " ") == "< 1 %"
    assert percent(0.998).replace("\u00a0", " ") == "> 99 %"


def test_a_mean_of_few_images_is_not_stated() -> None:
    assert average([0.1] * 9) == Average(n=9, mean=None, low=None, high=None, median=None)
    assert average_cell(average([0.1] * 9)) == ("–", "too few to say")
    assert average_cell(average([])) == ("–", "n = 0")


def test_a_time_of_another_zone_is_printed_in_utc() -> None:
    assert date_text("2026-01-01T00:30:00+02:00") == "31 December 2025, 22:30 UTC"


def test_an_epsilon_that_is_no_whole_level_shows_both_forms() -> None:
    assert epsilon_text(4 / 255) == "4/255"
    assert epsilon_text(0.031).startswith("0.0310")


def test_a_drawn_image_is_called_drawn_wherever_it_is_named() -> None:
    image = excluded()[0]
    assert image_name(image) == "ff01ff01ff01"
    assert image_name(image.model_copy(update={"drawn": True, "file_name": "a.png"})) == "a.png (drawn)"
