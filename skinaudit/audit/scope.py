"""Which images can be attacked at all, which of them an interpreter is asked about, and why there may be none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skinaudit.audit.look import CleanLook
from skinaudit.audit.plan import most_images
from skinaudit.audit.survey import Specimen, balanced_choice
from skinaudit.audit.workbench import left_alone
from skinaudit.classifier.classifier import Classifier
from skinaudit.config import AuditConfig


class NothingToAudit(ValueError):
    """No image of the folder can be attacked; the message says what became of them."""


def usable_ones(
    classifier: Classifier, readable: Sequence[Specimen], looks: Mapping[str, CleanLook], *, labels_given: bool
) -> list[Specimen]:
    """Of readable images those that the model gets right; without labels all of them."""
    if not labels_given:
        return list(readable)
    return [one for one in readable if one.label == classifier.classes[looks[one.image_id].predicted]]


def in_scope(
    config: AuditConfig, classifier: Classifier, usable: Sequence[Specimen], looks: Mapping[str, CleanLook]
) -> list[Specimen]:
    """Those that the target rule does not leave alone.

    Raises:
        NothingToAudit: it leaves all of them alone.
    """
    reasons = {one.image_id: left_alone(config, classifier, looks[one.image_id]) for one in usable}
    found = [one for one in usable if reasons[one.image_id] is None]
    if not found:
        raise NothingToAudit(
            f"target rule {config.threat.target} leaves all {len(usable)} usable images alone:"
            f" {reasons[usable[0].image_id]}"
        )
    return found


def why_nothing(specimens: Sequence[Specimen], looks: Mapping[str, CleanLook], *, labels_given: bool) -> str:
    """What became of the images where none can be attacked, in one line."""
    if not looks:
        reasons = sorted({str(one.reason) for one in specimens if one.reason})
        return f"none of {len(specimens)} files can be read ({'; '.join(reasons[:3])})"
    if labels_given and not any(one.label for one in specimens):
        return f"the labels name none of the {len(looks)} readable images; file names and labels must match"
    return f"the model gets none of the {len(looks)} readable images right, so there is no diagnosis to attack"


def asked_about_fewer(
    config: AuditConfig, chosen: Sequence[Specimen], reference: Mapping[str, str | int]
) -> dict[str, frozenset[str]]:
    """Interpreter -> ids of the attacked images that it is asked about, where these are not all of them."""
    limits = {name: most_images(config, name) for name in config.interpreters}
    return {
        name: frozenset(balanced_choice(chosen, reference, most))
        for name, most in limits.items()
        if most is not None and most < len(chosen)
    }
