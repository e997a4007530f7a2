"""An audit from the image folder to a closed run: survey, thresholds, header, stages."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from skinaudit import __version__
from skinaudit.attacks.judge import Judge
from skinaudit.audit.checking import check_before_audit, with_accuracy
from skinaudit.audit.limits import drift_limits
from skinaudit.audit.look import CleanLook, look
from skinaudit.audit.origin import command, environment
from skinaudit.audit.pace import seconds_per_pass
from skinaudit.audit.plan import Stage, most_attacked, possible, shapes
from skinaudit.audit.progress import Progress
from skinaudit.audit.records import CheckFinding, ModelCard, RunHeader
from skinaudit.audit.scope import NothingToAudit, asked_about_fewer, in_scope, usable_ones, why_nothing
from skinaudit.audit.survey import Specimen, balanced_choice, labels_digest, survey
from skinaudit.audit.workbench import Workbench
from skinaudit.calibration.thresholds import DriftThreshold, Origin
from skinaudit.classifier.classifier import Classifier, load_classifier
from skinaudit.classifier.finding import one_at_a_time
from skinaudit.classifier.source import ModelSource
from skinaudit.config import AuditConfig
from skinaudit.images.decoder import Decoder
from skinaudit.images.folder import LabelsError, read_label_file
from skinaudit.images.identity import digest_of_images, load_key
from skinaudit.images.refusal import ImageRefused
from skinaudit.images.subgroups import NO_SUBGROUPS, Subgroups, choose_subgroups
from skinaudit.interpreters.base import Interpreter, InterpreterUnavailable
from skinaudit.interpreters.registry import build_interpreter


@dataclass(frozen=True)
class AuditRequest:
    """What a user asked for. ``subgroups`` are label columns; none at all: no subgroups, None: the rule chooses."""

    model: ModelSource
    images: Path
    labels: Path | None
    config: AuditConfig
    id_key: Path | None = None
    subgroups: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Prepared:
    """Everything fixed before the first attack."""

    bench: Workbench
    header: RunHeader
    specimens: tuple[Specimen, ...]
    looks: Mapping[str, CleanLook]
    #: Ids of the images to attack, those that most maps are asked about first: so they stand in the same batches.
    chosen: tuple[str, ...]
    seconds_per_pass: float
    #: Interpreter -> the images that it is asked about, where not all.
    fewer: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def asked_about(self, image_id: str) -> tuple[str, ...]:
        """The interpreters that an attacked image is put to."""
        return tuple(name for name in self.header.config.interpreters if image_id in self.fewer.get(name, self.chosen))

    def specimen(self, image_id: str) -> Specimen:
        """The specimen of that id."""
        return next(one for one in self.specimens if one.image_id == image_id)

    def concerned(self, stage: Stage) -> list[str]:
        """The images of a stage, in their order."""
        return [one for one in self.chosen if stage.interpreter is None or stage.interpreter in self.asked_about(one)]


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
    labels, subgroups = _labels(request, classifier, progress)
    fitting = _fitting(classifier, config, device, progress)
    interpreters, config = fitting.interpreters, fitting.config
    specimens = _survey(request, labels, subgroups, decoder, progress)
    checks = known
    if checks is None:
        checks = check_before_audit(classifier, specimens, decoder, config.seed, config.batch_size, progress)
    if one_at_a_time(checks):
        config = config.model_copy(update={"batch_size": 1})
    request = replace(request, config=config)
    judge = Judge(classifier, interpreters, config.batch_size, device, shapes(config))
    specimens, looks = _looked_at(classifier, judge, config, specimens, decoder, progress)
    readable = [one for one in specimens if one.status == "readable"]
    usable = usable_ones(classifier, readable, looks, labels_given=bool(request.labels))
    if not usable:
        raise NothingToAudit(why_nothing(specimens, looks, labels_given=bool(request.labels)))
    reference = {one.image_id: one.label or looks[one.image_id].predicted for one in usable}
    open_to_attack = in_scope(config, classifier, usable, looks)
    chosen = balanced_choice(open_to_attack, reference, most_attacked(config))
    thresholds, origins = drift_limits(classifier, judge, config, usable, chosen, decoder, progress)
    bench = Workbench(classifier, interpreters, thresholds, judge, config, device)
    if known is None:
        checks = with_accuracy(checks, classifier, readable, {name: clean.predicted for name, clean in looks.items()})
    header = _header(request, classifier, specimens, subgroups, thresholds, origins, fitting, checks)
    fewer = asked_about_fewer(config, [one for one in usable if one.image_id in chosen], reference)
    seconds = seconds_per_pass(bench, [one for one in usable if one.image_id in chosen])
    order = sorted(chosen, key=lambda image_id: (-sum(image_id in few for few in fewer.values()), image_id))
    return Prepared(bench, header, tuple(specimens), looks, tuple(order), seconds, fewer)


def interpreters_for(classifier: Classifier, names: Sequence[str], device: torch.device) -> dict[str, Interpreter]:
    """Build the interpreters; a grey image serves as the probe of the network's head."""
    probe = torch.full((1, 3, *classifier.input_size), 0.5, device=device)
    return {name: build_interpreter(name, classifier, probe) for name in names}


