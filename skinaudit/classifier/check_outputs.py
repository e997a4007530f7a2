"""Are the outputs logits of the declared classes, as good as declared, with gradients that an attack can use?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from skinaudit.classifier.classifier import Classifier
from skinaudit.classifier.device_memory import is_out_of_memory
from skinaudit.classifier.finding import ACCURACY, CLASSES, GRADIENTS, OUTPUTS, Finding, Level, finding
from skinaudit.classifier.probe import AT_ONCE, Watch
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.metrics.intervals import wilson

#: Fewest labelled images for a word on the declared accuracy, and how far below it the measured one must lie.
FEWEST_LABELLED, FAR_BELOW = 20, 0.10
#: Rows of probabilities sum to 1 up to this.
_SUM = 1e-3
#: Values between 0 and 1 that come so close to both ends are probabilities.
_ENDS = 0.05
#: If every pixel moved over its whole range, the class margin would move by this share of the outputs' range, no more.
_DEAD = 1e-6
#: One grey level on every pixel moves the class margin this many ranges of the outputs, or by this much at all.
_EXPLODING, _EXPLODING_ABSOLUTE = 1e3, 1e6
#: Gradient of the class's cross entropy over that of its margin: below, confidence is 1 in single precision.
_SATURATED = 1e-7
#: Share of images with an unusable gradient that is worth an alarm; a black picture may have none in any network.
_FEW_BAD = 0.1
_ACCURACY_KEYS = ("accuracy", "test_accuracy", "validation_accuracy", "val_accuracy", "top1")


def outputs_finding(classifier: Classifier, images: Tensor, outputs: Tensor) -> Finding:
    """Are the outputs (N,K) of images (N,3,h,w) logits, or already probabilities?"""
    if not bool(outputs.isfinite().all()):
        return finding("note", OUTPUTS, "Some outputs are NaN or infinite.", "Their kind is unknown.")
    sums = outputs.sum(1)
    low, high = float(outputs.min()), float(outputs.max())
    squashed = (
        "Confidence, gradients and targets are computed from these outputs as if they were logits: confidence is "
        "flattened, gradients are small, and the attack is weaker than it could be. Success rates are too low."
    )
    remove = "The tool audits the outputs as they are. Let the network return its logits and audit again."
    whole = float(sums.median())
    if low >= -_SUM and whole > _SUM and bool(((sums / whole - 1).abs() <= _SUM).all()):
        share = "1" if abs(whole - 1) <= _SUM else f"{whole:.4g}"
        extent = f"{float(sums.min()):.4f} to {float(sums.max()):.4f}"
        seen = f"Every row of outputs sums to {share} ({extent}), none is negative"
        return finding("alarm", OUTPUTS, f"{seen}: a softmax stands inside the network.", squashed, remove)
    if high <= _SUM and bool((outputs.exp().sum(1) - 1).abs().max() <= _SUM):
        seen = "The exponentials of every row of outputs sum to 1: these are logarithms of probabilities."
        return finding("note", OUTPUTS, seen, "Softmax of these is the same as of the logits; no figure is distorted.")
    span = f"Outputs lie between {low:.3g} and {high:.3g}"
    if low >= 0 and high <= 1:
        with torch.no_grad(), Watch() as watch:
            last = classifier(images[:1]).float().cpu()
        if watch.ends_in_sigmoid(last):
            return finding("alarm", OUTPUTS, f"{span}, and come out of a sigmoid.", squashed, remove)
        # A compiled network does not show its sigmoid; logits do not fill just this range by chance.
        if low < _ENDS and high > 1 - _ENDS and outputs.numel() >= 12:
            return finding("alarm", OUTPUTS, f"{span}, both ends reached: a sigmoid's.", squashed, remove)
        if high > 0:
            meaning = "They may be probabilities; then confidence is flattened and success rates are too low."
            return finding("note", OUTPUTS, f"{span}, which logits rarely do.", meaning, remove)
    return finding("ok", OUTPUTS, f"{span}; rows sum to {float(sums.min()):.3g} to {float(sums.max()):.3g}.",
                   "Confidence and gradients are those of the network's own logits.")  # fmt: skip


def classes_finding(declared: tuple[str, ...], outputs: Tensor) -> Finding:
    """Does the network have one output for each declared class?"""
    evidence = f"{outputs.shape[1]} outputs, {len(declared)} declared classes."
    if outputs.shape[1] == len(declared):
        return finding("ok", CLASSES, evidence, "Every output has a name.")
    return finding(
        "alarm", CLASSES, evidence,
        "Which output is which diagnosis is unknown: every class name and every malignancy in a report may be wrong.",
        "The loader refuses such a model. Make network and metadata agree.",
    )  # fmt: skip


def declared_accuracy(declared: Mapping[str, float]) -> float | None:
    """The plain accuracy in [0,1] among the figures that a model states of itself; None when there is none.

    >>> declared_accuracy({"Test accuracy": 80.0}), declared_accuracy({"balanced accuracy": 0.7})
    (0.8, None)
    """
    figures = {name.strip().lower().replace(" ", "_").replace("-", "_"): value for name, value in declared.items()}
    for key in _ACCURACY_KEYS:
        value = figures.get(key)
        if value is not None and 0 < value <= 100:
            return value if value <= 1 else value / 100
    return None


def expected_accuracy(declared: Mapping[str, float], labels: Sequence[str]) -> float | None:
    """The accuracy in [0,1] that a model's own figures promise on images of these classes.

    Where a recall is declared for every class among the labels, their mean over the images: a folder may have another
    mix of classes than the declared test. Else the plain accuracy, whatever the mix.

    >>> expected_accuracy({"recall_mel": 0.4, "recall_nv": 0.8, "accuracy": 0.78}, ["mel", "nv"])
    0.6
    """
    recalls = {name: declared.get(f"test_recall_{name}", declared.get(f"recall_{name}")) for name in set(labels)}
    known = [value for name in labels if (value := recalls[name]) is not None and 0 <= value <= 1]
    if labels and len(known) == len(labels):
        return round(sum(known) / len(known), 6)
    return declared_accuracy(declared)


def accuracy_finding(correct: int, n: int, declared: float | None, *, one_at_a_time: bool = False) -> Finding:
    """Is the accuracy on ``n`` labelled images far below the declared one (in [0,1])?"""
    how = ", one image at a time" if one_at_a_time else ""
    if n == 0:
        stated = "" if declared is None else f" The declared accuracy is {declared:.3f}."
        return finding("note", ACCURACY, f"No labels were given.{stated}", "The declared figures were not checked.",
                       "Give labels to check them.")  # fmt: skip
    measured = f"{correct} of {n} labelled images are right{how}"
    if n < FEWEST_LABELLED:
        stated = "none is declared" if declared is None else f"expected by what is declared: {declared:.3f}"
        return finding("note", ACCURACY, f"{measured}; {stated}. Too few to say.",
                       "The declared figures were not checked.",
                       f"Give at least {FEWEST_LABELLED} labelled images.")  # fmt: skip
    interval = wilson(correct, n)
    measured = f"{measured}: {correct / n:.3f} (95 % interval {interval.low:.3f} to {interval.high:.3f})"
    if declared is None:
        return finding("note", ACCURACY, f"{measured}; no accuracy is declared.", "There is nothing to compare with.")
    evidence = f"{measured}; expected by what is declared: {declared:.3f}."
    if declared <= interval.high or declared - correct / n < FAR_BELOW:
        return finding("ok", ACCURACY, evidence, "The figure is not far below the declared one.")
    return finding(
        "alarm", ACCURACY, evidence,
        "This is not the performance that was declared: other weights, other pre-processing, other labels, or other "
        "kinds of images. An audit of a model that works this badly says little about the declared one.",
        "The tool attacks only images that the model gets right. Compare labels and pre-processing with those of the "
        "declared figure before filing a report.",
    )  # fmt: skip


@dataclass(frozen=True)
class _Slopes:
    """Per image (N): gradient of the class's cross entropy and of its margin over the next class."""

    entropy: Tensor  # largest absolute value
    margin: Tensor  # largest absolute value
    step: Tensor  # largest change of the margin, to first order, when every pixel moves one grey level
    entropy_step: Tensor  # the same of the cross entropy

    @property
    def broken(self) -> Tensor:
        """NaN or infinite anywhere."""
        return ~(self.entropy.isfinite() & self.step.isfinite())


