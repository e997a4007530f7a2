"""Does the network get its images the way it was trained on them: the right way round, in the right range?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skinaudit.classifier.classifier import Classifier
from skinaudit.classifier.device_memory import is_out_of_memory
from skinaudit.classifier.finding import NORMALISATION, ORIENTATION, Finding, finding
from skinaudit.classifier.probe import AT_ONCE, PASS_ERRORS, intensity_replaced, logits_of
from skinaudit.metrics.intervals import mcnemar

#: Fewest labelled images for a comparison of accuracies; how much better the other input must be, and its p at most.
FEWEST_LABELLED, BETTER_BY, _SURE = 10, 0.20, 0.01
#: Mean confidence without labels: this much higher is worth a note.
_SURER_BY = 0.10
#: Divergence of the first batch norm's input from its stored statistics (nats): doubtful, poor, good; and how many
#: times closer "far better" is. On four sets of dermoscopy the shipped model lies at 0.01 to 0.1 with its own
#: normalisation, at 0.4 to 0.5 with pixels in -1 to 1, at 0.8 to 1.0 with none.
_DOUBTFUL, _POOR, _GOOD, _TIMES = 0.35, 0.6, 0.25, 4.0

_TURNS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda x: F.interpolate(x.transpose(2, 3), x.shape[2:], mode="bilinear", antialias=True),
    "upside down": lambda x: x.flip(2),
    "mirrored": lambda x: x.flip(3),
    "with blue before red": lambda x: x.flip(1),
}


class Affine(nn.Module):
    """(scale · x − mean) / deviation on pixels (N,3,h,w) in [0,1]."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, scale: float, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        return (self.scale * x - self.mean) / self.deviation


