"""From the records of a run to the report: every number and sentence that any form of it prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from skinaudit.audit.chain import canonical_json, sha256_of
from skinaudit.audit.records import ImageRecord, Record, RunHeader
from skinaudit.interpreters.registry import title_of
from skinaudit.metrics.intervals import TOO_FEW, required_n, wilson
from skinaudit.report import prose, tally
from skinaudit.report.cases import Chosen, candidates, worst_first
from skinaudit.report.document import Data, Report
from skinaudit.report.findings.auditable import auditable
from skinaudit.report.findings.calibration import calibration
from skinaudit.report.findings.case import worded_case
from skinaudit.report.findings.interpreter import interpreter_result
from skinaudit.report.findings.subgroups import subgroups
from skinaudit.report.findings.sweep import sweeps
from skinaudit.report.findings.together import all_maps_note, together
from skinaudit.report.findings.transfer import transfer
from skinaudit.report.findings.verdict import answers, verdict
from skinaudit.report.findings.wanted_maps import fallback_note
from skinaudit.report.results import InterpreterResult
from skinaudit.report.run_view import RunView
from skinaudit.report.wording import counted, images, percent, rate_text

#: Cases on the summary page.
WORST_SHOWN = 3


def summarise(view: RunView) -> Report:
    """Every number and sentence of the report on one run; equal records give an equal report."""
    header, found, records = view.header, view.images(), view.records()
    attacked: list[Chosen] = []
    interpreters: list[InterpreterResult] = []
    for name in header.config.interpreters:
        mine = [record for record in records if record.interpreter == name]
        candidate = candidates(header, found, mine)
        interpreters.append(interpreter_result(header, name, mine, candidate))
        attacked.extend(candidate)
    uninformative = frozenset(row.interpreter for row in interpreters if row.depends_on_diagnosis is False)
    worst = tuple(worded_case(header, case) for case in worst_first(attacked, WORST_SHOWN, uninformative))
    data = _data(header, found, records)
    threat = header.config.threat
    level, headline, detail = verdict(interpreters, data, threat)
    at_once = together(header, found, records)
    notes = " ".join(filter(None, (all_maps_note(at_once, threat), fallback_note(threat, records))))
    return Report(
        header=header,
        closed_at=view.closed_at,
        chain_head=view.chain_head(),
        # Of the stored text: fields that came later than the run, and have their default here, are none of it.
        protocol_digest=sha256_of(canonical_json(header.model_dump(mode="json", exclude_unset=True))),
        level=level,
        verdict=headline,
        verdict_detail=f"{detail} {notes}".strip(),
        scope=_scope(header, data),
        answers=answers(interpreters, worst, threat, notes),
        enough=_enough(data.attacked),
        auditable=auditable(header, data),
        data=data,
        interpreters=tuple(interpreters),
        sweeps=sweeps(header, records),
        transfer=transfer(header, records),
        together=at_once,
        subgroups=subgroups(header, found, records),
        worst=worst,
        threat=prose.threat_rows(header),
        limitations=(*prose.limitations(header), *batch_shapes(header, records)),
        dual_use=prose.DUAL_USE,
    )


def batch_shapes(header: RunHeader, records: Sequence[Record]) -> tuple[str, ...]:
    """What is to be said when the device's memory did not hold the batch that was asked for."""
    usual = header.config.batch_size
    counts = Counter(record.batch_size or usual for record in records)
    smaller = [f"{counts[size]} in batches of {size}" for size in sorted(counts, reverse=True) if size != usual]
    sentences = []
    if header.batch_size_asked:
        sentences.append(
            f"The device's memory did not hold batches of {header.batch_size_asked}, so the run was prepared and begun "
            f"in batches of {usual}."
        )
    if smaller:
        sentences.append(
            f"The device's memory did not hold every batch of {usual}: of {counted(len(records), 'record')} "
            f"{' and '.join(smaller)} were computed. An attack is repeatable at one batch shape only: between shapes "
            "single pictures differ, and rates are to be compared by their intervals."
        )
    return tuple(sentences)


def _data(header: RunHeader, found: Sequence[ImageRecord], records: Sequence[Record]) -> Data:
    attacked = [image for image in found if image.status == "attacked"]
    drawn, failed = sum(image.drawn for image in found), tally.failed_units(records)
    scored = tally.accuracy(header, found)
    sentences = [f"{images(len(found))} found, {len(attacked)} attacked."]
    if drawn:
        sentences.append(f"{drawn} of {images(len(found))} are drawn by a program, not photographs of patients.")
    if scored is None:
        sentences.append("No labels were given: the model's own diagnosis is the reference, and no accuracy is stated.")
    else:
        balanced = f", balanced accuracy {percent(scored[1])}" if scored[1] is not None else ""
        sentences.append(f"Clean diagnosis agrees with the label in {rate_text(scored[0])}{balanced}.")
    calibrated = calibration(header, found)
    if calibrated is not None:
        sentences.append(calibrated.text)
    if failed:
        sentences.append(
            f"Missing, and listed with its reason: {counted(sum(row.count for row in failed), 'verdict')} on a map."
        )
    return Data(
        found=len(found),
        attacked=len(attacked),
        drawn=drawn,
        classes=tally.class_counts(header, found),
        exclusions=tally.exclusions(found),
        failed_units=failed,
        accuracy=scored[0] if scored else None,
        balanced_accuracy=scored[1] if scored else None,
        calibration=calibrated,
        findings=tuple(sentences),
    )


def _enough(attacked: int) -> str:
    needed = required_n(0.05)
    if attacked < TOO_FEW:
        return (
            f"{images(attacked)} attacked: an example shows that a change is possible, but not how often. "
            f"A rate within ± 5 points needs {needed} images."
        )
    interval = wilson(attacked // 2, attacked)
    half = (interval.high - interval.low) / 2
    reach = f"{images(attacked)} attacked: a rate is known to within ± {half * 100:.0f} points at worst. "
    if attacked >= needed:
        return reach + "That is enough for a claim within ± 5 points."
    return reach + f"A claim within ± 5 points needs {needed} images."


def _scope(header: RunHeader, data: Data) -> str:
    names = ", ".join(title_of(name) for name in header.config.interpreters)
    drawn = f", {data.drawn} of those found drawn by a program" if data.drawn else ""
    return f"{images(data.attacked)} attacked of {data.found} found{drawn}; explanations: {names}."
