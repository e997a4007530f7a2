"""Type, spacing and tables of the PDF, and the one door through which outside text comes in."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from xml.sax.saxutils import escape

from reportlab import rl_config
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, LongTable, Paragraph, Spacer, Table, TableStyle

from skinaudit.report import palette
from skinaudit.report.wording import NO_BREAK

PAGE_WIDTH, PAGE_HEIGHT = A4
MARGIN = 52.0
TOP, BOTTOM = 60.0, 50.0
WIDTH = PAGE_WIDTH - 2 * MARGIN

SANS, BOLD, ITALIC = "Vera", "Vera-Bold", "Vera-Italic"
_FONT_FILES = {SANS: "Vera.ttf", BOLD: "VeraBd.ttf", ITALIC: "VeraIt.ttf"}
# The typeface has no Greek and no arrows; these names keep the meaning.
_SPELLED = {"ε": "epsilon", "λ": "lambda", "δ": "delta", "→": "to", "≈": "about", "\u2212": "-", "\u2011": "-"}

BODY = ParagraphStyle("body", fontName=SANS, fontSize=8.4, leading=13, textColor=palette.INK)
LEAD = ParagraphStyle("lead", parent=BODY, fontSize=10, leading=15.5)
SMALL = ParagraphStyle("small", parent=BODY, fontSize=6.9, leading=9.8, textColor=palette.GREY)
TINY = ParagraphStyle("tiny", parent=BODY, fontSize=6, leading=7.8, textColor=palette.GREY)
TINY_INK = ParagraphStyle("tiny ink", parent=TINY, textColor=palette.INK)
LABEL = ParagraphStyle("label", parent=SMALL, fontName=BOLD, fontSize=6.6, textColor=palette.TEAL)
CAPTION = ParagraphStyle("caption", parent=BODY, fontSize=7.6, leading=11.4, spaceBefore=4, spaceAfter=12)
STRONG = ParagraphStyle("strong", parent=BODY, fontName=BOLD)
CELL = ParagraphStyle("cell", parent=BODY, fontSize=7.8, leading=11)
NUMBER = ParagraphStyle("number", parent=CELL, alignment=TA_RIGHT)
HEAD = ParagraphStyle("head", parent=SMALL, fontName=BOLD, fontSize=6.6, textColor=palette.INK)
HEAD_RIGHT = ParagraphStyle("head right", parent=HEAD, alignment=TA_RIGHT)
TITLE = ParagraphStyle("title", parent=BODY, fontName=BOLD, fontSize=19, leading=24, spaceAfter=12)
SUBTITLE = ParagraphStyle(
    "subtitle", parent=BODY, fontName=BOLD, fontSize=10.5, leading=15, spaceBefore=14, spaceAfter=5
)


def register_fonts() -> None:
    """Make the typeface known to reportlab; it comes with reportlab and is embedded in the file."""
    known = pdfmetrics.getRegisteredFontNames()
    for name, file in _FONT_FILES.items():
        if name not in known:
            pdfmetrics.registerFont(TTFont(name, file))


@contextmanager
def nothing_loaded_from_markup() -> Iterator[None]:
    """While inside, reportlab opens no address that text names; all text is escaped besides."""
    before = rl_config.trustedHosts, rl_config.trustedSchemes
    # An empty list would mean "not restricted"; no host ends in .invalid (RFC 2606).
    rl_config.trustedHosts, rl_config.trustedSchemes = ["nobody.invalid"], ["none"]
    try:
        yield
    finally:
        rl_config.trustedHosts, rl_config.trustedSchemes = before


def printable(value: str, limit: int = 400) -> str:
    """Text that the typeface can draw, on one line, of at most ``limit`` characters; what it cannot draw becomes ``?``.

    Control and direction-changing characters go: they could make a name read as another.
    """
    glyphs = pdfmetrics.getFont(SANS).face.charToGlyph
    # Four times the limit is plenty for what is dropped; a text of megabytes is not walked through.
    kept = "".join(
        _drawable(character, glyphs)
        for character in value[: 4 * limit]
        if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    line = " ".join(part for part in kept.split(" ") if part)
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def _drawable(character: str, glyphs: dict[int, int]) -> str:
    if character.isspace() and character != NO_BREAK:
        return " "
    if ord(character) in glyphs:
        return character
    if character in _SPELLED:
        return _SPELLED[character]
    plain = "".join(part for part in unicodedata.normalize("NFKD", character) if ord(part) in glyphs)
    return plain or "?"


def text(value: str, limit: int = 400) -> str:
    """Outside text made safe for markup: drawable, on one line, escaped."""
    return escape(printable(value, limit))


def paragraph(value: str, style: ParagraphStyle = BODY, limit: int = 1200) -> Paragraph:
    """One paragraph of plain text; nothing in it is read as markup."""
    return Paragraph(text(value, limit), style)


def figure_cell(figure: str, small_print: str) -> Paragraph:
    """A number in a table, right-aligned, with its interval below in small print."""
    small = f'<br/><font size="6" color="#66757B">{text(small_print)}</font>' if small_print else ""
    return Paragraph(f"{text(figure)}{small}", NUMBER)


def heading(number: str, title: str) -> Paragraph:
    """Title of a section: enters the outline and the contents through ``outline`` (text, key, level)."""
    made = Paragraph(f'<font color="#D98218">{text(number)}</font>&nbsp;&nbsp;{text(title)}', TITLE)
    made.outline = (f"{number}  {title}", f"section-{number}", 0)
    return made


def subheading(title: str, key: str | None = None) -> Paragraph:
    """Title within a section; with a key it also enters the outline."""
    made = Paragraph(text(title), SUBTITLE)
    if key is not None:
        made.outline = (title, key, 1)
    made.keepWithNext = 1
    return made


def table(rows: Sequence[Sequence[Flowable]], widths: Sequence[float], header: bool = True) -> LongTable:
    """A table with hairlines only; its header row is repeated on every page that it reaches."""
    commands = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 7),
        ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 4.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 4.5),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, palette.LINE),
    ]
    if header:
        commands += [("LINEBELOW", (0, 0), (-1, 0), 0.9, palette.INK), ("VALIGN", (0, 0), (-1, 0), "BOTTOM")]
    return LongTable(
        rows, colWidths=list(widths), repeatRows=1 if header else 0, style=TableStyle(commands), hAlign="LEFT"
    )


def terms(rows: Sequence[tuple[str, str]], term_width: float = 132.0) -> LongTable:
    """Rows of (term, what it is)."""
    return table(
        [[paragraph(term, LABEL, 120), paragraph(value, CELL, 900)] for term, value in rows],
        (term_width, WIDTH - term_width),
        header=False,
    )


def box(title: str, words: str) -> Table:
    """Words that stand out from the page: a label, and a paragraph on a tinted ground."""
    return Table(
        [[[paragraph(title.upper(), LABEL), Spacer(0, 2), paragraph(words, CELL)]]],
        colWidths=[WIDTH],
        style=TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, -1), palette.PAPER),
                ("LINEBEFORE", (0, 0), (0, -1), 2, palette.AMBER),
                ("LEFTPADDING", (0, 0), (-1, -1), 12),
                ("RIGHTPADDING", (0, 0), (-1, -1), 12),
                ("TOPPADDING", (0, 0), (-1, -1), 8),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 9),
            ]
        ),
    )
