"""The result of an audit as a table for people and as a document for machines; every number is the report's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skinaudit.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from skinaudit.cli.console import Console
    from skinaudit.report.document import Report
    from skinaudit.report.render import Rendered
    from skinaudit.report.results import InterpreterResult, Rate

HEADS = ("Map", "Change", "n", "Diagnosis changed")


def result_rows(report: Report) -> tuple[tuple[str, ...], list[tuple[str, ...]], list[int]]:
    """Heads, rows, and the rows before which an interpreter begins."""
    rows: list[tuple[str, ...]] = []
    gaps: list[int] = []
    for result in report.interpreters:
        if rows:
            gaps.append(len(rows))
        for place, arm in enumerate(result.arms):
            name = result.title if place == 0 else ""
            rows.append((name, arm.title, str(arm.n), _cell(arm.flipped), _cell(arm.kept), _cell(arm.joint)))
    titles = {(result.kept_title, result.joint_title) for result in report.interpreters}
    return (*HEADS, *(titles.pop() if titles else ("Map kept", "Both at once"))), rows, gaps


def show_result(console: Console, rendered: Rendered) -> None:
    """Table, verdict and paths; the PDF comes last."""
    heads, rows, gaps = result_rows(rendered.report)
    console.say()
    if rows:
        console.table(heads, rows, gaps=gaps)
        if any(arm.joint.value is None for result in rendered.report.interpreters for arm in result.arms):
            console.say("Where no share is stated, there are too few images to say how often.")
        if any(arm.attack == "joint" for result in rendered.report.interpreters for arm in result.arms):
            console.say("On all maps at once, the last column asks that every map be kept, not this one alone.")
    console.say()
    console.sentence(rendered.report.verdict)
    console.sentence(rendered.report.verdict_detail)
    if rendered.report.auditable.alarm:
        console.sentence(rendered.report.auditable.alarm)
    for failure in rendered.report.data.failed_units:
        console.say(f"Failed: {failure.count} x {failure.reason}")
    console.say()
    for path in (rendered.results, rendered.events, rendered.json, rendered.pdf):
        console.say(str(path.resolve()))


def result_document(rendered: Rendered) -> dict[str, object]:
    """What ``--json`` prints: the report's summary, where its files lie, and the exit code."""
    report = rendered.report
    return {
        "exit_code": int(ExitCode.DONE),
        "schema_version": report.schema_version,
        "run_id": report.header.run_id,
        "level": report.level,
        "verdict": report.verdict,
        "verdict_detail": report.verdict_detail,
        "scope": report.scope,
        "enough": report.enough,
        "auditable": report.auditable.model_dump(mode="json"),
        "answers": [answer.model_dump(mode="json") for answer in report.answers],
        "data": report.data.model_dump(mode="json"),
        "interpreters": [_without_rows(result) for result in report.interpreters],
        "chain_head": report.chain_head,
        "paths": {
            "pdf": str(rendered.pdf.resolve()),
            "json": str(rendered.json.resolve()),
            "results": str(rendered.results.resolve()),
            "events": str(rendered.events.resolve()),
        },
    }


def _without_rows(result: InterpreterResult) -> dict[str, object]:
    """An interpreter's numbers without picture rows and single points, which report.json has."""
    return result.model_dump(
        mode="json", exclude={"cases": True, "cases_text": True, "arms": {"__all__": {"l1_points"}}}
    )


def _cell(rate: Rate) -> str:
    """Figure and interval of a rate in one cell."""
    from skinaudit.report.wording import rate_cell

    figure, below = rate_cell(rate)
    return figure if rate.value is None else f"{figure} ({below})"
