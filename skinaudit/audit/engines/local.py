"""Runs an audit's stages in this process, into a run directory that can be resumed at any unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from skinaudit.audit.entry import at_8_bits
from skinaudit.audit.execute import run_stage
from skinaudit.audit.failed_unit import failed_unit
from skinaudit.audit.failures import RunCorrupt
from skinaudit.audit.memory import HALVED, shape_so_far, within_memory
from skinaudit.audit.picture_files import map_bytes, picture_bytes
from skinaudit.audit.plan import Stage, at_once, most_attacked, shapes, stages
from skinaudit.audit.records import ImageRecord
from skinaudit.audit.store import Clock, RunStore, utc_now
from skinaudit.audit.survey import Specimen, read_again
from skinaudit.audit.sweep import run_sweep
from skinaudit.audit.wanted import WantedMaps
from skinaudit.audit.workbench import Subject, UnitResult, left_alone, prediction_of
from skinaudit.images.decoder import Decoder
from skinaudit.images.refusal import ImageRefused

if TYPE_CHECKING:
    from torch import Tensor

    from skinaudit.attacks.judge import Clean
    from skinaudit.audit.progress import Progress
    from skinaudit.audit.session import Prepared


#: Kind of the event that says that damaged files of a run were computed again, byte for byte.
RESTORED = "files restored"


@dataclass(frozen=True)
class _Run:
    """A run that is being written: ``damaged`` holds the ids of images and units whose files must be put back."""

    store: RunStore
    decoder: Decoder
    progress: Progress
    damaged: set[str]
    #: Benign maps that cost hundreds of passes, by (interpreter, image): computed once for all stages.
    costly: dict[tuple[str, str], Tensor]
    wanted: WantedMaps

    def restored(self, key: str) -> bool:
        """Is this row in the run already, so that putting its files back was all there was to do?"""
        if key not in self.damaged:
            return False
        self.damaged.remove(key)
        self.store.event(RESTORED, {"of": key})
        return True

    def refuse_damaged(self, key: str, reason: str) -> None:
        """Stop where files of this row must be put back and the image is not there to do it from.

        Raises:
            RunCorrupt: it is so.
        """
        if key in self.damaged:
            raise RunCorrupt(
                f"{self.store.folder}: files of {key} are damaged, and its image is needed to compute them again:"
                f" {reason}; put the image back and run the same command again"
            )


def run_audit(prepared: Prepared, folder: Path, decoder: Decoder, progress: Progress, *, clock: Clock = utc_now) -> str:
    """Do what is not done yet and close the run.

    Args:
        prepared: what ``prepare`` fixed.
        folder: run directory, new or one to resume.
        decoder: reads the images.
        progress: is told about every unit.
        clock: gives the time of events.

    Returns:
        The head of the run's event chain.

    Raises:
        DeviceTooSmall: the device's memory does not hold one image; the run can be resumed.
        StoreError and its kin: the folder holds another run, is locked, damaged or full.
        KeyboardInterrupt: passed on after the event was written; the run can be resumed.
    """
    with RunStore.create_or_resume(folder, prepared.header, clock=clock) as store:
        run = _Run(store, decoder, progress, store.damaged(), {}, WantedMaps(decoder))
        if run.damaged:
            progress.say(f"{len(run.damaged)} stored results have damaged or missing files; these are computed again.")
        store.sweep_orphans()
        try:
            size = shape_so_far(prepared, store.events())
            size = _attempt(run, prepared, size, "clean", partial(_write_images, run))
            for stage in stages(prepared.header.config):
                size = _attempt(run, prepared, size, stage.name, partial(_run_stage, run, stage))
        except KeyboardInterrupt:
            store.event("interrupted", {"units": len(store.finished_units())})
            raise
        return store.finish()


def _attempt(run: _Run, prepared: Prepared, size: int, stage: str, work: Callable[[Prepared], None]) -> int:
    """Do a part of the run in batches that the device holds; the shape that it took."""

    def halved(old: int, new: int) -> None:
        run.store.event(HALVED, {"from": old, "to": new, "stage": stage})
        run.progress.say(f"The device's memory does not hold {old} images at once; going on with {new}.")

    def in_batches_of(now: int) -> None:
        work(prepared if now == prepared.bench.config.batch_size else _in_batches_of(prepared, now))

    return within_memory(size, in_batches_of, halved)


def _in_batches_of(prepared: Prepared, size: int) -> Prepared:
    return replace(prepared, bench=prepared.bench.in_batches_of(size))


def _run_stage(run: _Run, stage: Stage, prepared: Prepared) -> None:
    finished = run.store.finished_units() - run.damaged
    concerned = prepared.concerned(stage)
    todo = [image_id for image_id in concerned if stage.unit_id(image_id) not in finished]
    lost = {image.image_id: str(image.reason) for image in run.store.images() if image.status != "attacked"}
    gone = [image_id for image_id in todo if image_id in lost]
    done = len(concerned) - len(todo) + len(gone)

    def failed(image_id: str, reason: str) -> None:
        run.refuse_damaged(stage.unit_id(image_id), reason)
        source_class = prepared.looks[image_id].predicted
        unit_id, records = failed_unit(stage, prepared, image_id, source_class, reason)
        run.store.add_records(unit_id, records)

    def vanished(image_id: str, reason: str) -> None:
        failed(image_id, reason)
        run.progress.advance(stage.name, 1)

    for image_id in gone:
        failed(image_id, lost[image_id])
    run.progress.begin(stage.name, stage.title, len(concerned), done)
    names = None if stage.interpreter is None else (stage.interpreter, *at_once(prepared.header.config))
    subjects = _subjects(run, prepared, [image_id for image_id in todo if image_id not in lost], vanished, names)
    work = run_sweep if stage.attack == "sweep" else run_stage
    for result in work(prepared.bench, stage, run.wanted.given(prepared, subjects)):
        _store_result(run, result)
        run.progress.advance(stage.name, 1)


def _store_result(run: _Run, result: UnitResult) -> None:
    store = run.store
    paths = {name: store.put_artifact(result.image_id, name, data) for name, data in result.files.items()}
    if run.restored(result.unit_id):
        return
    records = [
        record.model_copy(update={"artifacts": {kind: paths[name] for kind, name in names.items()}})
        for record, names in zip(result.records, result.named, strict=True)
    ]
    store.add_records(result.unit_id, records)


def _subjects(
    run: _Run,
    prepared: Prepared,
    ids: Sequence[str],
    failed: Callable[[str, str], None],
    names: Sequence[str] | None = None,
) -> Iterator[Subject]:
    """Images with their clean views, a batch at a time; ``failed`` is told which file is gone by now, and why.

    ``names``: the interpreters whose benign maps are wanted; None: all those that an image is put to.
    """
    bench = prepared.bench
    specimens = [prepared.specimen(image_id) for image_id in ids]
    again = read_again(specimens, run.decoder, prepared.header.config.seed)
    while part := list(islice(again, bench.config.batch_size)):
        read: list[tuple[Specimen, Tensor]] = []
        for one, pixels in part:
            if isinstance(pixels, ImageRefused):
                failed(one.image_id, pixels.reason)
            else:
                read.append((one, bench.entry.picture(pixels)))
        for (one, shown), clean in zip(read, _clean_views(run, prepared, read, names), strict=True):
            yield Subject(one.image_id, shown, one.seed, clean)


def _clean_views(
    run: _Run, prepared: Prepared, read: Sequence[tuple[Specimen, Tensor]], names: Sequence[str] | None
) -> list[Clean]:
    """How images look unchanged, each with the maps of the interpreters it is put to; costly ones are remembered."""
    judge, costly = prepared.bench.judge, shapes(prepared.header.config)
    wanted = [
        [name for name in prepared.asked_about(one.image_id) if names is None or name in names] for one, _ in read
    ]
    everywhere = [name for name in prepared.header.config.interpreters if name not in costly]
    seen = [prepared.bench.entry.seen(picture) for _, picture in read]
    views = judge.clean(seen, [name for name in everywhere if names is None or name in names])
    for name in costly:
        asked = [place for place, mine in enumerate(wanted) if name in mine]
        new = [place for place in asked if (name, read[place][0].image_id) not in run.costly]
        for place, view in zip(new, judge.clean([seen[place] for place in new], [name]), strict=True):
            run.costly[name, read[place][0].image_id] = view.maps[name]
        for place in asked:
            views[place].maps[name] = run.costly[name, read[place][0].image_id]
    return views


def _write_images(run: _Run, prepared: Prepared) -> None:
    """A record for every file that was found; pictures and benign maps of those that are attacked."""
    store, progress = run.store, run.progress
    known = {record.image_id for record in store.images()} - run.damaged
    chosen = set(prepared.chosen)
    alone = [one for one in prepared.specimens if one.image_id not in known and one.image_id not in chosen]
    if alone:
        progress.begin("left alone", "Images left alone", len(alone), 0)
    for specimen in alone:
        store.add_image(_image_record(prepared, specimen))
        progress.advance("left alone", 1)
    todo = [image_id for image_id in prepared.chosen if image_id not in known]
    progress.begin("clean", "Benign maps", len(chosen), len(chosen) - len(todo))

    def failed(image_id: str, reason: str) -> None:
        run.refuse_damaged(image_id, reason)
        record = _image_record(prepared, prepared.specimen(image_id))
        store.add_image(record.model_copy(update={"status": "unreadable", "reason": reason}))
        progress.advance("clean", 1)

    for subject in _subjects(run, prepared, todo, failed):
        paths = {
            kind: store.put_artifact(subject.image_id, name, data)
            for kind, (name, data) in _clean_files(prepared, subject).items()
        }
        if not run.restored(subject.image_id):
            record = _image_record(prepared, prepared.specimen(subject.image_id), subject.clean)
            store.add_image(record.model_copy(update={"artifacts": paths}))
        progress.advance("clean", 1)


def _clean_files(prepared: Prepared, subject: Subject) -> dict[str, tuple[str, bytes]]:
    classifier = prepared.bench.classifier
    shown = at_8_bits(prepared.bench.entry.seen(subject.shown))
    files = {"clean": ("clean.png", picture_bytes(classifier, shown))}
    for name, saliency in subject.clean.maps.items():
        files[f"map-{name}"] = (f"map-{name}.npy", map_bytes(classifier, saliency))
    return files


Status = Literal["attacked", "misclassified", "not selected", "unreadable", "refused", "duplicate", "unlabelled"]


def status_of(prepared: Prepared, specimen: Specimen) -> tuple[Status, str | None]:
    """What becomes of a file, and why where it is not attacked."""
    if specimen.status != "readable":
        return specimen.status, specimen.reason
    if specimen.image_id in prepared.chosen:
        return "attacked", None
    if prepared.header.labels_given and specimen.label is None:
        return "unlabelled", "the label file does not name this image"
    predicted = prepared.bench.classifier.classes[prepared.looks[specimen.image_id].predicted]
    if prepared.header.labels_given and specimen.label != predicted:
        return "misclassified", "the model gets the unchanged image wrong, so there is no right diagnosis to attack"
    alone = left_alone(prepared.header.config, prepared.bench.classifier, prepared.looks[specimen.image_id])
    if alone:
        return "not selected", alone
    most, preset = most_attacked(prepared.header.config), prepared.header.config.budget.images
    if most == preset:
        return "not selected", f"the preset attacks at most {preset} images"
    return "not selected", f"every map is asked about at most {most} images (--mask-images)"


def _image_record(prepared: Prepared, specimen: Specimen, clean: Clean | None = None) -> ImageRecord:
    status, reason = status_of(prepared, specimen)
    look = prepared.looks.get(specimen.image_id)
    return ImageRecord(
        image_id=specimen.image_id,
        status=status,
        reason=reason,
        file_name=specimen.file_name if prepared.header.config.show_file_names else None,
        file_format=specimen.file_format,
        width=specimen.width,
        height=specimen.height,
        drawn=specimen.drawn,
        label=specimen.label,
        subgroups=dict(specimen.subgroups),
        prediction=prediction_of(clean or look) if look else None,
        rounding_logit_change=look.rounding if look else None,
        blank_maps=clean.blank_maps if clean else (),
    )
