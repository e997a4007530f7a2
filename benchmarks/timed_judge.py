"""A judge that knows how long it looked through maps that an attack was not made for."""

from __future__ import annotations

import time
from collections.abc import Sequence

from skinaudit.attacks.judge import Judge, Question, Shown
from skinaudit.audit.plan import shapes
from skinaudit.audit.workbench import Workbench


class TimedJudge(Judge):
    """The bench's judge, with the seconds that it spent on the maps of other interpreters than ``made_for``.

    Seeing a picture through the other maps says how far it transfers; it is no part of what the attack costs.
    """

    def __init__(self, bench: Workbench, made_for: str) -> None:
        config = bench.config
        super().__init__(bench.classifier, bench.interpreters, config.batch_size, bench.device, shapes(config))
        self._made_for = made_for
        self._elsewhere = 0.0

    def shown(self, questions: Sequence[Question]) -> list[Shown]:
        """As the judge has it."""
        begun = time.perf_counter()
        found = super().shown(questions)
        if questions and questions[0].interpreter != self._made_for:
            self._elsewhere += time.perf_counter() - begun
        return found

    def taken_elsewhere(self) -> float:
        """These seconds since the last call."""
        seconds, self._elsewhere = self._elsewhere, 0.0
        return seconds
