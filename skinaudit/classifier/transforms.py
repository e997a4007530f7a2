"""MONAI transforms of a bundle, given as literal dicts, split into geometry (before the attack) and intensity steps.

The attacker stands between the two: geometry runs once on the photograph, intensity runs inside the classifier.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from monai.transforms.croppad.array import CenterSpatialCrop, ResizeWithPadOrCrop
from monai.transforms.spatial.array import Resize
from monai.transforms.utility.array import EnsureChannelFirst
from torch import Tensor, nn

from skinaudit.classifier.arguments import Arguments, PreprocessError
from skinaudit.classifier.config_file import Value
from skinaudit.classifier.intensity import Normalise, PixelRange, ScaleByFactor, ScaleFixedRange, ScaleToRange

MAX_STEPS = 50

_RESIZE_MODES = ("nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area")
_ALIGNED_MODES = ("linear", "bilinear", "bicubic", "trilinear")


@dataclass
class Steps:
    """What has been read so far, in order."""

    reverse_indexing: bool = True
    channel_first: bool = False
    resampled: bool = False
    spatial: tuple[int | None, int | None] = (None, None)
    geometry: list[Callable[[Tensor], Tensor]] = field(default_factory=list)
    intensity: list[nn.Module] = field(default_factory=lambda: [PixelRange()])
    lines: list[str] = field(default_factory=list)


def read_steps(transforms: Value) -> Steps:
    """Read a list of transforms, or a Compose that holds one.

    Raises:
        PreprocessError: A transform or argument is unknown, a value is not a literal, array and dictionary forms are
            mixed, more than one key is used, or an intensity step stands before a geometry step.
    """
    steps, keys = Steps(), set[str | None]()
    for position, entry in enumerate(_as_list(transforms), start=1):
        name, arguments, key = _split(entry, position)
        keys.add(key)
        if len(keys) > 1:
            raise arguments.error("every step must use the same single image key, and all or none the dictionary form.")
        _read_step(steps, name, arguments)
        shown = {word: value for word, value in entry.items() if word not in ("_target_", "keys")}
        stage = "inside the classifier" if name in _INTENSITY else "before the attack"
        settings = ", ".join(f"{word}={value}" for word, value in shown.items())
        steps.lines.append(f"{position}. {name}({settings}), {stage}")
    if not steps.channel_first:
        raise PreprocessError("preprocessing: no step puts the channels first; add EnsureChannelFirst after LoadImage.")
    return steps


def _as_list(transforms: Value) -> list[dict[str, Value]]:
    if isinstance(transforms, dict):
        if transforms.get("_target_") not in ("Compose", "monai.transforms.Compose"):
            raise PreprocessError(
                f"preprocessing: must be a list of transforms or a Compose, got {transforms.get('_target_')!r}."
            )
        extra = sorted(set(transforms) - {"_target_", "transforms"})
        if extra:
            raise PreprocessError(f"preprocessing: Compose: unknown argument {', '.join(extra)}. Remove it.")
        transforms = transforms.get("transforms")
    entries = transforms if isinstance(transforms, list) else []
    if len(entries) > MAX_STEPS:
        raise PreprocessError(f"preprocessing: {len(entries)} transforms; at most {MAX_STEPS} are accepted.")
    plain = [entry for entry in entries if isinstance(entry, dict)]
    if not plain or len(plain) < len(entries):
        raise PreprocessError('preprocessing: must be a list of {"_target_": name, …} transforms.')
    return plain


def _split(entry: dict[str, Value], position: int) -> tuple[str, Arguments, str | None]:
    """Take one entry apart: array-form name, arguments, image key (None for the array form)."""
    target = entry.get("_target_")
    where = f"preprocessing: transform {position} ({str(target)[:100]})"
    arguments = Arguments(where, {key: value for key, value in entry.items() if key != "_target_"})
    for value in entry.values():
        _refuse_expressions(value, arguments)
    name = str(target).removeprefix("monai.transforms.")
    if name in _READERS:
        return name, arguments, None
    for suffix in ("Dict", "d", "D"):
        if name.removesuffix(suffix) in _READERS:
            keys = arguments.take("keys")
            keys = keys[0] if isinstance(keys, list) and len(keys) == 1 else keys
            if not isinstance(keys, str):
                raise arguments.error(f"keys must name the one image key, got {keys!r}.")
            arguments.flag("allow_missing_keys", default=False)
            return name.removesuffix(suffix), arguments, keys
    raise arguments.error(f"unknown transform. Known are {', '.join(_READERS)} and their dictionary forms.")


def _refuse_expressions(value: Value, arguments: Arguments) -> None:
    if isinstance(value, str) and value.startswith(("$", "@", "%")):
        raise arguments.error(f'"{value[:200]}" is not a literal; write the value itself.')
    if isinstance(value, dict):
        raise arguments.error("an argument may not be an object; write a number, text or list.")
    for item in value if isinstance(value, list) else ():
        _refuse_expressions(item, arguments)


def _read_step(steps: Steps, name: str, arguments: Arguments) -> None:
    if (name == "LoadImage") != (not steps.lines):
        raise arguments.error("LoadImage must be the first transform and stand there once.")
    geometric = name not in _INTENSITY and name not in _CONVERSIONS
    if geometric and len(steps.intensity) > 1:
        raise arguments.error(
            "a geometry step after an intensity step; the attack starts from 8-bit pixels between the two. Move every "
            "intensity step behind the last geometry step."
        )
    if name not in ("LoadImage", "EnsureChannelFirst", *_CONVERSIONS) and not steps.channel_first:
        raise arguments.error("the channels are not first yet; put EnsureChannelFirst before it.")
    _READERS[name](steps, arguments)
    arguments.finish()


def _load_image(steps: Steps, arguments: Arguments) -> None:
    arguments.word("reader", None, (None, "PILReader", "monai.data.PILReader"))
    arguments.word("dtype", "float32", ("float32",))
    if not arguments.flag("image_only", default=True):
        raise arguments.error("image_only must be true; the header of a file takes no part in an audit.")
    steps.reverse_indexing = arguments.flag("reverse_indexing", default=True)
    if arguments.flag("ensure_channel_first", default=False):
        steps.geometry.append(EnsureChannelFirst())
        steps.channel_first = True


def _ensure_channel_first(steps: Steps, arguments: Arguments) -> None:
    arguments.flag("strict_check", default=True)
    if arguments.take("channel_dim") not in (None, -1, 2):
        raise arguments.error("channel_dim must be -1; a decoded photograph has its channels last.")
    if steps.channel_first:
        raise arguments.error("the channels are first already; remove this step.")
    steps.geometry.append(EnsureChannelFirst())
    steps.channel_first = True


def _resize(steps: Steps, arguments: Arguments) -> None:
    size_mode = str(arguments.word("size_mode", "all", ("all", "longest")))
    mode = str(arguments.word("mode", "area", _RESIZE_MODES))
    align_corners = arguments.optional_flag("align_corners")
    if align_corners is not None and mode not in _ALIGNED_MODES:
        raise arguments.error(f"align_corners has no meaning with mode {mode}; remove it.")
    anti_aliasing = arguments.flag("anti_aliasing", default=False)
    sigma = arguments.numbers("anti_aliasing_sigma")
    if sigma is not None and (len(sigma) not in (1, 2) or min(sigma) < 0 or max(sigma) > 100):
        raise arguments.error("anti_aliasing_sigma must be one or two numbers from 0 to 100.")
    arguments.word("dtype", "float32", ("float32",))
    whole = arguments.is_whole_number("spatial_size")
    size = arguments.size("spatial_size")
    if whole != (size_mode == "longest"):
        raise arguments.error('spatial_size must be two whole numbers, or one with size_mode "longest".')
    if whole and size[0] < 1:
        raise arguments.error("spatial_size must be at least 1.")
    steps.geometry.append(
        Resize(
            spatial_size=size[0] if whole else size,
            size_mode=size_mode,
            mode=mode,
            align_corners=align_corners,
            anti_aliasing=anti_aliasing,
            anti_aliasing_sigma=sigma if sigma is None or len(sigma) == 2 else sigma[0],
        )
    )
    steps.spatial = (None, None) if whole else _replace(steps.spatial, size)
    steps.resampled = steps.resampled or not mode.startswith("nearest") or anti_aliasing


def _center_crop(steps: Steps, arguments: Arguments) -> None:
    size = arguments.size("roi_size")
    steps.geometry.append(CenterSpatialCrop(roi_size=size))
    first, second = (
        side if side is None or roi < 1 else min(side, roi) for side, roi in zip(steps.spatial, size, strict=True)
    )
    steps.spatial = (first, second)


def _pad_or_crop(steps: Steps, arguments: Arguments) -> None:
    size = arguments.size("spatial_size")
    arguments.word("mode", "constant", ("constant",))
    method = str(arguments.word("method", "symmetric", ("symmetric", "end")))
    steps.geometry.append(ResizeWithPadOrCrop(spatial_size=size, method=method, mode="constant"))
    steps.spatial = _replace(steps.spatial, size)


def _replace(spatial: tuple[int | None, int | None], size: tuple[int, int]) -> tuple[int | None, int | None]:
    """Sides after a step that sets every side given as 1 or more."""
    return (size[0] if size[0] > 0 else spatial[0]), (size[1] if size[1] > 0 else spatial[1])


def _scale_intensity(steps: Steps, arguments: Arguments) -> None:
    minv, maxv = arguments.number("minv", 0.0), arguments.number("maxv", 1.0)
    factor = arguments.number("factor", None)
    channel_wise = arguments.flag("channel_wise", default=False)
    arguments.word("dtype", "float32", ("float32",))
    if minv is None and maxv is None:
        # MONAI looks at the factor only when both ends are null.
        steps.intensity.append(ScaleByFactor(factor or 0.0))
    else:
        steps.intensity.append(ScaleToRange(minv, maxv, channel_wise))


def _scale_intensity_range(steps: Steps, arguments: Arguments) -> None:
    a_min, a_max = arguments.required_number("a_min"), arguments.required_number("a_max")
    b_min, b_max = arguments.number("b_min", None), arguments.number("b_max", None)
    clip = arguments.flag("clip", default=False)
    arguments.word("dtype", "float32", ("float32",))
    if a_min == a_max:
        raise arguments.error("a_min and a_max are equal; a range needs two ends.")
    if clip and b_min is None and b_max is None:
        raise arguments.error("clip needs b_min or b_max.")
    steps.intensity.append(ScaleFixedRange(a_min, a_max, b_min, b_max, clip))


def _normalize_intensity(steps: Steps, arguments: Arguments) -> None:
    channel_wise = arguments.flag("channel_wise", default=False)
    statistics = []
    for key in ("subtrahend", "divisor"):
        is_list = arguments.is_list(key)
        numbers = arguments.numbers(key)
        if numbers is not None and (is_list != channel_wise or (is_list and len(numbers) != 3)):
            raise arguments.error(f"{key} must be three numbers with channel_wise true, or one number with false.")
        statistics.append(numbers)
    if arguments.flag("nonzero", default=False):
        raise arguments.error("nonzero true is not supported; black pixels of a photograph are part of it.")
    arguments.word("dtype", "float32", ("float32",))
    steps.intensity.append(Normalise(statistics[0], statistics[1], channel_wise))


def _convert(steps: Steps, arguments: Arguments) -> None:
    """ToTensor and EnsureType: nothing to do, the pixels are a float32 tensor from the first step on."""
    del steps
    arguments.word("data_type", "tensor", ("tensor",))
    arguments.word("dtype", None, (None, "float32"))
    arguments.word("device", None, (None, "cpu"))
    arguments.flag("wrap_sequence", default=True)
    arguments.optional_flag("track_meta")


_INTENSITY = ("ScaleIntensity", "ScaleIntensityRange", "NormalizeIntensity")
_CONVERSIONS = ("ToTensor", "EnsureType")
_READERS: dict[str, Callable[[Steps, Arguments], None]] = {
    "LoadImage": _load_image,
    "EnsureChannelFirst": _ensure_channel_first,
    "Resize": _resize,
    "CenterSpatialCrop": _center_crop,
    "ResizeWithPadOrCrop": _pad_or_crop,
    "ScaleIntensity": _scale_intensity,
    "ScaleIntensityRange": _scale_intensity_range,
    "NormalizeIntensity": _normalize_intensity,
    "ToTensor": _convert,
    "EnsureType": _convert,
}
