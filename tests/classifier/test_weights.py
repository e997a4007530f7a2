from __future__ import annotations

import json
import os
import struct
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from skinaudit.classifier import weights
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.weights import fit_weights, read_weights, tensor_digest


def network() -> nn.Module:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 2, 1), norm=nn.BatchNorm2d(2)))


def state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    start = network().state_dict()
    return {
        name: torch.randn(value.shape, generator=generator) if value.is_floating_point() else value.clone()
        for name, value in start.items()
    }


def raw_safetensors(path: Path, header: object, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


class Hostile:
    """Writes a file when it is unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_safetensors_and_torch_files_give_the_same_tensors(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "a.safetensors")
    torch.save(state(), tmp_path / "a.pt")
    torch.save({"state_dict": state(), "epoch": 3}, tmp_path / "nested.pt")
    torch.save({"model": state()}, tmp_path / "model.pt")
    for name in ("a.safetensors", "a.pt", "nested.pt", "model.pt"):
        read = read_weights(tmp_path / name)
        assert read.keys() == state().keys()
        assert all(torch.equal(read[key], value) for key, value in state().items())


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"conv.weight": Hostile(tmp_path / "ran")}, tmp_path / "model.pt")
    with pytest.raises(ModelRefused, match="not plain weights"):
        read_weights(tmp_path / "model.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [[1, 2], {"conv.weight": 3}, {1: torch.zeros(1)}, {"a": torch.eye(2).to_sparse()}])
def test_a_torch_file_of_something_else_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelRefused, match=r"not a state_dict|is not a dense tensor"):
        read_weights(tmp_path / "model.pt")


def test_a_damaged_torch_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"not weights")
    with pytest.raises(ModelRefused, match="not plain weights"):
        read_weights(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("header", "data", "length", "message"),
    [
        ({}, b"", 10**12, "cut off or damaged"),
        (b"{", b"", None, "the header is not JSON"),
        ([], b"", None, "not an object"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"", None, "do not fill the file"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"12345", None, "do not fill the file"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"1234", None, "needs others"),
        ({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, b"1234", None, "no readable type"),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"1234", None, "no readable type"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, b"1234", None, "no readable type"),
        ({"a": 1}, b"", None, "no readable type"),
        (
            {
                "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            },
            b"1234",
            None,
            "do not fill the file",
        ),
    ],
)
def test_a_damaged_safetensors_header_is_refused(
    header: object, data: bytes, length: int | None, message: str, tmp_path: Path
) -> None:
    path = raw_safetensors(tmp_path / "model.safetensors", header, data, length)
    with pytest.raises(ModelRefused, match=message):
        read_weights(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelRefused, match="cut off or damaged"):
        read_weights(tmp_path / "model.safetensors")


def test_a_file_larger_than_the_cap_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MAX_BYTES", 1000)
    torch.save({"a": torch.zeros(1000)}, tmp_path / "model.pt")
    with pytest.raises(ModelRefused, match="may have at most 1000"):
        read_weights(tmp_path / "model.pt")


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are a matter of Linux")
@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_a_path_that_is_not_utf_8_is_said_to_be_that(ending: str, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"m\xe9l" + ending.encode())
    path.write_bytes(b"0" * 100)
    with pytest.raises(ModelRefused, match="not UTF-8; rename"):
        read_weights(path)


def test_a_compressed_archive_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data/0", bytes(10**6))
    with pytest.raises(ModelRefused, match="an entry of the archive is compressed"):
        read_weights(tmp_path / "model.pt")


def test_weights_are_copied_into_the_network() -> None:
    fitted = network()
    fit_weights(fitted, state(), "weights")
    assert all(torch.equal(value, state()[name]) for name, value in fitted.state_dict().items())


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_takes_the_networks_type(half: torch.dtype) -> None:
    halves = {name: value.to(half) if value.is_floating_point() else value for name, value in state().items()}
    fitted = network()
    fit_weights(fitted, halves, "weights")
    assert torch.equal(fitted.state_dict()["conv.weight"], halves["conv.weight"].float())
    assert fitted.state_dict()["conv.weight"].dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv.bias": None}, "1 missing: conv.bias"),
        ({"head.weight": torch.zeros(1)}, "1 unexpected: head.weight"),
        ({"conv.bias": torch.zeros(5)}, r"1 of another shape: conv.bias \(5,\) instead of \(2,\)"),
        ({"conv.bias": torch.zeros(2, dtype=torch.int64)}, "1 of another type: conv.bias torch.int64"),
        ({"conv.bias": torch.zeros(2, dtype=torch.complex64)}, "1 of another type: conv.bias torch.complex64"),
        ({"conv.bias": torch.tensor([0.0, float("nan")])}, "NaN or infinite values in conv.bias"),
        ({"conv.bias": torch.tensor([0.0, 1e300], dtype=torch.float64)}, "NaN or infinite values in conv.bias"),
    ],
)
def test_weights_that_do_not_belong_to_the_network_are_refused(changes: dict[str, Tensor | None], message: str) -> None:
    changed = {name: value for name, value in {**state(), **changes}.items() if value is not None}
    with pytest.raises(ModelRefused, match=message):
        fit_weights(network(), changed, "weights")


def test_digest_is_that_of_the_tensors_not_of_the_file(tmp_path: Path) -> None:
    digests = set()
    save_file(state(), tmp_path / "a.safetensors")
    save_file(dict(reversed(state().items())), tmp_path / "b.safetensors", metadata={"note": "saved again"})
    torch.save({"state_dict": state()}, tmp_path / "c.pt")
    for name in ("a.safetensors", "b.safetensors", "c.pt"):
        fitted = network()
        fit_weights(fitted, read_weights(tmp_path / name), name)
        digests.add(tensor_digest(fitted.state_dict()))
    assert len(digests) == 1


def test_digest_sees_names_types_shapes_and_values() -> None:
    tensor = torch.arange(4, dtype=torch.float32)
    others = [
        {"b": tensor},
        {"a": tensor.double()},
        {"a": tensor.reshape(2, 2)},
        {"a": tensor + 1e-6},
        {"a": tensor, "b": tensor},
    ]
    digests = {tensor_digest(other) for other in others}
    assert len(digests) == len(others)
    assert tensor_digest({"a": tensor}) not in digests
    # A strided view holds the same values in another layout of memory.
    assert tensor_digest({"a": torch.arange(8, dtype=torch.float32)[::2] / 2}) == tensor_digest({"a": tensor})
