"""Which class the attacker wants, and when it is reached."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skinaudit.config import TargetRule

#: Class names that mean melanoma: the diagnosis a false alarm points to.
MELANOMA = ("mel", "melanoma")


def target_class(
    rule: TargetRule, logits: Sequence[float], source: int, classes: Sequence[str], malignant: Sequence[str], seed: int
) -> int:
    """Index of the target class, never ``source`` except under the rule ``same``.

    ``random``: uniform over the other classes, from ``seed``. ``least-likely``: the lowest clean logit.
    ``most-harmful``: a malignant source goes to the benign class of the highest clean logit (a missed cancer), a
    benign source to melanoma (a false alarm), or to the likeliest malignant class where melanoma is not a class.
    Without any class on the other side the least likely class is taken. ``false-alarm``: the second half of that.
    ``untargeted``: any other class will do (see ``reached``); the search heads for the one of the highest clean logit,
    because a map that is to be matched is the map of some class, and cross entropy to a class is bounded below.
    ``same``: the source itself.

    Raises:
        ValueError: ``out_of_scope`` says that the rule leaves this source alone.

    >>> target_class(TargetRule.MOST_HARMFUL, [0.1, 3.0, 2.0], 1, ["nv", "mel", "bkl"], ["mel"], seed=0)
    2
    >>> target_class(TargetRule.LEAST_LIKELY, [0.1, 3.0, 2.0], 1, ["nv", "mel", "bkl"], ["mel"], seed=0)
    0
    """
    reason = out_of_scope(rule, classes[source], classes, malignant)
    if reason:
        raise ValueError(f"{classes[source]} has no target class: {reason}")
    if rule is TargetRule.SAME:
        return source
    others = [k for k in range(len(classes)) if k != source]
    if rule is TargetRule.RANDOM:
        return others[int(np.random.default_rng(seed).integers(len(others)))]
    if rule is TargetRule.UNTARGETED:
        return max(others, key=lambda k: logits[k])
    least = min(others, key=lambda k: logits[k])
    if rule is TargetRule.LEAST_LIKELY:
        return least
    source_malignant = classes[source] in malignant
    side = [k for k in others if (classes[k] in malignant) != source_malignant]
    if not side:
        return least
    if not source_malignant:
        melanoma = [k for k in side if classes[k].lower() in MELANOMA]
        if melanoma:
            return melanoma[0]
    return max(side, key=lambda k: logits[k])


def out_of_scope(rule: TargetRule, source: str, classes: Sequence[str], malignant: Sequence[str]) -> str | None:
    """Why a rule leaves images of a class alone; None where it does not.

    >>> out_of_scope(TargetRule.FALSE_ALARM, "mel", ["mel", "nv"], ["mel"])
    'a false alarm starts from a benign diagnosis, and this one is malignant'
    """
    if rule is not TargetRule.FALSE_ALARM:
        return None
    if not any(name in malignant for name in classes):
        return "a false alarm needs a malignant class, and the model declares none"
    if source in malignant:
        return "a false alarm starts from a benign diagnosis, and this one is malignant"
    return None


def reached(rule: TargetRule, predicted: int, source: int, target: int | None) -> bool:
    """Is a diagnosis the one that was wanted?

    Args:
        rule: ``untargeted`` is content with any class but the source, ``same`` with the source alone.
        predicted: class of the changed image.
        source: class of the unchanged image.
        target: what ``target_class`` gave; None for a change without an aim, which is taken at what the rule is
            content with: any change of the diagnosis, or none under ``same``.

    >>> reached(TargetRule.UNTARGETED, 3, 1, 2), reached(TargetRule.RANDOM, 3, 1, 2), reached(TargetRule.SAME, 1, 1, 1)
    (True, False, True)
    """
    if rule is TargetRule.SAME:
        return predicted == source
    if rule is TargetRule.UNTARGETED or target is None:
        return predicted != source
    return predicted == target
