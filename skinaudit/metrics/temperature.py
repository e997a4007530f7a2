"""One number that says how over- or underconfident a network is; reported beside a confidence, never inside a model."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp, softmax

#: Temperatures that are looked at; beyond them a softmax is one-hot or flat for every purpose.
SMALLEST, LARGEST = 0.01, 100.0


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float | None:
    """The temperature T > 0 at which softmax(logits / T) gives the labels the highest likelihood.

    Above 1 the network is surer than it may be, below 1 it is less sure. The class that is predicted never changes. The
    mean log-likelihood is concave in 1/T, so its slope has at most one zero, which is bracketed and found.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.

    Args:
        logits: (N, K), finite; a constant added to a row changes nothing, so logarithms of probabilities serve as well.
        labels: (N,) class indices.

    Returns:
        T; None where no temperature in [0.01, 100] is best: every label has the highest logit (the likelihood grows for
        ever as T falls), or the logits speak against the labels (it grows as T rises).

    Raises:
        ValueError: shapes or labels do not fit, a logit is not finite, or there is no image.

    >>> sure = np.array([[4.0, 0.0]] * 4)
    >>> found = fit_temperature(sure, np.array([0, 0, 0, 1]))  # right in 3 of 4: log 3 would be the calibrated logit
    >>> found is not None and math.isclose(found, 4.0 / math.log(3.0))
    True
    """
    _check(logits, labels)
    rows = logits.astype(np.float64)
    of_label = rows[np.arange(len(labels)), labels]

    def slope(log_inverse: float) -> float:
        """Derivative of the mean log-likelihood by 1/T."""
        expected = (softmax(rows * math.exp(log_inverse), axis=1) * rows).sum(axis=1)
        return float((of_label - expected).mean())

    low, high = -math.log(LARGEST), -math.log(SMALLEST)
    if not slope(low) > 0 > slope(high):
        return None
    return math.exp(-float(brentq(slope, low, high, xtol=1e-12)))


def negative_log_likelihood(
    logits: NDArray[np.floating], labels: NDArray[np.integer], temperature: float = 1.0
) -> float:
    """Mean of -log softmax(logits / temperature) at the label, in nats: logits (N, K), class indices (N,) -> [0, inf).

    Raises:
        ValueError: as in ``fit_temperature``, or ``temperature`` is not a positive number.

    >>> round(negative_log_likelihood(np.array([[0.0, 0.0]]), np.array([1])), 4)
    0.6931
    """
    _check(logits, labels)
    if not 0.0 < temperature < math.inf:
        raise ValueError(f"a temperature is a positive number, got {temperature}")
    rows = logits.astype(np.float64) / temperature
    return float((logsumexp(rows, axis=1) - rows[np.arange(len(labels)), labels]).mean())


def _check(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or labels.size == 0:
        raise ValueError(
            f"expected logits (N, K) and labels (N,) of at least one image, got {logits.shape} and {labels.shape}"
        )
    if not np.isfinite(logits).all():
        raise ValueError("a logit is NaN or infinite; check the model, or clip probabilities of 0 before the logarithm")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(f"labels must lie in 0 .. {logits.shape[1] - 1}, got {labels.min()} .. {labels.max()}")
