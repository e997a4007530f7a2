"""An audit from the image folder to a closed run: survey, thresholds, header, stages."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from skinaudit import __version__
from skinaudit.attacks.judge import Judge
from skinaudit.audit.checking import check_before_audit, with_accuracy
from skinaudit.audit.execute import Workbench
from skinaudit.audit.limits import Origin, drift_limits
from skinaudit.audit.look import CleanLook, look
from skinaudit.audit.origin import command, environment
from skinaudit.audit.plan import Stage, forecast_seconds, stages
from skinaudit.audit.progress import Progress
from skinaudit.audit.records import CheckFinding, ModelCard, RunHeader
from skinaudit.audit.survey import Specimen, balanced_choice, survey
from skinaudit.calibration.thresholds import DriftThreshold
from skinaudit.classifier.classifier import Classifier, load_classifier
from skinaudit.classifier.finding import one_at_a_time
from skinaudit.classifier.source import ModelSource
from skinaudit.config import AuditConfig
from skinaudit.images.decoder import Decoder
from skinaudit.images.folder import read_labels
from skinaudit.images.identity import digest_of_images, load_key
from skinaudit.images.refusal import ImageRefused
from skinaudit.interpreters.base import Interpreter, InterpreterUnavailable, build_interpreter


class NothingToAudit(ValueError):
    """No image of the folder can be attacked; the message says what became of them."""


@dataclass(frozen=True)
class AuditRequest:
    """What a user asked for."""

    model: ModelSource
    images: Path
    labels: Path | None
    config: AuditConfig
    id_key: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """Everything fixed before the first attack."""

    bench: Workbench
    header: RunHeader
    specimens: tuple[Specimen, ...]
    looks: Mapping[str, CleanLook]
    chosen: tuple[str, ...]
    seconds_per_pass: float

    def specimen(self, image_id: str) -> Specimen:
        """The specimen of that id."""
        return next(one for one in self.specimens if one.image_id == image_id)

    def forecast(self, todo: Sequence[Stage] | None = None) -> float:
        """Upper bound in seconds for the stages that are still to do (all by default)."""
        config = self.header.config
        return forecast_seconds(
            config, len(self.chosen), self.seconds_per_pass, stages(config) if todo is None else todo
        )


def prepare(
    request: AuditRequest, decoder: Decoder, progress: Progress, known: tuple[CheckFinding, ...] | None = None
) -> Prepared:
    """Load the model, look at every image, fix thresholds and header. Attacks nothing.

    Args:
        request: what was asked for. A model that mixes the images of a batch gets one at a time all the same.
        decoder: reads the images.
        progress: is told what is done.
        known: checks of the model in a run that goes on; they hold. None: they are made now.

    Raises:
        ModelRefused, FolderError, LabelsError, IdentityError, ThresholdsError, InterpreterUnavailable,
        CalibrationError, NothingToAudit: each with one line for the user.
    """
    config = request.config
    device = torch.device(config.device)
    torch.set_num_threads(config.threads)
    classifier = load_classifier(request.model, device)
    labels = read_labels(request.labels, classifier.classes) if request.labels else {}
    interpreters, skipped = _fitting(classifier, config.interpreters, device)
    for name, reason in skipped.items():
        progress.say(f"{name} is skipped: {reason}")
    config = config.model_copy(update={"interpreters": tuple(interpreters)})
    specimens = _survey(request, labels, decoder, progress)
    checks = known
    if checks is None:
        checks = check_before_audit(classifier, specimens, decoder, config.seed, config.batch_size, progress)
    if one_at_a_time(checks):
        config = config.model_copy(update={"batch_size": 1})
    request = replace(request, config=config)
    judge = Judge(classifier, interpreters, config.batch_size, device)
    looks, lost = look(classifier, judge, specimens, decoder, config.seed, progress)
    specimens = [_lost(one, lost[one.image_id]) if one.image_id in lost else one for one in specimens]
    readable = [one for one in specimens if one.status == "readable"]
    usable = _usable(classifier, readable, looks, labels_given=bool(request.labels))
    if not usable:
        raise NothingToAudit(_why_nothing(specimens, looks, labels_given=bool(request.labels)))
    reference = {one.image_id: one.label or looks[one.image_id].predicted for one in usable}
    chosen = balanced_choice(usable, reference, config.budget.images)
    thresholds, origin = drift_limits(classifier, judge, config, usable, chosen, decoder, progress)
    bench = Workbench(classifier, interpreters, thresholds, judge, config, device)
    if known is None:
        checks = with_accuracy(checks, classifier, readable, {name: clean.predicted for name, clean in looks.items()})
    header = _header(request, classifier, specimens, thresholds, origin, skipped, checks)
    return Prepared(bench, header, tuple(specimens), looks, tuple(sorted(chosen)), _seconds_per_pass(bench))


def interpreters_for(classifier: Classifier, names: Sequence[str], device: torch.device) -> dict[str, Interpreter]:
    """Build the interpreters; a grey image serves as the probe of the network's head."""
    probe = torch.full((1, 3, *classifier.input_size), 0.5, device=device)
    return {name: build_interpreter(name, classifier, probe) for name in names}


