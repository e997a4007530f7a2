"""What is said when the images of a run are others than it began with."""

from __future__ import annotations

import pytest

from skinaudit.audit.changed_images import changed_images
from skinaudit.audit.records import ImageRecord


def found(*names: str, label: str | None = None) -> list[ImageRecord]:
    return [
        ImageRecord(image_id=f"id-{name}", status="attacked", file_name=f"{name}.png", label=label) for name in names
    ]


def said(before: list[ImageRecord], now: list[ImageRecord], *, names: bool = False, begun_with: int = 0) -> str:
    return changed_images(before, begun_with or len(before), now, show_file_names=names)


def test_missing_and_new_images_are_counted_and_named_by_id() -> None:
    assert said(found("a", "b", "c"), found("c", "d")) == (
        "2 images are missing (id-a, id-b) and 1 image is new (id-d)"
    )
    assert said(found("a", "b"), found("b")) == "1 image is missing (id-a)"
    assert said(found("a"), found("a", "b")) == "1 image is new (id-b)"


def test_files_are_named_only_where_the_run_names_them() -> None:
    assert said(found("a", "b"), found("b"), names=True) == "1 image is missing (a.png)"
    nameless = [one.model_copy(update={"file_name": None}) for one in found("a", "b")]
    assert said(nameless, found("b"), names=True) == "1 image is missing (id-a)"


def test_three_are_named_and_the_others_counted() -> None:
    assert said(found("z"), found("z", *"abcde")) == "5 images are new (id-a, id-b, id-c and 2 more)"


def test_equal_images_are_no_difference() -> None:
    assert said(found("a", "b"), found("b", "a")) == ""


def test_labels_of_the_images_that_stayed_are_compared_as_well() -> None:
    assert said(found("a", "b", label="mel"), found("b", label="nv")) == (
        "1 image is missing (id-a) and 1 image has another label (id-b)"
    )


def test_where_no_image_is_the_same_the_likely_reasons_are_named() -> None:
    assert said(found("a", "b"), found("c", "d")) == (
        "none of its 2 images is there: is it another folder, or another --id-key?"
    )


@pytest.mark.parametrize(
    ("now", "phrase"),
    [
        (found("a", "b", "d"), "it began with 4 images and there are 3 now"),
        (found("b"), "it began with 4 images and there is 1 now, among the missing id-a"),
        (found("a", "b", "d", "e"), "it began with 4 images and there are 4 now, others among them"),
    ],
)
def test_of_a_run_that_had_not_looked_at_all_of_them_no_image_is_called_new(
    now: list[ImageRecord], phrase: str
) -> None:
    assert said(found("a", "b"), now, begun_with=4) == phrase
