"""Sections that say what was tested and how: threat, object, data, protocol, limits, environment."""

from __future__ import annotations

from collections.abc import Sequence

from reportlab.platypus import Flowable, KeepTogether, ListFlowable, ListItem, Spacer, Table, TableStyle

from skinaudit.audit.records import RunHeader
from skinaudit.calibration.drift import enough_images
from skinaudit.interpreters.registry import title_of
from skinaudit.report import palette
from skinaudit.report.document import Exclusion, Report
from skinaudit.report.figures import share_bar
from skinaudit.report.prose import RECOMPUTE, protocol_rows
from skinaudit.report.style import (
    BODY,
    CAPTION,
    CELL,
    HEAD,
    HEAD_RIGHT,
    LEAD,
    NUMBER,
    SMALL,
    WIDTH,
    box,
    figure_cell,
    paragraph,
    subheading,
    table,
    terms,
)
from skinaudit.report.wording import images

#: Most rows of a list that outside files decide the length of; the rest is counted, and stands in report.json.
MOST_ROWS = 30


def bullets(sentences: Sequence[str]) -> ListFlowable:
    """Sentences as a list."""
    return ListFlowable(
        [ListItem(paragraph(sentence), spaceAfter=5) for sentence in sentences],
        bulletType="bullet",
        start="–",
        bulletColor=palette.AMBER,
        bulletFontName="Vera",
        bulletFontSize=8.4,
        leftIndent=13,
    )


def threat(report: Report) -> list[Flowable]:
    """Who attacks, with what, to what end."""
    return [
        paragraph(
            "In the terms of NIST AI 100-2 E2025, Adversarial Machine Learning: A Taxonomy and Terminology.", LEAD
        ),
        Spacer(0, 10),
        terms(report.threat),
        Spacer(0, 16),
        box("Dual use", report.dual_use),
    ]


def object_under_test(report: Report) -> list[Flowable]:
    """The model, as far as it was read, with the digests that identify it."""
    model = report.header.model
    width, height = model.input_size[1], model.input_size[0]
    rows = [
        (model.kind, f"{model.name}, version {model.version}"),
        ("Network", f"{model.network}, {_thousands(model.parameters)} parameters"),
        ("Tensor digest (SHA-256)", model.tensor_digest),
        ("Configuration digest (SHA-256)", model.config_digest),
        ("Input", f"{width} × {height} pixels, RGB"),
        ("Pre-processing", "; ".join(_capped(model.preprocessing, 240)) or "none declared"),
        ("Parts of the configuration ignored", "; ".join(_capped(model.ignored)) or "none"),
        ("Code of the model that was executed", model.trusted_code or "none"),
        ("Licence", model.licence),
    ]
    if model.assumed:
        rows.append(("Assumed, because nobody stated it", "; ".join(_capped(model.assumed, 240))))
    if model.declared:
        declared = _capped(_declared(report), 240)
        rows.append(("Figures declared by its makers", f"{'; '.join(declared)} (not measured in this run)"))
    return [terms(rows)]


def data(report: Report) -> list[Flowable]:
    """Which images, of which classes, and which were left out and why."""
    found = report.data
    story: list[Flowable] = [bullets(found.findings), Spacer(0, 6), _class_table(report), Spacer(0, 4)]
    story += [subheading("Images that were not attacked")]
    story.append(_reasons(found.exclusions, "Status") if found.exclusions else paragraph("None.", BODY))
    if found.failed_units:
        story += [subheading("Work that failed"), _reasons(found.failed_units, "Work")]
    return story


def _class_table(report: Report) -> Flowable:
    counts = report.data.classes[:MOST_ROWS]
    largest = max((count.attacked for count in counts), default=0) or 1
    head = ["Class", "", "Labelled", "Predicted", "Attacked", ""]
    rows: list[list[Flowable]] = [
        [paragraph(name, HEAD if place in (0, 1, 5) else HEAD_RIGHT) for place, name in enumerate(head)]
    ]
    for count in counts:
        colour = palette.AMBER if count.malignant else palette.TEAL
        rows.append(
            [
                paragraph(f"{count.title} ({count.name})" if count.title != count.name else count.name, CELL, 120),
                paragraph(_side(report, malignant=count.malignant), SMALL),
                paragraph("–" if count.labelled is None else str(count.labelled), NUMBER),
                paragraph(str(count.predicted), NUMBER),
                paragraph(str(count.attacked), NUMBER),
                share_bar(count.attacked / largest, 90, colour),
            ]
        )
    return table(rows, (WIDTH - 320, 62, 54, 56, 54, 94))


def _reasons(rows: Sequence[Exclusion], what: str) -> Flowable:
    shown, rest = rows[:MOST_ROWS], rows[MOST_ROWS:]
    cells: list[list[Flowable]] = [[paragraph(what, HEAD), paragraph("Reason", HEAD), paragraph("Count", HEAD_RIGHT)]]
    cells += [
        [paragraph(row.status, CELL, 80), paragraph(row.reason, CELL, 300), paragraph(str(row.count), NUMBER)]
        for row in shown
    ]
    if rest:
        words = f"{len(rest)} further reasons; all of them are in report.json"
        cells.append(
            [paragraph("…", CELL), paragraph(words, CELL), paragraph(str(sum(row.count for row in rest)), NUMBER)]
        )
    return table(cells, (110, WIDTH - 160, 50))


