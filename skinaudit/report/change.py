"""Words for what the attacker may do to a picture, and where: the same on the cover, in the threat model, in limits."""

from __future__ import annotations

from skinaudit.config import Norm, ThreatModel
from skinaudit.report.wording import epsilon_text


def pixels_text(count: float) -> str:
    """A length in pixels.

    >>> pixels_text(0.5), pixels_text(1.0), pixels_text(2)
    ('0.5 pixels', '1 pixel', '2 pixels')
    """
    return f"{count:g} pixel{'' if count == 1 else 's'}"


def allowed(threat: ThreatModel) -> str:
    """The change that is allowed, in a few words.

    >>> allowed(ThreatModel()), allowed(ThreatModel(norm=Norm.FLOW, flow_limit=0.5))
    ('L∞ at most 8/255', 'pixels moved by at most 0.5 pixels')
    """
    if threat.norm is Norm.FLOW:
        return f"pixels moved by at most {pixels_text(threat.flow_limit)}"
    return f"L∞ at most {epsilon_text(threat.epsilon)}"


def place(threat: ThreatModel) -> str:
    """Where the change enters, in two words."""
    return "before resizing" if threat.full_resolution else "after resizing"


def capability(threat: ThreatModel) -> str:
    """What the attacker can do to one picture."""
    if threat.norm is Norm.FLOW:
        what = (
            f"Each pixel may be fetched from at most {pixels_text(threat.flow_limit)} away, in any direction and "
            "between pixels by bilinear interpolation (stAdv). No value is added, so that no bound on the change of a "
            "value holds; the change that was measured stands with the results."
        )
    else:
        what = (
            f"Each pixel value may change by at most {epsilon_text(threat.epsilon)} (L∞ norm, "
            f"{threat.epsilon_levels} of 255 grey levels as saved)."
        )
    return f"{what} One image at a time; no access to training."


def where_it_enters(threat: ThreatModel, width: int, height: int) -> str:
    """At which point of the way from camera to model the picture is changed."""
    if threat.full_resolution:
        return (
            "The change enters before resizing: it is made to the photograph in its own size, and pixels and grey "
            "levels are those of the photograph. The saved file goes through the model's own resizing and cropping to "
            f"{width} × {height} pixels, as in the deployed system, and is judged on what comes out, without a second "
            "rounding. Drift limits were measured at the size that the model sees."
        )
    return (
        f"The change is added after the image was resized to the {width} × {height} pixels that the model "
        "sees. An attacker who holds only the camera's full-size image has another task, which was not tested "
        "(--full-resolution tests it)."
    )


def noise(threat: ThreatModel) -> str:
    """The change without intent that is as large as the attack's."""
    if threat.norm is Norm.FLOW:
        return "Every pixel fetched from as far away as the attack may, in a random direction"
    return "Random noise of the same size without intent"


def not_tested(threat: ThreatModel, *, swept: bool = False) -> tuple[str, str]:
    """What the choice of change and place leaves untested, as two sentences of the limitations."""
    physical = "printed, re-photographed or physical changes, nor changes of skin, light or lens."
    if threat.full_resolution:
        first = f"Compression after the change was not tested; nor were {physical}"
    else:
        first = (
            f"Changes at full camera resolution, before resizing and compression, were not tested; nor were {physical}"
        )
    if threat.norm is Norm.FLOW:
        return (
            first,
            "Changes of pixel values (L∞ and other norms) were not tested, moved pixels were. Only this one limit was.",
        )
    radius = "Larger radii were not either" if swept else "Only this one radius was"
    return first, f"Norms other than L∞, and geometric distortion, were not tested. {radius}."


def measured(levels: int, largest: float | None, mean: float | None) -> str:
    """What was found on the saved pictures: largest change in grey levels, largest and mean displacement in pixels."""
    text = f"On the saved pictures of ADV², no pixel value differs by more than {levels} of 255 grey levels"
    if largest is None or mean is None:
        return f"{text}."
    return f"{text}; no pixel was moved further than {largest:.2f} pixels, {mean:.2f} on average over all pixels."
