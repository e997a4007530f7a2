"""``skinaudit models networks`` as a user runs it."""

from __future__ import annotations

import json

import pytest

from skinaudit.classifier.network_text import read_network
from skinaudit.cli import main


def test_networks_are_listed_as_the_option_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "networks"]) == 0
    names = capsys.readouterr().out.splitlines()
    assert {"monai:DenseNet121", "timm:resnet50", "torchvision:vit_b_16"} <= set(names)
    assert len(names) == len(set(names)) > 1000
    for name in names:
        read_network(name, 3, (224, 224))


def test_a_text_narrows_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "networks", "TorchVision:ResNet"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"torchvision:resnet{depth}" for depth in (101, 152, 18, 34, 50)]


def test_json_holds_the_names_and_nothing_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "networks", "no such network", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"exit_code": 0, "networks": []}
    assert "No network's name contains" in printed.err
