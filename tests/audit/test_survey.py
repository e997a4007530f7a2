from __future__ import annotations

from pathlib import Path

from skinaudit.audit.survey import Specimen, balanced_choice


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
