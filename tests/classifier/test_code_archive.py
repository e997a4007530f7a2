from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from skinaudit.classifier.code_archive import code_archive
from tests.plain_models import exported, scripted, tiny_weights

NETWORK = nn.Sequential(nn.Conv2d(3, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_archives_with_programs_are_told_by_their_entries(tmp_path: Path) -> None:
    assert code_archive(scripted(NETWORK, tmp_path / "a.pth")) == "TorchScript archive"
    assert code_archive(exported(NETWORK, tmp_path / "b.pt2")) == "torch.export archive"


def test_plain_weights_are_no_program(tmp_path: Path) -> None:
    torch.save(NETWORK.state_dict(), tmp_path / "plain.pt")
    torch.save(NETWORK, tmp_path / "module.pt")
    (tmp_path / "torn.pt").write_bytes(b"PK\x03\x04 no more")
    for path in (tmp_path / "plain.pt", tmp_path / "module.pt", tmp_path / "torn.pt", tiny_weights(tmp_path)):
        assert code_archive(path) is None


def test_an_archive_with_an_endless_directory_is_not_opened(tmp_path: Path) -> None:
    path = scripted(NETWORK, tmp_path / "a.pt")
    content = bytearray(path.read_bytes())
    record = len(content) - 98  # where torch writes the size of the directory in 64 bits
    assert content[record : record + 4] == b"PK\x06\x06"
    content[record + 40 : record + 48] = (2**40).to_bytes(8, "little")
    path.write_bytes(content)
    assert code_archive(path) is None


@pytest.mark.parametrize("name", ["serialized_exported_program.json", "x/models/model.json"])
def test_older_export_archives_are_known(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "old.pt2", "w") as archive:
        archive.writestr(name, "{}")
    assert code_archive(tmp_path / "old.pt2") == "torch.export archive"
