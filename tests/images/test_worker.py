"""The loop of a decoding process, without its limits (those are for good: see test_workers)."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skinaudit.images.decode import Picture, decode
from skinaudit.images.frames import read_answer, write_frame
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused
from skinaudit.images.worker import answer_requests


def requests(*paths: Path) -> io.BytesIO:
    stream = io.BytesIO()
    for path in paths:
        write_frame(stream, os.fsencode(path))
    stream.seek(0)
    return stream


def test_every_request_gets_its_answer_in_order(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "möle.png")
    answers = io.BytesIO()
    answer_requests(requests(tmp_path / "none.png", tmp_path / "möle.png"), answers, decode, Reading(), 60)
    answers.seek(0)
    first, second = read_answer(answers, 35), read_answer(answers, 35)
    assert isinstance(first, ImageRefused)
    assert first.reason == "the file is missing"
    assert isinstance(second, Picture)
    np.testing.assert_array_equal(second.pixels, pixels)


def test_choices_reach_the_decoder(tmp_path: Path) -> None:
    told: list[Reading] = []

    def decoder(_path: Path, reading: Reading) -> Picture:
        told.append(reading)
        raise ImageRefused("no")

    chosen = Reading(max_pixels=9, frame=3, burned_in=True)
    answer_requests(requests(tmp_path), io.BytesIO(), decoder, chosen, 60)
    assert told == [chosen]


@pytest.mark.parametrize("error", [MemoryError, ZeroDivisionError])
def test_what_is_no_refusal_ends_the_process(error: type[Exception], tmp_path: Path) -> None:
    def decoder(_path: Path, _reading: Reading) -> Picture:
        raise error

    with pytest.raises(error):
        answer_requests(requests(tmp_path), io.BytesIO(), decoder, Reading(), 0)
