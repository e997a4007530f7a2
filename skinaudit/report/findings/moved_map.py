"""Words for a run in which the diagnosis was to stay and the map alone was attacked: verdict and answers."""

from __future__ import annotations

from collections.abc import Sequence

from skinaudit.interpreters.registry import title_of
from skinaudit.report.document import Answer, Level
from skinaudit.report.results import Arm, Case, InterpreterResult, Rate
from skinaudit.report.wording import TOO_FEW, images, percent, rate_cell, rate_text


def verdict(interpreters: Sequence[InterpreterResult]) -> tuple[Level, str, str]:
    """How the run ended: level, headline, and the figures behind it."""
    strongest = _strongest(interpreters)
    if strongest is None:
        return "nothing tested", "Nothing was tested.", "No attack was judged: no evidence for or against the model."
    result, arm = strongest
    joint = arm.joint
    if not joint.n:
        told = "Whether an explanation can be sent elsewhere was not judged."
        return "map held", told, "No drift threshold is known for this model."
    if joint.successes:
        headline = "The explanation was sent elsewhere while the diagnosis stayed."
        if joint.value is None:
            headline = (
                f"In {joint.successes} of {images(joint.n)} the explanation was sent elsewhere while the diagnosis "
                "stayed: too few images to say how often."
            )
        return "map moved", headline, f"Diagnosis stayed and wanted {result.title} map reached in {rate_text(joint)}."
    headline = "No explanation was sent where the attacker wanted it"
    few = "" if joint.value is not None else f": {images(joint.n)}, too few to say whether one can be"
    detail = f"{images(joint.n)} attacked. That ADV² reached no wanted map is no proof that it cannot."
    return "map held", f"{headline}{few}.", detail


def answers(interpreters: Sequence[InterpreterResult], worst: Sequence[Case]) -> tuple[Answer, ...]:
    """Can the explanation be sent elsewhere, what is left of it, what is the worst case?"""
    strongest = _strongest(interpreters)
    if strongest is None:
        return tuple(
            Answer(question=question, figure="–", note="nothing judged", text="No attack was judged in this run.")
            for question in _QUESTIONS
        )
    result, arm = strongest
    return _answer_moved(result, arm), _answer_left(result, arm), _answer_worst(worst)


_QUESTIONS = (
    "Can the explanation be sent elsewhere?",
    "What is left of the explanation?",
    "What is the worst case?",
)


def _answer_moved(result: InterpreterResult, arm: Arm) -> Answer:
    rate, noise = arm.joint, result.arm("noise")
    text = f"ADV² sent the {result.title} map where it was wanted, while the diagnosis stayed, in {rate_text(rate)}."
    if noise is not None and noise.n:
        text += f" Random noise of the attack's size: {rate_text(noise.joint)}."
    return Answer(question=_QUESTIONS[0], figure=rate_cell(rate)[0], note=_note(rate), text=text)


def _answer_left(result: InterpreterResult, arm: Arm) -> Answer:
    noise, overlap = result.arm("noise"), _overlap(arm)
    figure = "–" if overlap is None else percent(overlap)
    beside = "" if noise is None or (under := _overlap(noise)) is None else f"; random noise leaves {percent(under)}"
    text = (
        f"Of the {result.title} map's most important fifth, ADV² leaves {figure} in the most important fifth{beside}. "
        f"Two maps that have nothing to do with each other share {percent(0.2)}."
        if overlap is not None
        else f"{images(arm.n)}: {TOO_FEW}."
    )
    return Answer(question=_QUESTIONS[1], figure=figure, note="of the top 20 % of pixels, mean", text=text)


def _answer_worst(worst: Sequence[Case]) -> Answer:
    if not worst:
        text = "ADV² reached no wanted map with the diagnosis unchanged."
        return Answer(question=_QUESTIONS[2], figure="–", note="none", text=text)
    case = worst[0]
    figure = percent(case.confidence_after) if case.confidence_after is not None else "–"
    text = f"{case.text} Image {case.name}, {title_of(case.interpreter)} map."
    return Answer(question=_QUESTIONS[2], figure=figure, note="confidence in the diagnosis, which stayed", text=text)


def _overlap(arm: Arm) -> float | None:
    return None if arm.benign_overlap is None else arm.benign_overlap.mean


def _strongest(interpreters: Sequence[InterpreterResult]) -> tuple[InterpreterResult, Arm] | None:
    """The interpreter whose map ADV² sent away most often."""
    arms = [(result, arm) for result in interpreters if (arm := result.arm("adv2")) is not None and arm.n]

    def weight(pair: tuple[InterpreterResult, Arm]) -> tuple[bool, float]:
        rate = pair[1].joint
        return rate.value is not None, rate.successes / max(rate.n, 1)

    return max(arms, key=weight, default=None)


def _note(rate: Rate) -> str:
    return f"sent where wanted, n = {rate.n}, {rate_cell(rate)[1]}" if rate.n else "not judged"
