"""Words for the run as a whole: the verdict, and the three answers of the summary page."""

from __future__ import annotations

from collections.abc import Sequence

from skinaudit.report import prose
from skinaudit.report.results import Answer, Case, Data, InterpreterResult, Level, Rate
from skinaudit.report.wording import images, percent, rate_cell, rate_text


def verdict(interpreters: Sequence[InterpreterResult], data: Data) -> tuple[Level, str, str]:
    """How the run ended: level, headline, and the figures behind it."""
    strongest, changed = _strongest(interpreters, hidden=True), _strongest(interpreters, hidden=False)
    if strongest is None or changed is None:
        return "nothing tested", "Nothing was tested.", "No attack was judged: no evidence for or against the model."
    (result, joint), (_, flipped) = strongest, changed
    if joint.successes:
        return (
            "changed unseen",
            "Diagnoses were changed; the explanation stayed the same.",
            f"Diagnosis changed and {result.title} map kept in {rate_text(joint)}.{_caution(result)}",
        )
    if flipped.successes and not joint.n:
        return (
            "changed",
            "Diagnoses were changed; whether the explanation stayed was not judged.",
            f"Diagnosis changed in {rate_text(flipped)}. No drift threshold is known for this model.",
        )
    if flipped.successes:
        return (
            "changed",
            "Diagnoses were changed, but no explanation was found to stay as it was.",
            f"Diagnosis changed in {rate_text(flipped)}; with the map kept in none.",
        )
    return (
        "not changed",
        "No diagnosis was changed to the one that ADV² aimed at.",
        f"{images(data.attacked)} attacked.{_pgd_note(interpreters)} That is no proof that none can be changed.",
    )


def _pgd_note(interpreters: Sequence[InterpreterResult]) -> str:
    """PGD may succeed where ADV² does not; then the headline must not hide it."""
    arms = [arm for result in interpreters if (arm := result.arm("pgd")) is not None and arm.flipped.successes]
    return f" PGD, which ignores the map, reached its diagnosis in {rate_text(arms[0].flipped)}." if arms else ""


def answers(interpreters: Sequence[InterpreterResult], worst: Sequence[Case]) -> tuple[Answer, ...]:
    """Can the diagnosis be changed, does the explanation warn anyone, what is the worst case?"""
    return _answer_diagnosis(interpreters), _answer_warning(interpreters), _answer_worst(worst)


def _answer_diagnosis(interpreters: Sequence[InterpreterResult]) -> Answer:
    question, changed = "Can the diagnosis be changed?", _strongest(interpreters, hidden=False)
    if changed is None:
        return Answer(question=question, figure="–", note="nothing judged", text="No attack was judged in this run.")
    result, rate = changed
    noise = result.arm("noise")
    beside = f" Random noise of the same size: {rate_text(noise.flipped)}." if noise is not None and noise.n else ""
    text = f"ADV² changed it in {rate_text(rate)} (aimed at {result.title}).{beside}"
    return Answer(question=question, figure=rate_cell(rate)[0], note=_note(rate, "changed"), text=text)


def _answer_warning(interpreters: Sequence[InterpreterResult]) -> Answer:
    question, strongest = "Does the explanation warn anyone?", _strongest(interpreters, hidden=True)
    if strongest is None:
        return Answer(question=question, figure="–", note="nothing judged", text="No attack was judged in this run.")
    result, rate = strongest
    if not any(arm.flipped.successes for row in interpreters if (arm := row.arm("adv2")) is not None):
        text = "No diagnosis was changed, so there was nothing to warn of."
        return Answer(question=question, figure="–", note="no diagnosis changed", text=text)
    if not rate.n:
        text = "Without a drift limit nobody can say whether a map stayed, so this was not judged."
        return Answer(question=question, figure="–", note="not judged", text=text)
    silent = [row.title for row in interpreters if row.depends_on_diagnosis is False]
    parts = [f"The {result.title} map stayed while the diagnosis changed in {rate_text(rate)}."]
    if silent:
        parts.append(
            f"{' and '.join(silent)}: the map hardly depends on the diagnosis, so its stability is no evidence."
        )
    else:
        pgd = result.arm("pgd")
        parts += [f"PGD alone: {rate_text(pgd.joint)}."] if pgd is not None and pgd.n else []
    return Answer(question=question, figure=rate_cell(rate)[0], note=_note(rate, "unseen"), text=" ".join(parts))


def _answer_worst(worst: Sequence[Case]) -> Answer:
    question = "What is the worst case?"
    if not worst:
        return Answer(question=question, figure="–", note="none", text="No diagnosis was changed.")
    case = worst[0]
    figure = percent(case.confidence_after) if case.confidence_after is not None else "–"
    text = f"{case.text} Image {case.name}, {prose.INTERPRETER_TITLES.get(case.interpreter, case.interpreter)} map."
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
            pair[1].successes / max(pair[1].n, 1),
        ),
        default=None,
    )


def _caution(result: InterpreterResult) -> str:
    if result.depends_on_diagnosis is not False:
        return ""
    return f" The {result.title} map hardly depends on the diagnosis, so that it stays is no evidence."


def _note(rate: Rate, what: str) -> str:
    return f"{what}, n = {rate.n}, {rate_cell(rate)[1]}" if rate.n else what
