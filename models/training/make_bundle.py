"""Turn a training checkpoint into a complete MONAI bundle that ships with the project.

    python models/training/make_bundle.py --checkpoint RUN_DIR/epoch-11.pt --out models/isic2018-efficientnet-lite0
    python models/training/make_bundle.py --checkpoint RUN_DIR/student/epoch-24.pt --half \
        --out models/isic2017-densenet121

The averaged weights of the checkpoint are written as safetensors; the other files come from the folder of the bundle's
name in ``templates/``. Figures, drift thresholds and fitted interpreters that belong to other weights are dropped; on
the same weights they stay.
"""

from __future__ import annotations

import argparse
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import torch
from model_card import fill_measured, kept_section, write_json
from safetensors.torch import save_file
from torch import Tensor

from skinaudit.classifier.classifier import load_classifier
from skinaudit.classifier.refusal import ModelRefused

TEMPLATES = Path(__file__).resolve().parent / "templates"


def read_averaged(checkpoint: Path, *, half: bool) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint, contiguous in the usual memory order, as 16-bit floats if asked for."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["averaged"]
    plain = {name: tensor.contiguous(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    return {name: tensor.half() if half and tensor.is_floating_point() else tensor for name, tensor in plain.items()}


def release(package: str) -> str:
    """Installed version without a build suffix such as +cpu."""
    return version(package).split("+")[0]


def metadata(template: Path, measured: dict[str, float], fitted: dict[str, str]) -> dict[str, object]:
    """The template's metadata with the installed versions and what is known of these weights."""
    content = json.loads((template / "metadata.json").read_text(encoding="utf-8"))
    content["monai_version"] = release("monai")
    content["pytorch_version"] = release("torch")
    content["numpy_version"] = release("numpy")
    content["required_packages_version"] = {name: release(name) for name in content["required_packages_version"]}
    content["skinaudit"]["measured"] = measured
    if fitted:
        content["skinaudit"]["interpreters"] = fitted
    content["eval_metrics"] = measured
    return dict(content)


def known_measures(out: Path) -> tuple[str, dict[str, float], dict[str, str]]:
    """Tensor digest, measured figures and fitted interpreters of a bundle that is there; nothing if unreadable."""
    try:
        classifier = load_classifier(out)
    except ModelRefused:
        return "", {}, {}
    return classifier.digest, dict(classifier.description.declared), dict(classifier.description.fitted or {})


def make_bundle(checkpoint: Path, out: Path, *, half: bool) -> str:
    """Write the bundle and give the digest of its tensors as the product's own loader sees them."""
    template = TEMPLATES / out.name
    old_digest, old_measured, old_fitted = known_measures(out)
    for folder in ("configs", "models", "docs"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    save_file(read_averaged(checkpoint, half=half), out / "models" / "model.safetensors", metadata={"format": "pt"})
    (out / "models" / "model.safetensors").chmod(0o644)  # safetensors leaves it readable by its owner alone
    shutil.copyfile(template / "LICENSE", out / "LICENSE")
    shutil.copyfile(template / "inference.json", out / "configs" / "inference.json")
    write_json(out / "configs" / "metadata.json", metadata(template, {}, {}))
    digest = load_classifier(out).digest
    card, readme = (template / "README.md").read_text(encoding="utf-8"), out / "docs" / "README.md"
    measured, fitted = (old_measured, old_fitted) if digest == old_digest else ({}, {})
    if digest != old_digest:
        (out / "skinaudit" / "calibration.json").unlink(missing_ok=True)
        shutil.rmtree(out / "interpreters", ignore_errors=True)
    elif readme.is_file():
        card = kept_section(card, readme.read_text(encoding="utf-8"), "rts")
    write_json(out / "configs" / "metadata.json", metadata(template, measured, fitted))
    readme.write_text(fill_measured(card, measured), encoding="utf-8")
    return digest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="epoch-NN.pt of a training script")
    parser.add_argument("--out", type=Path, required=True, help="bundle folder, made or updated")
    parser.add_argument("--half", action="store_true", help="store 16-bit floats")
    arguments = parser.parse_args()
    print(make_bundle(arguments.checkpoint, arguments.out, half=arguments.half))


if __name__ == "__main__":
    main()
