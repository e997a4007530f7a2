"""The report as a PDF: pages, outline, metadata. Equal records give equal bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path

from reportlab import rl_config
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Spacer,
)

from skinaudit.report import auditable, front, palette, sections, style, subgroups, sweep, together, transfer
from skinaudit.report.document import Report
from skinaudit.report.findings import summarise
from skinaudit.report.pictures import Gallery
from skinaudit.report.results_pages import results
from skinaudit.report.run_view import RunView
from skinaudit.report.wording import date_text

TITLE = "Adversarial audit of a skin-lesion classifier and its explanations"


def write_pdf(view: RunView, path: Path) -> None:
    """Write the report of a closed run to ``path``.

    Raises:
        OSError: an artifact that a record names cannot be read, or ``path`` cannot be written.
    """
    style.register_fonts()
    report, gallery = summarise(view), Gallery(view)
    with style.nothing_loaded_from_markup(), _binary_streams():
        # The first pass finds out where sections start and how many pages there are; the second prints that.
        draft = Document(report, gallery, pages={}, total=None)
        draft.render()
        final = Document(report, gallery, pages=draft.starts, total=draft.page)
        path.write_bytes(final.render())


class Document(BaseDocTemplate):  # type: ignore[misc]  # reportlab has no types
    """One pass over the whole report."""

    def __init__(self, report: Report, gallery: Gallery, pages: dict[str, int], total: int | None) -> None:
        self._buffer = BytesIO()
        super().__init__(
            self._buffer,
            pagesize=(style.PAGE_WIDTH, style.PAGE_HEIGHT),
            title=f"{TITLE}: {style.printable(report.header.model.name, 120)}",
            author=f"skinaudit {style.printable(report.header.tool_version, 40)}",
            subject=f"Run {style.printable(report.header.run_id, 80)}. {report.verdict}",
            creator=f"skinaudit {style.printable(report.header.tool_version, 40)}",
            keywords=["adversarial robustness", "saliency", "skin lesion", "evasion"],
            lang="en-GB",
            displayDocTitle=True,
            invariant=1,
        )
        self._report, self._gallery, self._pages, self._total = report, gallery, pages, total
        self.starts: dict[str, int] = {}
        self.addPageTemplates(_templates(self._draw_cover, self._draw_margins))

    def render(self) -> bytes:
        """The finished file."""
        self.build(self._story())
        return self._buffer.getvalue()

    def beforeDocument(self) -> None:  # noqa: N802  # reportlab's name
        """Date the file by the close of the run, never by the clock."""
        stamp = _pdf_date(self._report.closed_at)
        self.canv.setDateFormatter(lambda *_: stamp)
        self.canv.showOutline()

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802  # reportlab's name
        """Enter headings into the outline as they are placed."""
        outline: tuple[str, str, int] | None = getattr(flowable, "outline", None)
        if outline is not None:
            title, key, level = outline
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(title, key, level, closed=level == 0)
            self.starts[key] = self.page

    def _story(self) -> list[Flowable]:
        chapters = self._chapters()
        contents = [
            (title, _key(place), self._pages.get(_key(place))) for place, (title, _, _) in enumerate(chapters, 1)
        ]
        story: list[Flowable] = [NextPageTemplate("inner"), *front.cover(self._report, contents)]
        for place, (title, starts_page, content) in enumerate(chapters, 1):
            story += [PageBreak()] if starts_page else [Spacer(0, 26), CondPageBreak(230)]
            story += [style.heading(str(place), title), *content]
        return story

    def _chapters(self) -> list[tuple[str, bool, list[Flowable]]]:
        """Chapters as (title, whether it starts a page, content)."""
        report, gallery, titles = self._report, self._gallery, self._report.header.model.class_titles
        threat = report.header.config.threat
        return [
            ("Summary", True, front.summary(report, gallery)),
            ("Threat model", bool(report.worst), sections.threat(report)),  # else there is room on the page
            ("Object under test", True, sections.object_under_test(report)),
            (auditable.TITLE, False, auditable.auditable(report)),
            ("Data", False, sections.data(report)),
            ("Protocol and drift limits", False, sections.protocol(report)),
            *((f"Results: {row.title}", True, results(row, titles, gallery)) for row in report.interpreters),
            *(((sweep.TITLE, True, sweep.sweeps(report.sweeps, threat)),) if report.sweeps else ()),
            *(((transfer.TITLE, True, transfer.transfer(report.transfer, threat)),) if report.transfer else ()),
            *(
                ((together.TITLE, True, together.together(report.together, titles, gallery)),)
                if report.together
                else ()
            ),
            *(((subgroups.TITLE, True, subgroups.subgroups(report)),) if report.subgroups else ()),
            ("Limitations and what was not tested", True, sections.limits(report)),
            ("Environment and how to recompute", False, sections.environment(report)),
        ]

    def _draw_cover(self, canvas: Canvas, document: BaseDocTemplate) -> None:
        front.draw_band(canvas)

    def _draw_margins(self, canvas: Canvas, document: BaseDocTemplate) -> None:
        """Running header with the run, footer with date and page."""
        report, left, right = self._report, style.MARGIN, style.PAGE_WIDTH - style.MARGIN
        canvas.saveState()
        canvas.setFont(style.SANS, 6.6)
        canvas.setFillColor(palette.GREY)
        head, foot = style.PAGE_HEIGHT - 38, 30
        canvas.drawString(left, head, f"skinaudit  ·  {style.printable(report.header.model.name, 48)}")
        canvas.drawRightString(right, head, f"run {style.printable(report.header.run_id, 48)}")
        canvas.drawString(left, foot, f"closed {date_text(report.closed_at)}")
        pages = f"page {document.page}" if self._total is None else f"page {document.page} of {self._total}"
        canvas.drawRightString(right, foot, pages)
        canvas.setStrokeColor(palette.LINE)
        canvas.setLineWidth(0.5)
        canvas.line(left, head - 7, right, head - 7)
        canvas.restoreState()


@contextmanager
def _binary_streams() -> Iterator[None]:
    """While inside, streams are written as bytes: text encoding makes a file a quarter larger and twice as slow."""
    before = rl_config.useA85
    rl_config.useA85 = 0
    try:
        yield
    finally:
        rl_config.useA85 = before


def _key(place: int) -> str:
    return f"section-{place}"


def _templates(draw_cover: object, draw_margins: object) -> list[PageTemplate]:
    """The cover with its band and the inner pages."""

    def frame(name: str, foot: float, height: float) -> Frame:
        return Frame(style.MARGIN, foot, style.WIDTH, height, 0, 0, 0, 0, id=name)

    band = style.PAGE_HEIGHT - front.BAND_HEIGHT
    inner_height = style.PAGE_HEIGHT - style.TOP - style.BOTTOM
    return [
        PageTemplate(
            "cover",
            [frame("band", band + 16, front.BAND_HEIGHT - 66), frame("below", 40, band - 66)],
            onPage=draw_cover,
        ),
        PageTemplate("inner", [frame("text", style.BOTTOM, inner_height)], onPage=draw_margins),
    ]


def _pdf_date(iso: str) -> str:
    """ISO 8601 time in UTC as a PDF date (ISO 32000-1, 7.9.4)."""
    return f"{datetime.fromisoformat(iso):D:%Y%m%d%H%M%S}Z"
