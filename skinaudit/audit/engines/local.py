"""Runs an audit's stages in this process, into a run directory that can be resumed at any unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from skinaudit.audit.execute import Subject, UnitResult, map_bytes, picture_bytes, prediction_of, run_stage
from skinaudit.audit.plan import Stage, stages
from skinaudit.audit.records import ImageRecord
from skinaudit.audit.store import RunStore
from skinaudit.audit.survey import Specimen, load_shown

if TYPE_CHECKING:
    from skinaudit.attacks.judge import Clean
    from skinaudit.audit.session import Prepared, Progress


def run_audit(prepared: Prepared, folder: Path, progress: Progress) -> str:
    """Do what is not done yet and close the run.

    Args:
        prepared: what ``prepare`` fixed.
        folder: run directory, new or one to resume.
        progress: is told about every unit.

    Returns:
        The head of the run's event chain.

    Raises:
        StoreError and its kin: the folder holds another run, is locked, damaged or full.
        KeyboardInterrupt: passed on after the event was written; the run can be resumed.
    """
    with RunStore.create_or_resume(folder, prepared.header) as store:
        store.sweep_orphans()
        try:
            _write_images(store, prepared, progress)
            for stage in stages(prepared.header.config):
                _run_stage(store, prepared, stage, progress)
        except KeyboardInterrupt:
            store.event("interrupted", {"units": len(store.finished_units())})
            raise
        return store.finish()


def _run_stage(store: RunStore, prepared: Prepared, stage: Stage, progress: Progress) -> None:
    finished = store.finished_units()
    todo = [image_id for image_id in prepared.chosen if stage.unit_id(image_id) not in finished]
    progress.begin(stage.name, stage.title, len(prepared.chosen), len(prepared.chosen) - len(todo))
    for result in run_stage(prepared.bench, stage, _subjects(prepared, todo)):
        _store_result(store, result)
        progress.advance(stage.name, 1)


def _store_result(store: RunStore, result: UnitResult) -> None:
    paths = {name: store.put_artifact(result.image_id, name, data) for name, data in result.files.items()}
    records = [
        record.model_copy(update={"artifacts": {kind: paths[name] for kind, name in names.items()}})
        for record, names in zip(result.records, result.named, strict=True)
    ]
    store.add_records(result.unit_id, records)


def _subjects(prepared: Prepared, ids: Sequence[str]) -> Iterator[Subject]:
    """Images with their clean views, a batch at a time."""
    size = prepared.header.config.batch_size
    for start in range(0, len(ids), size):
        specimens = [prepared.specimen(image_id) for image_id in ids[start : start + size]]
        shown = [load_shown(one, prepared.bench.classifier.preprocess) for one in specimens]
        for one, pixels, clean in zip(specimens, shown, prepared.bench.judge.clean(shown), strict=True):
            yield Subject(one.image_id, pixels, one.seed, clean)


def _write_images(store: RunStore, prepared: Prepared, progress: Progress) -> None:
    """A record for every file that was found; pictures and benign maps of those that are attacked."""
    known = {record.image_id for record in store.images()}
    chosen = set(prepared.chosen)
    progress.begin("clean", "Benign maps", len(prepared.specimens), len(known))
    for specimen in prepared.specimens:
        if specimen.image_id not in known and specimen.image_id not in chosen:
            store.add_image(_image_record(prepared, specimen))
            progress.advance("clean", 1)
    todo = [image_id for image_id in prepared.chosen if image_id not in known]
    for subject in _subjects(prepared, todo):
        paths = {
            kind: store.put_artifact(subject.image_id, name, data)
            for kind, (name, data) in _clean_files(prepared, subject).items()
        }
        record = _image_record(prepared, prepared.specimen(subject.image_id), subject.clean)
        store.add_image(record.model_copy(update={"artifacts": paths}))
        progress.advance("clean", 1)


def _clean_files(prepared: Prepared, subject: Subject) -> dict[str, tuple[str, bytes]]:
    classifier = prepared.bench.classifier
    files = {"clean": ("clean.png", picture_bytes(classifier, subject.shown))}
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
    return "not selected", f"the preset attacks at most {prepared.header.config.budget.images} images"


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
        prediction=prediction_of(clean or look) if look else None,
        rounding_logit_change=look.rounding if look else None,
        artifacts={},
    )
