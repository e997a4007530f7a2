"""Does an output belong to its image alone, and is it the same each time?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from skinaudit.classifier.classifier import Classifier
from skinaudit.classifier.device_memory import is_out_of_memory
from skinaudit.classifier.finding import BATCH, REPEAT, TRAINING, Finding, finding
from skinaudit.classifier.probe import AT_ONCE, PASS_ERRORS, Watch, largest_difference, logits_of

#: Largest difference that is rounding, as a share of the largest output: at one batch shape, and across shapes.
SAME_SHAPE, OTHER_SHAPE = 1e-4, 5e-3
_SEED = 2024
_CHANGING = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.Dropout, nn.Dropout1d, nn.Dropout2d,
    nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
)  # fmt: skip


@dataclass(frozen=True)
class Behaviour:
    """How outputs move when nothing about an image changes; all moves are shares of the largest output.

    Attributes:
        refusal: why the network does not take several images at once; then one image at a time was looked at.
        repeat: two equal calls. neighbours: other images beside it, the same random draws. place: another row.
        company: alone against beside copies of itself.
        diagnoses: images, of ``images``, whose class changed with the neighbours.
        batch_norms: batch norms that took their statistics from the batch.
        drew: random numbers were drawn in a call. buffers: buffers that a call changed.
        awake: dropout and batch norm layers that were in training mode after a call.
    """

    images: int
    refusal: str | None = None
    repeat: float = 0.0
    neighbours: float = 0.0
    place: float = 0.0
    company: float = 0.0
    diagnoses: int = 0
    batch_norms: int = 0
    drew: bool = False
    buffers: int = 0
    awake: int = 0

    @property
    def repeatable(self) -> bool:
        """Do two equal calls agree up to rounding?"""
        return self.repeat <= SAME_SHAPE


def observe(classifier: Classifier, images: Tensor, together: int = AT_ONCE) -> Behaviour:
    """Call the classifier on the same images in different company (at most 9 passes).

    Args:
        classifier: may change itself when it is called; wrap this in ``unchanged``.
        images: (N,3,h,w) in [0,1], N >= 1; the first ``together`` are used, and variants of them where there are fewer.
        together: images of one pass; at least two are shown, whatever is asked.

    Raises:
        torch.OutOfMemoryError: the device does not hold so many images.
    """
    batch = _varied(images, max(2, together))
    try:
        with torch.no_grad():
            classifier(batch)
    except PASS_ERRORS as error:
        if is_out_of_memory(error):
            raise
        return _observe_alone(classifier, batch[:1], (str(error).splitlines() or [type(error).__name__])[0][:160])
    before = [buffer.clone() for buffer in classifier.buffers()]
    state = _random_state(batch.device)
    with Watch() as watch:
        first = logits_of(classifier, batch, len(batch))
    drew = not torch.equal(state, _random_state(batch.device))
    awake = sum(_awake(module) for module in classifier.modules())
    changed = sum(not torch.equal(a, b) for a, b in zip(before, classifier.buffers(), strict=True))
    repeat = largest_difference(logits_of(classifier, batch, len(batch)), first) / _scale(first)
    alone = Behaviour(2, repeat=repeat, batch_norms=watch.batch_norms, drew=drew, buffers=changed, awake=awake)
    return _in_company(classifier, batch, alone, _scale(first))


def batch_finding(seen: Behaviour) -> Finding:
    """Does a prediction depend on other images in the batch?"""
    if seen.refusal is not None:
        return finding(
            "note", BATCH, f"The network takes one image only; several at once are refused: {seen.refusal}.",
            "Each figure belongs to its image, but the audit takes longer.",
            "The tool shows this model one image at a time, in the whole audit.",
        )  # fmt: skip
    numbers = (
        f"outputs moved by {_share(seen.neighbours)} of the largest output when the other images of the batch changed "
        f"(diagnosis changed in {seen.diagnoses} of {seen.images}), by {_share(seen.place)} with the place in the "
        f"batch, by {_share(seen.company)} from alone to beside copies of itself"
    )
    if seen.neighbours <= SAME_SHAPE and seen.place <= SAME_SHAPE and seen.company <= OTHER_SHAPE:
        left = "" if seen.repeatable else "; place and company were not compared, because two calls differ"
        numbers = numbers if seen.repeatable else numbers.partition(", by")[0]
        return finding("ok", BATCH, f"On {seen.images} images {numbers}{left}.", "Each figure belongs to its image.")
    return finding(
        "alarm", BATCH, f"On {seen.images} images {numbers}.",
        "The diagnosis of a patient depends on who else is in the batch. An accuracy declared for this model depends "
        "on how its images were batched, and cannot be trusted.",
        "The tool shows this model one image at a time, in the whole audit. Find what mixes images (batch norm in "
        "training mode, a mean over the first axis) and remove it.",
    )  # fmt: skip


def repeat_finding(seen: Behaviour) -> Finding:
    """Do two calls on the same images agree?"""
    evidence = f"Two calls on the same images differ by {_share(seen.repeat)} of the largest output."
    if seen.repeatable:
        return finding("ok", REPEAT, evidence, "A verdict can be computed again.")
    return finding(
        "alarm", REPEAT, evidence,
        "A diagnosis may change without any attack, and a verdict cannot be recomputed; success rates mix the attack "
        "with this noise.",
        "The tool audits the model as it is. Switch off what is random (dropout, stochastic depth, noise) and audit "
        "again.",
    )  # fmt: skip


def training_finding(seen: Behaviour) -> Finding:
    """Is a dropout or batch norm still in training mode?"""
    parts = [
        f"{seen.batch_norms} batch norms took their statistics from the batch" if seen.batch_norms else "",
        f"{seen.buffers} stored statistics were changed by a call" if seen.buffers else "",
        "random numbers were drawn in a call" if seen.drew else "",
        f"{seen.awake} dropout or batch norm layers were in training mode after a call" if seen.awake else "",
    ]
    evidence = "; ".join(part for part in parts if part)
    if not evidence:
        return finding(
            "ok", TRAINING,
            "No random number was drawn, no batch norm used the batch's statistics, no stored statistic changed.",
            "The network is the one that a clinic would use.",
        )  # fmt: skip
    evidence = f"{evidence[0].upper()}{evidence[1:]}, although the network was put in evaluation mode."
    if not (seen.batch_norms or seen.buffers or (seen.drew and not seen.repeatable)):
        return finding("note", TRAINING, evidence, "It had no effect on the outputs.", "The tool leaves it as it is.")
    return finding(
        "alarm", TRAINING, evidence,
        "The audited network is still being trained or still random: its outputs are not those of a finished model.",
        "The tool cannot switch this off from outside. Remove train() or training=True from the network's forward, "
        "give its batch norms stored statistics, and audit again.",
    )  # fmt: skip


def _in_company(classifier: Classifier, batch: Tensor, seen: Behaviour, scale: float) -> Behaviour:
    """Show the first and the last image among others, among copies, in another row, alone."""
    together = _seeded(classifier, batch)
    neighbours, place, company, diagnoses = 0.0, 0.0, 0.0, 0
    for row in (0, len(batch) - 1):
        copies = _seeded(classifier, batch[row : row + 1].expand_as(batch).contiguous())
        neighbours = max(neighbours, largest_difference(copies[row], together[row]))
        diagnoses += int(copies[row].argmax() != together[row].argmax())
        # Draws differ from row to row, so where there are any only the row itself can be compared.
        if seen.repeatable:
            place = max(place, largest_difference(copies, copies[row].expand_as(copies)))
            company = max(company, _company(classifier, batch[row : row + 1], copies[row]))
    if seen.repeatable:
        place = max(place, largest_difference(_seeded(classifier, batch.flip(0)).flip(0), together))
    return replace(
        seen, neighbours=neighbours / scale, place=place / scale, company=company / scale, diagnoses=diagnoses
    )


def _observe_alone(classifier: Classifier, image: Tensor, refusal: str) -> Behaviour:
    """What can be said of a network that takes one image at a time."""
    before = [buffer.clone() for buffer in classifier.buffers()]
    state = _random_state(image.device)
    first = logits_of(classifier, image)
    drew = not torch.equal(state, _random_state(image.device))
    changed = sum(not torch.equal(a, b) for a, b in zip(before, classifier.buffers(), strict=True))
    awake = sum(_awake(module) for module in classifier.modules())
    repeat = largest_difference(logits_of(classifier, image), first) / _scale(first)
    return Behaviour(1, refusal, repeat, drew=drew, buffers=changed, awake=awake)


def _varied(images: Tensor, count: int) -> Tensor:
    """That many images; where there are fewer, their negatives and mirror images serve as company, again and again."""
    few = images[:count]
    company = torch.cat([few, 1 - few, few.flip(2), few.flip(3)])
    return company.repeat(-(-count // len(company)), 1, 1, 1)[:count].contiguous()


def _seeded(classifier: Classifier, batch: Tensor) -> Tensor:
    """Outputs with the same random draws each time, so that only the images differ."""
    torch.manual_seed(_SEED)
    return logits_of(classifier, batch, len(batch))


def _company(classifier: Classifier, image: Tensor, beside_copies: Tensor) -> float:
    try:
        return largest_difference(logits_of(classifier, image)[0], beside_copies)
    except PASS_ERRORS:
        return torch.inf  # a batch norm in training mode refuses one image of 1 x 1 features


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _awake(module: nn.Module) -> bool:
    return module.training and isinstance(module, _CHANGING) and getattr(module, "p", 1.0) > 0


def _scale(outputs: Tensor) -> float:
    """Largest finite output, never zero."""
    finite = outputs[outputs.isfinite()]
    return max(float(finite.abs().max()) if finite.numel() else 0.0, 1e-30)


def _share(value: float) -> str:
    if value == torch.inf:
        return "an unbounded share"
    if value < 1e-5:
        return "0 %" if value == 0 else "less than 0.001 %"
    return f"{value * 100:.2g} %" if value < 1 else f"{value * 100:.0f} %"
