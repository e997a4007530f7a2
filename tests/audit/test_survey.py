from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from skinaudit.audit.survey import Specimen, balanced_choice, labels_digest, survey
from skinaudit.images.identity import digest_of_images
from tests.audit.tiny_audit import DIRECT, write_photographs


def specimens(count: int) -> list[Specimen]:
    return [Specimen(f"id{n}", Path(f"{n}.png"), f"{n}.png", "readable", seed=n) for n in range(count)]


def test_choice_takes_the_classes_in_turn() -> None:
    classes = {f"id{n}": "nv" if n < 90 else "mel" for n in range(100)}
    chosen = balanced_choice(specimens(100), classes, 20)
    assert sum(classes[image_id] == "mel" for image_id in chosen) == 10
    assert len(chosen) == 20


def test_choice_does_not_depend_on_the_order_of_files() -> None:
    classes = {f"id{n}": n % 3 for n in range(30)}
    assert balanced_choice(specimens(30), classes, 7) == balanced_choice(specimens(30)[::-1], classes, 7)


def test_no_limit_takes_all() -> None:
    classes = {f"id{n}": 0 for n in range(5)}
    assert len(balanced_choice(specimens(5), classes, None)) == 5


def test_subgroups_reach_the_specimens_of_their_images(tmp_path: Path) -> None:
    write_photographs(tmp_path, 3)
    said = {"photo_00": {"sex": "f"}, "photo_02": {"sex": "m", "age": "50-59"}}
    found = {one.file_name: one.subgroups for one in survey(tmp_path, {}, b"k" * 32, 0, DIRECT, subgroups=said)}
    assert found == {"photo_00.png": said["photo_00"], "photo_01.png": {}, "photo_02.png": said["photo_02"]}
    assert all(one.subgroups == {} for one in survey(tmp_path, {}, b"k" * 32, 0, DIRECT))


def test_digest_of_labels_without_subgroups_is_that_of_the_pairs_alone() -> None:
    plain = [replace(one, label="mel") for one in specimens(3)]
    assert labels_digest(plain) == digest_of_images(["id0 mel", "id1 mel", "id2 mel"])


def test_digest_of_labels_covers_every_subgroup_and_no_order_of_columns() -> None:
    plain = [replace(one, label="mel") for one in specimens(3)]
    values: list[dict[str, str]] = [{"sex": "f", "age": "50-59"}, {"sex": "m", "age": "50-59"}, {"sex": "f"}, {}]
    digests = {labels_digest([replace(plain[0], subgroups=value), *plain[1:]]) for value in values}
    assert len(digests) == len(values)
    turned = replace(plain[0], subgroups={"age": "50-59", "sex": "f"})
    assert labels_digest([turned, *plain[1:]]) == labels_digest([replace(plain[0], subgroups=values[0]), *plain[1:]])
