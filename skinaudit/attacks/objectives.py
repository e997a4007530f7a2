"""Which objective attacks which interpreter."""

from __future__ import annotations

from torch import nn

from skinaudit.attacks.adv2 import ClassObjective, FiniteDifferenceObjective, MapObjective, Objective
from skinaudit.attacks.mask_objective import MaskObjective
from skinaudit.attacks.rts_objective import RtsObjective
from skinaudit.interpreters.base import Interpreter
from skinaudit.interpreters.gradient_map import GradientMap
from skinaudit.interpreters.mask import Mask
from skinaudit.interpreters.rts import Rts


def objective_for(attack: str, classifier: nn.Module, interpreter: Interpreter | None) -> Objective:
    """The objective of a work unit.

    Raises:
        ValueError: ADV² without an interpreter.
    """
    if attack == "pgd":
        return ClassObjective(classifier)
    if interpreter is None:
        raise ValueError("ADV² needs an interpreter to attack")
    if isinstance(interpreter, GradientMap):
        return FiniteDifferenceObjective(interpreter)
    if isinstance(interpreter, Rts):
        return RtsObjective(interpreter)
    if isinstance(interpreter, Mask):
        return MaskObjective(interpreter)
    return MapObjective(interpreter)
