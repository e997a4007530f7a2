from __future__ import annotations

import importlib.util

import pytest
import torch

from skinaudit.classifier.config_file import Value
from skinaudit.classifier.networks import build_network
from skinaudit.classifier.refusal import ModelRefused

NETS = "monai.networks.nets."
TINY: dict[str, Value] = {
    "spatial_dims": 2,
    "in_channels": 3,
    "out_channels": 3,
    "init_features": 4,
    "growth_rate": 2,
    "block_config": [1, 1],
}
RESNET: dict[str, Value] = {
    "block": "basic",
    "layers": [1, 1, 1, 1],
    "block_inplanes": [4, 4, 4, 4],
    "spatial_dims": 2,
    "n_input_channels": 3,
    "num_classes": 3,
}
VIT: dict[str, Value] = {
    "in_channels": 3,
    "img_size": [32, 32],
    "patch_size": [16, 16],
    "hidden_size": 12,
    "mlp_dim": 12,
    "num_layers": 1,
    "num_heads": 2,
    "num_classes": 3,
    "spatial_dims": 2,
    "classification": True,
}


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        (f"{NETS}DenseNet", TINY),
        ("densenet121", {**TINY, "norm": ["instance", {"affine": True}], "pretrained": False, "progress": False}),
        (f"{NETS}ResNet", RESNET),
        (f"{NETS}resnet10", {"spatial_dims": 2, "n_input_channels": 3, "num_classes": 3, "widen_factor": 0.25}),
        (f"{NETS}SEResNet50", {"layers": [1, 1, 1, 1], "spatial_dims": 2, "in_channels": 3, "num_classes": 3}),
        (f"{NETS}EfficientNetBN", {"model_name": "efficientnet-b0", "num_classes": 3}),
        ("torchvision.models.squeezenet1_1", {"num_classes": 3, "weights": None}),
        ("torchvision.models.shufflenet_v2_x0_5", {"num_classes": 3}),
        ("torchvision.models.googlenet", {"num_classes": 3, "aux_logits": False}),
        ("timm.create_model", {"model_name": "test_resnet", "num_classes": 3}),
        ("timm.create_model", {"model_name": "test_resnet.r160_in1k", "num_classes": 3, "pretrained": False}),
        ("timm.create_model", {"model_name": "test_vit", "num_classes": 3, "img_size": 64}),
    ],
)
def test_a_network_on_the_list_is_built(target: str, arguments: dict[str, Value]) -> None:
    network = build_network(target, arguments).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_monais_vision_transformer_is_built_or_the_missing_package_named() -> None:
    if importlib.util.find_spec("einops") is None:
        with pytest.raises(ModelRefused, match=r"needs a package that is not installed.*einops"):
            build_network(f"{NETS}ViT", VIT)
    else:
        logits, _ = build_network(f"{NETS}ViT", VIT)(torch.zeros(1, 3, 32, 32))
        assert logits.shape == (1, 3)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "torch.nn.Linear",
        "torchvision.models.list_models",
        "torchvision.models.get_model",
        "torchvision.models.segmentation.fcn_resnet50",
        "torchvision.models.ResNet",
        "monai.networks.nets.UNet",
        "monai.networks.nets.TorchVisionFCModel",
        "monai.bundle.run",
        "timm.list_models",
        "timm.models.load_checkpoint",
        "DenseNet.__init__",
        "",
        "$import os",
    ],
)
def test_a_target_off_the_list_is_refused(target: str) -> None:
    with pytest.raises(ModelRefused, match="is not on the list of networks"):
        build_network(target, {})


@pytest.mark.parametrize(
    ("target", "arguments", "nearest"),
    [
        ("torchvision.models.densnet121", {}, "torchvision:densenet121"),
        ("torchvision.models.ResNet50", {}, "torchvision:resnet50"),
        ("torchvision.models.efficientnet_lite0", {}, "timm:efficientnet_lite0"),
        ("monai.networks.nets.Densenet122", {}, "monai:DenseNet121"),
        ("timm.create_model", {"model_name": "resnet-50"}, "timm:resnet50"),
    ],
)
def test_an_unknown_network_is_refused_with_the_nearest_names_and_not_with_all(
    target: str, arguments: dict[str, Value], nearest: str
) -> None:
    with pytest.raises(ModelRefused) as caught:
        build_network(target, arguments)
    message = str(caught.value)
    assert f"Nearest are {nearest}," in message
    assert "All of them: skinaudit models networks" in message
    assert len(message) < 350


def test_where_nothing_is_near_nothing_is_offered() -> None:
    with pytest.raises(ModelRefused) as caught:
        build_network("os.system", {})
    assert str(caught.value).endswith("is not on the list of networks. All of them: skinaudit models networks")


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        ("densenet121", {**TINY, "pretrained": True}, "pretrained=True asks for pre-trained weights"),
        ("densenet121", {**TINY, "pretrained": 0}, "asks for pre-trained weights"),
        ("torchvision.models.resnet18", {"weights": "DEFAULT"}, "weights='DEFAULT' asks for pre-trained weights"),
        ("timm.create_model", {"model_name": "hf-hub:timm/resnet18.a1_in1k"}, "is not a model of timm"),
        ("timm.create_model", {"model_name": "local-dir:/etc"}, "is not a model of timm"),
        ("timm.create_model", {"model_name": "../resnet18"}, "is not a model of timm"),
        ("timm.create_model", {"num_classes": 3}, "is not a model of timm"),
        (
            "timm.create_model",
            {"model_name": "resnet18", "checkpoint_path": "x.pth"},
            "checkpoint_path is not accepted",
        ),
        ("timm.create_model", {"model_name": "resnet18", "features_only": True}, "features_only is not accepted"),
        ("timm.create_model", {"model_name": "resnet18", "scriptable": True}, "scriptable is not accepted"),
        ("torchvision.models.resnet18", {"norm_layer": "x"}, "norm_layer is not accepted"),
        (f"{NETS}ViT", {**VIT, "classification": False}, "classification must be true"),
        (f"{NETS}DenseNet", {**TINY, "out_channels": "$3"}, "is not a literal"),
        (f"{NETS}DenseNet", {**TINY, "act": {"_target_": "os.system"}}, "an argument must be a literal"),
        (f"{NETS}DenseNet", {**TINY, "act": ["relu", {"inplace": "@x"}]}, "is not a literal"),
        (f"{NETS}DenseNet", {**TINY, "init_features": 10**9}, "numbers up to 65536"),
        (f"{NETS}DenseNet", {**TINY, "block_config": [1] * 1001}, "at most 1000"),
        (f"{NETS}DenseNet", {**TINY, "act": "no such activation"}, "cannot be built with these arguments"),
        (f"{NETS}DenseNet", {"spatial_dims": 2}, "cannot be built with these arguments"),
    ],
)
def test_an_argument_that_is_not_accepted_is_named(target: str, arguments: dict[str, Value], message: str) -> None:
    with pytest.raises(ModelRefused, match=message):
        build_network(target, arguments)


def test_building_leaves_the_random_state_as_it_was() -> None:
    before = torch.get_rng_state()
    build_network(f"{NETS}DenseNet", TINY)
    assert torch.equal(torch.get_rng_state(), before)
