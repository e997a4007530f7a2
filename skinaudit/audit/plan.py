"""Which work units an audit is made of, in which order, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skinaudit.config import AuditConfig

if TYPE_CHECKING:
    from skinaudit.audit.records import Attack

#: Passes (forward + input gradient = 1) of one step of ADV², and of one honest explanation. The step
#: counts are a little above what was measured on three networks (docs/benchmarks.md); the others are estimates.
_STEP_PASSES = {"cam": 1.1, "grad": 3.0}
_EXPLAIN_PASSES = {"cam": 0.4, "grad": 1.0}
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
        return "PGD (diagnosis only)" if self.attack == "pgd" else f"ADV² on {str(self.interpreter).upper()}"

    def unit_id(self, image_id: str) -> str:
        """Stable id of this stage's work on one image."""
        return f"{image_id}:{self.name}"


def stages(config: AuditConfig) -> list[Stage]:
    """Controls first, then PGD, then ADV² on each interpreter."""
    return [Stage("noise", None), Stage("pgd", None), *(Stage("adv2", name) for name in config.interpreters)]


def passes(stage: Stage, config: AuditConfig) -> float:
    """Upper bound of the passes one image takes in a stage (judging included)."""
    budget = config.budget
    honest = sum(_FORWARD_PASSES + _EXPLAIN_PASSES.get(name, 1.0) for name in config.interpreters)
    if stage.attack == "noise":
        return (2 + budget.controls) * honest
    steps = budget.steps(stage.attack, stage.interpreter)
    if stage.interpreter is None:
        return steps + honest
    warm = min(steps, budget.warm_steps)
    each = _STEP_PASSES.get(stage.interpreter, 1.0)
    warm_each = 1.0 if stage.interpreter == "grad" else each
    judged = 3 * (_FORWARD_PASSES + 2 * _EXPLAIN_PASSES.get(stage.interpreter, 1.0))
    return warm * warm_each + (steps - warm) * each + judged


def forecast_seconds(config: AuditConfig, images: int, seconds_per_pass: float, todo: Sequence[Stage]) -> float:
    """Upper bound of the time that these stages take for that many images (whole batches)."""
    batches = -(-images // config.batch_size)
    return sum(passes(stage, config) for stage in todo) * batches * config.batch_size * seconds_per_pass
