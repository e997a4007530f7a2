from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.state_dict import (
    CONTAINERS,
    chosen_state,
    fitting_prefixes,
    misfit_hints,
    plain_state,
    without_prefixes,
)

STATE = {"conv.weight": torch.arange(4.0), "fc.bias": torch.zeros(3)}


def equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return set(found) == set(expected) and all(torch.equal(found[name], expected[name]) for name in expected)


def saved(content: object, folder: Path, name: str = "lesion.pt") -> Path:
    torch.save(content, folder / name)
    return folder / name


@pytest.mark.parametrize("container", [None, *sorted(CONTAINERS)])
def test_weights_are_found_in_every_usual_container(container: str | None, tmp_path: Path) -> None:
    content = OrderedDict(STATE) if container is None else {container: STATE, "epoch": 7, "optimizer": {"state": {}}}
    assert equal(plain_state(saved(content, tmp_path)), STATE)


def test_safetensors_are_read_as_they_are(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "lesion.safetensors")
    assert equal(plain_state(tmp_path / "lesion.safetensors"), STATE)
    with pytest.raises(ModelRefused, match="leave out --weights-key"):
        plain_state(tmp_path / "lesion.safetensors", "ema")


def test_of_two_sets_of_weights_none_is_guessed(tmp_path: Path) -> None:
    other = {name: value + 1 for name, value in STATE.items()}
    path = saved({"model": STATE, "ema": other}, tmp_path)
    with pytest.raises(ModelRefused, match=r"holds 2 sets of weights: model, ema\. Choose with --weights-key"):
        plain_state(path)
    assert equal(plain_state(path, "ema"), other)
    assert equal(plain_state(path, "model"), STATE)
    with pytest.raises(ModelRefused, match=r"no set of weights is called 'teacher'\. There are: model, ema\."):
        plain_state(path, "teacher")


def test_an_unusual_container_must_be_named(tmp_path: Path) -> None:
    path = saved({"student": STATE, "epoch": 1}, tmp_path)
    with pytest.raises(ModelRefused, match="--weights-key student"):
        plain_state(path)
    assert equal(plain_state(path, "student"), STATE)


def test_a_key_for_a_file_with_one_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="none; it is one set of weights itself"):
        plain_state(saved(STATE, tmp_path), "model")


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"epoch": 3}, {"a": torch.zeros(2), "b": "text"}])
def test_what_is_no_set_of_weights_is_refused(content: object, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"not a state_dict|is not a dense tensor"):
        plain_state(saved(content, tmp_path))


def test_settings_that_need_code_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path = saved({"state_dict": STATE, "hyper_parameters": argparse.Namespace(rate=0.1)}, tmp_path, "lightning.ckpt")
    with pytest.raises(ModelRefused, match=r"argparse\.Namespace.*hyper_parameters.*save the state_dict alone; do not"):
        plain_state(path)


def test_a_whole_module_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"torch\.nn\.modules\.linear\.Linear.*a saved module its class"):
        plain_state(saved(torch.nn.Linear(2, 2), tmp_path))


@pytest.mark.parametrize("prefix", ["module.", "model.", "net.", "_orig_mod.", "model._orig_mod.module."])
def test_a_prefix_of_all_names_is_taken_off(prefix: str) -> None:
    assert equal(without_prefixes({prefix + name: value for name, value in STATE.items()}, STATE), STATE)


def test_a_prefix_of_some_names_stays() -> None:
    mixed = {"model.conv.weight": STATE["conv.weight"], "loss.weight": STATE["fc.bias"]}
    assert equal(without_prefixes(mixed, STATE), mixed)


def test_a_prefix_that_the_network_has_itself_stays() -> None:
    own = {"model.conv.weight": STATE["conv.weight"]}
    assert equal(without_prefixes(own, own), own)
    assert equal(without_prefixes({"module.model.conv.weight": own["model.conv.weight"]}, own), own)


def test_an_unknown_prefix_stays() -> None:
    behind = {f"backbone.{name}": value for name, value in STATE.items()}
    assert equal(without_prefixes(behind, STATE), behind)


def test_a_head_for_other_classes_is_explained() -> None:
    found = {"conv.weight": torch.zeros(4), "fc.weight": torch.zeros(1000, 8), "fc.bias": torch.zeros(1000)}
    own = {"conv.weight": torch.zeros(4), "fc.weight": torch.zeros(3, 8), "fc.bias": torch.zeros(3)}
    assert misfit_hints(found, own, 3) == ["the head of the weights has 1000 outputs, but 3 classes are given"]


def test_what_is_nearly_the_network_and_what_stands_beside_it_are_explained() -> None:
    own = {f"layer{number}.weight": torch.zeros(2) for number in range(4)}
    found = {f"backbone.{name}": value for name, value in own.items()} | {"loss.weight": torch.zeros(1)}
    found["backbone.auxiliary"] = torch.zeros(1)
    (hint,) = misfit_hints(found, own, 3)
    assert "behind 'backbone.' is nearly the network, but not it exactly (beside it stands loss.weight)" in hint


def behind(*prefixes: str) -> dict[str, Tensor]:
    """The weights behind each of the prefixes, and a loss."""
    return {f"{one}{name}": value for one in prefixes for name, value in STATE.items()} | {"loss.w": torch.ones(1)}


@pytest.mark.parametrize("prefix", ["net.backbone.", "net.backbone"])
def test_only_what_stands_under_a_prefix_is_taken(prefix: str, tmp_path: Path) -> None:
    chosen = chosen_state(saved({"state_dict": behind("net.backbone.")}, tmp_path), None, prefix)
    assert equal(dict(chosen.tensors), STATE)
    assert chosen.ignored() == ("1 tensor outside net.backbone.: loss.w",)


def test_without_a_prefix_everything_is_taken(tmp_path: Path) -> None:
    chosen = chosen_state(saved(behind(""), tmp_path), None, None)
    assert equal(dict(chosen.tensors), behind(""))
    assert chosen.ignored() == ()


def test_a_prefix_under_which_nothing_stands_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = saved(behind("net."), tmp_path)
    for prefix in ("ne", "model.", "", "."):
        with pytest.raises(ModelRefused, match=r"no tensor's name begins like this\. Names begin with loss\., net\."):
            chosen_state(path, None, prefix)


def test_prefixes_fit_when_exactly_the_network_stands_under_them() -> None:
    assert fitting_prefixes(behind("a.b."), STATE) == ["a.b."]
    assert fitting_prefixes(behind("student.", "teacher."), STATE) == ["student.", "teacher."]
    assert fitting_prefixes({**behind("a."), "a.loss": torch.ones(1)}, STATE) == []
    assert fitting_prefixes({"a.conv.weight": torch.ones(1)}, STATE) == []
    assert fitting_prefixes(behind("a."), {}) == []


def test_looking_for_a_prefix_takes_no_time_however_many_there_are() -> None:
    many = {f"block{number}.conv.weight": torch.ones(1) for number in range(20_000)}
    assert fitting_prefixes(many, STATE) == []


def test_weights_of_another_network_are_explained() -> None:
    assert "is it another network" in misfit_hints({"a": torch.zeros(1)}, STATE, 3)[0]


def test_weights_that_nearly_fit_are_left_to_the_names_in_the_message() -> None:
    assert misfit_hints({**STATE, "extra": torch.zeros(1)}, STATE, 3) == []
