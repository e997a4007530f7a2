"""Words for everything measured against one interpreter."""

from __future__ import annotations

from collections.abc import Sequence

from skinaudit.audit.records import Record, RunHeader
from skinaudit.config import ThreatModel
from skinaudit.interpreters.registry import summary_of, title_of
from skinaudit.report import aim, tally
from skinaudit.report.cases import Chosen, best_then_failures
from skinaudit.report.change import measured
from skinaudit.report.findings.case import worded_case
from skinaudit.report.findings.directions import directions_of
from skinaudit.report.findings.excess import excess_of
from skinaudit.report.findings.wanted_maps import wanted_maps_findings
from skinaudit.report.results import Arm, Excess, InterpreterResult
from skinaudit.report.wording import images, listed, rate_text

#: PGD maps kept above this share: the map hardly depends on the diagnosis.
INSENSITIVE_ABOVE = 0.20
CONTROLS = {
    "noise": "random noise of the attack's size",
    "jpeg": "JPEG re-encoding",
    "shift": "a half-pixel shift",
}


def interpreter_result(
    header: RunHeader, name: str, records: Sequence[Record], candidates: Sequence[Chosen]
) -> InterpreterResult:
    """Numbers and sentences of one interpreter, and the picture rows that are shown of it."""
    rows = best_then_failures(candidates)
    title, threat = title_of(name), header.config.threat
    arms = [arm for attack in tally.ARM_ORDER if (arm := tally.arm(records, attack)) is not None]
    # Only of the benign map can be said that it stayed although nobody cared about it.
    excess = excess_of(*tally.paired_joint(records), aim.deed(threat))
    insensitive = _insensitive(arms) if threat.keeps_map else None
    directions = directions_of(header, records) if header.labels_given else ()
    threshold = next((row for row in header.thresholds if row.interpreter == name), None)
    return InterpreterResult(
        interpreter=name,
        title=title,
        description=summary_of(name),
        threshold=threshold,
        arms=tuple(arms),
        excess=excess,
        depends_on_diagnosis=None if insensitive is None else not insensitive,
        directions=directions,
        cases=tuple(worded_case(header, case) for case in rows),
        cases_text=_cases_text(threat, rows, len(candidates)),
        findings=(
            *_findings(threat, title, arms, excess, insensitive),
            *_blank_finding(threat, title, name, candidates),
            *wanted_maps_findings(threat, title, arms, records),
            *(direction.text for direction in directions if (judged := _of(arms, "adv2")) and judged.n),
        ),
        rates_caption=_rates_caption(threat, title, arms),
        distances_caption=_distances_caption(threat, title, arms, threshold.l1 if threshold else None),
        kept_title=aim.kept_title(threat),
        joint_title=aim.joint_title(threat),
        reference=aim.reference(threat),
    )


def _of(arms: Sequence[Arm], attack: str) -> Arm | None:
    return next((arm for arm in arms if arm.attack == attack), None)


def _insensitive(arms: Sequence[Arm]) -> bool | None:
    """Does the map survive a change of diagnosis that never looked at it? Judged on changed diagnoses only."""
    pgd = _of(arms, "pgd")
    if pgd is None or pgd.kept_when_flipped.value is None:
        return None
    return pgd.kept_when_flipped.value > INSENSITIVE_ABOVE


def _findings(
    threat: ThreatModel, title: str, arms: Sequence[Arm], excess: Excess | None, insensitive: bool | None
) -> tuple[str, ...]:
    adv2, pgd = _of(arms, "adv2"), _of(arms, "pgd")
    if adv2 is None or adv2.n == 0:
        return (f"No attack on {title} was judged in this run, so nothing is said about it.",)
    found = [
        _headline(threat, title, adv2),
        measured(adv2.largest_change_levels, adv2.largest_displacement, adv2.mean_displacement),
    ]
    if excess is not None:
        found.append(excess.text)
    if pgd is not None and insensitive is not None:
        kept = f"After PGD had changed the diagnosis the {title} map was kept in {rate_text(pgd.kept_when_flipped)}"
        found.append(
            f"{kept}: for this interpreter the map hardly depends on the diagnosis, so its stability is no evidence."
            if insensitive
            else f"{kept}: an attacker who ignores the map disturbs it, so a kept map is the work of ADV²."
        )
    if threat.keeps_map and adv2.original_l1.mean is not None and adv2.l1.mean is not None:
        found.append(
            f"At the adversarial image, the map of the class now shown lies at L1 {adv2.l1.mean:.3f} from the benign "
            f"map, the map of the class first predicted at {adv2.original_l1.mean:.3f} (means of {images(adv2.n)})."
        )
    found.extend(_controls_findings([arm for arm in arms if arm.attack in CONTROLS and arm.n]))
    return tuple(found)


