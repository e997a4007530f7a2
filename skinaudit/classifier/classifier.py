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

from skinaudit.classifier.bundle import METADATA
from skinaudit.classifier.description import Description
from skinaudit.classifier.model_code import code_of_a_model
from skinaudit.classifier.opening import open_model
from skinaudit.classifier.preprocess import Preprocess
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.source import ModelSource
from skinaudit.classifier.weights import tensor_digest


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
    kind: str
    assumed: tuple[str, ...]
    trusted_code: str


class Classifier(nn.Module):
    """A network in evaluation mode, frozen, behind its declared intensity steps.

    ``network`` is the bare network and ``intensity`` what stands before it; ``input_size`` is (h, w) in model
    orientation; ``digest`` names the model by the network's tensors, and by its code where it brings some.
    """

    def __init__(self, description: Description, network: nn.Module) -> None:
        super().__init__()
        # A copy: moving the classifier to a device must not move the description's own layers.
        self.intensity = deepcopy(description.preprocess.intensity)
        self.network = network
        self.description = description
        self.tensor_digest = tensor_digest(network.state_dict())
        self.digest = description.digest(self.tensor_digest)
        self.requires_grad_(requires_grad=False)
        self.eval()

    @property
    def preprocess(self) -> Preprocess:
        """Geometry before the attack, and back to the photograph's orientation."""
        return self.description.preprocess

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return self.description.classes

    @property
    def titles(self) -> tuple[str, ...]:
        """Class names for people, in the same order."""
        return self.description.titles

    @property
    def malignant(self) -> tuple[str, ...]:
        """Names of the malignant classes."""
        return self.description.malignant

    @property
    def input_size(self) -> tuple[int, int]:
        """(h, w) of the input in model orientation."""
        return self.description.preprocess.spatial

    def forward(self, x: Tensor) -> Tensor:
        """Classify pixels.

        Args:
            x: (N,3,h,w) in [0,1], model orientation.

        Returns:
            Logits (N,K) float32.

        Raises:
            ModelRefused: The network gives no logits, or it is trusted code and fails; lack of memory passes as it is.
        """
        if self.description.code is None:
            return _logits(self.network(self.intensity(x))).to(torch.float32)
        with code_of_a_model(self.description.name):
            return _logits(self.network(self.intensity(x))).to(torch.float32)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode whatever is asked: the object under audit must not change during it."""
        del mode
        return super().train(mode=False)

    def card(self) -> ModelFacts:
        """Collect what a report says about this classifier."""
        known = self.description
        return ModelFacts(
            name=known.name,
            version=known.version,
            network=known.network,
            parameters=sum(parameter.numel() for parameter in self.network.parameters()),
            tensor_digest=self.tensor_digest,
            config_digest=known.config_digest,
            classes=known.classes,
            class_titles=known.titles,
            malignant=known.malignant,
            input_size=self.input_size,
            preprocessing=known.preprocess.describe(),
            ignored=known.ignored,
            licence=known.licence,
            declared=dict(known.declared),
            kind=known.kind,
            assumed=known.assumed,
            trusted_code="" if known.code is None else str(known.code),
        )


def load_classifier(source: ModelSource | Path, device: torch.device | None = None) -> Classifier:
    """Open a model, fit its weights and try one grey image.

    Args:
        source: where the model comes from; a path alone is a bundle folder.
        device: where the classifier goes; None: the CPU.

    Raises:
        ModelRefused: The model, its weights or its network cannot be used; or outputs and classes do not match.
    """
    asked = ModelSource(source) if isinstance(source, Path) else source
    classifier = Classifier(*open_model(asked))
    try:
        _check_outputs(classifier)
    except ModelRefused as error:
        raise ModelRefused(f"{asked.name}: {error}") from error
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
    except Exception as error:
        foreseen = isinstance(error, RuntimeError | ValueError | AssertionError | TypeError)
        if not foreseen and classifier.description.code is None:
            raise
        raise ModelRefused(f"the network cannot take a {classifier.input_size} image: {error}") from error
    if logits.shape[1] != len(classifier.classes):
        raise ModelRefused(
            f"the network has {logits.shape[1]} outputs, but {classifier.description.classes_in} names "
            f"{len(classifier.classes)} classes. Make them agree."
        )
    if not bool(logits.isfinite().all()):
        raise ModelRefused("a grey image gives NaN or infinite logits; the weights or the pre-processing are broken.")
