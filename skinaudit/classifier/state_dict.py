"""The one set of weights in a file of plain weights: container opened, prefixes taken off, misfits explained."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from skinaudit.classifier.refusal import ModelRefused, shown
from skinaudit.classifier.weights import read_checkpoint, read_weights, tensors_of

#: Where training code keeps weights in a checkpoint: Lightning, timm, torch tutorials, exponential averages.
CONTAINERS = frozenset(
    {"state_dict", "model_state_dict", "model", "net", "network"}
    | {"ema", "model_ema", "state_dict_ema", "ema_state_dict"}
)
#: Put before every name by DataParallel, by Lightning modules, by torch.compile.
PREFIXES = ("module.", "model.", "net.", "_orig_mod.")
_MOST_PREFIXES = 8
#: Places where the network may stand in a file; more only serve to take time.
_MOST_PLACES = 50


@dataclass(frozen=True, eq=False)
class PlainState:
    """The weights that were asked for: name -> tensor, the file's name, and what stood outside the prefix."""

    tensors: Mapping[str, Tensor]
    file: str
    prefix: str = ""
    left_out: tuple[str, ...] = ()

    def ignored(self) -> tuple[str, ...]:
        """A line for a report on the tensors that were not taken; none where all were."""
        if not self.left_out:
            return ()
        count = len(self.left_out)
        return (shown(f"{count} tensor{'s' if count > 1 else ''} outside {self.prefix}: {_few(self.left_out)}", 300),)


def chosen_state(path: Path, key: str | None, prefix: str | None) -> PlainState:
    """Read the weights that a user means out of a file, through the safe path alone.

    Args:
        path: safetensors, or whatever ``torch.save`` wrote.
        key: which of several sets of weights is meant.
        prefix: what stands before the names of those that are meant, with or without its last dot; None: all are.

    Raises:
        ModelRefused: As ``plain_state``; or nothing stands under the prefix.
    """
    state = plain_state(path, key)
    if prefix is None:
        return PlainState(state, path.name)
    dotted = f"{prefix.rstrip('.')}."
    taken = {name.removeprefix(dotted): value for name, value in state.items() if name.startswith(dotted)}
    if not taken:
        there = sorted({f"{name.partition('.')[0]}." for name in state if "." in name})
        raise ModelRefused(
            f"{path.name}: --weights-prefix {prefix[:100]!r}: no tensor's name begins like this. Names begin with "
            f"{_few(there) or 'no prefix at all'}."
        )
    return PlainState(taken, path.name, dotted, tuple(name for name in state if not name.startswith(dotted)))


def plain_state(path: Path, key: str | None = None) -> dict[str, Tensor]:
    """Read the weights out of a file, through the safe path alone.

    Args:
        path: safetensors, or whatever ``torch.save`` wrote.
        key: which of several sets of weights is meant.

    Returns:
        Name -> tensor, with the names of the file.

    Raises:
        ModelRefused: No such set, more than one and none chosen, or the file cannot be read as data.
    """
    if path.suffix == ".safetensors":
        if key is not None:
            raise ModelRefused(f"{path.name}: a safetensors file holds one set of weights; leave out --weights-key.")
        return read_weights(path)
    loaded = _checkpoint(path)
    if not isinstance(loaded, Mapping):
        return tensors_of(loaded, path.name)
    found = [str(name) for name, value in loaded.items() if isinstance(value, Mapping) and _has_tensors(value)]
    if key is not None:
        if key not in found:
            there = ", ".join(found[:10]) or "none; it is one set of weights itself"
            raise ModelRefused(f"{path.name}: no set of weights is called {key[:100]!r}. There are: {there}.")
        return tensors_of(loaded[key], path.name)
    known = [name for name in found if name in CONTAINERS]
    if len(known) > 1:
        raise ModelRefused(
            f"{path.name}: holds {len(known)} sets of weights: {', '.join(known)}. Choose with --weights-key, for "
            f"instance --weights-key {known[0]}."
        )
    if known:
        return tensors_of(loaded[known[0]], path.name)
    if found:
        raise ModelRefused(
            f"{path.name}: holds weights under {', '.join(found[:5])}. Choose with --weights-key, for instance "
            f"--weights-key {found[0]}."
        )
    return tensors_of(loaded, path.name)


