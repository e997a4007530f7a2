from __future__ import annotations

import io
import zipfile
from collections import Counter, OrderedDict

import pytest
import torch
from torch import nn

from skinaudit.classifier import pickled
from skinaudit.classifier.pickled import NotPlainWeights, check_pickle
from tests.classifier import hostile


def pickle_in(content: object) -> bytes:
    with zipfile.ZipFile(io.BytesIO(hostile.saved(content))) as archive:
        return archive.read("archive/data.pkl")


def trained() -> dict[str, object]:
    """What training leaves: weights, optimiser, schedule, settings."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(2, 2).half())
    optimizer = torch.optim.Adam(network[0].parameters())
    network[0](torch.zeros(1, 3, 3, 3)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 2])
    return {
        "state_dict": network.state_dict(),
        "parameters": dict(network.named_parameters()),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "settings": {"lr": 1e-3, "steps": 10**12, "name": "näevus", "sizes": (1, (2, 3)), "flag": True, "none": None},
        "kinds": [torch.float32, torch.device("cpu"), OrderedDict(a=1), Counter("aab")],
    }


def test_what_training_leaves_is_accepted() -> None:
    check_pickle(pickle_in(trained()))
    for kind in (
        torch.float64,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    ):
        check_pickle(pickle_in({"x": torch.zeros(2, dtype=kind)}))


@pytest.mark.parametrize(
    "content",
    [nn.Linear(1, 1), {"x": {1, 2}}, {"x": 1j}, {"x": b"bytes"}, torch.zeros(3, dtype=torch.complex64), print],
)
def test_anything_else_is_refused(content: object) -> None:
    with pytest.raises(NotPlainWeights, match="which is not a dense tensor but may be code"):
        check_pickle(pickle_in(content))


def test_nesting_is_followed_through_the_memo() -> None:
    inner = b")" + b"".join(b"\x85q\x01h\x01\x86" for _ in range(30))
    check_pickle(b"\x80\x02" + b")" + b"\x85" * (pickled.MAX_DEPTH - 1) + b".")
    for deep in (b")" + b"\x85" * (pickled.MAX_DEPTH + 1), inner, b"]" + b"(]" * 60 + b"t" * 60):
        with pytest.raises(NotPlainWeights, match="nested deeper than 50 levels"):
            check_pickle(b"\x80\x02" + deep + b".")


def test_a_pickle_larger_than_the_cap_is_not_walked() -> None:
    with pytest.raises(NotPlainWeights, match=r"its pickle has .* bytes; at most"):
        check_pickle(bytes(pickled.MAX_BYTES + 1))


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"\x80\x02", b"\x80\x02X\xff\xff\xff\xff.", b"\x80\x02}q\x00", b"\xff"]
)
def test_a_damaged_pickle_is_refused(content: bytes) -> None:
    with pytest.raises(NotPlainWeights, match="its pickle is damaged"):
        check_pickle(content)
