"""Refusals travel between processes and hold sizes against caps."""

from __future__ import annotations

import pickle

import pytest

from skinaudit.images.refusal import ImageRefused, check_file_size, check_size


@pytest.mark.parametrize("status", ["refused", "unreadable"])
def test_a_refusal_survives_pickling(status: str) -> None:
    error = pickle.loads(pickle.dumps(ImageRefused("the reason", status)))  # type: ignore[arg-type]
    assert (error.reason, error.status, error.refused) == ("the reason", status, status == "refused")
    assert str(error) == "the reason"


def test_exactly_the_cap_is_allowed_and_one_row_more_is_not() -> None:
    check_size(10, 10, 100)
    with pytest.raises(ImageRefused, match="10 x 11 pixels are more than the 100") as caught:
        check_size(10, 11, 100)
    assert caught.value.refused


def test_no_pixels_is_unreadable() -> None:
    with pytest.raises(ImageRefused, match="0 x 10") as caught:
        check_size(0, 10, 100)
    assert not caught.value.refused


def test_a_file_may_have_metadata_but_no_end() -> None:
    check_file_size(4 * 100 + 64 * 2**20, 100)
    with pytest.raises(ImageRefused, match="larger than a picture"):
        check_file_size(4 * 100 + 64 * 2**20 + 1, 100)
