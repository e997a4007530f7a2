"""Tiny but complete MONAI bundles with seeded random weights, for tests of every package."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from skinaudit.classifier.config_file import Value
from skinaudit.classifier.description import malignant_by_name
from skinaudit.classifier.networks import build_network

MEAN: list[Value] = [0.485, 0.456, 0.406]
DEVIATION: list[Value] = [0.229, 0.224, 0.225]


def tiny_densenet(outputs: int) -> dict[str, Value]:
    """Give the network definition of a DenseNet that takes milliseconds."""
    return {
        "_target_": "monai.networks.nets.DenseNet",
        "spatial_dims": 2,
        "in_channels": 3,
        "out_channels": outputs,
        "init_features": 8,
        "growth_rate": 4,
        "block_config": [2, 2],
    }


def usual_transforms(size: int) -> list[Value]:
    """Give the usual dictionary-form pre-processing: load, resize to a square, [0,1], ImageNet statistics."""
    return [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {"_target_": "Resized", "keys": "image", "spatial_size": [size, size], "mode": "bilinear"},
        {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0, "a_max": 255, "b_min": 0, "b_max": 1},
        {
            "_target_": "NormalizeIntensityd",
            "keys": "image",
            "subtrahend": MEAN,
            "divisor": DEVIATION,
            "channel_wise": True,
        },
    ]


def make_bundle(
    folder: Path,
    *,
    network: Mapping[str, Value] | None = None,
    transforms: Sequence[Value] | None = None,
    classes: Sequence[str] = ("mel", "nv", "bkl"),
    seed: int = 0,
    size: int = 32,
) -> Path:
    """Write a complete bundle folder and give its path.

    Args:
        folder: where the bundle goes; made if it does not exist.
        network: ``network_def`` as in inference.json; None: a tiny DenseNet.
        transforms: list under ``preprocessing``; None: ``usual_transforms``.
        classes: class names in the order of the outputs.
        seed: of the random weights.
        size: side of the square input of the usual transforms.
    """
    definition = dict(network) if network is not None else tiny_densenet(len(classes))
    arguments = {key: value for key, value in definition.items() if key != "_target_"}
    with torch.random.fork_rng(devices=[]):
        built = build_network(str(definition["_target_"]), arguments)
        _draw_weights(built, seed)
        if network is None:
            _balance(built)
    steps: list[Value] = list(transforms) if transforms is not None else usual_transforms(size)
    inference: dict[str, Value] = {
        "imports": ["$import glob"],
        "network_def": definition,
        "preprocessing": {"_target_": "Compose", "transforms": steps},
        "postprocessing": {"_target_": "Compose", "transforms": []},
        "evaluator": {"_target_": "SupervisedEvaluator", "network": "$@network_def.to('cpu')"},
    }
    channel_def: dict[str, Value] = {str(index): name for index, name in enumerate(classes)}
    metadata: dict[str, Value] = {
        "name": "tiny",
        "version": "0.0.1",
        "license": "Apache-2.0",
        "network_data_format": {"outputs": {"pred": {"type": "probabilities", "channel_def": channel_def}}},
        "skinaudit": {
            "class_titles": {name: f"title of {name}" for name in classes},
            "malignant": list(malignant_by_name(classes)),
            "measured": {"accuracy": 0.5},
        },
    }
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata, indent=2), encoding="utf-8")
    (folder / "configs" / "inference.json").write_text(json.dumps(inference, indent=2), encoding="utf-8")
    (folder / "docs" / "README.md").write_text("# tiny\n", encoding="utf-8")
    (folder / "LICENSE").write_text("Apache License 2.0\n", encoding="utf-8")
    save_file(
        {key: value.contiguous() for key, value in built.state_dict().items()}, folder / "models" / "model.safetensors"
    )
    return folder


def change_config(bundle: Path, file: str, changes: Mapping[str, Value]) -> Path:
    """Replace top-level entries of ``configs/<file>`` and give the bundle's path."""
    path = bundle / "configs" / file
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")
    return bundle


def _draw_weights(network: torch.nn.Module, seed: int) -> None:
    """Draw weights whose scale does not depend on what the library starts with."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / fan_in) ** 0.5)
            elif name.endswith("weight"):
                parameter.fill_(1.0)
            else:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)


def _balance(network: torch.nn.Module) -> None:
    """Move and stretch the last layer so that smooth pictures get different classes, and an attack can change them."""
    last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    coarse = torch.rand(64, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    pictures = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic").clamp(0, 1)
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    with torch.no_grad():
        logits = network.eval()((pictures - mean) / deviation)
        stretch = 2 / logits.std(0)
        last.weight *= stretch[:, None]
        last.bias.copy_((last.bias - logits.mean(0)) * stretch)
