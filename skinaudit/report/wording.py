"""Numbers as text, the same way in every table, caption and sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import ceil, floor

from skinaudit.audit.records import ImageRecord
from skinaudit.report.results import Average, Rate

#: Keeps a number and its unit on one line.
NO_BREAK = "\u00a0"
TOO_FEW = "too few to say"


def percent(value: float) -> str:
    r"""A share in [0,1] as whole per cent, never rounded to a false 0 or 100.

    >>> percent(0.857), percent(0.0), percent(0.001), percent(0.999)
    ('86\xa0%', '0\xa0%', '<\xa01\xa0%', '>\xa099\xa0%')
    """
    if 0 < value < 0.01:
        return f"<{NO_BREAK}1{NO_BREAK}%"
    if 0.99 < value < 1:
        return f">{NO_BREAK}99{NO_BREAK}%"
    return f"{value * 100:.0f}{NO_BREAK}%"


def percent_range(low: float, high: float) -> str:
    r"""An interval of shares; near 0 and 1 in tenths, rounded outwards, so that no end is a false 0 or 100.

    >>> percent_range(0.601, 0.96), percent_range(0.0, 0.0038), percent_range(0.9962, 1.0)
    ('60–96\xa0%', '0–0.4\xa0%', '99.6–100\xa0%')
    """
    return f"{_end(low, floor)}–{_end(high, ceil)}{NO_BREAK}%"


def _end(value: float, outwards: Callable[[float], int]) -> str:
    if 0.01 <= value <= 0.99:
        return f"{value * 100:.0f}"
    return f"{outwards(value * 1000) / 10:g}"


def images(n: int) -> str:
    """A count of images with its noun."""
    return counted(n, "image")


def counted(n: int, noun: str) -> str:
    """A count with its noun.

    >>> counted(1, "work unit"), counted(0, "work unit")
    ('1 work unit', '0 work units')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them.

    >>> listed(["CAM"]), listed(["CAM", "RTS"]), listed(["CAM", "GRAD", "RTS"])
    ('CAM', 'CAM and RTS', 'CAM, GRAD and RTS')
    """
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def rate_text(rate: Rate) -> str:
    """A rate inside a sentence: successes, n, share and interval, or that there are too few images for one."""
    share = f"{rate.successes} of {images(rate.n)}"
    if rate.value is None or rate.low is None or rate.high is None:
        return f"{share} ({TOO_FEW} how often)" if rate.n else "none (nothing was judged)"
    return f"{share} ({percent(rate.value)}, 95 % interval {percent_range(rate.low, rate.high)})"


def rate_cell(rate: Rate) -> tuple[str, str]:
    """A rate in a table: the figure, and the small print below it."""
    if rate.value is None or rate.low is None or rate.high is None:
        return (f"{rate.successes} of {rate.n}", TOO_FEW) if rate.n else ("–", "n = 0")
    return percent(rate.value), percent_range(rate.low, rate.high)


def average_cell(average: Average, digits: int = 3) -> tuple[str, str]:
    """A mean in a table: the figure, and its interval below it."""
    if average.mean is None or average.low is None or average.high is None:
        return ("–", TOO_FEW if average.n else "n = 0")
    return f"{average.mean:.{digits}f}", f"{average.low:.{digits}f}–{average.high:.{digits}f}"


def probability(p_value: float) -> str:
    """A p value.

    >>> probability(0.00001), probability(0.0312)
    ('p < 0.001', 'p = 0.031')
    """
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def date_text(iso: str) -> str:
    """An ISO 8601 time as people write it, to the minute, whatever the language of this machine.

    >>> date_text("2026-03-14T09:26:53+00:00")
    '14 March 2026, 09:26 UTC'
    """
    moment = datetime.fromisoformat(iso).astimezone(UTC)
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M} UTC"


def short(name: str, longest: int = 40) -> str:
    """A name inside a sentence; the whole of it stands in the tables.

    >>> short("Melanoma"), short("Melanoma of the nail", 9)
    ('Melanoma', 'Melanoma…')
    """
    return name if len(name) <= longest else f"{name[: longest - 1].rstrip()}…"


def image_name(image: ImageRecord) -> str:
    """What the report calls an image: its file name when the site allowed that, else the start of its keyed id."""
    name = short(image.file_name or image.image_id[:12])
    return f"{name} (drawn)" if image.drawn else name


def epsilon_text(epsilon: float) -> str:
    """An L∞ radius as the fraction that was meant.

    >>> epsilon_text(8 / 255), epsilon_text(0.031)
    ('8/255', '0.0310 (7.91/255)')
    """
    levels = epsilon * 255
    return f"{levels:.0f}/255" if abs(levels - round(levels)) < 1e-6 else f"{epsilon:.4f} ({levels:.2f}/255)"