def usual_intensities() -> dict[str, nn.Module]:
    """What networks are usually trained on, by name."""
    return {
        "pixels in 0 to 1": Affine(1.0, (0.0,), (1.0,)),
        "pixels in -1 to 1": Affine(1.0, (0.5,), (0.5,)),
        "pixels in 0 to 255": Affine(255.0, (0.0,), (1.0,)),
        "ImageNet mean and deviation": Affine(1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    }


@dataclass(frozen=True)
class _Comparison:
    """The input that does best among others: right answers of ``n``, and McNemar's p against the declared input."""

    name: str
    right: int
    declared: int
    n: int
    p_value: float

    @property
    def far_better(self) -> bool:
        """Is it so much better that chance and the number of inputs tried do not explain it?"""
        return self.right - self.declared >= BETTER_BY * self.n and self.p_value < _SURE

    @property
    def words(self) -> str:
        """The evidence."""
        return (
            f"{self.declared} of {self.n} labelled images are right as declared, {self.right} {self.name} "
            f"(p = {self.p_value:.2g})"
        )


def orientation_finding(
    classifier: Classifier, images: Tensor, outputs: Tensor, labels: Tensor, at_once: int = AT_ONCE
) -> Finding:
    """Does the model do better when images are turned, or red and blue exchanged?

    Args:
        classifier: the model.
        images: (N,3,h,w) in [0,1].
        outputs: its outputs (N,K) on them.
        labels: (N) class indices, -1 where unknown.
        at_once: images of one pass.
    """
    turned = {name: logits_of(classifier, turn(images), at_once) for name, turn in _TURNS.items()}
    best = _best(outputs, turned, labels)
    if best is not None:
        evidence = f"{best.words}." if best.far_better else f"No turn does far better: {best.words}."
        if best.far_better:
            return finding(
                "alarm", ORIENTATION, evidence,
                "The network was trained on images that lie another way: what is audited is a model fed wrongly.",
                "The tool feeds what the bundle declares. Correct its axis order (reverse_indexing) or channels.",
            )  # fmt: skip
        return finding("ok", ORIENTATION, evidence, "The images lie as the network expects them.")
    own, own_entropy = _certainty(outputs)
    name, (certainty, entropy) = max(
        ((name, _certainty(other)) for name, other in turned.items()), key=lambda pair: pair[1][0]
    )
    evidence = (
        f"Mean confidence {own:.3f} (entropy {own_entropy:.3f} nats) as declared, {certainty:.3f} ({entropy:.3f}) "
        f"{name}, the surest of {len(turned)} turns; fewer than {FEWEST_LABELLED} labels were given."
    )
    if certainty - own > _SURER_BY:
        return finding("note", ORIENTATION, evidence, "The images may lie another way than the network expects.",
                       "Give labels to find out.")  # fmt: skip
    return finding("ok", ORIENTATION, evidence, "Nothing speaks for another orientation; labels would say more.")


def normalisation_finding(
    classifier: Classifier, images: Tensor, outputs: Tensor, labels: Tensor, at_once: int = AT_ONCE
) -> Finding:
    """Is the network given the pixel range it was trained on? Arguments as in ``orientation_finding``."""
    others = _others(classifier, images)
    scored = {}
    for name, layer in others.items() if int((labels >= 0).sum()) >= FEWEST_LABELLED else ():
        with intensity_replaced(classifier, layer):
            scored[f"with {name}"] = logits_of(classifier, images, at_once)
    best = _best(outputs, scored, labels)
    said = f" {best.words}." if best is not None else ""
    if best is not None and best.far_better:
        return _wrong_range(said.strip())
    own = _divergence(classifier, images, at_once)
    if own is None:
        reason = "The network has no batch norm with learned statistics to compare with."
        return finding("note" if best is None else "ok", NORMALISATION, f"{reason}{said}",
                       "Cannot tell from the network alone whether normalisation is missing."
                       if best is None else "No usual range does far better than the declared one.",
                       "Give labels to find out." if best is None else "None needed.")  # fmt: skip
    fits = {}
    for name, layer in others.items():
        with intensity_replaced(classifier, layer):
            found = _divergence(classifier, images, at_once)
        if found is not None:
            fits[name] = found
    name = min(fits, key=lambda key: fits[key], default="")
    other = f", {fits[name]:.2g} with {name}, the closest other" if fits else ""
    evidence = f"The first batch norm's input lies {own:.2g} nats from its stored statistics as declared{other}.{said}"
    closer = bool(fits) and fits[name] * _TIMES < own
    if closer and own > _POOR and fits[name] < _GOOD:
        return _wrong_range(evidence)
    if own > _POOR or (closer and own > _DOUBTFUL):
        return finding(
            "note", NORMALISATION, evidence,
            "These images look unlike those that the network was trained on, in range or in kind.",
            "Compare the pre-processing with that of the training.",
        )  # fmt: skip
    return finding("ok", NORMALISATION, evidence, "The network gets the range that it was trained on.")


def _wrong_range(evidence: str) -> Finding:
    return finding(
        "alarm",
        NORMALISATION,
        evidence,
        "The network is fed another range than it was trained on: the audit measures a model that nobody uses, and "
        "epsilon means another share of its range.",
        "The tool feeds what the bundle declares. Declare the normalisation of the training and audit again.",
    )


def _best(declared: Tensor, others: dict[str, Tensor], labels: Tensor) -> _Comparison | None:
    """Compare accuracies on the labelled images; p is multiplied by the number of inputs tried (Bonferroni)."""
    known = labels >= 0
    n = int(known.sum())
    if n < FEWEST_LABELLED or not others:
        return None
    own = declared.argmax(1)[known] == labels[known]
    right = {name: outputs.argmax(1)[known] == labels[known] for name, outputs in others.items()}
    name = max(right, key=lambda key: int(right[key].sum()))
    p_value = mcnemar(int((right[name] & ~own).sum()), int((own & ~right[name]).sum()))
    return _Comparison(name, int(right[name].sum()), int(own.sum()), n, min(1.0, p_value * len(others)))


def _certainty(outputs: Tensor) -> tuple[float, float]:
    """Mean confidence, and mean entropy in nats."""
    probabilities = outputs.softmax(1)
    return float(probabilities.amax(1).mean()), float(torch.special.entr(probabilities).sum(1).mean())


def _others(classifier: Classifier, images: Tensor) -> dict[str, nn.Module]:
    """The usual ranges that are not the declared one."""
    with torch.no_grad():
        declared = classifier.intensity(images[:1])
        found = {}
        for name, layer in usual_intensities().items():
            layer.to(images.device)
            given = layer(images[:1])
            if given.shape != declared.shape or float((given - declared).abs().max()) > 1e-2 * float(given.abs().max()):
                found[name] = layer
    return found


class _Reached(Exception):
    """The first batch norm was reached; the rest of the pass is not needed."""

    def __init__(self, norm: nn.BatchNorm2d, entered: Tensor) -> None:
        super().__init__()
        self.norm, self.entered = norm, entered


def _divergence(classifier: Classifier, images: Tensor, at_once: int) -> float | None:
    """Kullback-Leibler divergence in nats, median over channels, of the first batch norm's input from its statistics.

    None when there is no such layer, it stores no statistics, or they are still those it started with.
    """
    reached = [_first_norm(classifier, part) for part in images.split(at_once)]
    found = [one for one in reached if one is not None]
    if not found or found[0].norm.running_mean is None or found[0].norm.running_var is None:
        return None
    mean, variance = found[0].norm.running_mean.double().cpu(), found[0].norm.running_var.double().cpu()
    if bool((mean == 0).all()) and bool((variance == 1).all()):
        return None  # never trained
    seen = torch.cat([one.entered for one in found]).double().cpu().transpose(0, 1).flatten(1)
    floor = 1e-8 + 1e-4 * float(variance.median())
    stored, measured = variance + floor, seen.var(1, correction=0) + floor
    ratio = measured / stored
    divergence = 0.5 * (ratio + (seen.mean(1) - mean) ** 2 / stored - 1 - ratio.log())
    return float(divergence.median())


def _first_norm(classifier: Classifier, images: Tensor) -> _Reached | None:
    """Run the network up to its first batch norm; None when it has none, or cannot take these images."""

    def stop(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.BatchNorm2d):
            raise _Reached(module, given[0])

    norms = [module for module in classifier.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [norm.register_forward_pre_hook(stop) for norm in norms]
    try:
        with torch.no_grad():
            if norms:
                classifier(images)
    except _Reached as reached:
        return reached
    except PASS_ERRORS as error:
        if is_out_of_memory(error):
            raise
        return None
    finally:
        for handle in handles:
            handle.remove()
    return None
