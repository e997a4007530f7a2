"""Cases as rows of a Markdown table, every rate and mean with its interval and n."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.cases import Case
from skinaudit.config import HELD_CONFIDENCE, Frozen
from skinaudit.metrics.intervals import bootstrap_mean, paired_rate_difference, wilson

TITLES = {
    "adv2": "ADV² (this tool)",
    "joint": "ADV² on all maps at once",
    "transfer": "ADV² made for another map",
    "pgd": "PGD (diagnosis only)",
    "noise": "control: ±ε noise",
    "jpeg": "control: JPEG 90",
    "shift": "control: half-pixel shift",
    "published": "ADV², published settings",
}
CONTROLS = ("noise", "jpeg", "shift")


class Share(Frozen):
    """A rate with its Wilson 95 % interval."""

    successes: int
    n: int
    value: float
    low: float
    high: float

    def text(self) -> str:
        """As a table shows it."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Mean(Frozen):
    """A mean with its bootstrap 95 % interval."""

    value: float
    low: float
    high: float

    def text(self) -> str:
        """As a table shows it."""
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


class Row(Frozen):
    """One method on one interpreter, on a named set of images."""

    interpreter: str
    method: str
    images: str
    n: int
    flipped: Share
    confidence: float | None
    l1: Mean
    rms: Mean
    iou20: Mean
    kept: Share
    joint: Share
    steps: float
    cost: float
    linf_levels: int


class Excess(Frozen):
    """Joint success of one method over another on the same images (McNemar's exact p)."""

    interpreter: str
    first: str
    second: str
    n: int
    difference: float
    low: float
    high: float
    p_value: float


def share(outcomes: Sequence[bool]) -> Share:
    """Rate of true outcomes."""
    interval = wilson(sum(outcomes), len(outcomes))
    return Share(successes=sum(outcomes), n=len(outcomes), value=fmean(outcomes), low=interval.low, high=interval.high)


def mean(values: Sequence[float]) -> Mean:
    """Mean of at least one value."""
    interval = bootstrap_mean(values)
    return Mean(value=fmean(values), low=interval.low, high=interval.high)


def row(cases: Sequence[Case], images: str) -> Row:
    """Summary of the cases of one method and interpreter; confidence is the mean over images that were flipped."""
    sure = [case.confidence for case in cases if case.flipped]
    return Row(
        interpreter=cases[0].interpreter,
        method=cases[0].method,
        images=images,
        n=len(cases),
        flipped=share([case.flipped for case in cases]),
        confidence=fmean(sure) if sure else None,
        l1=mean([case.l1 for case in cases]),
        rms=mean([case.rms for case in cases]),
        iou20=mean([case.iou20 for case in cases]),
        kept=share([case.kept for case in cases]),
        joint=share([case.joint for case in cases]),
        steps=fmean(case.steps for case in cases),
        cost=fmean(case.cost for case in cases),
        linf_levels=max(case.linf_levels for case in cases),
    )


def excess(first: Sequence[Case], second: Sequence[Case]) -> Excess | None:
    """Paired difference of joint success on the images that both have; None when there are none."""
    other = {case.image: case for case in second}
    pairs = [(case, other[case.image]) for case in first if case.image in other]
    if not pairs:
        return None
    found = paired_rate_difference([one.joint for one, _ in pairs], [two.joint for _, two in pairs])
    return Excess(
        interpreter=pairs[0][0].interpreter,
        first=pairs[0][0].method,
        second=pairs[0][1].method,
        n=found.n,
        difference=found.difference,
        low=found.interval.low,
        high=found.interval.high,
        p_value=found.p_value,
    )


def transfer_text(cases: Sequence[Case], names: Sequence[str]) -> str:
    """Pictures made for one map (rows, PGD last) and seen through each (columns): joint success, and mean L1."""
    if len(names) < 2:
        return ""
    lines = [
        "Pictures made for one map and seen through the others (joint success with its interval; L1):",
        "",
        "| made for | " + " | ".join(f"seen through {name.upper()}" for name in names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for made_for in (*names, "pgd"):
        cells = []
        for seen in names:
            method = "pgd" if made_for == "pgd" else "adv2" if made_for == seen else "transfer"
            found = [
                case
                for case in cases
                if (case.method, case.interpreter) == (method, seen)
                and (method != "transfer" or case.made_for == made_for)
            ]
            joint = share([case.joint for case in found]).text() if found else "–"
            cells.append(f"{joint}; {fmean(case.l1 for case in found):.3f} (n = {len(found)})" if found else "–")
        lines.append(f"| {made_for.upper()} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def failures(cases: Sequence[Case], classes: Sequence[str]) -> list[str]:
    """Attacks that missed the class, or held it below the confidence asked for, each with what happened."""
    lines = []
    for case in cases:
        if case.target_class is None or (case.flipped and case.confidence >= HELD_CONFIDENCE):
            continue
        what = (
            f"target held, but only at {case.confidence:.3f}"
            if case.flipped
            else f"still {classes[case.predicted]}, target at {case.confidence:.3f}"
        )
        attack = TITLES[case.method] + ("" if case.method == "pgd" else f" on {case.interpreter.upper()}")
        classes_named = f"{classes[case.source_class]} to {classes[case.target_class]}"
        lines.append(f"{case.image}, {attack}, {classes_named}: {what} after {case.steps} steps ({case.stop})")
    return lines


def markdown(rows: Sequence[Row]) -> str:
    """Rows as a table."""
    head = (
        "| map | method | images | n | flipped [95 %] | confidence | L1 [95 %] | RMS | IoU top 20 % | kept | "
        "joint success [95 %] | steps | cost |"
    )
    lines = [head, "|" + "---|" * 13]
    for one in rows:
        confidence = "–" if one.confidence is None or one.method in CONTROLS else f"{one.confidence:.3f}"
        effort = ("–", "–") if one.method in CONTROLS else (f"{one.steps:.0f}", f"{one.cost:.0f}")
        cells = (
            one.interpreter.upper(), TITLES[one.method], one.images, str(one.n), one.flipped.text(), confidence,
            one.l1.text(), f"{one.rms.value:.4f}", f"{one.iou20.value:.3f}", f"{one.kept.value:.3f}",
            one.joint.text(), *effort,
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def excess_text(found: Sequence[Excess]) -> str:
    """Paired differences as a list."""
    return "\n".join(
        f"* {one.interpreter.upper()}, n = {one.n}: joint success of {TITLES[one.first]} over {TITLES[one.second]} "
        f"{one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}], McNemar p = {one.p_value:.2g}"
        for one in found
    )


def fill(document: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->`` of a Markdown file.

    Raises:
        ValueError: the file has no such pair of markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    content = document.read_text(encoding="utf-8")
    if content.count(begin) != 1 or content.count(end) != 1:
        raise ValueError(f"{document}: expected one pair of markers {begin} … {end}")
    head, rest = content.split(begin)
    document.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")
