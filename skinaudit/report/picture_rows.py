"""Rows of pictures: what the clinician would have seen, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, LongTable, Paragraph, TableStyle

from skinaudit.audit.records import Prediction
from skinaudit.config import ThreatModel
from skinaudit.report import palette
from skinaudit.report.aim import marks
from skinaudit.report.figures import colour_bar
from skinaudit.report.pictures import OVERLAY, Gallery
from skinaudit.report.results import Case, InterpreterResult
from skinaudit.report.style import SMALL, TINY, TINY_INK, WIDTH, text
from skinaudit.report.wording import percent

GAP = 8.0
_ROW_LINE = ParagraphStyle("row line", parent=SMALL, textColor=palette.INK, spaceAfter=3)
NOT_STORED = "not stored"


@dataclass(frozen=True)
class Panel:
    """One picture of a row: what it is, and the lines below it."""

    picture: ImageReader | None
    lines: tuple[tuple[str, ParagraphStyle], ...]
    marked: bool = False


class PictureRow(Flowable):  # type: ignore[misc]  # reportlab has no types
    """Pictures side by side in square cells, each with its lines of text below; never split over pages."""

    def __init__(self, panels: Sequence[Panel], width: float) -> None:
        super().__init__()
        self.panels = panels
        self.width = width
        self.side = (width - GAP * (len(panels) - 1)) / len(panels)
        self._notes = [[Paragraph(words, style) for words, style in panel.lines] for panel in panels]
        self._notes_height = max(sum(note.wrap(self.side, 1000)[1] for note in notes) for notes in self._notes)
        self.height = self.side + 3 + self._notes_height

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        """Size of the row, whatever room there is."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw pictures and notes on the canvas."""
        for place, (panel, notes) in enumerate(zip(self.panels, self._notes, strict=True)):
            left, foot = place * (self.side + GAP), self.height - self.side
            self._picture(self.canv, panel, left, foot)
            y = foot - 3
            for note in notes:
                _, height = note.wrap(self.side, 1000)
                y -= height
                note.drawOn(self.canv, left, y)

    def _picture(self, canvas: Canvas, panel: Panel, left: float, foot: float) -> None:
        canvas.setFillColor(palette.PAPER)
        canvas.rect(left, foot, self.side, self.side, stroke=0, fill=1)
        if panel.picture is None:
            note = Paragraph(NOT_STORED, TINY)
            _, height = note.wrap(self.side - 8, self.side)
            note.drawOn(canvas, left + 4, foot + (self.side - height) / 2)
        else:
            canvas.drawImage(panel.picture, left, foot, self.side, self.side, preserveAspectRatio=True, anchor="c")
        if panel.marked:
            canvas.setStrokeColor(palette.AMBER)
            canvas.setLineWidth(1.3)
            canvas.rect(left + 0.65, foot + 0.65, self.side - 1.3, self.side - 1.3, stroke=1, fill=0)


def diagnosis_lines(
    titles: Sequence[str], prediction: Prediction | None, of_class: int | None = None
) -> tuple[tuple[str, ParagraphStyle], ...]:
    """Diagnosis and confidence below a picture; ``of_class`` names the class of its map when that is another one."""
    if prediction is None:
        return (("–", TINY_INK),)
    index = prediction.index if of_class is None else of_class
    confidence = prediction.confidence if of_class is None else prediction.probabilities[of_class]
    return ((f'{text(titles[index], 60)} <font color="#66757B">{percent(confidence)}</font>', TINY_INK),)


def case_panels(titles: Sequence[str], gallery: Gallery, case: Case) -> list[Panel]:
    """The pictures of one case, in the order of ``columns``."""
    adv2, pgd = gallery.verdict(case, "adv2"), gallery.verdict(case, "pgd")
    clean = gallery.clean_prediction(case)
    before = diagnosis_lines(titles, clean)
    after = diagnosis_lines(titles, adv2.prediction if adv2 else None)
    after_pgd = diagnosis_lines(titles, pgd.prediction if pgd else None)
    original = diagnosis_lines(titles, adv2.prediction if adv2 else None, adv2.source_class if adv2 else None)
    levels = f"up to {adv2.linf_levels} of 255" if adv2 else "–"
    threat = gallery.threat
    by_pgd = Panel(gallery.map_after(case, "pgd"), after_pgd)
    by_adv2 = Panel(gallery.map_after(case, "adv2"), after, marked=case.kind == "joint")
    wanted = Panel(gallery.map_wanted(case), (("–", TINY_INK),))
    other = [by_pgd, by_adv2, Panel(gallery.map_after(case, "adv2", "map-original"), original)]
    if not threat.keeps_map:
        other = [wanted, by_adv2] if threat.keeps_diagnosis else [wanted, by_adv2, by_pgd]
    return [
        Panel(gallery.photograph(case), before),
        Panel(gallery.adversarial(case), after, marked=case.kind != "held" and not threat.keeps_diagnosis),
        Panel(gallery.change(case), ((f"{levels}, drawn × {gallery.factor}", TINY_INK),)),
        Panel(gallery.map_before(case), before),
        *other,
    ]


def columns(threat: ThreatModel) -> tuple[str, ...]:
    """Names of the pictures in a row."""
    others: tuple[str, ...] = ("Map after PGD", "Map after ADV²", "Map of the first class after ADV²")
    if not threat.keeps_map:
        others = ("Map wanted", "Map after ADV²", *(() if threat.keeps_diagnosis else ("Map after PGD",)))
    return ("Photograph", "After ADV²", "What was added", "Map before", *others)


def picture_table(result: InterpreterResult, titles: Sequence[str], gallery: Gallery) -> LongTable:
    """Cases of one interpreter; column names and colour bar come again on every page."""
    rows: list[list[list[Flowable]]] = [[[ColumnNames(gallery.threat)]]]
    for case in result.cases:
        row = PictureRow(case_panels(titles, gallery, case), WIDTH)
        line = f"<b>{text(case.caption)}</b>&nbsp;&nbsp; {text(case.name, 60)}"
        rows.append([[Paragraph(line, _ROW_LINE), row]])
    style = TableStyle(
        [
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
            ("BOTTOMPADDING", (0, 0), (-1, 0), 0),
            ("LINEBELOW", (0, 0), (-1, 0), 0.9, palette.INK),
            ("LINEABOVE", (0, 2), (-1, -1), 0.4, palette.LINE),
        ]
    )
    return LongTable(rows, colWidths=[WIDTH], repeatRows=1, style=style)


class ColumnNames(Flowable):  # type: ignore[misc]  # reportlab has no types
    """Colour bar, and the names of the columns."""

    def __init__(self, threat: ThreatModel) -> None:
        super().__init__()
        names = columns(threat)
        self.side = (WIDTH - GAP * (len(names) - 1)) / len(names)
        self._names = [Paragraph(name, TINY_INK) for name in names]
        self._note = Paragraph(
            f"Colour of a map: low to high. Maps are drawn over the photograph in grey at {OVERLAY * 100:.0f} %. "
            f"{marks(threat)}",
            TINY,
        )

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        """Size of the header, whatever room there is."""
        return WIDTH, 47.0

    def draw(self) -> None:
        """Draw bar and names on the canvas."""
        bar = colour_bar(WIDTH * 0.32)
        bar.drawOn(self.canv, 0, 30)
        _, height = self._note.wrap(WIDTH * 0.62, 30)
        self._note.drawOn(self.canv, WIDTH * 0.38, 46 - height)
        for place, name in enumerate(self._names):
            name.wrap(self.side, 30)
            name.drawOn(self.canv, place * (self.side + GAP), 2)
