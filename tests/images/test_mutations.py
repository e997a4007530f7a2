"""The damaged files of `tests.mutations`, and what decoding processes make of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from skinaudit.images.decode import FORMATS, Picture, decode
from skinaudit.images.workers import DecoderPool
from tests.mutations import SIZE, mutants, sources, write_mutants


def test_the_sources_are_sound_and_of_every_format(tmp_path: Path) -> None:
    formats = set()
    for name, data in sources().items():
        (tmp_path / name).write_bytes(data)
        picture = decode(tmp_path / name)
        assert picture.pixels.shape == (SIZE, SIZE, 3), name
        formats.add(picture.file_format)
    assert formats == set(FORMATS)


def test_a_seed_gives_the_same_files_and_another_seed_others() -> None:
    first, again, other = (dict(mutants(60, seed)) for seed in (0, 0, 1))
    assert first == again
    assert not set(first.values()) & set(other.values()) - {b""}
    assert len(set(first.values())) > 50
    assert {name.split("-")[1] for name in first} == {"flip", "cut", "splice", "number", "repeat"}


def test_what_is_read_of_damaged_files_is_a_picture_and_the_rest_has_a_reason(tmp_path: Path) -> None:
    paths = write_mutants(tmp_path, 300, seed=1)
    with DecoderPool(processes=2) as pool:
        answers = list(pool.stream(paths))
        assert len(pool.process_ids) == 2
    assert len(answers) == 300
    for path, answer in zip(paths, answers, strict=True):
        if isinstance(answer, Picture):
            assert answer.pixels.dtype == np.uint8
            assert answer.pixels.ndim == 3
        else:
            assert answer.reason
            assert not answer.reason.startswith("the decoder"), f"{path.name}: {answer.reason}"
    assert 30 < sum(isinstance(answer, Picture) for answer in answers) < 200
