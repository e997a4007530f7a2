"""Options that say what the attacker may do and wants, and how their text is read."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

import typer
from pydantic import ValidationError

from skinaudit.config import PRESETS, AuditConfig, Budget, Norm, Preset, TargetMap, TargetRule, ThreatModel

JointOption = Annotated[
    bool,
    typer.Option("--joint", help="Also attack all maps at once, as in a clinic that shows several; not MASK."),
]
NormOption = Annotated[
    Norm,
    typer.Option(
        "--norm",
        metavar="linf|flow",
        help="What the attacker does to a picture: change every value by at most --epsilon (linf), or move every "
        "pixel by at most --flow-limit (flow: a distortion that adds no noise; stAdv).",
    ),
]
EpsilonOption = Annotated[
    str | None,
    typer.Option(
        "--epsilon",
        metavar="RADIUS",
        help="Largest change of a pixel: 1/255 to 64/255, or decimal. Default: 8/255.",
    ),
]
SweepOption = Annotated[
    str | None,
    typer.Option(
        "--sweep",
        metavar="LEVELS",
        help="Also attack within smaller radii, in grey levels of 255 with commas (1,2,4): from which size of "
        "change on are people deceived? Each search goes on from the smaller radius. Not for MASK.",
    ),
]
FlowLimitOption = Annotated[
    float | None,
    typer.Option(
        "--flow-limit",
        metavar="PIXELS",
        min=0.05,
        max=16.0,
        help="With --norm flow: how many pixels a pixel may be moved at most. Default: "
        f"{ThreatModel().flow_limit:g}, no more than the half-pixel shift that counts as harmless.",
    ),
]
FullResolutionOption = Annotated[
    bool,
    typer.Option(
        "--full-resolution",
        help="Attack the photograph itself, before the model resizes it, as whoever has only the camera's file. "
        "Saves a full-size picture that a deployed system can be given. Slower with large files; "
        "the search takes one photograph at a time.",
    ),
]
TargetOption = Annotated[
    TargetRule,
    typer.Option(
        "--target",
        metavar="RULE",
        help="Diagnosis the attacker wants: most-harmful (cancer is missed, a benign lesion becomes melanoma), "
        "false-alarm (the second alone; malignant images are left out), least-likely, random, untargeted (any "
        "other), or same (it stays, and only the map is sent elsewhere; needs --target-map class or patch).",
    ),
]
TargetMapOption = Annotated[
    TargetMap,
    typer.Option(
        "--target-map",
        metavar="MAP",
        help="Map the attacker wants beside it: benign (as before the attack, so that nobody is warned), class "
        "(that of another image of the wanted class, drawn by seed: a map that looks right), or patch (a disc or "
        "rectangle where the benign map shows nothing: can the map be sent anywhere?).",
    ),
]
PresetOption = Annotated[
    Preset, typer.Option("--preset", metavar="PRESET", help="How much work: quick, standard or thorough.")
]
MaskImagesOption = Annotated[
    int | None,
    typer.Option(
        "--mask-images",
        metavar="N",
        min=1,
        help="Most images that MASK is asked about: one of its maps costs 300 passes of the network. Default: as "
        "the preset has it.",
    ),
]


def read_epsilon(text: str) -> float:
    """An L∞ radius written as a fraction or a decimal, in units of the [0,1] pixel range.

    >>> read_epsilon("8/255") == 8 / 255, read_epsilon("0.031"), read_epsilon("1.5/255") == 1.5 / 255
    (True, 0.031, True)

    Raises:
        typer.BadParameter: neither, or out of range.
    """
    try:
        above, _, below = text.partition("/")
        return ThreatModel(epsilon=float(Fraction(above.strip()) / Fraction(below.strip() or "1"))).epsilon
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
    except (ValueError, ZeroDivisionError, OverflowError):
        reason = f"{text!r} is no number; write a fraction such as 8/255, or a decimal such as 0.031"
    raise typer.BadParameter(reason, param_hint="--epsilon")


def read_threat(
    epsilon: str | None,
    target: TargetRule,
    target_map: TargetMap,
    norm: Norm = Norm.LINF,
    flow_limit: float | None = None,
    full_resolution: bool = False,
) -> ThreatModel:
    """What the attacker may do and wants; None stands for the default.

    Raises:
        typer.BadParameter: the radius is none, it or the flow's limit has no meaning with the norm, or diagnosis and
            map are both to stay.
    """
    if norm is Norm.FLOW and epsilon is not None:
        raise typer.BadParameter("has no meaning with --norm flow, which has --flow-limit", param_hint="--epsilon")
    if norm is not Norm.FLOW and flow_limit is not None:
        raise typer.BadParameter("has a meaning with --norm flow alone", param_hint="--flow-limit")
    default = ThreatModel()
    try:
        return ThreatModel(
            epsilon=default.epsilon if epsilon is None else read_epsilon(epsilon),
            norm=norm,
            flow_limit=default.flow_limit if flow_limit is None else flow_limit,
            full_resolution=full_resolution,
            target=target,
            target_map=target_map,
        )
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
    raise typer.BadParameter(reason, param_hint="--target-map")


def read_sweep(text: str | None, threat: ThreatModel) -> tuple[int, ...]:
    """Grey levels with commas between, in order.

    Raises:
        typer.BadParameter: no numbers, or not all of them below epsilon; or the attack has no epsilon.
    """
    if text is None:
        return ()
    try:
        return AuditConfig(threat=threat, sweep=tuple(sorted(int(part) for part in text.split(",")))).sweep
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
    except ValueError:
        reason = f"{text!r} are no numbers; write grey levels such as 1,2,4"
    raise typer.BadParameter(reason, param_hint="--sweep")


def read_budget(preset: Preset, mask_images: int | None) -> Budget:
    """The numbers of a preset, with what was asked for by name."""
    asked = {} if mask_images is None else {"mask_images": mask_images}
    return PRESETS[preset].model_copy(update=asked)


def check_use(config: AuditConfig, mask_images: int | None) -> None:
    """See that no option of the attack is without effect.

    Raises:
        typer.BadParameter: one is.
    """
    from skinaudit.audit.plan import at_once
    from skinaudit.interpreters.registry import family_of

    if config.joint and len(at_once(config)) < 2:
        raise typer.BadParameter("needs two kinds of map other than MASK in --interpreters", param_hint="--joint")
    if config.sweep and not at_once(config):
        raise typer.BadParameter("needs a kind of map other than MASK in --interpreters", param_hint="--sweep")
    if mask_images is not None and not any(family_of(name) == "perturbation" for name in config.interpreters):
        raise typer.BadParameter("has a meaning with MASK in --interpreters alone", param_hint="--mask-images")
