"""Every form of a report on a closed run, written beside its records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from skinaudit.audit.failures import RunCorrupt, one_line_for
from skinaudit.audit.reader import RunReader
from skinaudit.report.document import Report
from skinaudit.report.findings import summarise
from skinaudit.report.pdf import write_pdf
from skinaudit.report.twin import write_json


@dataclass(frozen=True)
class Rendered:
    """The report, and where its forms lie."""

    report: Report
    pdf: Path
    json: Path
    results: Path
    events: Path


def render(run: Path, pdf: Path | None = None) -> Rendered:
    """Write PDF, JSON twin, table of results and event log of a closed run; equal records give equal files.

    Args:
        run: the run directory.
        pdf: where the PDF goes, ``report.pdf`` in the run by default; the JSON twin has the same name with ``.json``.

    Raises:
        NotARun, RunCorrupt, StoreError: no run, damaged, not closed, or a file cannot be written.
    """
    pdf = run / "report.pdf" if pdf is None else pdf
    with RunReader(run) as view:
        problems = view.verify_chain()
        if problems:
            raise RunCorrupt(f"{run}: the records are not those that the audit wrote: {problems[0]}")
        report = summarise(view)
        rendered = Rendered(report, pdf, pdf.with_suffix(".json"), run / "results.csv", run / "events.jsonl")
        with one_line_for(pdf, "written"):
            pdf.parent.mkdir(parents=True, exist_ok=True)
            # Whole or not at all: an old report stays until the new one is complete.
            draft = pdf.with_name(f".{pdf.name}.part")
            write_pdf(view, draft)
            draft.replace(pdf)
            draft = rendered.json.with_name(f".{rendered.json.name}.part")
            write_json(view, draft)
            draft.replace(rendered.json)
        view.export_results(rendered.results)
        view.export_events(rendered.events)
    return rendered
