"""Which of the candidates of an image is handed over: the order, on looks made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
import torch

from skinaudit.attacks.judge import Shown
from skinaudit.audit import judging
from skinaudit.audit.judging import _order, _Picture
from skinaudit.audit.workbench import Subject, Workbench


def picture(*looks: tuple[bool, bool, float, float]) -> _Picture:
    """A candidate by what each map shows of it: class reached, map kept, confidence, L1."""
    views = {
        str(place): SimpleNamespace(
            reached=reached, kept=kept, probabilities=(1 - p, p), shown_distance=SimpleNamespace(l1=l1)
        )
        for place, (reached, kept, p, l1) in enumerate(looks)
    }
    return _Picture(torch.zeros(3, 1, 1), b"", (), cast("dict[str, Shown]", views))


@pytest.fixture(autouse=True)
def _as_the_looks_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "chosen_target", lambda _bench, _subject: 1)
    monkeypatch.setattr(judging, "as_wanted", lambda _bench, _subject, view, _target: view.reached)
    monkeypatch.setattr(judging, "keeps", lambda _bench, _name, view: view.kept)


def best(*pictures: _Picture) -> int:
    bench, subject = cast("Workbench", None), cast("Subject", None)
    return min(range(len(pictures)), key=lambda place: _order(bench, subject, pictures[place]))


def test_the_class_comes_before_the_map_and_the_map_before_its_distance() -> None:
    assert best(picture((False, True, 0.99, 0.01)), picture((True, False, 0.6, 0.5))) == 1
    assert best(picture((True, False, 0.99, 0.01)), picture((True, True, 0.6, 0.5))) == 1
    assert best(picture((True, True, 0.99, 0.02)), picture((True, True, 0.96, 0.01))) == 1


def test_of_kept_maps_a_sure_diagnosis_comes_first() -> None:
    assert best(picture((True, True, 0.6, 0.01)), picture((True, True, 0.96, 0.02))) == 1
    assert best(picture((True, True, 0.6, 0.02)), picture((True, True, 0.8, 0.03))) == 0


def test_of_maps_that_drifted_the_nearest_comes_first_however_sure() -> None:
    assert best(picture((True, False, 0.6, 0.1)), picture((True, False, 0.99, 0.2))) == 0


def test_every_map_counts() -> None:
    both = picture((True, True, 0.96, 0.05), (True, True, 0.96, 0.05))
    assert best(picture((True, True, 0.96, 0.0), (True, False, 0.96, 0.01)), both) == 1
    assert best(picture((True, True, 0.96, 0.0), (True, True, 0.96, 0.2)), both) == 1
