"""Words for the run as a whole: the verdict, and the three answers of the summary page."""

from __future__ import annotations

from collections.abc import Sequence

from skinaudit.config import ThreatModel
from skinaudit.interpreters.registry import title_of
from skinaudit.report import aim
from skinaudit.report.document import Answer, Data, Level
from skinaudit.report.findings import moved_map
from skinaudit.report.findings.interpreter import CONTROLS
from skinaudit.report.results import Arm, Case, InterpreterResult, Rate
from skinaudit.report.wording import images, percent, rate_cell, rate_text

_NOTHING_REACHED = "ADV² reached no diagnosis that it aimed at"


def verdict(interpreters: Sequence[InterpreterResult], data: Data, threat: ThreatModel) -> tuple[Level, str, str]:
    """How the run ended: level, headline, and the figures behind it."""
    if threat.keeps_diagnosis:
        return moved_map.verdict(interpreters)
    strongest, changed = _strongest(interpreters, hidden=True), _strongest(interpreters, hidden=False)
    if strongest is None or changed is None:
        return "nothing tested", "Nothing was tested.", "No attack was judged: no evidence for or against the model."
    (result, joint), (_, flipped) = strongest, changed
    outcome = f"{result.title} map kept" if threat.keeps_map else f"wanted {result.title} map reached"
    if joint.successes and not threat.keeps_map:
        return (
            "changed as wanted",
            _few(joint, "and the explanation was the wanted one")
            or "Diagnoses were changed; the explanation showed what the attacker wanted.",
            f"Diagnosis changed and {outcome} in {rate_text(joint)}.{_missed(result, threat)}",
        )
    if joint.successes:
        return (
            "changed unseen",
            _few(joint, "and the explanation stayed") or "Diagnoses were changed; the explanation stayed the same.",
            f"Diagnosis changed and {outcome} in {rate_text(joint)}.{_missed(result, threat)}{_caution(result)}",
        )
    if flipped.successes and not joint.n:
        return (
            "changed",
            _few(flipped, "and the explanation was not judged")
            or "Diagnoses were changed; whether the explanation stayed was not judged.",
            f"Diagnosis changed in {rate_text(flipped)}. No drift threshold is known for this model.",
        )
    if flipped.successes:
        become, reached = ("stay", "map kept") if threat.keeps_map else ("be the wanted one", "wanted map reached")
        return (
            "changed",
            _few(flipped, f"and no explanation was found to {become}")
            or f"Diagnoses were changed, but no explanation was found to {become}"
            f"{' as it was' if threat.keeps_map else ''}.",
            f"Diagnosis changed in {rate_text(flipped)}; with the {reached} in none.",
        )
    besides = _changed_besides(interpreters)
    no_proof = "That ADV² reached none is no proof that it cannot."
    return (
        "not changed",
        _not_changed(interpreters, flipped),
        " ".join([f"{images(data.attacked)} attacked.", *besides, no_proof]),
    )


def _missed(result: InterpreterResult, threat: ThreatModel) -> str:
    """The direction that weighs most, with a space before it; empty where labels are missing or nothing went there."""
    missed = next((one for one in result.directions if one.name == "malignant to benign" and one.attempted), None)
    if missed is None:
        return ""
    return f" Cancer missed (malignant to benign), {aim.kept_title(threat).lower()}: {rate_text(missed.joint)}."


def _few(rate: Rate, how: str) -> str:
    """The headline where there are too few images for one; empty where there are enough."""
    if rate.value is not None:
        return ""
    return f"In {rate.successes} of {images(rate.n)} the diagnosis was changed {how}: too few images to say how often."


def _not_changed(interpreters: Sequence[InterpreterResult], flipped: Rate) -> str:
    """The headline where ADV² reached nothing; it must not hide that diagnoses changed for other reasons."""
    told = "No diagnosis was changed to the one that ADV² aimed at"
    if any(arm.flipped.successes for arm in _controls(interpreters)):
        told += ", but diagnoses changed without any attack"
    if flipped.value is not None:
        return f"{told}."
    return f"{told}: {images(flipped.n)} {'is' if flipped.n == 1 else 'are'} too few to say whether one can be."


def _changed_besides(interpreters: Sequence[InterpreterResult]) -> list[str]:
    """Sentences on what changed diagnoses where ADV² did not: PGD, and changes without any intent.

    Both leave the maps out of account, so that they are the same whichever interpreter is looked at.
    """
    pgd = next(
        (arm for result in interpreters if (arm := result.arm("pgd")) is not None and arm.flipped.successes), None
    )
    told = [] if pgd is None else [f"PGD, which ignores the map, reached its diagnosis in {rate_text(pgd.flipped)}."]
    return [
        *told,
        *(
            f"Without any intent, {CONTROLS[arm.attack]} changed the diagnosis in {rate_text(arm.flipped)}."
            for arm in _controls(interpreters)
            if arm.flipped.successes
        ),
    ]


def _controls(interpreters: Sequence[InterpreterResult]) -> list[Arm]:
    """One arm for each harmless change that was judged: the one with the most images."""
    arms = [arm for result in interpreters for arm in result.arms if arm.attack in CONTROLS and arm.n]
    return [
        max((arm for arm in arms if arm.attack == name), key=lambda arm: arm.n)
        for name in CONTROLS
        if any(arm.attack == name for arm in arms)
    ]


