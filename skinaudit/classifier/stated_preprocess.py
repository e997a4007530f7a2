"""Pre-processing of a model that does not carry its own: stated by its user, or by timm for timm's networks."""

from __future__ import annotations

from dataclasses import dataclass

import timm
from timm.models import PretrainedCfg

from skinaudit.classifier.arguments import MAX_SIDE
from skinaudit.classifier.config_file import Value
from skinaudit.classifier.preprocess import Preprocess, read_preprocess
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.source import ModelSource, Triple


@dataclass(frozen=True, eq=False)
class Stated:
    """Size (h, w), mean and deviation of RGB pixels in [0,1]; the MONAI transforms they make; what was assumed."""

    size: tuple[int, int]
    mean: Triple
    std: Triple
    transforms: list[Value]
    preprocess: Preprocess
    assumed: tuple[str, ...]


def stated_preprocess(source: ModelSource, timm_name: str | None = None) -> Stated:
    """Make the pre-processing of a model from what its user says.

    Args:
        source: what was said.
        timm_name: a network of timm, whose published settings stand in for what was not said.

    Raises:
        ModelRefused: Something is missing that timm does not know either, or a number is out of range.
    """
    published = None if timm_name is None else _published(timm_name)
    assumed: list[str] = []
    size, mean, std = source.size, source.mean, source.std
    if published is not None:
        if size is None and published.input_size is not None:
            size = (int(published.input_size[1]), int(published.input_size[2]))
            assumed.append(f"size {size[0]}x{size[1]}")
        if mean is None:
            mean = _triple(published.mean)
            assumed.append(f"mean {_shown(mean)}")
        if std is None:
            std = _triple(published.std)
            assumed.append(f"std {_shown(std)}")
    if size is None or mean is None or std is None:
        absent = [name for name, value in (("--size", size), ("--mean", mean), ("--std", std)) if value is None]
        raise ModelRefused(
            f"{source.name}: does not say how an image becomes the network's input. Give {' and '.join(absent)}, for "
            "instance --size 224 --mean imagenet --std imagenet, or none for pixels in [0,1]."
        )
    _check(source, size, mean, std)
    transforms = upright_transforms(size, mean, std)
    told = (f"{', '.join(assumed)}: not stated, taken from timm's settings of {timm_name}",) if assumed else ()
    return Stated(size, mean, std, transforms, read_preprocess(transforms), told)


def upright_transforms(size: tuple[int, int], mean: Triple, std: Triple) -> list[Value]:
    """MONAI transforms that show the network the whole photograph upright.

    MONAI's LoadImage puts width before height unless ``reverse_indexing`` is false; a network trained with torchvision
    or timm expects height first. Anti-aliased bilinear resizing is the nearest to Pillow's that MONAI has.
    """
    return [
        {"_target_": "LoadImaged", "keys": "image", "reader": "PILReader", "reverse_indexing": False},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {
            "_target_": "Resized",
            "keys": "image",
            "spatial_size": list(size),
            "mode": "bilinear",
            "anti_aliasing": True,
        },
        {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0, "a_max": 255, "b_min": 0, "b_max": 1},
        {
            "_target_": "NormalizeIntensityd",
            "keys": "image",
            "subtrahend": list(mean),
            "divisor": list(std),
            "channel_wise": True,
        },
    ]


def _published(name: str) -> PretrainedCfg | None:
    """What timm says of a model; nothing of a name or a variant that it does not know."""
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError:
        return None


def _check(source: ModelSource, size: tuple[int, int], mean: Triple, std: Triple) -> None:
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise ModelRefused(f"--size {size[0]}x{size[1]}: sides from 1 to {MAX_SIDE} pixels are accepted.")
    if all(0 <= value <= 1 for value in mean) and all(0 < value <= 1 for value in std):
        return
    raise ModelRefused(
        f"--mean {_shown(mean)} --std {_shown(std)}: these are of pixels in [0,1], so each mean lies from 0 to 1, each "
        f"std above 0 and at most 1.{_divided(source)}"
    )


def _divided(source: ModelSource) -> str:
    """What to write instead of numbers that look like those of pixels from 0 to 255."""
    given = {name: values for name, values in (("--mean", source.mean), ("--std", source.std)) if values is not None}
    numbers = [value for values in given.values() for value in values]
    if max(numbers, default=0) <= 1 or not all(0 <= value <= 255 for value in numbers) or 0 in (source.std or ()):
        return ""
    instead = " ".join(f"{name} {','.join(f'{value / 255:.4g}' for value in values)}" for name, values in given.items())
    return f" If yours are of pixels from 0 to 255, divide them by 255: {instead}"


def _triple(values: tuple[float, ...]) -> Triple:
    first, second, third = values
    return float(first), float(second), float(third)


def _shown(values: Triple) -> str:
    return ",".join(f"{value:g}" for value in values)
