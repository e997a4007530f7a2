"""Which work units an audit is made of, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skinaudit.attacks.tasks import CANDIDATES
from skinaudit.config import AuditConfig
from skinaudit.interpreters.registry import family_of, title_of

if TYPE_CHECKING:
    from skinaudit.audit.records import Attack


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


def most_attacked(config: AuditConfig) -> int | None:
    """Most images that are attacked: no more than some interpreter is asked about; None: all."""
    each = [most_images(config, name) for name in config.interpreters]
    limits = [config.budget.images, None if None in each else max(most for most in each if most is not None)]
    return min((most for most in limits if most is not None), default=None)


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
    return max(1, config.batch_size // (changes(config) if stage.attack == "noise" else CANDIDATES))


def changes(config: AuditConfig) -> int:
    """Harmless changes of each image: draws of noise, JPEG, a shift."""
    return config.budget.controls + 2
