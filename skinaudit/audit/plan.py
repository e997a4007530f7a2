"""Which work units an audit is made of, in which order, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skinaudit.attacks.tasks import CANDIDATES
from skinaudit.config import AuditConfig
from skinaudit.interpreters.registry import cost_of, family_of, title_of

if TYPE_CHECKING:
    from skinaudit.audit.records import Attack

#: Passes (forward + input gradient = 1) of one step of ADV², and of one honest explanation. The step
#: counts are a little above what was measured on three networks (docs/benchmarks.md); the others are estimates.
_STEP_PASSES = {"activation": 1.1, "gradient": 3.0, "learned": 1.7, "perturbation": 8.0}
_EXPLAIN_PASSES = {"activation": 0.4, "gradient": 1.0, "learned": 0.8, "perturbation": 300.0}
_FORWARD_PASSES = 0.4


@dataclass(frozen=True)
class Stage:
    """All units of one kind: the controls, PGD, or ADV² on one interpreter."""

    attack: Attack
    interpreter: str | None

    @property
    def name(self) -> str:
        """Short name, part of unit ids."""
        return "controls" if self.attack == "noise" else "-".join(filter(None, (self.attack, self.interpreter)))

    @property
    def title(self) -> str:
        """What a person reads beside the progress bar."""
        if self.attack == "noise":
            return "Controls (noise, JPEG, shift)"
        if self.attack == "joint":
            return "ADV² on all maps at once"
        if self.attack == "pgd":
            return "PGD (diagnosis only)"
        smaller = ", smaller radii" if self.attack == "sweep" else ""
        return f"ADV² on {title_of(str(self.interpreter))}{smaller}"

    def unit_id(self, image_id: str) -> str:
        """Stable id of this stage's work on one image."""
        return f"{image_id}:{self.name}"


def stages(config: AuditConfig) -> list[Stage]:
    """Controls first, then PGD, then ADV² on each interpreter, then on all of them at once.

    Where the diagnosis is to stay there is no PGD: without the map it has nothing to do.
    """
    single = [Stage("adv2", name) for name in config.interpreters]
    several = [Stage("joint", None)] if config.joint and len(at_once(config)) > 1 else []
    baseline = [] if config.threat.keeps_diagnosis else [Stage("pgd", None)]
    smaller = [Stage("sweep", name) for name in at_once(config)] if config.sweep else []
    return [Stage("noise", None), *baseline, *single, *several, *smaller]


def possible(config: AuditConfig) -> tuple[AuditConfig, dict[str, str]]:
    """The configuration without the attacks that its interpreters leave no room for, and what was dropped why."""
    several, dropped = at_once(config), {}
    if config.joint and len(several) < 2:
        dropped["The attack on all maps at once"] = "it needs two kinds of map beside MASK that fit the network"
    if config.sweep and not several:
        dropped["The sweep of smaller radii"] = "it needs a kind of map beside MASK that fits the network"
    changes = {"joint": config.joint and len(several) > 1, "sweep": config.sweep if several else ()}
    return config.model_copy(update=changes), dropped


def at_once(config: AuditConfig) -> tuple[str, ...]:
    """The interpreters that are attacked together: all but those that are asked about a few images alone."""
    return tuple(name for name in config.interpreters if family_of(name) != "perturbation")


def matched(config: AuditConfig, stage: Stage) -> tuple[str, ...]:
    """The interpreters whose maps a stage matches: none for PGD."""
    if stage.attack == "joint":
        return at_once(config)
    return () if stage.interpreter is None else (stage.interpreter,)


def joint_steps(config: AuditConfig) -> int:
    """Steps of ADV² on all maps at once: as many as the map that takes most."""
    return max(config.budget.steps(family_of(name)) for name in at_once(config))


def most_images(config: AuditConfig, name: str) -> int | None:
    """Most images that an interpreter is asked about; None: every image that is attacked."""
    return config.budget.mask_images if family_of(name) == "perturbation" else None