def _blank_finding(threat: ThreatModel, title: str, name: str, candidates: Sequence[Chosen]) -> tuple[str, ...]:
    """That some maps mark nothing even before the attack: keeping such a map is no achievement."""
    blank = [case for case in candidates if name in case.image.blank_maps]
    if not blank or not threat.keeps_map:
        return ()
    kept = sum(bool(case.adv2.kept) for case in blank)
    text = (
        f"The {title} map of {len(blank)} of {images(len(candidates))} marks nothing before the attack (no pixel "
        f"reaches one half): there was nothing to keep. {kept} of these count as kept after it."
    )
    return (text,)


def _headline(threat: ThreatModel, title: str, adv2: Arm) -> str:
    outcome = aim.map_outcome(threat, title)
    if not adv2.joint.n:
        was = "was kept" if threat.keeps_map else "is the wanted one"
        unknown = f"Without a drift threshold nobody can say whether the {title} map {was}."
        return f"ADV² changed the diagnosis in {rate_text(adv2.flipped)}. {unknown}"
    if threat.keeps_diagnosis:
        return (
            f"The diagnosis stayed with {outcome} by ADV² in {rate_text(adv2.joint)}. The diagnosis was changed, which "
            f"was not wanted, in {rate_text(adv2.flipped)}."
        )
    return (
        f"ADV² changed the diagnosis in {rate_text(adv2.flipped)}, and did so with {outcome} in "
        f"{rate_text(adv2.joint)}."
    )


def _controls_findings(controls: Sequence[Arm]) -> list[str]:
    harmless = [arm for arm in controls if not arm.flipped.successes]
    found = [
        f"Without any intent, {CONTROLS[arm.attack]} changed the diagnosis in {rate_text(arm.flipped)}."
        for arm in controls
        if arm.flipped.successes
    ]
    if harmless:
        names = listed([CONTROLS[arm.attack] for arm in harmless])
        found.append(f"No diagnosis was changed by {names} ({images(min(arm.n for arm in harmless))}).")
    return found


def _rates_caption(threat: ThreatModel, title: str, arms: Sequence[Arm]) -> str:
    adv2, pgd = _of(arms, "adv2"), _of(arms, "pgd")
    if adv2 is None or adv2.n == 0:
        return f"No rates: no attack on {title} was judged."
    beside = f"; PGD, which ignores the map, in {rate_text(pgd.joint)}" if pgd is not None and pgd.n else ""
    if threat.keeps_diagnosis:
        noise = _of(arms, "noise")
        beside = f"; {CONTROLS['noise']} in {rate_text(noise.joint)}" if noise is not None and noise.n else ""
    deed = "stayed" if threat.keeps_diagnosis else "changed"
    outcome = f"{title} map kept" if threat.keeps_map else f"wanted {title} map reached"
    return f"Diagnosis {deed} and {outcome}: ADV² in {rate_text(adv2.joint)}{beside}."


def _distances_caption(threat: ThreatModel, title: str, arms: Sequence[Arm], threshold: float | None) -> str:
    points = [(arm.title, arm.l1_points) for arm in arms if arm.attack in ("adv2", "pgd") and arm.l1_points]
    if not points:
        return f"No distances: no {title} map was measured under attack."
    if threshold is None:
        return f"No drift threshold is known for {title}; distances are shown without one."
    within = [
        f"{sum(point <= threshold for point in row)} of {images(len(row))} under {attack}" for attack, row in points
    ]
    if threat.keeps_map:
        what = "drift"
        needed = "kept only where its most important fifth also overlaps that of the benign map enough"
    else:
        what = "distance from the wanted map"
        needed = "reached only where its most important fifth also overlaps that of the wanted map enough"
    return (
        f"{title}: L1 {what} within the limit of {threshold:.3f} that harmless changes set (95th percentile) in "
        f"{' and '.join(within)}. A map counts as {needed}."
    )


def _cases_text(threat: ThreatModel, rows: Sequence[Chosen], available: int) -> str:
    if not rows:
        return "No attacked image to show."
    joint = sum(case.kind == "joint" for case in rows)
    short = len(rows) - joint
    fell = "the map alone fell to ADV²" if threat.keeps_diagnosis else "diagnosis and map both fell to ADV²"
    parts = [f"{joint} where {fell}"] if joint else []
    parts += [f"{short} where the attack fell short"] if short else []
    return f"{len(rows)} of {images(available)} shown: {' and '.join(parts)}. Best examples first, failures last."
