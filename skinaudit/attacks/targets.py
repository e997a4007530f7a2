"""Which class the attacker wants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skinaudit.config import TargetRule

#: Class names that mean melanoma: the diagnosis a false alarm points to.
MELANOMA = ("mel", "melanoma")


def target_class(
    rule: TargetRule, logits: Sequence[float], source: int, classes: Sequence[str], malignant: Sequence[str], seed: int
) -> int:
    """Index of the target class, never ``source``.

    ``random``: uniform over the other classes, from ``seed``. ``least-likely``: the lowest clean logit.
    ``most-harmful``: a malignant source goes to the benign class of the highest clean logit (a missed cancer), a
    benign source to melanoma (a false alarm), or to the likeliest malignant class where melanoma is not a class.
    Without any class on the other side the least likely class is taken.

    >>> target_class(TargetRule.MOST_HARMFUL, [0.1, 3.0, 2.0], 1, ["nv", "mel", "bkl"], ["mel"], seed=0)
    2
    >>> target_class(TargetRule.LEAST_LIKELY, [0.1, 3.0, 2.0], 1, ["nv", "mel", "bkl"], ["mel"], seed=0)
    0
    """
    others = [k for k in range(len(classes)) if k != source]
    least = min(others, key=lambda k: logits[k])
    if rule is TargetRule.RANDOM:
        return others[int(np.random.default_rng(seed).integers(len(others)))]
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
