"""The strength table: this tool, PGD and the controls against each kind of map, and the published settings beside them.

    python -m benchmarks.strength --model models/isic2018-efficientnet-lite0 --images DIR --labels CSV --work DIR \
        [--interpreters cam,grad] [--images-ours 105] [--published-cam 24] [--published-grad 8] \
        [--write docs/benchmarks.md]

Images are class-balanced and correctly classified; the published settings run on the first of the same images, and the
paired rows hold exactly those. The same command goes on where it was stopped. Published data: the test images of ISIC
2018 task 3 and, with ``--table strength-isic2017``, of ISIC 2017 part 3; the ids of a table lie in ``benchmarks/ids``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.bench import (
    Photograph,
    build_bench,
    class_balanced,
    correct_ones,
    photographs,
    settings_of,
    subjects,
)
from benchmarks.cases import Case, CaseBook, case_of, check_settings
from benchmarks.command import leave, options
from benchmarks.machine import Unit, machine, machine_line
from benchmarks.published import folder_of, run_published
from benchmarks.tables import CONTROLS, Excess, Row, excess, excess_text, failures, markdown, row, transfer_text
from benchmarks.timed_judge import TimedJudge
from skinaudit.audit.execute import run_stage
from skinaudit.audit.plan import Stage, stages
from skinaudit.audit.workbench import Subject, Workbench
from skinaudit.config import Preset, TargetRule

IDS = Path(__file__).parent / "ids"
MISSES = Path(__file__).parent / "misses"
#: Attacks that fell short, listed in the table; of more, the others go into a file.
MOST_MISSES = 20


def choose(bench: Workbench, images: Path, labels: Path, count: int, work: Path) -> list[Photograph]:
    """Class-balanced, correctly classified photographs; who is right is remembered in the work folder."""
    found = photographs(images, labels, bench.classifier.classes)
    remembered = work / f"correct-{bench.classifier.digest[:12]}.json"
    if not remembered.exists():
        right = [one.stem for one in correct_ones(bench, found)]
        remembered.write_text(json.dumps(right), encoding="utf-8")
    correct = set(json.loads(remembered.read_text(encoding="utf-8")))
    return class_balanced([one for one in found if one.stem in correct], count)


def write_ids(file: Path, chosen: Sequence[Photograph], digest: str) -> None:
    """Name the images, in the order in which they are attacked."""
    counts = {label: sum(one.label == label for one in chosen) for label in sorted({one.label for one in chosen})}
    head = [
        "# ISIC test images of the strength table, in the order of attack",
        f"# correctly classified by the model with tensor digest {digest}",
        "# " + ", ".join(f"{label} {count}" for label, count in counts.items()),
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([*head, *(f"{one.stem} {one.label}" for one in chosen)]) + "\n", encoding="utf-8")


def run_ours(bench: Workbench, chosen: Sequence[Photograph], cuts: Sequence[int], book: CaseBook) -> None:
    """Every stage on every image. Groups end at ``cuts``, so that the cost of the paired images is known by itself."""
    unit = Unit(bench.classifier, bench.config.batch_size, bench.classifier.input_size, bench.device)
    ends = sorted({*(cut for cut in cuts if 0 < cut < len(chosen)), len(chosen)})
    known: dict[str, Subject] = {}
    for stage in stages(bench.config):
        finished = book.done(stage.name)
        for start, end in zip([0, *ends], ends, strict=False):
            todo = [one for one in chosen[start:end] if one.stem not in finished]
            if todo:
                known |= {one.image_id: one for one in subjects(bench, [one for one in todo if one.stem not in known])}
                run_group(bench, stage, [known[one.stem] for one in todo], unit, book)
                print(f"{stage.title}: {end} of {len(chosen)} images", flush=True)


def run_group(bench: Workbench, stage: Stage, todo: Sequence[Subject], unit: Unit, book: CaseBook) -> None:
    """One stage on a few images; the time between two results belongs to the later one, so nothing is left out.

    Looking at the pictures made for one map through the others is not counted.
    """
    judge = TimedJudge(bench, stage.interpreter) if stage.attack == "adv2" and stage.interpreter else None
    working = replace(bench, judge=judge) if judge else bench
    unit.refresh()
    begun = time.perf_counter()
    for result in run_stage(working, stage, todo):
        seconds = 0.0 if stage.attack == "noise" else time.perf_counter() - begun
        seconds -= judge.taken_elsewhere() if judge else 0.0
        cases = tuple(
            case_of(record, result.image_id, seconds, unit.seconds if seconds else 0.0) for record in result.records
        )
        book.add(stage.name, result.image_id, cases)
        unit.refresh()
        begun = time.perf_counter()


def summarise(
    cases: Sequence[Case], order: Sequence[str], paired: dict[str, int], names: Sequence[str]
) -> tuple[list[Row], list[Excess]]:
    """Rows over all images, rows over the paired ones, and the paired differences."""
    rows: list[Row] = []
    differences: list[Excess] = []

    def select(name: str, method: str, stems: Sequence[str]) -> list[Case]:
        mine = {case.image: case for case in cases if case.interpreter == name and case.method == method}
        return [mine[stem] for stem in stems if stem in mine]

    for name in names:
        sets: list[tuple[Sequence[str], str, tuple[str, ...], str]] = [
            (order, "all", ("adv2", "joint", "pgd", *CONTROLS), "pgd")
        ]
        if paired.get(name, 0):
            sets.append((order[: paired[name]], f"first {paired[name]}", ("adv2", "published", "pgd"), "published"))
        for stems, title, methods, against in sets:
            rows += [row(found, title) for method in methods if (found := select(name, method, stems))]
            found_excess = excess(select(name, "adv2", stems), select(name, against, stems))
            differences += [found_excess] if found_excess else []
    return rows, differences


def searches(cases: Sequence[Case], first: str) -> list[Case]:
    """One case for each search: PGD and the attack on all maps are one search each, whatever the number of maps."""
    ours = [one for one in cases if one.method == "adv2" or (one.method == "joint" and one.interpreter == first)]
    return [
        *ours,
        *(one for one in cases if one.method == "published"),
        *(one for one in cases if one.method == "pgd" and one.interpreter == first),
    ]


def report(
    bench: Workbench,
    cases: Sequence[Case],
    rows: Sequence[Row],
    differences: Sequence[Excess],
    facts: dict[str, str],
    table: str,
) -> str:
    """Everything as Markdown; the misses that are too many for a page go into a file of their own."""
    limits = [
        f"* {name.upper()}: a map is kept when L1 ≤ {limit.l1:.4f} and IoU top 20 % ≥ {limit.iou20:.3f} "
        f"({limit.images} images, {limit.pairs} pairs)"
        for name, limit in bench.thresholds.items()
    ]
    attacks = searches(cases, bench.config.interpreters[0])
    missed = failures(attacks, bench.classifier.classes)
    more = max(0, len(missed) - MOST_MISSES)
    if more:
        MISSES.mkdir(exist_ok=True)
        (MISSES / f"{table}.txt").write_text("\n".join(missed) + "\n", encoding="utf-8")
    intro = (
        f"Targets: {bench.config.threat.target}. ε = {bench.config.threat.epsilon_levels}/255 (largest change measured "
        f"on saved pixels: {max(one.linf_levels for one in attacks)}/255), preset {bench.config.preset}, batch "
        f"{bench.config.batch_size}. Cost: wall time of the whole attack in units of one bare forward pass with input "
        "gradient of the same model, measured in the same run."
    )
    parts = [
        intro,
        markdown(rows),
        excess_text(differences),
        transfer_text(cases, bench.config.interpreters),
        "Thresholds:\n\n" + "\n".join(limits),
        f"Attacks that missed the class or stayed below a confidence of 0.95: {len(missed) or 'none'}."
        + "".join(f"\n* {line}" for line in missed[:MOST_MISSES])
        + (f"\n* … and {more} more: [all of them](../benchmarks/misses/{table}.txt)" if more else ""),
        machine_line(facts),
    ]
    return "\n\n".join(part for part in parts if part)


def main() -> None:
    """Command line."""
    parser = options(__doc__, "strength-isic2018")
    parser.add_argument("--joint", action="store_true", help="also attack all maps at once")
    parser.add_argument("--images-ours", type=int, default=105, help="images for this tool, PGD and the controls")
    parser.add_argument("--published-cam", type=int, default=24, help="of these, with the published settings on CAM")
    parser.add_argument("--published-grad", type=int, default=8, help="the same on GRAD")
    parser.add_argument("--published-rts", type=int, default=16, help="the same on RTS")
    parser.add_argument("--published-mask", type=int, default=4, help="the same on MASK")
    parser.add_argument("--target", type=TargetRule, choices=list(TargetRule), default=TargetRule.RANDOM)
    parser.add_argument("--preset", type=Preset, choices=list(Preset), default=Preset.STANDARD)
    arguments = parser.parse_args()
    names = tuple(arguments.interpreters.split(","))
    bench = build_bench(arguments.model, arguments.target, arguments.batch, arguments.threads, names, arguments.preset)
    bench = replace(bench, config=bench.config.model_copy(update={"joint": arguments.joint}))
    check_settings(arguments.work, settings_of(bench, "strength"))
    chosen = choose(bench, arguments.images, arguments.labels, arguments.images_ours, arguments.work)
    write_ids(IDS / f"{arguments.table}.txt", chosen, bench.classifier.digest)
    paired = {name: getattr(arguments, f"published_{name.removesuffix('-fast')}", 0) for name in names}
    book = CaseBook(arguments.work)
    run_ours(bench, chosen, list(paired.values()), book)
    cases = book.cases()
    for name, count in ((name, count) for name, count in paired.items() if count):
        work = arguments.work / f"published-{name}"
        cases += run_published(bench, name, chosen[:count], work, folder_of(arguments.model, name))
    rows, differences = summarise(cases, [one.stem for one in chosen], paired, bench.config.interpreters)
    facts = machine(bench.device)
    text = report(bench, cases, rows, differences, facts, arguments.table)
    dumped = {"rows": [one.model_dump() for one in rows], "excess": [one.model_dump() for one in differences]}
    leave(arguments, "strength", text, facts, settings_of(bench, "strength"), cases, **dumped)


if __name__ == "__main__":
    main()
