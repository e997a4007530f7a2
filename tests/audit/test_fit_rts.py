"""From a folder of images to an RTS that the registry finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from skinaudit.audit.fit_rts import FitRequest, fit_rts, place_of, store
from skinaudit.classifier.classifier import load_classifier
from skinaudit.images.decoder import DirectDecoder
from skinaudit.interpreters.registry import build_interpreter
from skinaudit.interpreters.rts_file import file_digest
from skinaudit.interpreters.rts_fit import FitError
from skinaudit.interpreters.rts_schedule import FitSettings
from tests.bundles import make_bundle
from tests.small_folder import write_images

SETTINGS = FitSettings(epochs=1, batch_size=4, held_out=0.2)
PROBE = torch.full((1, 3, 32, 32), 0.5)


def request(folder: Path, labels: dict[str, str] | None = None, most: int | None = None) -> FitRequest:
    return FitRequest(folder / "images", labels or {}, most, SETTINGS, folder / "state", b"k" * 32)


def test_a_fitted_rts_lies_in_the_bundle_and_is_named_by_its_metadata(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny"))
    write_images(tmp_path / "images", 9)
    file = store(classifier, fit_rts(classifier, request(tmp_path), DirectDecoder()))
    assert file == place_of(classifier) == tmp_path / "tiny" / "interpreters" / "rts.safetensors"
    metadata = json.loads((tmp_path / "tiny" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["skinaudit"]["interpreters"] == {"rts": file_digest(file)}
    again = load_classifier(tmp_path / "tiny")
    assert again.digest == classifier.digest
    assert build_interpreter("rts", again, PROBE).explain(PROBE, torch.tensor([0])).shape == (1, 8, 8)


def test_another_place_leaves_the_bundle_as_it_is(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny"))
    before = (tmp_path / "tiny" / "configs" / "metadata.json").read_bytes()
    write_images(tmp_path / "images", 9)
    store(classifier, fit_rts(classifier, request(tmp_path), DirectDecoder()), tmp_path / "mine.safetensors")
    assert (tmp_path / "mine.safetensors").is_file()
    assert (tmp_path / "tiny" / "configs" / "metadata.json").read_bytes() == before
    assert not (tmp_path / "tiny" / "interpreters").exists()


def test_with_labels_the_classes_take_turns_and_the_rest_stays_out(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny"))
    paths = write_images(tmp_path / "images", 16)
    labels = {path.stem: "nv" for path in paths[:10]} | {path.stem: "mel" for path in paths[10:14]}
    told: list[tuple[int, int]] = []
    fitted = fit_rts(
        classifier, request(tmp_path, labels, 8), DirectDecoder(), loaded=lambda done, total: told.append((done, total))
    )
    assert fitted.images == 8
    assert told[-1] == (8, 8)


def test_a_folder_without_a_usable_image_is_an_error(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny"))
    write_images(tmp_path / "images", 2)
    with pytest.raises(FitError, match="none of 2 files is readable and labelled"):
        fit_rts(classifier, request(tmp_path, {"elsewhere": "mel"}), DirectDecoder())


def test_an_image_that_is_gone_by_then_is_left_out_with_its_reason(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny"))
    paths = write_images(tmp_path / "images", 10)
    told: list[str] = []

    def surveyed(done: int, total: int) -> None:
        if done == total:
            paths[0].unlink()

    fitted = fit_rts(classifier, request(tmp_path), DirectDecoder(), surveyed=surveyed, left_out=told.append)
    assert fitted.images == 9
    assert told == ["could be read at first, but not later: the file is missing"]
