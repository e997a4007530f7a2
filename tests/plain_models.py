"""Plain weights, archives and factories of tiny networks, for tests of models that are no bundles."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn

from skinaudit.classifier.config_file import Value
from skinaudit.classifier.networks import build_network
from skinaudit.classifier.source import ModelSource
from tests.bundles import make_bundle

#: The tiny DenseNet of the bundles, as the command line names it; MONAI's defaults fill in the rest.
TINY = "monai:DenseNet(init_features=8, growth_rate=4, block_config=(2, 2))"
TINY_ARGUMENTS: dict[str, Value] = {
    "spatial_dims": 2, "in_channels": 3, "out_channels": 3,
    "init_features": 8, "growth_rate": 4, "block_config": [2, 2],
}  # fmt: skip
CLASSES = ("mel", "nv", "bkl")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
#: The same in words of the command line.
DESCRIBED = ("--network", TINY, "--classes", "mel,nv,bkl", "--mean", "imagenet", "--size", "32")
STATED = ("--classes", "mel,nv,bkl", "--mean", "imagenet", "--size", "32")


def tiny_weights(folder: Path) -> Path:
    """The weights of a tiny bundle as a file of their own."""
    bundle = make_bundle(folder / "source-of-weights")
    return (bundle / "models" / "model.safetensors").rename(folder / "lesion.safetensors")


def tiny_network(weights: Path) -> nn.Module:
    """The same network built by hand."""
    from safetensors.torch import load_file

    network = build_network("monai.networks.nets.DenseNet", TINY_ARGUMENTS)
    network.load_state_dict(load_file(weights))
    return network.eval()


def plain_source(place: Path, **changes: object) -> ModelSource:
    """Everything that must be said of the tiny weights, with changes."""
    stated: dict[str, object] = {
        "network": TINY, "classes": CLASSES, "mean": IMAGENET[0], "std": IMAGENET[1], "size": (32, 32),
    }  # fmt: skip
    return ModelSource(place, **{**stated, **changes})  # type: ignore[arg-type]


def scripted(network: nn.Module, path: Path, *, size: int = 32) -> Path:
    """A TorchScript archive of a network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network, torch.rand(1, 3, size, size)).save(str(path))
    return path


def exported(network: nn.Module, path: Path, *, batch: int = 1, dynamic: bool = False, size: int = 32) -> Path:
    """A torch.export archive of a network, for batches of one size or of any."""
    shapes = ({0: torch.export.Dim("images")},) if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (torch.rand(batch, 3, size, size),), dynamic_shapes=shapes)
        torch.export.save(program, path)
    return path
