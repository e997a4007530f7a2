"""The interpreters that exist: those of the tool, and those that an installed package brings by entry point."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Literal

from skinaudit.interpreters.base import Interpreter, InterpreterUnavailable

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Entry points of this group name an ``InterpreterKind``; the package that brings one was installed by the user.
GROUP = "skinaudit.interpreters"
_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{0,39}")  # it becomes part of file names, and of lists with commas
#: What a map is made from. Decides the steps, the first λ and the forecast of an attack.
Family = Literal["activation", "gradient", "learned", "perturbation"]


@dataclass(frozen=True)
class InterpreterKind:
    """An interpreter before it meets a network.

    ``build`` takes the classifier (pixels (N,3,H,W) in [0,1] to logits) and one image (1,3,H,W) of the size that the
    classifier gets, and raises ``InterpreterUnavailable`` where the network has nothing it could use. For the forecast
    of an audit: what one map and one step of an attack cost, a forward pass with input gradient being 1; None: as is
    usual in the family.
    """

    name: str
    title: str
    family: Family
    summary: str
    build: Callable[[nn.Module, Tensor], Interpreter]
    explain_passes: float | None = None
    step_passes: float | None = None


def build_interpreter(name: str, classifier: nn.Module, probe: Tensor) -> Interpreter:
    """The interpreter of that name for this classifier.

    Args:
        name: a key of ``kinds``.
        classifier: pixels (N,3,H,W) in [0,1] to logits.
        probe: one image (1,3,H,W) of the size that the classifier gets.

    Raises:
        InterpreterUnavailable: unknown name, or the network has nothing this interpreter could use.
    """
    known = kinds()
    if name not in known:
        raise InterpreterUnavailable(f"no interpreter is called {name!r}; there are {', '.join(known)}")
    return known[name].build(classifier, probe)


@cache
def kinds() -> dict[str, InterpreterKind]:
    """Every interpreter by name, in the order of a report: the tool's own, then those of installed packages.

    Raises:
        InterpreterUnavailable: an installed package brings one that cannot be loaded, or whose name cannot be used.
    """
    known = {kind.name: kind for kind in _OWN}
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        try:
            found = point.load()
        except Exception as error:
            what = f"interpreter {point.name!r} of {point.value} cannot be loaded: {error}"
            raise InterpreterUnavailable(what) from error
        if not isinstance(found, InterpreterKind):
            raise InterpreterUnavailable(
                f"{point.value} is a {type(found).__name__}; the entry point must name an InterpreterKind"
            )
        if not _NAME.fullmatch(found.name):
            raise InterpreterUnavailable(
                f"{point.value} is called {found.name!r}; a name is made of small letters, digits, '-', '.' and '+'"
            )
        if found.name in known:
            raise InterpreterUnavailable(f"{point.value} is called {found.name!r}, but there is one of that name")
        known[found.name] = found
    return known


def title_of(name: str) -> str:
    """What a person reads; a run may name an interpreter that is not installed here."""
    return kinds()[name].title if name in kinds() else name.upper()


def summary_of(name: str) -> str:
    """One sentence for the report; empty for an interpreter that is not installed here."""
    return kinds()[name].summary if name in kinds() else ""


def family_of(name: str) -> Family:
    """The family of an interpreter; one that is not installed here counts as a gradient, the costlier guess."""
    return kinds()[name].family if name in kinds() else "gradient"


def cost_of(name: str) -> tuple[float | None, float | None]:
    """``explain_passes`` and ``step_passes``; None where the family decides, or it is not installed here."""
    return (kinds()[name].explain_passes, kinds()[name].step_passes) if name in kinds() else (None, None)


def _cam(classifier: nn.Module, probe: Tensor) -> Interpreter:
    from skinaudit.interpreters.cam import Cam

    return Cam.for_network(classifier, probe)


def _grad(classifier: nn.Module, probe: Tensor) -> Interpreter:
    from skinaudit.interpreters.grad import Grad

    del probe
    return Grad(classifier)


def _rts(classifier: nn.Module, probe: Tensor) -> Interpreter:
    from skinaudit.interpreters.rts import Rts

    return Rts.for_classifier(classifier, probe)


def _mask(classifier: nn.Module, probe: Tensor) -> Interpreter:
    from skinaudit.interpreters.mask import PUBLISHED, Mask

    del probe
    return Mask(classifier, PUBLISHED)


def _fast_mask(classifier: nn.Module, probe: Tensor) -> Interpreter:
    from skinaudit.interpreters.mask import FAST, Mask

    del probe
    return Mask(classifier, FAST, "mask-fast")


def _grad_cam(classifier: nn.Module, probe: Tensor) -> Interpreter:
    from skinaudit.interpreters.grad_cam import GradCam

    return GradCam.for_network(classifier, probe)


def _grad_cam_plus_plus(classifier: nn.Module, probe: Tensor) -> Interpreter:
    from skinaudit.interpreters.grad_cam_plus_plus import GradCamPlusPlus

    return GradCamPlusPlus.for_network(classifier, probe)


def _layer_cam(classifier: nn.Module, probe: Tensor) -> Interpreter:
    from skinaudit.interpreters.layer_cam import LayerCam

    return LayerCam.for_network(classifier, probe)


def _smooth_grad(classifier: nn.Module, probe: Tensor) -> Interpreter:
    from skinaudit.interpreters.smooth_grad import SmoothGrad

    del probe
    return SmoothGrad(classifier)


def _integrated_gradients(classifier: nn.Module, probe: Tensor) -> Interpreter:
    from skinaudit.interpreters.integrated_gradients import IntegratedGradients

    del probe
    return IntegratedGradients(classifier)


_OWN = (
    InterpreterKind(
        "cam",
        "CAM",
        "activation",
        "Class activation map: the last convolutional features, weighted by how much each speaks for the class.",
        _cam,
    ),
    InterpreterKind(
        "grad",
        "GRAD",
        "gradient",
        "Gradient saliency: how strongly each pixel moves the class score, pooled over 4 × 4 pixels.",
        _grad,
    ),
    InterpreterKind(
        "rts",
        "RTS",
        "learned",
        "Real-time saliency: a small network, fitted to the model, draws the region that carries the class.",
        _rts,
    ),
    InterpreterKind(
        "mask",
        "MASK",
        "perturbation",
        "Meaningful perturbation: the smallest smooth region whose blurring takes the class away.",
        _mask,
    ),
    InterpreterKind(
        "mask-fast",
        "MASK (fast)",
        "perturbation",
        "MASK with a third of the steps. Its maps are its own; limits are measured in this setting.",
        _fast_mask,
        explain_passes=100.0,
    ),
    InterpreterKind(
        "grad-cam",
        "Grad-CAM",
        "activation",
        "The last features, weighted by the gradient of the class; only what speaks for the class is shown.",
        _grad_cam,
    ),
    InterpreterKind(
        "grad-cam++",
        "Grad-CAM++",
        "activation",
        "Grad-CAM with weights that count every place of a feature, so that several lesions of one image are shown.",
        _grad_cam_plus_plus,
    ),
    InterpreterKind(
        "layer-cam",
        "LayerCAM",
        "activation",
        "The last features, each place weighted by its own positive gradient of the class.",
        _layer_cam,
    ),
    InterpreterKind(
        "smooth-grad",
        "SmoothGrad",
        "gradient",
        "Gradient saliency averaged over noisy copies of the image, which hides what is mere noise of the gradient.",
        _smooth_grad,
        explain_passes=25.0,
        step_passes=16.0,
    ),
    InterpreterKind(
        "integrated-gradients",
        "Integrated Gradients",
        "gradient",
        "Each pixel times the mean gradient on the way from a black image to this one.",
        _integrated_gradients,
        explain_passes=32.0,
        step_passes=16.0,
    ),
)
