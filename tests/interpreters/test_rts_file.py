from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from skinaudit.interpreters.rts_file import MAX_BYTES, RtsFileRefused, file_digest, read_generator, write_generator
from skinaudit.interpreters.rts_network import MaskGenerator, Scale

DIGEST = "ab" * 32


def blank(classes: int = 3) -> MaskGenerator:
    return MaskGenerator((Scale(6, (2, 2)), Scale(4, (4, 4))), classes, (8, 8))


def written(folder: Path) -> Path:
    write_generator(folder / "rts.safetensors", blank(), DIGEST)
    return folder / "rts.safetensors"


def rewrite(file: Path, change: str, value: Tensor | None) -> None:
    """Replace a tensor of the file, or take it away, and leave everything else."""
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    state = load_file(file)
    del state[change]
    save_file(state if value is None else {**state, change: value}, file, metadata=metadata)


def test_what_was_written_is_read_at_half_precision(tmp_path: Path) -> None:
    first, second = blank(), blank()
    digest = write_generator(tmp_path / "deep" / "rts.safetensors", first, DIGEST)
    file = tmp_path / "deep" / "rts.safetensors"
    assert digest == file_digest(file)
    read_generator(file, second, DIGEST, digest)
    for name, tensor in first.state_dict().items():
        expected = tensor.half().to(tensor.dtype) if tensor.is_floating_point() else tensor
        assert torch.equal(second.state_dict()[name], expected)
    assert [path.name for path in file.parent.iterdir()] == ["rts.safetensors"]
    assert file.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("change", "value", "words"),
    [
        ("last.bias", None, "1 missing: last.bias"),
        ("last.bias", torch.zeros(3, dtype=torch.float16), "of another shape"),
        ("last.bias", torch.zeros(2), "expected 16-bit floats"),
        ("last.bias", torch.full((2,), torch.nan, dtype=torch.float16), "NaN or infinite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change: str, value: Tensor | None, words: str) -> None:
    file = written(tmp_path)
    rewrite(file, change, value)
    with pytest.raises(RtsFileRefused, match=words):
        read_generator(file, blank(), DIGEST)


def test_a_generator_for_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RtsFileRefused, match="do not belong to the network"):
        read_generator(written(tmp_path), blank(classes=4), DIGEST)


def test_another_model_and_another_file_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path)
    with pytest.raises(RtsFileRefused, match=r"fitted for other weights \(abababababab, the model is cdcdcdcdcdcd\)"):
        read_generator(file, blank(), "cd" * 32)
    with pytest.raises(RtsFileRefused, match="not the file that configs/metadata"):
        read_generator(file, blank(), DIGEST, "cd" * 32)


def test_a_safetensors_file_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rts.safetensors"
    save_file({"weight": torch.zeros(3)}, file)
    with pytest.raises(RtsFileRefused, match="is no fitted RTS"):
        read_generator(file, blank(), DIGEST)


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04K\x01.", (2**40).to_bytes(8, "little"), b"\x02" + bytes(7) + b"{}x"]
)
def test_damaged_files_and_pickles_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "rts.safetensors"
    file.write_bytes(content)
    with pytest.raises(RtsFileRefused):
        read_generator(file, blank(), DIGEST)


def test_a_header_that_promises_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F16", "shape": [2**20], "data_offsets": [0, 2**21]}}).encode()
    file = tmp_path / "rts.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(RtsFileRefused, match="cut off or damaged"):
        read_generator(file, blank(), DIGEST)


def test_a_file_over_the_limit_is_not_opened(tmp_path: Path) -> None:
    file = tmp_path / "rts.safetensors"
    with file.open("wb") as opened:
        opened.truncate(MAX_BYTES + 1)
    with pytest.raises(RtsFileRefused, match="may have at most"):
        read_generator(file, blank(), DIGEST, "cd" * 32)


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_generator(tmp_path / "file" / "rts.safetensors", blank(), DIGEST)
