"""The ε curve: from which size of change on can diagnosis and map be chosen?

    python -m benchmarks.epsilon_curve --model models/isic2018-efficientnet-lite0 --images DIR --labels CSV --work DIR \
        [--photographs 16] [--levels 1,2,4,8] [--interpreters cam,grad] [--table epsilon-isic2018] \
        [--write docs/benchmarks.md]

Each photograph (class-balanced, correctly classified) is attacked within each radius; every search goes on from the
picture of the smaller one, as in ``skinaudit audit --sweep`` (where epsilon itself begins anew). The same command goes
on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from benchmarks.bench import Photograph, build_bench, settings_of, subjects
from benchmarks.cases import Case, CaseBook, case_of, check_settings
from benchmarks.command import leave, options
from benchmarks.machine import machine, machine_line
from benchmarks.strength import choose
from benchmarks.tables import share
from skinaudit.audit.plan import Stage
from skinaudit.audit.sweep import run_sweep
from skinaudit.audit.workbench import Workbench
from skinaudit.config import TargetRule

#: Between a photograph's name and the radius in grey levels.
WITHIN = "#"


def run(bench: Workbench, photographs: Sequence[Photograph], book: CaseBook) -> None:
    """Every photograph within every radius, for each interpreter."""
    for name in bench.config.interpreters:
        stage = Stage("sweep", name)
        finished = book.done(stage.name)
        left = [one for one in photographs if one.stem not in finished]
        for done, result in enumerate(run_sweep(bench, stage, subjects(bench, left)), len(finished) + 1):
            named = [(record, f"{result.image_id}{WITHIN}{record.epsilon_levels}") for record in result.records]
            judged = [(record.model_copy(update={"attack": "adv2"}), image) for record, image in named]
            book.add(stage.name, result.image_id, tuple(case_of(one, image, 0.0, 0.0) for one, image in judged))
            print(f"{stage.title}: {done} of {len(photographs)} photographs", flush=True)


def row(name: str, levels: int, cases: Sequence[Case]) -> str:
    """A line of the table."""
    flipped = [case for case in cases if case.flipped]
    cells = (
        name.upper(), f"{levels}/255", str(len(cases)), share([case.flipped for case in cases]).text(),
        f"{fmean(case.confidence for case in flipped):.3f}" if flipped else "–",
        f"{fmean(case.l1 for case in cases):.4f}", f"{fmean(case.iou20 for case in cases):.3f}",
        share([case.joint for case in cases]).text(),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def report(bench: Workbench, cases: Sequence[Case], facts: dict[str, str]) -> str:
    """Everything as Markdown."""
    head = "| map | ε | n | flipped [95 %] | confidence | L1 | IoU top 20 % | joint success [95 %] |"
    rows = []
    for name in bench.config.interpreters:
        for levels in bench.config.sweep:
            mine = [case for case in cases if case.interpreter == name and case.image.endswith(f"{WITHIN}{levels}")]
            rows += [row(name, levels, mine)] if mine else []
    intro = (
        f"Targets: {bench.config.threat.target}, preset {bench.config.preset}, batch {bench.config.batch_size}. The "
        "photographs are the same in every line; a search may use the steps of all smaller radii before it."
    )
    return "\n\n".join([intro, "\n".join([head, "|" + "---|" * 8, *rows]), machine_line(facts)])


def main() -> None:
    """Command line."""
    parser = options(__doc__, "epsilon-isic2018")
    parser.add_argument("--photographs", type=int, default=16)
    parser.add_argument("--levels", default="1,2,4,8", help="radii in grey levels of 255, with commas")
    arguments = parser.parse_args()
    names = tuple(arguments.interpreters.split(","))
    levels = tuple(sorted(int(level) for level in arguments.levels.split(",")))
    bench = build_bench(arguments.model, TargetRule.RANDOM, arguments.batch, arguments.threads, names)
    bench = replace(bench, config=bench.config.model_copy(update={"sweep": levels}))
    settings = {**settings_of(bench, "epsilon curve"), "levels": arguments.levels}
    check_settings(arguments.work, settings)
    chosen = choose(bench, arguments.images, arguments.labels, arguments.photographs, arguments.work)
    book = CaseBook(arguments.work)
    run(bench, chosen, book)
    stems = {one.stem for one in chosen}
    cases = [case for case in book.cases() if case.image.partition(WITHIN)[0] in stems]
    facts = machine(bench.device)
    leave(arguments, "epsilon", report(bench, cases, facts), facts, settings, cases)


if __name__ == "__main__":
    main()
