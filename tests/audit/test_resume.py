from __future__ import annotations

from collections.abc import Callable

import pytest

from skinaudit.audit.records import RunHeader
from skinaudit.audit.resume import differences
from skinaudit.config import AuditConfig, ThreatModel
from tests.audit.rows import header, threshold


def compared(new: RunHeader) -> list[str]:
    return differences(header().model_dump(mode="json"), new.model_dump(mode="json"))


@pytest.mark.parametrize(
    ("new", "phrase"),
    [
        (lambda: header(tool_version="0.2.0"), "version of skinaudit was 0.1.0, now 0.2.0"),
        (lambda: header(images_digest="e" * 64), "the images (digest) was cccccccccccc…, now eeeeeeeeeeee…"),
        (lambda: header(labels_given=False), "labels given was yes, now no"),
        (lambda: header(subgroups=("sex", "age")), "label columns of subgroups was none, now (sex, age)"),
        (
            lambda: header(model=header().model.model_copy(update={"tensor_digest": "f" * 64})),
            "the model's weights (digest) was aaaaaaaaaaaa…, now ffffffffffff…",
        ),
        (
            lambda: header(model=header().model.model_copy(update={"config_digest": "f" * 64})),
            "the model's configuration (digest) was bbbbbbbbbbbb…, now ffffffffffff…",
        ),
        (lambda: header(config=AuditConfig(threat=ThreatModel(epsilon=4 / 255))), "epsilon was 8/255, now 4/255"),
        (lambda: header(config=AuditConfig(threat=ThreatModel(epsilon=0.031))), "epsilon was 8/255, now 0.031"),
        (lambda: header(config=AuditConfig(batch_size=4)), "batch size was 8, now 4"),
        (
            lambda: header(config=AuditConfig(interpreters=("cam",))),
            "interpreters was (cam, grad, rts, mask), now (cam)",
        ),
        (lambda: header(thresholds=(threshold(l1=0.06),)), "threshold cam l1 was 0.05, now 0.06"),
        (lambda: header(environment={**header().environment, "threads": "2"}), "threads was 1, now 2"),
        (
            lambda: header(environment={"threads": "1", "device class": "cpu"}),
            "precision was fp32, now none",
        ),
    ],
)
def test_a_difference_that_decides_results_is_named_with_both_values(new: Callable[[], RunHeader], phrase: str) -> None:
    assert compared(new()) == [phrase]


def test_what_does_not_decide_results_may_differ() -> None:
    other = header(
        run_id="run-2",
        created="2030-01-01T00:00:00Z",
        command="another",
        environment={**header().environment, "python": "3.13"},
        model=header().model.model_copy(update={"name": "renamed"}),
    )
    assert compared(other) == []


def test_a_threshold_more_is_named() -> None:
    phrases = compared(header(thresholds=(threshold(), threshold("grad"))))
    assert "threshold grad l1 was none, now 0.05" in phrases
    assert all(phrase.startswith("threshold grad") for phrase in phrases)


def test_several_differences_are_all_named() -> None:
    assert len(compared(header(tool_version="2", labels_given=False, images_digest="e" * 64))) == 3


def test_a_header_of_another_version_can_still_be_compared() -> None:
    old = {"tool_version": "0.0.1", "config": {"colour": "red"}}
    phrases = differences(old, header().model_dump(mode="json"))
    assert "version of skinaudit was 0.0.1, now 0.1.0" in phrases
    assert "colour was red, now none" in phrases


def test_other_images_are_told_in_words_and_what_follows_from_them_is_not() -> None:
    calibrated = {"threshold_origins": {"cam": "calibrated in this run"}}
    changed = threshold(l1=0.06).model_copy(update={"by_change": {"jpeg": (0.05, 118)}})
    old = header(labels_digest="1" * 64, **calibrated)
    new = header(images_digest="e" * 64, labels_digest="2" * 64, thresholds=(changed,), **calibrated)
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    assert differences(before, after, "1 image is missing (77aa)") == ["1 image is missing (77aa)"]
    assert differences(before, after) == ["the images (digest) was cccccccccccc…, now eeeeeeeeeeee…"]


def test_limits_of_the_model_do_not_follow_from_the_images() -> None:
    phrases = compared(header(images_digest="e" * 64, thresholds=(threshold(l1=0.06),)))
    assert "threshold cam l1 was 0.05, now 0.06" in phrases


def test_how_limits_came_about_decides_nothing() -> None:
    other = threshold().model_copy(update={"by_change": {"jpeg": (0.05, 118)}})
    assert compared(header(thresholds=(other,))) == []


def test_a_run_of_a_version_without_subgroups_has_none() -> None:
    old = header().model_dump(mode="json")
    del old["subgroups"]
    assert differences(old, header().model_dump(mode="json")) == []