@dataclass(frozen=True)
class _Fitting:
    """What of an audit fits the network: interpreters, the configuration that is left, and why the rest is not there.

    ``skipped`` are interpreters and ``dropped`` attacks, each with its reason.
    """

    interpreters: dict[str, Interpreter]
    config: AuditConfig
    skipped: dict[str, str]
    dropped: dict[str, str]


def _fitting(classifier: Classifier, config: AuditConfig, device: torch.device, progress: Progress) -> _Fitting:
    """The interpreters that fit the network and the attacks that they allow; says what does not.

    Raises:
        InterpreterUnavailable: none fits.
    """
    built: dict[str, Interpreter] = {}
    skipped: dict[str, str] = {}
    for name in config.interpreters:
        try:
            built |= interpreters_for(classifier, [name], device)
        except InterpreterUnavailable as error:
            skipped[name] = str(error)
    if not built:
        raise InterpreterUnavailable("; ".join(skipped.values()))
    config, dropped = possible(config.model_copy(update={"interpreters": tuple(built)}))
    for what, reason in {**skipped, **dropped}.items():
        progress.say(f"{what} is skipped: {reason}")
    return _Fitting(built, config, skipped, dropped)


def _labels(request: AuditRequest, classifier: Classifier, progress: Progress) -> tuple[Mapping[str, str], Subgroups]:
    """Class of each image by file stem, and its subgroups; says which columns of the label file make none.

    Raises:
        LabelsError: the label file, or a column that was asked for, cannot be used.
    """
    if request.labels is None:
        if request.subgroups:
            raise LabelsError("subgroups are further columns of a label file, and there is none; give --labels")
        return {}, Subgroups()
    file = read_label_file(request.labels, classifier.classes)
    try:
        found = choose_subgroups(file, request.subgroups)
    except LabelsError as error:
        raise LabelsError(f"{request.labels}: {error}") from None
    if found.left_out:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in found.left_out.items())
        progress.say(f"Label columns that make no subgroups ({reasons}).")
    return file.labels, found


def _survey(
    request: AuditRequest, labels: Mapping[str, str], subgroups: Subgroups, decoder: Decoder, progress: Progress
) -> list[Specimen]:
    key = load_key(request.id_key)

    def advance(done: int, total: int) -> None:
        if done == 1:
            progress.begin("survey", "Reading images", total, 0)
        progress.advance("survey", 1)

    return survey(request.images, labels, key, request.config.seed, decoder, advance, subgroups=subgroups.values)


def _looked_at(
    classifier: Classifier,
    judge: Judge,
    config: AuditConfig,
    specimens: Sequence[Specimen],
    decoder: Decoder,
    progress: Progress,
) -> tuple[list[Specimen], dict[str, CleanLook]]:
    """The specimens, those that cannot be read any more with their reason, and what the model says of the others."""
    exact = config.threat.full_resolution
    looks, lost = look(classifier, judge, specimens, decoder, config.seed, progress, exact=exact)
    return [_lost(one, lost[one.image_id]) if one.image_id in lost else one for one in specimens], looks


def _lost(specimen: Specimen, why: ImageRefused) -> Specimen:
    return replace(specimen, status=why.status, reason=why.reason)


def _header(
    request: AuditRequest,
    classifier: Classifier,
    specimens: Sequence[Specimen],
    subgroups: Subgroups,
    thresholds: Mapping[str, DriftThreshold],
    origins: Mapping[str, Origin],
    fitting: _Fitting,
    checks: tuple[CheckFinding, ...],
) -> RunHeader:
    config = request.config
    return RunHeader(
        run_id=uuid.uuid4().hex[:12],
        tool_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        config=config,
        model=ModelCard(**asdict(classifier.card())),
        skipped_interpreters=fitting.skipped,
        skipped_attacks=fitting.dropped,
        checks=checks,
        thresholds=tuple(thresholds[name] for name in config.interpreters),
        threshold_origins=dict(origins),
        images_digest=digest_of_images(one.image_id for one in specimens),
        images_found=len(specimens),
        labels_given=request.labels is not None,
        labels_digest=labels_digest(specimens) if request.labels else None,
        subgroups=subgroups.columns,
        environment=environment(config),
        command=command(
            config,
            labels=request.labels is not None,
            id_key=request.id_key is not None,
            model=request.model.described(),
            subgroups=subgroups.columns or (() if request.subgroups is None else (NO_SUBGROUPS,)),
        ),
    )