def shapes(config: AuditConfig) -> dict[str, int]:
    """Batch shapes of interpreters whose one map costs hundreds of passes: no row of padding more than needed."""
    costly = [name for name in config.interpreters if family_of(name) == "perturbation"]
    return {name: min(config.batch_size, config.budget.mask_images or config.batch_size) for name in costly}


def search_shape(config: AuditConfig, name: str | None) -> int:
    """Batch shape of the search against an interpreter (None: the diagnosis alone). Photographs go one at a time."""
    if config.threat.full_resolution:
        return 1
    return config.batch_size if name is None else shapes(config).get(name, config.batch_size)


def judged_together(config: AuditConfig, stage: Stage) -> int:
    """Images whose pictures are judged in one go: as many as fill whole batches, whatever a picture is asked about.

    Photographs at full resolution are large, so no more of them wait than one batch of pictures comes from.
    """
    if not config.threat.full_resolution:
        return config.batch_size
    return max(1, config.batch_size // (_changes(config) if stage.attack == "noise" else CANDIDATES))


def _changes(config: AuditConfig) -> int:
    """Harmless changes of each image: draws of noise, JPEG, a shift."""
    return config.budget.controls + 2


def forecast_seconds(config: AuditConfig, images: int, seconds_per_pass: float, todo: Sequence[Stage]) -> float:
    """Upper bound of the time that these stages take for that many images (whole batches)."""
    return sum(_passes(stage, config, images) for stage in todo) * seconds_per_pass


def _passes(stage: Stage, config: AuditConfig, images: int) -> float:
    """Upper bound of the passes of a stage (judging included)."""
    budget = config.budget
    if stage.attack == "noise":
        return sum(
            (_FORWARD_PASSES + _explain_passes(name)) * _rows_of_changes(config, stage, name, images)
            for name in config.interpreters
        )
    honest = sum(
        (_FORWARD_PASSES + _explain_passes(name)) * _rows(config, name, images) for name in config.interpreters
    )
    if stage.attack == "joint":
        each = sum(_step_passes(name) for name in at_once(config))
        return (joint_steps(config) * each) * _rows(config, None, images) + (CANDIDATES + 1) * honest
    if stage.interpreter is None:
        return budget.steps(None) * _rows(config, None, images) + 2 * honest
    family = family_of(stage.interpreter)
    steps, each = budget.steps(family), _step_passes(stage.interpreter)
    warm = min(steps, budget.warm_steps)
    warm_each = 1.0 if family == "gradient" and cost_of(stage.interpreter)[1] is None else each
    judged = CANDIDATES * _FORWARD_PASSES + (CANDIDATES + 1) * _explain_passes(stage.interpreter)
    times = len(config.sweep) if stage.attack == "sweep" else 1
    return times * (warm * warm_each + (steps - warm) * each + judged) * _rows(config, stage.interpreter, images)


def _explain_passes(name: str) -> float:
    own, _ = cost_of(name)
    return _EXPLAIN_PASSES[family_of(name)] if own is None else own


def _step_passes(name: str) -> float:
    _, own = cost_of(name)
    return _STEP_PASSES[family_of(name)] if own is None else own


def _rows(config: AuditConfig, name: str | None, images: int) -> int:
    """Rows of whole batches that hold the images which an interpreter (None: the model alone) is asked about."""
    return _whole_batches(config, name, _asked_about(config, name, images))


def _rows_of_changes(config: AuditConfig, stage: Stage, name: str, images: int) -> int:
    """Rows of whole batches that hold the harmless changes of these images, which are judged in groups."""
    groups, left = divmod(_asked_about(config, name, images), judged_together(config, stage))
    sizes = [judged_together(config, stage)] * groups + [left]
    return sum(_whole_batches(config, name, size * _changes(config)) for size in sizes)


def _asked_about(config: AuditConfig, name: str | None, images: int) -> int:
    """How many of these images an interpreter (None: the model alone) is asked about."""
    most = None if name is None else most_images(config, name)
    return images if most is None else min(images, most)


def _whole_batches(config: AuditConfig, name: str | None, rows: int) -> int:
    """Rows with the padding of the last batch."""
    size = config.batch_size if name is None else shapes(config).get(name, config.batch_size)
    return -(-rows // size) * size
