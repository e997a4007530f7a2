from __future__ import annotations

from pathlib import Path

import pytest
import torch

from skinaudit.classifier import archive
from skinaudit.classifier.archive import check_torch_archive
from skinaudit.classifier.refusal import ModelRefused
from tests.classifier import hostile


def test_what_torch_saves_is_accepted(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1000), "b": torch.zeros(0)}, tmp_path / "a.pt")
    check_torch_archive(tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(hostile.archive(hostile.entry(hostile.tensor(1, 1, 1)), {"x/data/0": bytes(4)}))
    check_torch_archive(tmp_path / "b.pt")


@pytest.mark.parametrize(
    ("cap", "limit", "message"),
    [
        ("MAX_ENTRIES", 2, "the archive has 3 entries; at most 2"),
        ("MAX_DIRECTORY_BYTES", 100, "the archive's directory has .* bytes; at most 100"),
        ("MAX_BYTES", 2, "its pickle has 3 bytes; at most 2"),
    ],
)
def test_an_archive_beyond_a_cap_is_refused(
    cap: str, limit: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.pt").write_bytes(hostile.archive(b"\x80\x02."))
    monkeypatch.setattr(archive, cap, limit)
    with pytest.raises(ModelRefused, match=f"^a.pt: not plain weights: {message}"):
        check_torch_archive(tmp_path / "a.pt")


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    content = hostile.archive(hostile.entry(b"N"), {"x/data/0": bytes(900)})
    # Another entry of the directory is said to be as long.
    place = content.rindex(b"PK\x01\x02", 0, content.rindex(b"x/data/0"))
    first = content.index(b"PK\x01\x02")
    sizes = content[place + 20 : place + 28]
    (tmp_path / "a.pt").write_bytes(content[: first + 20] + sizes + content[first + 28 :])
    with pytest.raises(ModelRefused, match=r"unpacks to|Overlapped|damaged|Bad"):
        check_torch_archive(tmp_path / "a.pt")
