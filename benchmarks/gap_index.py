"""The gap index: how often a class and a map, drawn apart from each other, are both reached by one changed picture.

    python -m benchmarks.gap_index --model models/isic2018-efficientnet-lite0 --images DIR --labels CSV --work DIR \
        [--photographs 12] [--pairs 4] [--interpreters cam,grad] [--table gap-isic2018] [--write docs/benchmarks.md]

Each photograph (class-balanced, correctly classified) is put to several pairs of (random other class, random patch that
its benign map does not touch). PGD, which looks at the class alone, says how often such a map comes about by itself.
The same command goes on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from benchmarks.bench import Photograph, build_bench, settings_of, subjects
from benchmarks.cases import Case, CaseBook, case_of, check_settings
from benchmarks.command import leave, options
from benchmarks.machine import machine, machine_line
from benchmarks.strength import choose
from benchmarks.tables import TITLES, share
from skinaudit.attacks.target_maps import wanted_map
from skinaudit.audit.execute import run_stage
from skinaudit.audit.plan import Stage
from skinaudit.audit.survey import derive
from skinaudit.audit.workbench import Subject, Workbench
from skinaudit.config import TargetMap, TargetRule
from skinaudit.metrics.gap import gap_index

#: Between a photograph's name and the number of its pair.
PAIR = "#"


@dataclass(frozen=True)
class Row:
    """One attack on one kind of map: its pairs, and over how many photographs they are spread."""

    interpreter: str
    method: str
    cases: tuple[Case, ...]

    def text(self) -> str:
        """A line of the table."""
        classes, maps = [case.flipped for case in self.cases], [case.kept for case in self.cases]
        found = gap_index(classes, maps)
        photographs = {case.image.rpartition(PAIR)[0] for case in self.cases}
        cells = (
            self.interpreter.upper(), TITLES[self.method], str(len(photographs)), str(found.n),
            share(classes).text(), share(maps).text(),
            f"{found.value:.3f} [{found.interval.low:.3f}, {found.interval.high:.3f}]",
            f"{fmean(case.l1 for case in self.cases):.3f}", f"{fmean(case.iou20 for case in self.cases):.3f}",
        )  # fmt: skip
        return "| " + " | ".join(cells) + " |"


def pairs_of(bench: Workbench, photographs: Sequence[Photograph], pairs: int) -> Iterator[Subject]:
    """Each photograph ``pairs`` times, each time with seeds of its own for class and patch."""
    for subject in subjects(bench, photographs):
        for number in range(pairs):
            seed = derive(subject.seed, "pair", number)
            wanted = {
                name: wanted_map(TargetMap.PATCH, benign, derive(seed, "patch"))
                for name, benign in subject.clean.maps.items()
            }
            yield replace(subject, image_id=f"{subject.image_id}{PAIR}{number}", seed=seed, wanted=wanted)


def run(bench: Workbench, photographs: Sequence[Photograph], pairs: int, book: CaseBook) -> int:
    """Every pair under PGD and under ADV² on each interpreter; patches that are not quite clear are counted."""
    todo = list(pairs_of(bench, photographs, pairs))
    for stage in (Stage("pgd", None), *(Stage("adv2", name) for name in bench.config.interpreters)):
        finished = book.done(stage.name)
        left = [subject for subject in todo if subject.image_id not in finished]
        for done, result in enumerate(run_stage(bench, stage, left), 1):
            mine = [record for record in result.records if record.attack == stage.attack]
            book.add(stage.name, result.image_id, tuple(case_of(one, result.image_id, 0.0, 0.0) for one in mine))
            print(f"{stage.title}: {len(finished) + done} of {len(todo)} pairs", flush=True)
    return sum(map_.reason is not None for subject in todo for map_ in subject.wanted.values())


def report(bench: Workbench, rows: Sequence[Row], touching: int, facts: dict[str, str]) -> str:
    """Everything as Markdown."""
    head = (
        "| map | attack | photographs | pairs | class reached [95 %] | map reached [95 %] | both: gap index [95 %] | "
        "L1 to the patch | IoU top 20 % |"
    )
    threat = bench.config.threat
    intro = (
        f"ε = {threat.epsilon_levels}/255, preset {bench.config.preset}, batch {bench.config.batch_size}. A class is "
        "reached when it is the diagnosis of the saved picture, a map when it lies within the drift limits of the "
        "patch. Pairs of one photograph are not independent of each other, so the intervals are somewhat too narrow. "
    )
    if touching:
        wanted = sum(len(row.cases) for row in rows if row.method == "adv2")
        intro += (
            f" {touching} of {wanted} patches touch the benign map's top 20 %, because none of those drawn did not."
        )
    table = "\n".join([head, "|" + "---|" * 9, *(row.text() for row in rows)])
    lines = [intro, table, machine_line(facts)]
    return "\n\n".join(lines)


def main() -> None:
    """Command line."""
    parser = options(__doc__, "gap-isic2018")
    parser.add_argument("--photographs", type=int, default=12)
    parser.add_argument("--pairs", type=int, default=4, help="pairs of class and patch for each photograph")
    arguments = parser.parse_args()
    names = tuple(arguments.interpreters.split(","))
    bench = build_bench(arguments.model, TargetRule.RANDOM, arguments.batch, arguments.threads, names)
    threat = bench.config.threat.model_copy(update={"target_map": TargetMap.PATCH})
    bench = replace(bench, config=bench.config.model_copy(update={"threat": threat}))
    check_settings(arguments.work, settings_of(bench, "gap index"))
    chosen = choose(bench, arguments.images, arguments.labels, arguments.photographs, arguments.work)
    book = CaseBook(arguments.work)
    touching = run(bench, chosen, arguments.pairs, book)
    wanted = {f"{one.stem}{PAIR}{number}" for one in chosen for number in range(arguments.pairs)}
    cases = [case for case in book.cases() if case.image in wanted]
    rows = [
        Row(name, method, mine)
        for name in names
        for method in ("adv2", "pgd")
        if (mine := tuple(case for case in cases if case.interpreter == name and case.method == method))
    ]
    facts = machine(bench.device)
    text = report(bench, rows, touching, facts)
    leave(arguments, "gap", text, facts, settings_of(bench, "gap index"), cases)


if __name__ == "__main__":
    main()