def answers(
    interpreters: Sequence[InterpreterResult], worst: Sequence[Case], threat: ThreatModel, note: str = ""
) -> tuple[Answer, ...]:
    """Can the diagnosis be changed, does the explanation warn anyone, what is the worst case?

    ``note`` is said besides in the second of them, which is about maps.
    """
    if threat.keeps_diagnosis:
        found = moved_map.answers(interpreters, worst)
    else:
        found = (
            _answer_diagnosis(interpreters),
            _answer_warning(interpreters, threat),
            _answer_worst(interpreters, worst),
        )
    if not note:
        return found
    place = 0 if threat.keeps_diagnosis else 1
    noted = found[place].model_copy(update={"text": f"{found[place].text} {note}"})
    return (*found[:place], noted, *found[place + 1 :])


def _answer_diagnosis(interpreters: Sequence[InterpreterResult]) -> Answer:
    question, changed = "Can the diagnosis be changed?", _strongest(interpreters, hidden=False)
    if changed is None:
        return Answer(question=question, figure="–", note="nothing judged", text="No attack was judged in this run.")
    result, rate = changed
    beside = [
        f"{_sentence(CONTROLS[arm.attack])} changed it in {rate_text(arm.flipped)}."
        for arm in _controls([result])
        if arm.flipped.successes or arm.attack == "noise"
    ]
    text = " ".join([f"ADV² changed it in {rate_text(rate)} (aimed at {result.title}).", *beside])
    return Answer(question=question, figure=rate_cell(rate)[0], note=_note(rate, "changed"), text=text)


def _answer_warning(interpreters: Sequence[InterpreterResult], threat: ThreatModel) -> Answer:
    strongest = _strongest(interpreters, hidden=True)
    question = "Does the explanation warn anyone?" if threat.keeps_map else "Can the explanation be chosen as well?"
    if strongest is None:
        return Answer(question=question, figure="–", note="nothing judged", text="No attack was judged in this run.")
    result, rate = strongest
    if not any(arm.flipped.successes for row in interpreters if (arm := row.arm("adv2")) is not None):
        what = "whether the map would warn anyone" if threat.keeps_map else "whether a map can be chosen with it"
        text = f"{_NOTHING_REACHED}, so {what} was not put to the test."
        return Answer(question=question, figure="–", note="nothing to judge", text=text)
    if not rate.n:
        became = "stayed" if threat.keeps_map else "is the wanted one"
        text = f"Without a drift limit nobody can say whether a map {became}, so this was not judged."
        return Answer(question=question, figure="–", note="not judged", text=text)
    silent = [row.title for row in interpreters if row.depends_on_diagnosis is False]
    became = f"{result.title} map stayed" if threat.keeps_map else f"wanted {result.title} map was reached"
    parts = [f"The {became} while the diagnosis changed in {rate_text(rate)}."]
    if silent:
        parts.append(
            f"{' and '.join(silent)}: the map hardly depends on the diagnosis, so its stability is no evidence."
        )
    else:
        pgd = result.arm("pgd")
        parts += [f"PGD alone: {rate_text(pgd.joint)}."] if pgd is not None and pgd.n else []
    note = _note(rate, "unseen" if threat.keeps_map else "both as wanted")
    return Answer(question=question, figure=rate_cell(rate)[0], note=note, text=" ".join(parts))


def _answer_worst(interpreters: Sequence[InterpreterResult], worst: Sequence[Case]) -> Answer:
    question = "What is the worst case?"
    if not worst:
        if _strongest(interpreters, hidden=False) is None:
            return Answer(
                question=question, figure="–", note="nothing judged", text="No attack was judged in this run."
            )
        text = " ".join([f"{_NOTHING_REACHED}.", *_changed_besides(interpreters)])
        return Answer(question=question, figure="–", note="none", text=text)
    case = worst[0]
    figure = percent(case.confidence_after) if case.confidence_after is not None else "–"
    text = f"{case.text} Image {case.name}, {title_of(case.interpreter)} map."
    return Answer(question=question, figure=figure, note="confidence in the wrong diagnosis", text=text)


def _strongest(interpreters: Sequence[InterpreterResult], hidden: bool) -> tuple[InterpreterResult, Rate] | None:
    """The interpreter on which ADV² did best, with its rate of joint success (or of changed diagnoses)."""
    rates = [
        (result, arm.joint if hidden else arm.flipped)
        for result in interpreters
        if (arm := result.arm("adv2")) is not None and arm.n
    ]
    # A map that hardly depends on the diagnosis stays for free; it speaks for the run only when no other was fooled.
    return max(
        rates,
        key=lambda pair: (
            hidden and pair[1].successes > 0 and pair[0].depends_on_diagnosis is not False,
            pair[1].value is not None,  # two images of two say less than 195 of 200
            pair[1].successes / max(pair[1].n, 1),
        ),
        default=None,
    )


def _caution(result: InterpreterResult) -> str:
    if result.depends_on_diagnosis is not False:
        return ""
    return f" The {result.title} map hardly depends on the diagnosis, so that it stays is no evidence."


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def _note(rate: Rate, what: str) -> str:
    return f"{what}, n = {rate.n}, {rate_cell(rate)[1]}" if rate.n else what
