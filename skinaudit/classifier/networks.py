"""The networks that a bundle may ask for, by name and literal arguments; nothing pre-trained is ever fetched.

A name that is not in these lists cannot be reached, so a config cannot call anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache

import monai.networks.nets as monai_nets
import timm
import torch
import torchvision
from torch import nn

from skinaudit.classifier.config_file import Value
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.sketch import sketch_network

#: Largest whole number in an argument (pixels, channels, classes); larger ones only serve to exhaust memory.
MAX_NUMBER = 65_536
#: Most layers that an argument may ask for; each one costs time, whatever its size.
MAX_LAYERS = 500
#: Names that a refusal offers instead.
_NEAREST = 4
_LAYERS = ("layers", "block_config", "num_layers")
#: What a normalisation or activation may be told. A device or a type would undo the sketch.
_LAYER_OPTIONS = frozenset(
    {"affine", "alpha", "approximate", "beta", "bias", "dim", "elementwise_affine", "eps", "init", "inplace", "k"}
    | {"momentum", "negative_slope", "normalized_shape", "num_channels", "num_groups", "num_parameters", "size"}
    | {"track_running_stats"}
)

_DENSENET = frozenset(
    {"spatial_dims", "in_channels", "out_channels", "init_features", "growth_rate", "block_config", "bn_size"}
    | {"act", "norm", "dropout_prob"}
)
_RESNET_SIZED = frozenset(
    {"spatial_dims", "n_input_channels", "conv1_t_size", "conv1_t_stride", "no_max_pool", "shortcut_type"}
    | {"widen_factor", "num_classes", "bias_downsample", "act", "norm"}
)
_RESNET = _RESNET_SIZED | {"block", "layers", "block_inplanes"}
_SENET = frozenset(
    {"layers", "groups", "reduction", "spatial_dims", "in_channels", "num_classes", "dropout_prob", "dropout_dim"}
    | {"inplanes", "downsample_kernel_size", "input_3x3"}
)
_EFFICIENTNET = frozenset({"model_name", "spatial_dims", "in_channels", "num_classes", "norm", "adv_prop"})
_VIT = frozenset(
    {"in_channels", "img_size", "patch_size", "hidden_size", "mlp_dim", "num_layers", "num_heads", "proj_type"}
    | {"pos_embed_type", "classification", "num_classes", "dropout_rate", "spatial_dims", "post_activation"}
    | {"qkv_bias", "save_attn"}
)
_TORCHVISION = frozenset(
    {"num_classes", "dropout", "stochastic_depth_prob", "width_mult", "transform_input", "aux_logits"}
)
_TIMM = frozenset(
    {"model_name", "num_classes", "in_chans", "drop_rate", "drop_path_rate", "img_size", "patch_size", "global_pool"}
)

_SE_SIZES = ("SEResNet50", "SEResNet101", "SEResNet152", "SEResNext50", "SEResNext101", "SENet154")
#: MONAI name -> arguments it may be given. The lower-case functions have fixed blocks and layers.
_MONAI: dict[str, frozenset[str]] = {
    "DenseNet": _DENSENET,
    **{f"DenseNet{depth}": _DENSENET for depth in (121, 169, 201, 264)},
    **{f"densenet{depth}": _DENSENET for depth in (121, 169, 201, 264)},
    "ResNet": _RESNET,
    **{f"resnet{depth}": _RESNET_SIZED for depth in (10, 18, 34, 50, 101, 152, 200)},
    **dict.fromkeys(_SE_SIZES, _SENET),
    **{name.lower(): _SENET for name in _SE_SIZES},
    "EfficientNetBN": _EFFICIENTNET,
    "ViT": _VIT,
}
#: MONAI networks whose constructor has no ``pretrained`` argument.
_NEVER_PRETRAINED = frozenset({"DenseNet", "ResNet", "ViT"})
_NO_PRETRAINED_VALUES: dict[str, tuple[Value, ...]] = {"pretrained": (False,), "weights": (None,)}


def build_network(
    target: str, arguments: Mapping[str, Value], approve: Callable[[nn.Module], None] | None = None
) -> nn.Module:
    """Build a classifier with random weights.

    Args:
        target: ``monai.networks.nets.X`` (or ``X``), ``torchvision.models.x`` or ``timm.create_model``.
        arguments: literals only.
        approve: looks at the network while its tensors have shapes but no memory yet, and raises ModelRefused if it
            should not be built.

    Raises:
        ModelRefused: The target or an argument is not on the list, the arguments ask for pre-trained weights, the
            library refuses them, or the network would be too large.
    """
    asked = {key: value for key, value in arguments.items() if not _declines_pretrained(target, key, value)}
    asked.pop("progress", None)
    for key, value in asked.items():
        _refuse_unless_literal(f"{target[:200]}: {key[:100]}", value)
    _refuse_many_layers(target, asked)
    build = _find(target, asked)
    # The random start values are replaced by the bundle's weights; the caller's random state stays as it was.
    with torch.random.fork_rng(devices=[]):
        try:
            sketch = sketch_network(build, counts=".regnet_" in target)
            if approve is not None:
                approve(sketch)
            return build()
        except ModelRefused:
            raise
        except ImportError as error:
            missing = str(error).split("\n", maxsplit=1)[0]
            raise ModelRefused(f"{target}: needs a package that is not installed: {missing}") from error
        except _NOT_BUILT as error:
            raise ModelRefused(f"{target}: cannot be built with these arguments: {str(error)[:300]}") from error


#: What libraries raise on arguments that make no sense.
_NOT_BUILT = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, NameError),
    *(RuntimeError, TypeError, ValueError),
)


def _declines_pretrained(target: str, key: str, value: Value) -> bool:
    """Is this an argument that says "no pre-trained weights"? One that asks for them is refused."""
    if key not in _NO_PRETRAINED_VALUES:
        return False
    if not any(value is allowed for allowed in _NO_PRETRAINED_VALUES[key]):
        raise ModelRefused(
            f"{target}: {key}={value!r} asks for pre-trained weights; the weights come from the bundle. Remove it."
        )
    return True


def _find(target: str, arguments: dict[str, Value]) -> Callable[[], nn.Module]:
    """Look the target up in the three lists."""
    if target in ("timm.create_model", "timm.models.create_model"):
        return _find_timm(target, arguments)
    prefix, _, name = target.rpartition(".")
    if prefix in ("", "monai.networks.nets") and name in _MONAI:
        return _find_monai(target, name, arguments)
    if prefix == "torchvision.models" and name in _torchvision_names():
        _refuse_unknown(target, arguments, _TORCHVISION)
        builder = getattr(torchvision.models, name)
        if name in ("googlenet", "inception_v3"):
            # Their own start values take minutes to draw and are overwritten by the bundle's.
            return lambda: _module(builder(weights=None, init_weights=False, **arguments))
        return lambda: _module(builder(weights=None, **arguments))
    library = {"monai.networks.nets": "monai", "torchvision.models": "torchvision"}.get(prefix, "")
    raise ModelRefused(f'network_def: "{target[:200]}" is not on the list of networks.{_instead(name, library)}')


def _find_monai(target: str, name: str, arguments: dict[str, Value]) -> Callable[[], nn.Module]:
    _refuse_unknown(target, arguments, _MONAI[name])
    if name == "ViT" and arguments.get("classification") is not True:
        raise ModelRefused(f"{target}: classification must be true; a ViT without a head is not a classifier.")
    builder = getattr(monai_nets, name)
    if name in _NEVER_PRETRAINED:
        return lambda: _module(builder(**arguments))
    return lambda: _module(builder(pretrained=False, **arguments))


def _find_timm(target: str, arguments: dict[str, Value]) -> Callable[[], nn.Module]:
    _refuse_unknown(target, arguments, _TIMM)
    name = arguments.get("model_name")
    # A name with a source ("hf-hub:…", "local-dir:…") is never in the list.
    if not isinstance(name, str) or name not in _timm_names():
        raise ModelRefused(
            f"{target}: model_name {str(name)[:200]!r} is not a model of timm {timm.__version__}."
            f"{_instead(str(name or ''), 'timm')}"
        )
    build: Callable[..., object] = timm.create_model
    return lambda: _module(build(pretrained=False, **arguments))


def known_networks() -> tuple[str, ...]:
    """Every network that can be asked for, as the command line names them: ``library:name``, sorted in each library.

    Those of timm may be followed by the tag of a published set of weights, which changes nothing here.
    """
    names = {"monai": _MONAI, "timm": timm.list_models(), "torchvision": _torchvision_names()}
    return tuple(f"{library}:{name}" for library, known in names.items() for name in sorted(known))


def _instead(name: str, library: str) -> str:
    """The nearest names, those of the library that was asked for first, and where all of them are listed."""
    bare = name.strip().lower()[:60]
    known: dict[str, list[str]] = {}
    for one in known_networks():
        known.setdefault(one.partition(":")[2].lower(), []).append(one)
    close = get_close_matches(bare, known, n=_NEAREST, cutoff=0.7)
    found = sorted((one for short in close for one in known[short]), key=lambda one: not one.startswith(f"{library}:"))
    nearest = f" Nearest are {', '.join(found[:_NEAREST])}." if found else ""
    return f"{nearest} All of them: skinaudit models networks {library}".rstrip()


@cache
def _timm_names() -> frozenset[str]:
    return frozenset(timm.list_models()) | frozenset(timm.list_models(include_tags=True))


@cache
def _torchvision_names() -> frozenset[str]:
    return frozenset(torchvision.models.list_models(module=torchvision.models))


def _module(built: object) -> nn.Module:
    if not isinstance(built, nn.Module):
        raise ModelRefused(f"network_def: gave a {type(built).__name__}, not a network.")
    return built


def _refuse_unknown(target: str, arguments: Mapping[str, Value], known: frozenset[str]) -> None:
    unknown = sorted(set(arguments) - known)
    if unknown:
        raise ModelRefused(
            f"{target[:200]}: argument {', '.join(unknown)[:200]} is not accepted. Remove it; known are "
            f"{', '.join(sorted(known))}."
        )


def _refuse_many_layers(target: str, arguments: Mapping[str, Value]) -> None:
    for key in _LAYERS:
        value = arguments.get(key)
        numbers = value if isinstance(value, list) else [value]
        layers = sum(number for number in numbers if isinstance(number, int))
        if layers > MAX_LAYERS:
            raise ModelRefused(f"{target}: {key} asks for {layers} layers; at most {MAX_LAYERS} are accepted.")


def _refuse_unless_literal(where: str, value: Value) -> None:
    if isinstance(value, str):
        if value.startswith(("$", "@", "%")) or len(value) > 200:
            raise ModelRefused(f'{where} is "{value[:200]}", which is not a literal. Write the value itself.')
    elif isinstance(value, dict):
        if any(key.startswith("_") and key.endswith("_") for key in value):
            raise ModelRefused(f"{where} asks for an object to be built; an argument must be a literal.")
        _refuse_unknown(where, value, _LAYER_OPTIONS)
        for key, item in value.items():
            _refuse_unless_literal(f"{where}::{key}", item)
    elif isinstance(value, list):
        if len(value) > 1000:
            raise ModelRefused(f"{where} has {len(value)} items; at most 1000 are accepted.")
        for item in value:
            _refuse_unless_literal(where, item)
    elif isinstance(value, int | float) and not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise ModelRefused(f"{where} is {value!r}; numbers up to {MAX_NUMBER} are accepted.")
