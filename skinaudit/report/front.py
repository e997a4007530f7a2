"""First two pages: what was audited and found, on a cover and on one page of summary."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, FrameBreak, Paragraph, Spacer, Table, TableStyle

from skinaudit.interpreters.registry import title_of
from skinaudit.report import aim, palette, style
from skinaudit.report.auditable import alarm_box
from skinaudit.report.change import allowed, place
from skinaudit.report.document import Answer, Report
from skinaudit.report.picture_rows import Panel, PictureRow, diagnosis_lines
from skinaudit.report.pictures import Gallery
from skinaudit.report.results import Case
from skinaudit.report.style import BODY, BOLD, CAPTION, LABEL, LEAD, SMALL, TINY_INK, WIDTH, paragraph, text
from skinaudit.report.tested import what_was_tested
from skinaudit.report.wording import date_text

BAND_HEIGHT = 318.0

_KICKER = ParagraphStyle("kicker", parent=BODY, fontName=BOLD, fontSize=8, leading=12, textColor=palette.AMBER)
_QUESTION = ParagraphStyle("question", parent=BODY, fontName=BOLD, fontSize=23, leading=30, textColor=palette.WHITE)
_OBJECT = ParagraphStyle("object", parent=BODY, fontSize=11, leading=16, textColor=palette.TEAL_PALE)
_VERDICT = ParagraphStyle("verdict", parent=BODY, fontName=BOLD, fontSize=14, leading=20)
_FIGURE = ParagraphStyle("figure", parent=BODY, fontName=BOLD, fontSize=25, leading=31, textColor=palette.TEAL)
_CONTENTS = ParagraphStyle("contents", parent=BODY, fontSize=8, leading=12)
_QUESTION_SMALL = ParagraphStyle("small question", parent=BODY, fontName=BOLD, fontSize=8.6, leading=12)


def draw_band(canvas: Canvas) -> None:
    """The cover's upper part: a dark band with the contour lines of a map."""
    foot = style.PAGE_HEIGHT - BAND_HEIGHT
    canvas.saveState()
    canvas.setFillColor(palette.TEAL_DEEP)
    canvas.rect(0, foot, style.PAGE_WIDTH, BAND_HEIGHT, stroke=0, fill=1)
    clip = canvas.beginPath()
    clip.rect(0, foot + 2, style.PAGE_WIDTH, BAND_HEIGHT - 2)
    canvas.clipPath(clip, stroke=0, fill=0)
    for ring in range(15):
        _contour(canvas, ring, (style.PAGE_WIDTH - 88, foot + 92))
    canvas.setFillColor(palette.AMBER)
    canvas.rect(0, foot, style.PAGE_WIDTH, 3, stroke=0, fill=1)
    canvas.restoreState()


def _contour(canvas: Canvas, ring: int, centre: tuple[float, float]) -> None:
    """One contour line: a circle pulled out of round by two slow waves, as the outline of a lesion is."""
    radius = 10.0 + 13.5 * ring
    canvas.setStrokeColor(palette.AMBER if ring == 3 else palette.TEAL)
    canvas.setLineWidth(1.3 if ring == 3 else 0.7)
    path = canvas.beginPath()
    for step in range(121):
        angle = 2 * math.pi * step / 120
        wave = 1 + 0.14 * math.sin(2 * angle + 0.5 + 0.11 * ring) + 0.07 * math.sin(5 * angle + 0.3 * ring)
        x, y = centre[0] + radius * wave * math.cos(angle), centre[1] + 0.86 * radius * wave * math.sin(angle)
        if step:
            path.lineTo(x, y)
        else:
            path.moveTo(x, y)
    canvas.drawPath(path, stroke=1, fill=0)


def cover(report: Report, contents: Sequence[tuple[str, str, int | None]]) -> list[Flowable]:
    """Object, verdict, scope, date and run, and the contents as (title, key, page)."""
    model = report.header.model
    return [
        paragraph("SKINAUDIT  ·  ADVERSARIAL AUDIT REPORT", _KICKER),
        Spacer(0, 34),
        Table(
            [
                [
                    [
                        paragraph(aim.question(report.header.config.threat), _QUESTION),
                        Spacer(0, 16),
                        paragraph(f"{model.name}, version {model.version}", _OBJECT, 110),
                    ]
                ]
            ],
            colWidths=[WIDTH * 0.72],
            hAlign="LEFT",
            style=TableStyle([("LEFTPADDING", (0, 0), (-1, -1), 0)]),
        ),
        FrameBreak(),
        paragraph("VERDICT", LABEL),
        Spacer(0, 3),
        paragraph(report.verdict, _VERDICT),
        Spacer(0, 5),
        paragraph(report.verdict_detail, LEAD),
        *([Spacer(0, 8), *alarm] if (alarm := alarm_box(report)) else []),
        Spacer(0, 20),
        _facts(report),
        Spacer(0, 22),
        paragraph("CONTENTS", LABEL),
        Spacer(0, 4),
        _contents(contents),
    ]


