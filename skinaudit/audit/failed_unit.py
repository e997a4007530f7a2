"""Rows for work that could not be done, so that nothing is missing from a run without a word."""

from __future__ import annotations

from skinaudit.audit.plan import Stage, at_once
from skinaudit.audit.records import Attack, Record
from skinaudit.audit.session import Prepared


def failed_unit(
    stage: Stage, prepared: Prepared, image_id: str, source_class: int, reason: str
) -> tuple[str, list[Record]]:
    """The unit's id, and a failed record in place of each verdict that it would have given.

    Args:
        stage: which work.
        prepared: the run's settings, and which interpreters the image is put to.
        image_id: the image.
        source_class: index of its clean prediction.
        reason: why there is no verdict; free of paths.
    """
    config = prepared.header.config
    names = prepared.asked_about(image_id) if stage.interpreter is None else (stage.interpreter,)
    if stage.attack == "joint":
        names = at_once(config)
    kinds: list[tuple[Attack, int]] = [(stage.attack, 0)]
    if stage.attack == "noise":
        kinds = [("noise", draw) for draw in range(config.budget.controls)] + [("jpeg", 0), ("shift", 0)]
    unit_id = stage.unit_id(image_id)
    radii = sorted(config.sweep) if stage.attack == "sweep" else [None]
    rows = [(name, attack, draw, levels) for name in names for attack, draw in kinds for levels in radii]
    if stage.attack == "adv2":
        rows += [(name, "transfer", 0, None) for name in at_once(config) if name != stage.interpreter]
    return unit_id, [
        Record(
            unit_id=unit_id,
            image_id=image_id,
            interpreter=name,
            attack=attack,
            source_class=source_class,
            target_class=None,
            status="failed",
            reason=reason,
            made_for=stage.interpreter if attack == "transfer" else None,
            epsilon_levels=levels,
            draw=draw,
        )
        for name, attack, draw, levels in rows
    ]
