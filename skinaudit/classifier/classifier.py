"""The classifier under audit: pixels in [0,1] to logits, with the bundle's intensity steps inside."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from skinaudit.classifier.bundle import METADATA, Bundle, read_bundle
from skinaudit.classifier.networks import build_network
from skinaudit.classifier.preprocess import Preprocess
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.weights import fit_weights, read_weights, tensor_digest


@dataclass(frozen=True)
class ModelFacts:
    """What identifies and describes a classifier in a report."""

    name: str
    version: str
    network: str
    parameters: int
    tensor_digest: str
    config_digest: str
    classes: tuple[str, ...]
    class_titles: tuple[str, ...]
    malignant: tuple[str, ...]
    input_size: tuple[int, int]
    preprocessing: tuple[str, ...]
    ignored: tuple[str, ...]
    licence: str
    declared: Mapping[str, float]


class Classifier(nn.Module):
    """A network in evaluation mode, frozen, behind its bundle's intensity steps.

    ``network`` is the bare network and ``intensity`` what stands before it; ``input_size`` is (h, w) in model
    orientation; ``digest`` names the network's tensors.
    """

    def __init__(self, bundle: Bundle, network: nn.Module) -> None:
        super().__init__()
        # A copy: moving the classifier to a device must not move the bundle's own layers.
        self.intensity = deepcopy(bundle.preprocess.intensity)
        self.network = network
        self.bundle = bundle
        self.digest = tensor_digest(network.state_dict())
        self.requires_grad_(requires_grad=False)
        self.eval()

    @property
    def preprocess(self) -> Preprocess:
        """Geometry before the attack, and back to the photograph's orientation."""
        return self.bundle.preprocess

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return self.bundle.classes

    @property
    def titles(self) -> tuple[str, ...]:
        """Class names for people, in the same order."""
        return self.bundle.titles

    @property
    def malignant(self) -> tuple[str, ...]:
        """Names of the malignant classes."""
        return self.bundle.malignant

    @property
    def input_size(self) -> tuple[int, int]:
        """(h, w) of the input in model orientation."""
        return self.bundle.preprocess.spatial

    def forward(self, x: Tensor) -> Tensor:
        """Classify pixels.

        Args:
            x: (N,3,h,w) in [0,1], model orientation.

        Returns:
            Logits (N,K) float32.

        Raises:
            ModelRefused: The network gives no logits.
        """
        return _logits(self.network(self.intensity(x))).to(torch.float32)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode whatever is asked: the object under audit must not change during it."""
        del mode
        return super().train(mode=False)

    def card(self) -> ModelFacts:
        """Collect what a report says about this classifier."""
        bundle = self.bundle
        arguments = ", ".join(f"{key}={value}" for key, value in bundle.network_arguments.items())
        return ModelFacts(
            name=bundle.name,
            version=bundle.version,
            network=f"{bundle.network_target}({arguments})",
            parameters=sum(parameter.numel() for parameter in self.network.parameters()),
            tensor_digest=self.digest,
            config_digest=bundle.config_digest,
            classes=bundle.classes,
            class_titles=bundle.titles,
            malignant=bundle.malignant,
            input_size=self.input_size,
            preprocessing=bundle.preprocess.describe(),
            ignored=bundle.ignored,
            licence=bundle.licence,
            declared=dict(bundle.declared),
        )


def load_classifier(path: Path, device: torch.device | None = None) -> Classifier:
    """Read a bundle, build its network, fit the weights and try one grey image.

    Args:
        path: bundle folder.
        device: where the classifier goes; None: the CPU.

    Raises:
        ModelRefused: The bundle, its weights or its network cannot be used; or outputs and classes do not match.
    """
    bundle = read_bundle(path)
    try:
        network = build_network(bundle.network_target, bundle.network_arguments)
        fit_weights(network, read_weights(bundle.weights), bundle.weights.name)
        classifier = Classifier(bundle, network)
        _check_outputs(classifier)
    except ModelRefused as error:
        raise ModelRefused(f"{path.name}: {error}") from error
    return classifier.to(device or torch.device("cpu"))


def find_models(root: Path) -> list[Path]:
    """List bundle folders at ``root`` and directly under it, sorted by name. Links are not followed."""
    if (root / METADATA).is_file():
        return [root]
    if not root.is_dir():
        return []
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.is_symlink())
    return [folder for folder in folders if (folder / METADATA).is_file()]


def shipped_models() -> dict[str, Path]:
    """Find the bundles that come with the tool: beside the package in a checkout, else where a wheel puts them."""
    package = Path(__file__).resolve().parent.parent
    places = (package.parent / "models", package / "models", Path(sys.prefix) / "share" / "skinaudit" / "models")
    found: dict[str, Path] = {}
    for place in places:
        for model in find_models(place):
            found.setdefault(model.name, model)
    return found


def _logits(output: object) -> Tensor:
    """Take the logits out of what a network returns: MONAI's ViT returns a tuple, some networks a dict."""
    if isinstance(output, tuple | list) and output:
        output = output[0]
    elif isinstance(output, Mapping):
        output = next((output[key] for key in ("logits", "pred", "out") if key in output), None)
    if not isinstance(output, Tensor) or output.ndim != 2:
        shape = f" of shape {tuple(output.shape)}" if isinstance(output, Tensor) else ""
        raise ModelRefused(f"the network gives a {type(output).__name__}{shape} where logits (N,K) are expected.")
    return output


def _check_outputs(classifier: Classifier) -> None:
    grey = torch.full((1, 3, *classifier.input_size), 0.5)
    try:
        with torch.inference_mode():
            logits = classifier(grey)
    except ModelRefused:
        raise
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise ModelRefused(f"the network cannot take a {classifier.input_size} image: {error}") from error
    if logits.shape[1] != len(classifier.classes):
        raise ModelRefused(
            f"the network has {logits.shape[1]} outputs, but {METADATA} names {len(classifier.classes)} classes. "
            "Make them agree."
        )
    if not bool(logits.isfinite().all()):
        raise ModelRefused("a grey image gives NaN or infinite logits; the weights or the pre-processing are broken.")
