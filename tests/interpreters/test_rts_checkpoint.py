from __future__ import annotations

from pathlib import Path

import pytest
import torch

from skinaudit.interpreters.rts_checkpoint import CheckpointRefused, FitState, read_state, write_state

STATE = FitState(
    position=3,
    epochs=[(1.5, {"area": 0.25})],
    generator={"weight": torch.arange(4.0)},
    best={"weight": torch.ones(4)},
    optimiser={"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99)}]},
)


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_state(tmp_path / "deep" / "state", "me", STATE)
    found = read_state(tmp_path / "deep" / "state", "me")
    assert (found.position, found.epochs) == (3, STATE.epochs)
    assert torch.equal(found.generator["weight"], STATE.generator["weight"])
    assert found.optimiser["param_groups"] == STATE.optimiser["param_groups"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["state"]


def test_a_state_of_another_fit_is_refused(tmp_path: Path) -> None:
    write_state(tmp_path / "state", "me", STATE)
    with pytest.raises(CheckpointRefused, match="other weights, images or settings"):
        read_state(tmp_path / "state", "you")


def test_a_torn_state_is_refused_and_a_torn_write_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "state"
    write_state(file, "me", STATE)
    (tmp_path / "state.tmp").write_bytes(file.read_bytes()[:100])  # as kill -9 leaves it
    assert read_state(file, "me").position == 3
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(CheckpointRefused, match="delete state to begin anew"):
        read_state(file, "me")


def test_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": torch.ones(2)}, tmp_path / "state")
    with pytest.raises(CheckpointRefused, match="is no checkpoint"):
        read_state(tmp_path / "state", "me")


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_state(tmp_path / "file" / "state", "me", STATE)
