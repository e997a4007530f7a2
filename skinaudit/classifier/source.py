"""Where a model comes from, and what only its user can say about it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_FACTORY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class ModelSource:
    """A bundle folder, a file of weights, an archive that holds code, or a Python function that builds a network.

    A bundle says all the rest itself. For the others: ``network`` names the architecture of plain weights
    ("timm:resnet50"), ``weights_key`` the set of weights in a file that holds several, ``weights_prefix`` what stands
    before the network's names in a set that holds more than the network; ``classes`` are in the order of the outputs,
    ``malignant`` None stands for "by their names"; ``mean`` and ``std`` are those of RGB pixels in [0,1], ``size`` is
    (height, width) of the input. ``weights`` are those of a factory ("package.module:function"). ``trust_code`` says
    that code which comes with the model may run.
    """

    place: Path | None = None
    factory: str | None = None
    network: str | None = None
    weights_key: str | None = None
    weights_prefix: str | None = None
    classes: tuple[str, ...] = ()
    malignant: tuple[str, ...] | None = None
    mean: Triple | None = None
    std: Triple | None = None
    size: tuple[int, int] | None = None
    weights: Path | None = None
    trust_code: bool = False

    def __post_init__(self) -> None:
        if (self.place is None) == (self.factory is None):
            raise ValueError("a model is either in a place (a folder or a file) or made by a factory; give one of them")

    @property
    def name(self) -> str:
        """What messages and run folders call the model: no path of this site."""
        if self.place is None:
            return str(self.factory)
        return self.place.name or self.place.resolve().name

    def described(self) -> tuple[str, ...]:
        """The options that describe the model, in words of the command line; weights without their path."""
        size = None if self.size is None else "x".join(str(side) for side in self.size)
        malignant = None if self.malignant is None else ",".join(self.malignant) or "none"
        values = {
            "--network": self.network,
            "--weights-key": self.weights_key,
            "--weights-prefix": self.weights_prefix,
            "--classes": ",".join(self.classes) or None,
            "--malignant": malignant,
            "--mean": _triple(self.mean),
            "--std": _triple(self.std),
            "--size": size,
            "--weights": None if self.weights is None else "WEIGHTS",
        }
        words = [word for name, value in values.items() if value is not None for word in (name, shlex.quote(value))]
        return (*words, *(("--trust-code",) if self.trust_code else ()))


def is_factory(text: str) -> bool:
    """Does a text have the form of a Python function, ``package.module:function``?

    >>> is_factory("clinic.networks:make"), is_factory("models/lesion.pt"), is_factory("timm:resnet50.a1_in1k")
    (True, False, False)
    """
    return _FACTORY.fullmatch(text) is not None


def _triple(values: Triple | None) -> str | None:
    return None if values is None else ",".join(f"{value:g}" for value in values)
