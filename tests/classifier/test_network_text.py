from __future__ import annotations

import pytest

from skinaudit.classifier.config_file import Value
from skinaudit.classifier.network_text import network_line, read_network
from skinaudit.classifier.networks import build_network
from skinaudit.classifier.refusal import ModelRefused

FROM_MONAI: dict[str, Value] = {"spatial_dims": 2, "in_channels": 3}


@pytest.mark.parametrize(
    ("text", "target", "arguments"),
    [
        ("timm:resnet50.a1_in1k", "timm.create_model", {"model_name": "resnet50.a1_in1k", "num_classes": 4}),
        ("torchvision:resnet18", "torchvision.models.resnet18", {"num_classes": 4}),
        ("monai:DenseNet121", "monai.networks.nets.DenseNet121", {**FROM_MONAI, "out_channels": 4}),
        (
            "monai:resnet10",
            "monai.networks.nets.resnet10",
            {"spatial_dims": 2, "n_input_channels": 3, "num_classes": 4},
        ),
        ("monai:SEResNet50", "monai.networks.nets.SEResNet50", {**FROM_MONAI, "num_classes": 4}),
        (
            "monai:ViT(patch_size=8)",
            "monai.networks.nets.ViT",
            {**FROM_MONAI, "img_size": [48, 64], "classification": True, "num_classes": 4, "patch_size": 8},
        ),
        (
            " monai:EfficientNetBN(model_name='efficientnet-b0', norm=('batch', {'eps': 1e-3}), in_channels=3) ",
            "monai.networks.nets.EfficientNetBN",
            {**FROM_MONAI, "num_classes": 4, "model_name": "efficientnet-b0", "norm": ["batch", {"eps": 1e-3}]},
        ),
    ],
)
def test_names_of_networks_become_targets_with_defaults(text: str, target: str, arguments: dict[str, Value]) -> None:
    assert read_network(text, 4, (48, 64)) == (target, arguments)


@pytest.mark.parametrize(
    "text",
    ["torchvision:squeezenet1_1", "timm:test_resnet", "monai:resnet10(widen_factor=0.1)", "monai:DenseNet",
     "monai:SEResNet50(layers=(1,1,1,1),inplanes=8)", "monai:EfficientNetBN(model_name='efficientnet-b0')"],
)  # fmt: skip
def test_networks_of_every_family_are_built_from_their_name(text: str) -> None:
    assert sum(parameter.numel() for parameter in build_network(*read_network(text, 3, (64, 64))).parameters()) > 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("resnet50", "is not a network's name"),
        ("keras:resnet50", "is not a network's name"),
        ("timm:hf-hub:someone/model", "is not a network's name"),
        ("timm:" + "x" * 2000, "is not a network's name"),
        ("timm:resnet50(3)", "arguments must be written"),
        ("timm:resnet50(a=1)(b=2)", "arguments must be written"),
        ("timm:resnet50(a=)", "arguments must be written"),
        ("timm:resnet50(**{'a': 1})", r"\*\* is not accepted"),
        ("timm:resnet50(a=__import__('os').system('id'))", "a is not a literal"),
        ("timm:resnet50(a=" + "-" * 900 + "1)", "literal|must be written"),
        ("timm:resnet50(a=b'x')", "a holds a bytes"),
        ("timm:resnet50(a={1: 2})", "a holds a dict"),
        ("timm:resnet50(a={1, 2})", "a holds a set"),
    ],
)
def test_anything_but_a_name_with_literals_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ModelRefused, match=problem):
        read_network(text, 3, None)


def test_the_line_of_a_report_names_target_and_arguments() -> None:
    assert network_line("a.b", {"x": 1, "y": "z"}) == "a.b(x=1, y=z)"
