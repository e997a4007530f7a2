"""The decoder of tests and benchmarks, and who may not use it."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import skinaudit
from skinaudit.images.decode import Picture, decode
from skinaudit.images.decoder import DirectDecoder, decode_found
from skinaudit.images.folder import find_images
from skinaudit.images.reading import Reading
from skinaudit.images.refusal import ImageRefused

PACKAGE = Path(skinaudit.__file__).parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "1.jpg").symlink_to(tmp_path / "0.png")
    (tmp_path / "2.jpg").write_bytes(b"torn")
    return tmp_path


def test_it_decodes_as_the_function_does(folder: Path) -> None:
    np.testing.assert_array_equal(DirectDecoder().decode(folder / "0.png").pixels, decode(folder / "0.png").pixels)
    with pytest.raises(ImageRefused, match="34 that are allowed"):
        DirectDecoder(Reading(max_pixels=34)).decode(folder / "0.png")


def test_every_found_file_has_its_answer_in_its_place(folder: Path) -> None:
    files = find_images(folder)
    answers = list(decode_found(files, DirectDecoder()))
    assert [file.relative for file in files] == ["0.png", "1.jpg", "1.png", "2.jpg", "2.png"]
    assert [isinstance(answer, Picture) for answer in answers] == [True, False, True, False, True]
    assert str(answers[1]) == "symbolic link"
    np.testing.assert_array_equal(answers[4].pixels, decode(folder / "2.png").pixels)


def test_nothing_above_the_images_decodes_in_its_own_process() -> None:
    """Users' files are decoded in processes with limits: nobody but this package takes the function itself."""
    takers = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and {one.name for one in node.names} & {"decode", "DirectDecoder"}:
                takers.add(path.relative_to(PACKAGE).as_posix())
    assert takers == {"images/decoder.py", "images/worker.py"}