def gradients_finding(classifier: Classifier, images: Tensor, outputs: Tensor, at_once: int = AT_ONCE) -> Finding:
    """Can an attack or a gradient map follow the gradient at these images (N,3,h,w)?"""
    n = len(images)
    whole = int(outputs.isfinite().all(1).sum())
    if whole < n:
        return _unusable(f"{n - whole} of {n} images give NaN or infinite outputs.")
    try:
        parts = [_slopes(classifier, part) for part in images.split(at_once)]
    except (RuntimeError, ModelRefused) as error:
        if is_out_of_memory(error):
            raise
        return _unusable(f"No gradient reaches the pixels: {str(error).splitlines()[0][:160]}.")
    names = ("entropy", "margin", "step", "entropy_step")
    slopes = _Slopes(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
    span = max(float(outputs.max() - outputs.min()), 1e-30)
    # The two best outputs may move together, so a margin that stands still is not dead by itself.
    dead = (torch.maximum(slopes.step, slopes.entropy_step) * 255 <= _DEAD * span) & ~slopes.broken
    exploding = (slopes.step > _EXPLODING * span) | (slopes.step > _EXPLODING_ABSOLUTE)
    saturated = (slopes.entropy <= _SATURATED * slopes.margin) & ~dead & ~slopes.broken
    counts = (
        f"Of {n} images, {int(dead.sum())} have no gradient, {int(slopes.broken.sum())} a NaN or infinite one, "
        f"{int((exploding & ~slopes.broken).sum())} an exploding one, {int(saturated.sum())} a confidence of 1; "
        f"one grey level on every pixel moves the class margin by up to {float(slopes.step.max()):.2g}."
    )
    bad = int((dead | slopes.broken | exploding).sum())
    if bad:
        return _unusable(counts, "alarm" if bad >= _FEW_BAD * n else "note")
    if bool(saturated.any()):
        return finding(
            "alarm" if int(saturated.sum()) * 2 >= n else "note", GRADIENTS, counts,
            "Where confidence is 1 in single precision, the gradient of the class vanishes though the outputs move: "
            "gradient maps are empty there, and attacks that only leave the class find nothing.",
            "The tool attacks towards another class, which is not blind. Divide the logits by a temperature before the "
            "network returns them, and audit again.",
        )  # fmt: skip
    return finding("ok", GRADIENTS, counts, "Attacks and gradient maps have something to follow.")


def _unusable(evidence: str, level: Level = "alarm") -> Finding:
    return finding(
        level, GRADIENTS, evidence,
        "An attack that follows gradients fails here whatever the model is worth, and a gradient map shows noise: a "
        "low success rate would be no evidence of robustness.",
        "The tool attacks the model as it is. Remove rounding, detach() and steps without a derivative from the "
        "network, bring its scale into range, and audit again.",
    )  # fmt: skip


def _slopes(classifier: Classifier, images: Tensor) -> _Slopes:
    """Slopes of one pass; no sum couples two images.

    Raises:
        RuntimeError: the outputs do not depend on the pixels through anything differentiable.
    """
    leaf = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        outputs = classifier(leaf)
        entropy = F.cross_entropy(outputs, outputs.argmax(1), reduction="sum")
        best = outputs.topk(2, 1).values
        (first,) = torch.autograd.grad(entropy, leaf, retain_graph=True)
        (second,) = torch.autograd.grad((best[:, 0] - best[:, 1]).sum(), leaf)
    axes = (1, 2, 3)
    steps = [(gradient.double().abs().sum(axes) / 255).cpu() for gradient in (second, first)]
    return _Slopes(first.abs().amax(axes).cpu(), second.abs().amax(axes).cpu(), *steps)
