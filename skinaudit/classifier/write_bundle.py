"""Plain weights made into a MONAI bundle: one folder that says what the command line had to say until now."""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save

from skinaudit.classifier.bundle_configs import NOT_STATED, inference, metadata, model_card
from skinaudit.classifier.classifier import Classifier, load_classifier
from skinaudit.classifier.code_archive import code_archive
from skinaudit.classifier.config_file import Value
from skinaudit.classifier.plain import PlainModel, open_plain
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.source import ModelSource

_LICENCE_MISSING = (
    "Licence not stated\n\nReplace this text by the licence of these weights, with the conditions of the images that "
    "they were trained on.\n"
)
#: Largest difference between a logit of the bundle and of the plain model.
_MOST_DIFFERENCE = 1e-5


@dataclass(frozen=True)
class BundleText:
    """What people call the model, and its licence; None where nobody stated it."""

    name: str | None = None
    licence: str | None = None


def import_weights(source: ModelSource, out: Path, text: BundleText) -> Classifier:
    """Write a bundle from plain weights, and give the plain model whose logits it was found to share.

    Args:
        source: weights, network, classes and pre-processing.
        out: folder of the bundle; must not exist.
        text: name and licence.

    Raises:
        ModelRefused: It is not plain weights, they cannot be used, or the bundle would not give the same logits.
        FileExistsError: There is something at ``out``.
        OSError: It cannot be written.
    """
    if source.place is None or source.place.is_dir():
        raise ModelRefused(f"{source.name}: only a file of plain weights can be made into a bundle.")
    kind = code_archive(source.place)
    if kind is not None:
        raise ModelRefused(
            f"{source.name}: is a {kind}; a bundle is data and cannot hold a program. Import the state_dict instead."
        )
    if out.exists() or out.is_symlink():
        raise FileExistsError(f"{out}: is there already, and nothing is overwritten; give another --out")
    plain = open_plain(source)
    # Written beside its place and renamed, so that an interrupted import leaves no half bundle.
    unfinished = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    try:
        _write(plain, unfinished, text)
        imported = Classifier(plain.description, plain.network)
        _check_same(imported, load_classifier(unfinished))
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return imported


def _write(plain: PlainModel, folder: Path, text: BundleText) -> None:
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir(parents=True)
    known = plain.description
    name = text.name or Path(known.name).stem
    _write_json(folder / "configs" / "metadata.json", metadata(plain, name, text.licence or NOT_STATED))
    _write_json(folder / "configs" / "inference.json", inference(plain))
    # A copy of each: safetensors refuses tensors that share memory.
    state = {key: value.detach().clone().contiguous() for key, value in plain.network.state_dict().items()}
    # Written here, because safetensors makes files that nobody else can read.
    (folder / "models" / "model.safetensors").write_bytes(save(state, metadata={"format": "pt"}))
    licence = _LICENCE_MISSING if text.licence is None else f"{text.licence}\n"
    (folder / "LICENSE").write_text(licence, encoding="utf-8")
    (folder / "docs" / "README.md").write_text(model_card(plain, name), encoding="utf-8")


def _write_json(path: Path, content: dict[str, Value]) -> None:
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")


def _check_same(before: Classifier, after: Classifier) -> None:
    """Compare the bundle with the model it was made from, on an image of noise."""
    noise = torch.rand(1, 3, *before.input_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        difference = float((before(noise) - after(noise)).abs().max())
    if not difference <= _MOST_DIFFERENCE:
        raise ModelRefused(f"{before.description.name}: the bundle gives logits {difference:g} away; not written.")