def _fitting(
    classifier: Classifier, names: Sequence[str], device: torch.device
) -> tuple[dict[str, Interpreter], dict[str, str]]:
    """The interpreters that fit the network, and why the others do not.

    Raises:
        InterpreterUnavailable: none fits.
    """
    built: dict[str, Interpreter] = {}
    skipped: dict[str, str] = {}
    for name in names:
        try:
            built |= interpreters_for(classifier, [name], device)
        except InterpreterUnavailable as error:
            skipped[name] = str(error)
    if not built:
        raise InterpreterUnavailable("; ".join(skipped.values()))
    return built, skipped


def _survey(request: AuditRequest, labels: Mapping[str, str], decoder: Decoder, progress: Progress) -> list[Specimen]:
    key = load_key(request.id_key)

    def advance(done: int, total: int) -> None:
        if done == 1:
            progress.begin("survey", "Reading images", total, 0)
        progress.advance("survey", 1)

    return survey(request.images, labels, key, request.config.seed, decoder, advance)


def _lost(specimen: Specimen, why: ImageRefused) -> Specimen:
    return replace(specimen, status=why.status, reason=why.reason)


def _usable(
    classifier: Classifier, readable: Sequence[Specimen], looks: Mapping[str, CleanLook], *, labels_given: bool
) -> list[Specimen]:
    if not labels_given:
        return list(readable)
    return [one for one in readable if one.label == classifier.classes[looks[one.image_id].predicted]]


def _why_nothing(specimens: Sequence[Specimen], looks: Mapping[str, CleanLook], *, labels_given: bool) -> str:
    if not looks:
        reasons = sorted({str(one.reason) for one in specimens if one.reason})
        return f"none of {len(specimens)} files can be read ({'; '.join(reasons[:3])})"
    if labels_given and not any(one.label for one in specimens):
        return f"the labels name none of the {len(looks)} readable images; file names and labels must match"
    return f"the model gets none of the {len(looks)} readable images right, so there is no diagnosis to attack"


def _header(
    request: AuditRequest,
    classifier: Classifier,
    specimens: Sequence[Specimen],
    thresholds: Mapping[str, DriftThreshold],
    origin: Origin,
    skipped: Mapping[str, str],
    checks: tuple[CheckFinding, ...],
) -> RunHeader:
    config = request.config
    return RunHeader(
        run_id=uuid.uuid4().hex[:12],
        tool_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        config=config,
        model=ModelCard(**asdict(classifier.card())),
        skipped_interpreters=dict(skipped),
        checks=checks,
        thresholds=tuple(thresholds[name] for name in config.interpreters),
        threshold_origin=origin,
        images_digest=digest_of_images(one.image_id for one in specimens),
        images_found=len(specimens),
        labels_given=request.labels is not None,
        labels_digest=digest_of_images(f"{one.image_id} {one.label}" for one in specimens) if request.labels else None,
        environment=environment(config),
        command=command(
            config,
            labels=request.labels is not None,
            id_key=request.id_key is not None,
            model=request.model.described(),
        ),
    )


def _seconds_per_pass(bench: Workbench) -> float:
    """Time of one image's forward pass and input gradient, measured on a full batch of this run."""
    size = bench.config.batch_size
    x = torch.from_numpy(np.random.default_rng(0).random((size, 3, *bench.classifier.input_size), dtype=np.float32))
    x = x.to(bench.device)
    times = []
    for _ in range(4):
        begun = time.perf_counter()
        leaf = x.clone().requires_grad_()
        torch.autograd.grad(bench.classifier(leaf).logsumexp(1).sum(), leaf)[0].sum().item()
        times.append(time.perf_counter() - begun)
    # The first one warms up; the slowest of the others keeps the forecast an upper bound on a busy machine.
    return max(times[1:]) / size