def _facts(report: Report) -> Table:
    header = report.header
    threat = header.config.threat
    facts = (
        ("SCOPE", report.scope),
        ("CHANGE ALLOWED", f"{allowed(threat)}, white-box, {place(threat)}"),
        ("RUN CLOSED", date_text(report.closed_at)),
        ("RUN", header.run_id),
        ("MODEL DIGEST (SHA-256)", f"{header.model.tensor_digest[:32]}…"),
        ("TOOL", f"skinaudit {header.tool_version}"),
        ("ASSESSOR", "see the record of review on the last page"),
        ("STANDING", "evidence for a risk assessment; not a certificate"),
    )
    cells = [[paragraph(name, LABEL), paragraph(value, BODY, 200)] for name, value in facts]
    rows = [[cells[place], cells[place + 1]] for place in range(0, len(cells), 2)]
    return Table(
        rows,
        colWidths=[WIDTH / 2] * 2,
        style=TableStyle(
            [
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 14),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 6),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 6),
                ("LINEABOVE", (0, 0), (-1, -1), 0.4, palette.LINE),
            ]
        ),
    )


def _contents(contents: Sequence[tuple[str, str, int | None]]) -> Table:
    entries = [
        [
            Paragraph(f'<a href="#{key}">{text(title)}</a>', _CONTENTS),
            Paragraph("" if page is None else str(page), ParagraphStyle("page", parent=_CONTENTS, alignment=2)),
        ]
        for title, key, page in contents
    ]
    half = math.ceil(len(entries) / 2)
    blank: list[Flowable | str] = ["", ""]
    rows = [[*entries[row], "", *(entries[half + row] if half + row < len(entries) else blank)] for row in range(half)]
    column = (WIDTH - 28) / 2
    return Table(
        rows,
        colWidths=[column - 24, 24, 28, column - 24, 24],
        style=TableStyle(
            [
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
            ]
        ),
    )


def summary(report: Report, gallery: Gallery) -> list[Flowable]:
    """The page that everyone reads: three answers, and the worst cases in pictures."""
    purpose = aim.purpose(report.header.config.threat)
    story: list[Flowable] = [paragraph(purpose, LEAD), Spacer(0, 12), _answers(report.answers), Spacer(0, 10)]
    story += [paragraph(report.enough, SMALL), Spacer(0, 6)]
    if not report.worst:
        return [*story, *what_was_tested(report.interpreters)]
    story.append(style.subheading("Worst cases"))
    story += [paragraph(f"{aim.marks(report.header.config.threat)} Colour bar: picture pages.", SMALL), Spacer(0, 6)]
    for case in report.worst:
        story += [_worst_row(report, gallery, case), Spacer(0, 6)]
    return story


def _answers(answers: Sequence[Answer]) -> Table:
    """Cards side by side; question, figure and text stand at the same height in all of them."""
    gap = 10.0
    width = (WIDTH - 2 * gap) / 3
    lines: list[list[Flowable]] = [
        [paragraph(answer.question, _QUESTION_SMALL) for answer in answers],
        [paragraph(answer.figure, _FIGURE, 20) for answer in answers],
        [paragraph(answer.note, SMALL, 120) for answer in answers],
        [paragraph(answer.text, style.CELL, 520) for answer in answers],
    ]
    commands: list[tuple[object, ...]] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 1),
        ("TOPPADDING", (0, 0), (-1, 0), 9),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
        ("BOTTOMPADDING", (0, -1), (-1, -1), 11),
        ("LEFTPADDING", (0, 0), (-1, -1), 10),
        ("RIGHTPADDING", (0, 0), (-1, -1), 9),
    ]
    for column in (0, 2, 4):
        commands += [
            ("BACKGROUND", (column, 0), (column, -1), palette.PAPER),
            ("LINEABOVE", (column, 0), (column, 0), 2, palette.AMBER if column == 2 else palette.TEAL),
        ]
    rows = [[first, "", second, "", third] for first, second, third in lines]
    return Table(rows, colWidths=[width, gap, width, gap, width], style=TableStyle(commands))


def _worst_row(report: Report, gallery: Gallery, case: Case) -> Table:
    titles, pictures, threat = report.header.model.class_titles, 320.0, report.header.config.threat
    adv2 = gallery.verdict(case, "adv2")
    before = diagnosis_lines(titles, gallery.clean_prediction(case))
    after = diagnosis_lines(titles, adv2.prediction if adv2 else None)
    panels = [
        Panel(gallery.photograph(case), (("<b>Photograph</b>", TINY_INK), *before)),
        Panel(gallery.adversarial(case), (("<b>After ADV²</b>", TINY_INK), *after), marked=not threat.keeps_diagnosis),
        Panel(gallery.map_before(case), (("<b>Map before</b>", TINY_INK), *before)),
        Panel(
            gallery.map_after(case, "adv2"),
            (("<b>Map after ADV²</b>", TINY_INK), *after),
            marked=case.kind == "joint",
        ),
    ]
    interpreter = title_of(case.interpreter)
    words = [
        paragraph(f"{interpreter}  ·  {case.name}", LABEL, 90),
        Spacer(0, 3),
        paragraph(case.text, CAPTION, 260),
    ]
    return Table(
        [[PictureRow(panels, pictures), words]],
        colWidths=[pictures + 14, WIDTH - pictures - 14],
        style=TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 0),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
            ]
        ),
    )
