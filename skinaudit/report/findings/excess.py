"""Words for how much more often ADV² succeeds than PGD, on the same images."""

from __future__ import annotations

from collections.abc import Sequence

from skinaudit.metrics.intervals import TOO_FEW, paired_rate_difference
from skinaudit.report.results import Excess
from skinaudit.report.wording import images, probability


def excess_of(adv2: Sequence[bool], pgd: Sequence[bool], deed: str) -> Excess | None:
    """Paired difference of joint success with its interval and McNemar's p; unstated below ``TOO_FEW`` images.

    Args:
        adv2: success on each image.
        pgd: success on the same images, in the same order.
        deed: what an attack did when it succeeded, as "changed the diagnosis with the map kept".

    Returns:
        None without images.
    """
    if not adv2:
        return None
    if len(adv2) < TOO_FEW:
        text = f"ADV² against PGD on the same {images(len(adv2))}: too few to say which does better."
        return Excess(n=len(adv2), difference=None, low=None, high=None, p_value=None, text=text)
    paired = paired_rate_difference(adv2, pgd)
    difference, low, high = paired.difference, paired.interval.low, paired.interval.high
    points = f"{abs(difference) * 100:.0f} points {'more' if difference > 0 else 'less'} often than"
    text = (
        f"On the same {images(paired.n)}, ADV² {deed} {points if difference else 'as often as'} PGD "
        f"(95 % interval {low * 100:+.0f} to {high * 100:+.0f} points, McNemar {probability(paired.p_value)})."
    )
    return Excess(n=paired.n, difference=difference, low=low, high=high, p_value=paired.p_value, text=text)