def _checkpoint(path: Path) -> object:
    try:
        return read_checkpoint(path)
    except ModelRefused as error:
        if "asks for" not in str(error):
            raise
        raise ModelRefused(
            f"{error} A Lightning checkpoint holds settings (hyper_parameters), a saved module its class. Ask whoever "
            "made the file to save the state_dict alone; do not open it with weights_only=False, which runs it."
        ) from error


def without_prefixes(state: Mapping[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """Take off what DataParallel, Lightning and torch.compile put before every name.

    A prefix goes only when all names have it, so that no two names can become one, and only when the network has no
    such names itself.

    Args:
        state: name -> tensor.
        own: the network's names.

    Returns:
        The same tensors under shorter names.
    """
    names = {name: name for name in state}
    for _ in range(_MOST_PREFIXES):
        prefix = next((prefix for prefix in PREFIXES if names and all(one.startswith(prefix) for one in names)), None)
        if prefix is None or any(name.startswith(prefix) for name in own):
            break
        names = {short.removeprefix(prefix): name for short, name in names.items()}
    return {short: state[name] for short, name in names.items()}


def fitting_prefixes(state: Mapping[str, Tensor], own: Collection[str]) -> list[str]:
    """Prefixes in a file under which all of the network's names stand, and no others.

    Args:
        state: name -> tensor.
        own: the network's names.
    """
    longest = max(own, key=len, default="")
    places = [name.removesuffix(longest) for name in state if longest and name.endswith(f".{longest}")]
    if len(places) > _MOST_PLACES:
        return []
    return [
        place for place in places if {name.removeprefix(place) for name in state if name.startswith(place)} == set(own)
    ]


def refuse_prefixed(state: PlainState, own: Collection[str]) -> None:
    """Refuse weights that would fit if a prefix were named, with the option that names it.

    Raises:
        ModelRefused: They would.
    """
    found = fitting_prefixes(state.tensors, own)
    if not found:
        return
    options = [f"{state.prefix}{place}" for place in found]
    others = [name for name in state.tensors if not name.startswith(tuple(found))]
    beside = f", beside {_few(others)}" if others else ""
    if len(found) == 1:
        raise ModelRefused(
            f"{state.file}: the network's tensors stand there under {options[0]!r}{beside}. To take only those, give "
            f"--weights-prefix {options[0]}"
        )
    raise ModelRefused(
        f"{state.file}: the network's tensors stand there {len(found)} times, under {_few(options)}{beside}. Choose "
        f"with --weights-prefix, for instance --weights-prefix {options[0]}"
    )


def misfit_hints(state: Mapping[str, Tensor], own: Mapping[str, Tensor], classes: int) -> list[str]:
    """Likely reasons why weights do not belong to a network, in words.

    Args:
        state: name -> tensor, prefixes taken off.
        own: name -> tensor of the network.
        classes: how many classes are stated.
    """
    hints: list[str] = []
    heads = {
        state[name].shape[0]
        for name in set(state) & set(own)
        if _differs_in_outputs(tuple(state[name].shape), tuple(own[name].shape), classes)
    }
    if len(heads) == 1:
        hints.append(f"the head of the weights has {heads.pop()} outputs, but {classes} classes are given")
    shared = set(state) & set(own)
    if len(shared) * 10 < len(own):
        prefix = _hidden_prefix(state, own)
        if prefix:
            others = [name for name in state if not name.startswith(prefix)]
            beside = f" (beside it stands {_few(others)})" if others else ""
            hints.append(
                f"what stands there behind {prefix!r} is nearly the network, but not it exactly{beside}: is it another "
                "version of it, or do parts of it stand elsewhere?"
            )
        else:
            hints.append("hardly any name is the network's: is it another network, or the same one of another library?")
    return hints


def _differs_in_outputs(found: tuple[int, ...], own: tuple[int, ...], classes: int) -> bool:
    return len(found) == len(own) > 0 and own[0] == classes != found[0] and found[1:] == own[1:]


def _hidden_prefix(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """What stands before most of the network's names in the weights; empty when nothing does."""
    last = next(iter(own), "")
    for name in state:
        prefix = name.removesuffix(last)
        if last and prefix != name and sum(prefix + one in state for one in own) * 2 > len(own):
            return prefix
    return ""


def _few(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _has_tensors(value: Mapping[object, object]) -> bool:
    return any(isinstance(item, Tensor) for item in value.values())
