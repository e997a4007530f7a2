"""One stage of work on a stream of images: adversarial pictures, verdicts, records and artifacts.

Knows nothing of where results are kept or which engine asks for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from skinaudit.attacks.joint import joint_objective
from skinaudit.attacks.loop import Loop
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.mask_objective import MaskObjective
from skinaudit.attacks.objectives import objective_for
from skinaudit.attacks.tasks import MapGoal, Outcome, Task
from skinaudit.audit.control_unit import control_units
from skinaudit.audit.judging import judged
from skinaudit.audit.plan import at_once, joint_steps, judged_together, matched, search_shape
from skinaudit.audit.workbench import Subject, UnitResult, Workbench, chosen_target
from skinaudit.config import Norm
from skinaudit.interpreters.registry import family_of

if TYPE_CHECKING:
    from skinaudit.audit.plan import Stage


def run_stage(bench: Workbench, stage: Stage, subjects: Iterable[Subject]) -> Iterator[UnitResult]:
    """Results of a stage, a batch of images at a time, whatever their number.

    Outcomes wait until a batch of them can be judged together; an interruption loses these and no others.
    """
    together = judged_together(bench.config, stage)
    if stage.attack == "noise":
        stream = iter(subjects)
        while part := list(islice(stream, together)):
            yield from control_units(bench, stage, part)
        return
    waiting: list[tuple[Subject, Outcome]] = []
    open_subjects: dict[str, Subject] = {}
    for outcome in _outcomes(bench, stage, _tasks(bench, stage, subjects, open_subjects)):
        waiting.append((open_subjects.pop(outcome.key), outcome))
        if len(waiting) == together:
            yield from judged(bench, stage, waiting)
            waiting = []
    yield from judged(bench, stage, waiting)


def _outcomes(bench: Workbench, stage: Stage, tasks: Iterable[Task]) -> Iterator[Outcome]:
    """What the search finds. Photographs differ in size, so that each has a loop of its own."""
    loop = _loop(bench, stage)
    if not bench.config.threat.full_resolution:
        yield from loop.run(tasks)
        return
    for task in tasks:
        yield from loop.run([task])


def _loop(bench: Workbench, stage: Stage) -> Loop:
    budget = bench.config.budget
    interpreter = bench.interpreters[stage.interpreter] if stage.interpreter else None
    family = family_of(stage.interpreter) if stage.interpreter else None
    several = [bench.interpreters[name] for name in at_once(bench.config)] if stage.attack == "joint" else []
    settings = LoopSettings.for_attack(
        "activation" if several else family,
        steps=joint_steps(bench.config) if several else budget.steps(family),
        # Nothing is to be warmed up where the diagnosis is the wanted one from the start.
        warm_steps=0 if bench.config.threat.keeps_diagnosis else budget.warm_steps,
        early_stop=budget.early_stop,
        flow_limit=bench.config.threat.flow_limit if bench.config.threat.norm is Norm.FLOW else None,
    )
    objective = (
        joint_objective(bench.classifier, several)
        if several
        else objective_for(stage.attack, bench.classifier, interpreter)
    )
    if isinstance(objective, MaskObjective):
        settings = replace(settings, most_weight=objective.most_weight)
    return Loop(
        objective,
        bench.entry.perturbation(),
        settings,
        search_shape(bench.config, stage.interpreter),
        bench.device,
    )


def _tasks(
    bench: Workbench, stage: Stage, subjects: Iterable[Subject], open_subjects: dict[str, Subject]
) -> Iterator[Task]:
    for subject in subjects:
        open_subjects[subject.image_id] = subject
        goals = tuple(_map_goal(bench, subject, name) for name in matched(bench.config, stage))
        yield Task(subject.image_id, subject.shown, chosen_target(bench, subject), goals, subject.begin)


def _map_goal(bench: Workbench, subject: Subject, name: str) -> MapGoal:
    limit = bench.thresholds[name]
    return MapGoal(subject.wanted_map(name).saliency, limit.l1, limit.iou20, limit.l1 / 4)
