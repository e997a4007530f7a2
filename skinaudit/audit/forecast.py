"""How much the stages of an audit take at most, in passes of the network."""

from __future__ import annotations

from collections.abc import Mapping

from skinaudit.attacks.tasks import CANDIDATES
from skinaudit.audit.plan import Stage, at_once, changes, joint_steps, judged_together, matched, search_shape, shapes
from skinaudit.config import AuditConfig, TargetMap
from skinaudit.interpreters.registry import cost_of, family_of

#: Passes (forward + input gradient = 1) of one step of ADV², and of one honest explanation. The steps of the first
#: three families are no less than was measured on three networks (docs/benchmarks.md); the rest are estimates. An
#: interpreter's own figures are counts of its passes: a step was measured at up to 4 % more.
_STEP_PASSES = {"activation": 1.1, "gradient": 3.1, "learned": 1.7, "perturbation": 16.0}
_EXPLAIN_PASSES = {"activation": 0.4, "gradient": 1.0, "learned": 0.8, "perturbation": 300.0}
_FORWARD_PASSES = 0.4
#: A step on the diagnosis alone: one pass, and the loop's own share, which was measured at up to 4.3 %.
_PLAIN_STEP_PASSES = 1.1


def stage_passes(config: AuditConfig, stage: Stage, images: int, asked: Mapping[str, int]) -> float:
    """Upper bound of what a stage takes, in passes of one image's forward and input gradient.

    Args:
        config: the audit's.
        stage: what is to be done.
        images: how many images are left to it.
        asked: interpreter -> how many of these it is asked about.
    """
    views = clean_passes(config, images) + _donor_passes(config, stage, images)
    return views + search_passes(config, stage, images) + judging_passes(config, stage, asked)


def clean_passes(config: AuditConfig, images: int) -> float:
    """How the unchanged images look, costly maps aside: each stage finds it out for itself."""
    return (_FORWARD_PASSES + sum(map(_explain_passes, at_once(config)))) * _whole(images, config.batch_size)


def costly_passes(config: AuditConfig, name: str, images: int) -> float:
    """Benign maps of an interpreter whose maps are costly: computed once for all stages."""
    return _explain_passes(name) * _whole(images, shapes(config)[name])


def _donor_passes(config: AuditConfig, stage: Stage, images: int) -> float:
    """Maps of other images that are wanted: at most one for each image, of every map that it is seen through."""
    if config.threat.target_map is not TargetMap.CLASS:
        return 0.0
    names = config.interpreters if stage.interpreter is None else {stage.interpreter, *at_once(config)}
    size = config.batch_size
    return sum(_explain_passes(name) * _whole(images, shapes(config).get(name, size)) for name in names)


def search_passes(config: AuditConfig, stage: Stage, images: int) -> float:
    """Upper bound of what the search of a stage takes: all its steps, in whole batches."""
    if stage.attack == "noise":
        return 0.0
    budget = config.budget
    rows = _whole(images, search_shape(config, stage.interpreter))
    if stage.attack == "joint":
        return joint_steps(config) * sum(_step_passes(name) for name in at_once(config)) * rows
    if stage.interpreter is None:
        return budget.steps(None) * _PLAIN_STEP_PASSES * rows
    family, each = family_of(stage.interpreter), _step_passes(stage.interpreter)
    steps = budget.steps(family)
    warm = 0 if config.threat.keeps_diagnosis else min(steps, budget.warm_steps)
    warm_each = 1.0 if family == "gradient" and cost_of(stage.interpreter)[1] is None else each
    return _times(config, stage) * (warm * warm_each + (steps - warm) * each) * rows


def judging_passes(config: AuditConfig, stage: Stage, asked: Mapping[str, int]) -> float:
    """Upper bound of what the verdicts of a stage take: every picture's diagnosis, and the maps of two classes.

    Where a map is matched, the candidates are looked at and the other class is asked about for the best of them alone.
    The other maps see that one too, MASK excepted.
    """
    if not matched(config, stage):
        pictures = changes(config) if stage.attack == "noise" else 1
        return sum(_seen(config, stage, name, count, pictures, 2) for name, count in asked.items())
    names = matched(config, stage)
    candidates = sum(_seen(config, stage, name, asked[name], CANDIDATES, 1) for name in names)
    originals = sum(_explain_passes(name) * _rows(config, stage, name, asked[name], 1) for name in names)
    others = [name for name in at_once(config) if stage.attack == "adv2" and name not in names]
    transfers = sum(_seen(config, stage, name, asked[name], 1, 1) for name in others)
    return _times(config, stage) * (candidates + originals) + transfers


def _times(config: AuditConfig, stage: Stage) -> int:
    """How often a stage attacks an image: once for each radius of a sweep."""
    return len(config.sweep) if stage.attack == "sweep" else 1


def _seen(config: AuditConfig, stage: Stage, name: str, images: int, pictures: int, classes: int) -> float:
    """Passes of the diagnosis of so many pictures of each image, and of an interpreter's maps of so many classes."""
    diagnoses = _FORWARD_PASSES * _rows(config, stage, None, images, pictures)
    return diagnoses + classes * _explain_passes(name) * _rows(config, stage, name, images, pictures)


def _rows(config: AuditConfig, stage: Stage, name: str | None, images: int, pictures: int) -> int:
    """Rows of whole batches of an interpreter (None: of the model alone) that hold so many pictures of each image.

    Images are judged in groups, and each group ends with a batch that may not be full. A sweep begins a new group
    with each batch of images.
    """
    parts = _cut(images, config.batch_size) if stage.attack == "sweep" else [images]
    groups = [count for part in parts for count in _cut(part, judged_together(config, stage))]
    size = config.batch_size if name is None else shapes(config).get(name, config.batch_size)
    return sum(_whole(count * pictures, size) for count in groups)


def _cut(count: int, size: int) -> list[int]:
    """So many things in pieces of that size; the last may be smaller."""
    whole, left = divmod(count, size)
    return [size] * whole + [left] * bool(left)


def _whole(rows: int, size: int) -> int:
    """Rows with the padding of the last batch."""
    return -(-rows // size) * size


def _explain_passes(name: str) -> float:
    own, _ = cost_of(name)
    return _EXPLAIN_PASSES[family_of(name)] if own is None else own


def _step_passes(name: str) -> float:
    _, own = cost_of(name)
    return _STEP_PASSES[family_of(name)] if own is None else own