def protocol(report: Report) -> list[Flowable]:
    """What was fixed before the first attack, with its digest, and the limits for a kept map."""
    header = report.header
    return [
        paragraph("All of this was fixed, and hashed, before the first image was attacked.", LEAD),
        Spacer(0, 8),
        terms([*protocol_rows(header), ("SHA-256 of all this, in the first event", report.protocol_digest)]),
        KeepTogether([subheading("Drift limits: how far harmless changes move a map"), *_drift_limits(report)]),
    ]


_ORIGINS = {
    "bundle": "came with the model. Its makers chose the images; none should be among those attacked here.",
    "calibrated in this run": "measured in this run, on images of this folder that were not attacked.",
    "calibrated on the attacked images": "measured in this run, on unchanged images of which some, or all, were "
    "attacked later, because too few were left over: the limits fit these images better than new ones.",
}


def _drift_limits(report: Report) -> list[Flowable]:
    header = report.header
    if not header.thresholds:
        return [paragraph("No drift limit was available, so no map is called kept in this report.", BODY)]
    head = ["Interpreter", "L1 at most", "Top-20 % IoU at least", "Images", "Pairs", "95th percentile of L1 by change"]
    rows: list[list[Flowable]] = [
        [paragraph(name, HEAD_RIGHT if 0 < place < 5 else HEAD) for place, name in enumerate(head)]
    ]
    for row in header.thresholds:
        changes = ", ".join(
            f"{name} {value:.3f} (n = {pairs})" for name, (value, pairs) in sorted(row.by_change.items())
        )
        rows.append(
            [
                paragraph(title_of(row.interpreter), CELL, 40),
                figure_cell(f"{row.l1:.3f}", ""),
                figure_cell(f"{row.iou20:.3f}", ""),
                figure_cell(str(row.images), ""),
                figure_cell(str(row.pairs), ""),
                paragraph(changes, SMALL, 300),
            ]
        )
    told = ["A map is kept when it moved no further than 95 % of harmless changes move one.", *_origins(header)]
    caption = " ".join(told)
    return [table(rows, (62, 58, 72, 46, 46, WIDTH - 284)), paragraph(caption, CAPTION)]


def _origins(header: RunHeader) -> list[str]:
    """Where the limits come from, and which of them are rough."""
    told = [
        f"{', '.join(map(title_of, names))}: {_ORIGINS[origin]}" for origin, names in header.maps_by_origin().items()
    ]
    told += [
        f"{title_of(row.interpreter)}: {images(row.images)}, fewer than {enough_images(row.interpreter)}, so that the "
        "limits are rough."
        for row in header.thresholds
        if row.images < enough_images(row.interpreter)
    ]
    return told


def limits(report: Report) -> list[Flowable]:
    """What was not tested."""
    return [
        paragraph("What this run cannot say, as plainly as what it can.", LEAD),
        Spacer(0, 8),
        bullets(report.limitations),
    ]


def environment(report: Report) -> list[Flowable]:
    """How to compute the run again, what it ran on, and the digest that closes its event log."""
    header = report.header
    rows = sorted(header.environment.items())[:MOST_ROWS]
    return [
        paragraph(RECOMPUTE, BODY),
        Spacer(0, 6),
        box("Command", header.command),
        Spacer(0, 8),
        terms(
            [
                ("Tool", f"skinaudit {header.tool_version}"),
                *rows,
                ("Images (SHA-256 of the set)", header.images_digest),
                ("Run opened", header.created),
                ("Run closed", report.closed_at),
                ("Head of the event chain", report.chain_head),
                ("Report schema", report.schema_version),
            ]
        ),
        subheading("Record of review"),
        _signatures(),
    ]


def _signatures() -> Table:
    names = ("Assessor", "Purpose of the audit", "Date and signature")
    gap = 16.0
    width = (WIDTH - 2 * gap) / 3
    row = [paragraph(names[0], SMALL), "", paragraph(names[1], SMALL), "", paragraph(names[2], SMALL)]
    commands: list[tuple[object, ...]] = [
        ("LINEABOVE", (column, 0), (column, 0), 0.6, palette.INK) for column in (0, 2, 4)
    ]
    commands += [("LEFTPADDING", (0, 0), (-1, -1), 0), ("TOPPADDING", (0, 0), (-1, -1), 3)]
    return Table([row], colWidths=[width, gap, width, gap, width], spaceBefore=34, style=TableStyle(commands))


def _side(report: Report, *, malignant: bool) -> str:
    """Malignant or benign; nothing where the model does not say of any class that it is malignant."""
    if not report.header.model.malignant:
        return "not stated"
    return "malignant" if malignant else "benign"


def _declared(report: Report) -> list[str]:
    """Declared figures, those that end in a class name gathered in one line for each kind."""
    single: list[str] = []
    by_kind: dict[str, list[str]] = {}
    for name, value in sorted(report.header.model.declared.items()):
        text = f"{value:.0f}" if value == int(value) and value > 1 else f"{value:.3f}"
        kind, _, last = name.rpartition("_")
        if last in report.header.model.classes:
            by_kind.setdefault(kind, []).append(f"{last} {text}")
        else:
            single.append(f"{name.replace('_', ' ')} {text}")
    return [*single, *(f"{kind.replace('_', ' ')}: {', '.join(parts)}" for kind, parts in by_kind.items())]


def _capped(parts: Sequence[str], longest: int = 120) -> list[str]:
    shown = [part if len(part) <= longest else f"{part[: longest - 1]}…" for part in parts[:MOST_ROWS]]
    return [*shown, f"and {len(parts) - MOST_ROWS} more (all in report.json)"] if len(parts) > MOST_ROWS else shown


def _thousands(count: int) -> str:
    return f"{count:_}".replace("_", "\u00a0")
