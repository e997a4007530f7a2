"""Text that is the same for every run: the threat in standard terms, the limits of the method, its dual use."""

from __future__ import annotations

from skinaudit.audit.records import RunHeader
from skinaudit.config import HELD_CONFIDENCE
from skinaudit.interpreters.registry import family_of, kinds, title_of
from skinaudit.report import aim, change

DUAL_USE = (
    "The adversarial images behind this report exist to measure a weakness in one model so that it can be judged and "
    "mended. They are adversarial test data, not photographs of patients: keep them with the run directory, do not put "
    "them in a training set, an archive or a clinical system, and share them only with those who need them to check "
    "this report."
)
RECOMPUTE = (
    "With the same version of the tool, the same model and the same images, the command below computes the run "
    "again. On the same device class and thread count the pixels are the same; on another, compare rates and intervals."
)


def threat_rows(header: RunHeader) -> tuple[tuple[str, str], ...]:
    """The threat model as rows of (term, what it means here), in the terms of NIST AI 100-2 E2025."""
    threat = header.config.threat
    height, width = header.model.input_size
    return (
        ("Stage of learning", "Deployment: the model is trained and fixed; the attacker changes only its input."),
        ("Attack class", "Evasion, with the explanation as a second target beside the diagnosis."),
        ("Objective violated", aim.objective(threat)),
        ("Knowledge", "White-box: architecture, weights, pre-processing and interpreter are known to the attacker."),
        (
            "Capability",
            change.capability(threat),
        ),
        ("What enters where", change.where_it_enters(threat, width, height)),
        ("Diagnosis wanted", aim.diagnosis_wanted(threat)),
        ("Map wanted", aim.map_wanted(threat)),
        aim.attacks(threat),
        (
            "Controls",
            (
                f"{change.noise(threat)}; JPEG re-encoding and a half-pixel shift, which are "
                "harmless in daily use. They show what this model and its maps do when nobody attacks."
            ),
        ),
    )


def protocol_rows(header: RunHeader) -> tuple[tuple[str, str], ...]:
    """What was decided before the first attack, as rows of (term, value)."""
    config, budget = header.config, header.config.budget
    warm = 0 if config.threat.keeps_diagnosis else budget.warm_steps
    steps = ", ".join(f"{title_of(name)} {budget.steps(family_of(name))}" for name in config.interpreters)
    return (
        ("Preset", config.preset.value),
        ("Most images attacked", "all" if budget.images is None else str(budget.images)),
        ("Steps of ADV²", f"{steps} (of these {warm} on the diagnosis only)"),
        ("Steps of PGD", "not run" if config.threat.keeps_diagnosis else str(budget.pgd_steps)),
        ("Draws of each control", str(budget.controls)),
        ("Early stop", "yes" if budget.early_stop else "no"),
        ("Confidence held in the search", f"{HELD_CONFIDENCE:.2f}, or nine tenths of what an image can reach, or less"),
        ("Seed", str(config.seed)),
        ("Batch shape, device, threads", f"{config.batch_size}, {config.device}, {config.threads}"),
        ("Multi-frame DICOM files", "refused" if config.frame is None else f"frame {config.frame}"),
        ("DICOM files with burned-in annotation", "taken" if config.burned_in else "refused"),
        *aim.meanings(config.threat),
        ("Unit of count", "the image; one with several control draws counts by its worst draw"),
        ("Intervals", "Wilson 95 % for rates, bootstrap 95 % for means, McNemar for paired differences"),
    )


def limitations(header: RunHeader) -> tuple[str, ...]:
    """What this run cannot say, as plainly as what it can."""
    tested = {name.lower() for name in header.config.interpreters}
    absent = [kind.title for name, kind in kinds().items() if name not in tested]
    place, kind = change.not_tested(header.config.threat, swept=bool(header.config.sweep))
    return (
        "A failed attack is no proof of robustness: another search, or more steps, may succeed.",
        place,
        "Attackers without knowledge of the model (black-box, transfer from another model) were not tested.",
        kind,
        "Poisoning of the training data, backdoors, extraction of the model and of patient data were not tested.",
        *((f"Interpreters not tested in this run: {', '.join(absent)}.",) if absent else ()),
        *(f"{title_of(name)} was asked for and skipped: {why}." for name, why in header.skipped_interpreters.items()),
        *(f"{what} was asked for and skipped: {why}." for what, why in header.skipped_attacks.items()),
        *((_trusted_code(header.model.trusted_code),) if header.model.trusted_code else ()),
        "No detector or defence was placed before the model.",
        aim.no_proof(header.config.threat),
        _other_images(header),
        "The report is evidence for a risk assessment. It does not decide whether the model may be used.",
    )


def _other_images(header: RunHeader) -> str:
    columns = ", ".join(header.subgroups)
    analysed = f"only subgroups by {columns} were analysed" if columns else "subgroups were not analysed"
    return (
        "The figures hold for the images audited. Other cameras, clinics, skin tones and case mixes may differ, and "
        f"{analysed}."
    )


def _trusted_code(what: str) -> str:
    return (
        f"Code of the model was executed (--trust-code): {what}. The figures hold as far as whoever wrote it is "
        "trusted: such code can change what this tool computes. Code that it loads itself has no digest here."
    )
