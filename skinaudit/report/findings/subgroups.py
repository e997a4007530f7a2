"""Numbers and words for results counted by a column of the label file."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from skinaudit.audit.records import ImageRecord, Record, RunHeader
from skinaudit.interpreters.registry import title_of
from skinaudit.metrics.intervals import TOO_FEW
from skinaudit.report import aim, tally
from skinaudit.report.document import Subgroup, SubgroupRate, SubgroupRow
from skinaudit.report.results import Rate
from skinaudit.report.wording import images as counted_images
from skinaudit.report.wording import rate_text, short

#: What a table calls images of which the column says nothing.
NOT_STATED = "not stated"


def subgroups(header: RunHeader, images: Sequence[ImageRecord], records: Sequence[Record]) -> tuple[Subgroup, ...]:
    """Results by each column that the header names, in its order."""
    return tuple(_subgroup(header, column, images, records) for column in header.subgroups)


def _subgroup(header: RunHeader, column: str, images: Sequence[ImageRecord], records: Sequence[Record]) -> Subgroup:
    value_of = {image.image_id: image.subgroups.get(column) for image in images}
    found = Counter(value_of.values())
    attacked = Counter(value_of[image.image_id] for image in images if image.status == "attacked")
    rows = tuple(
        SubgroupRow(
            value=value,
            found=found[value],
            attacked=attacked[value],
            few=attacked[value] < TOO_FEW,
            rates=_rates(header, [record for record in records if value_of.get(record.image_id) == value]),
        )
        for value in sorted(found, key=_order)
    )
    return Subgroup(column=column, rows=rows, findings=_findings(header, column, rows), warning=_warning(rows))


def _order(value: str | None) -> tuple[bool, float, str]:
    """Numbers in a value's front by size, then words, what is not stated last."""
    number = re.match(r"\d+", value or "")
    return value is None, float(number.group()) if number else math.inf, value or ""


def _rates(header: RunHeader, mine: Sequence[Record]) -> tuple[SubgroupRate, ...]:
    found = []
    for name in header.config.interpreters:
        of_this = [record for record in mine if record.interpreter == name]
        adv2, pgd = (
            tally.joint_rate(tally.by_image(record for record in of_this if record.attack == attack).values())
            for attack in ("adv2", "pgd")
        )
        found.append(SubgroupRate(interpreter=name, title=title_of(name), adv2=adv2, pgd=pgd))
    return tuple(found)


def _findings(header: RunHeader, column: str, rows: Sequence[SubgroupRow]) -> tuple[str, ...]:
    """A sentence for each interpreter on which two values can be compared, and one for the others together."""
    found, silent = [], []
    for name in header.config.interpreters:
        stated = [
            (row.value or NOT_STATED, rate.adv2)
            for row in rows
            for rate in row.rates
            if rate.interpreter == name and rate.adv2.value is not None
        ]
        if len(stated) < 2:
            silent.append(title_of(name))
        else:
            outcome = aim.map_outcome(header.config.threat, title_of(name))
            found.append(_finding(column, outcome, stated))
    if silent:
        what = "the map kept" if header.config.threat.keeps_map else "the wanted map reached"
        found.append(
            f"By {short(column)}, success of ADV² with {what} cannot be compared for {', '.join(silent)}: fewer "
            f"than two values have {TOO_FEW} images or more."
        )
    return tuple(found)


def _finding(column: str, outcome: str, stated: Sequence[tuple[str, Rate]]) -> str:
    """The values with the highest and the lowest joint success, and whether their intervals meet."""
    by, of = f"By {short(column)}", f"success of ADV² with {outcome}"
    low = min(stated, key=lambda pair: pair[1].value or 0.0)
    high = max(stated, key=lambda pair: pair[1].value or 0.0)
    if low[1].value == high[1].value:
        return f"{by}, {of} is the same for every value that has images enough ({rate_text(high[1])} of {high[0]})."
    meet = (low[1].high or 0.0) >= (high[1].low or 0.0)
    verdict = "their intervals overlap, so no difference is shown" if meet else "their intervals do not overlap"
    return f"{by}, {of} is highest for {_named(high)} and lowest for {_named(low)}; {verdict}."


def _named(pair: tuple[str, Rate]) -> str:
    return f"{short(pair[0])}, {rate_text(pair[1])}"


def _warning(rows: Sequence[SubgroupRow]) -> str:
    few = [f"{short(row.value or NOT_STATED)} ({row.attacked})" for row in rows if row.few]
    if not few:
        return ""
    return f"Too few to say, because fewer than {counted_images(TOO_FEW)} were attacked: {', '.join(few)}."
