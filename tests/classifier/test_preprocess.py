from __future__ import annotations

from pathlib import Path

import monai.transforms
import numpy as np
import pytest
import torch
from PIL import Image

from skinaudit.classifier.classifier import load_classifier
from skinaudit.classifier.config_file import Value
from skinaudit.classifier.preprocess import PreprocessError, read_preprocess
from tests.bundles import DEVIATION, MEAN, make_bundle, usual_transforms

LOAD: list[Value] = [{"_target_": "LoadImage"}, {"_target_": "EnsureChannelFirst"}]
IMAGENET: dict[str, Value] = {
    "_target_": "NormalizeIntensity",
    "subtrahend": MEAN,
    "divisor": DEVIATION,
    "channel_wise": True,
}

#: Name -> transforms; each is compared with MONAI's own Compose of the same list.
PIPELINES: dict[str, list[Value]] = {
    "usual": usual_transforms(32),
    "photograph's own axes": [
        {"_target_": "LoadImage", "reverse_indexing": False, "reader": "PILReader", "ensure_channel_first": True},
        {"_target_": "monai.transforms.Resize", "spatial_size": [24, 40]},
        {"_target_": "ScaleIntensityRange", "a_min": 0, "a_max": 255, "b_min": -1, "b_max": 1, "clip": True},
    ],
    "longest side then padding": [
        {"_target_": "LoadImageD", "keys": ["image"], "image_only": True},
        {"_target_": "EnsureChannelFirstDict", "keys": ["image"], "channel_dim": -1},
        {"_target_": "Resized", "keys": "image", "spatial_size": 40, "size_mode": "longest", "mode": "bicubic"},
        {"_target_": "ResizeWithPadOrCropd", "keys": "image", "spatial_size": [32, 36], "mode": "constant"},
        {"_target_": "ScaleIntensityd", "keys": "image"},
        {"_target_": "ToTensord", "keys": "image"},
    ],
    "anti-aliased then cropped": [
        *LOAD,
        {"_target_": "Resize", "spatial_size": [40, 44], "mode": "bilinear", "anti_aliasing": True},
        {"_target_": "CenterSpatialCrop", "roi_size": [32, 30]},
        {"_target_": "ScaleIntensity", "minv": -2.0, "maxv": 3.0, "channel_wise": True},
        {"_target_": "NormalizeIntensity"},
        {"_target_": "EnsureType", "data_type": "tensor"},
    ],
    "anti-aliased with a given sigma": [
        *LOAD,
        {"_target_": "Resize", "spatial_size": [32, 30], "anti_aliasing": True, "anti_aliasing_sigma": [0.5, 1.5]},
        {"_target_": "ScaleIntensity"},
    ],
    "factor, then own statistics of each channel": [
        *LOAD,
        {"_target_": "Resize", "spatial_size": [32, 32], "mode": "bilinear", "align_corners": True},
        {"_target_": "ScaleIntensity", "minv": None, "maxv": None, "factor": -0.5},
        {"_target_": "NormalizeIntensity", "channel_wise": True},
    ],
    "one number for all channels": [
        *LOAD,
        {"_target_": "ResizeWithPadOrCrop", "spatial_size": 48},
        {"_target_": "NormalizeIntensity", "subtrahend": 127.5, "divisor": 60.0},
    ],
    "range without target": [
        *LOAD,
        {"_target_": "Resize", "spatial_size": [32, 32], "mode": "nearest"},
        {"_target_": "ScaleIntensityRange", "a_min": 20, "a_max": 200, "b_min": 0, "clip": True},
        IMAGENET,
    ],
}


def photograph(seed: int = 0, height: int = 61, width: int = 83) -> np.ndarray:
    """Smooth, coloured, not square, different along both axes."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, size=(7, 9, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def monai_gives(transforms: list[Value], path: Path) -> torch.Tensor:
    """MONAI's own result for a file: the oracle."""
    steps = []
    key = None
    for entry in transforms:
        assert isinstance(entry, dict)
        arguments = {name: value for name, value in entry.items() if name != "_target_"}
        key = arguments.get("keys", key)
        steps.append(getattr(monai.transforms, str(entry["_target_"]).rpartition(".")[2])(**arguments))
    compose = monai.transforms.Compose(steps)
    result = compose({"image": str(path)})["image"] if key else compose(str(path))
    return result.as_tensor() if hasattr(result, "as_tensor") else result


@pytest.mark.parametrize("file", ["photograph.png", "photograph.jpg"])
@pytest.mark.parametrize("name", PIPELINES)
def test_network_input_equals_what_monai_gives(name: str, file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    Image.fromarray(photograph()).save(path)
    with Image.open(path) as image:
        decoded = np.array(image)
    preprocess = read_preprocess(PIPELINES[name])

    ours = preprocess.intensity(preprocess.geometry(decoded)[None] / 255)

    oracle = monai_gives(PIPELINES[name], path)
    assert ours.shape[1:] == oracle.shape == (3, *preprocess.spatial)
    torch.testing.assert_close(ours[0], oracle, atol=2e-4, rtol=1e-5)


@pytest.mark.parametrize("name", PIPELINES)
def test_the_differentiable_geometry_is_the_real_one(name: str) -> None:
    preprocess = read_preprocess(PIPELINES[name])
    pixels = photograph()
    picture = preprocess.from_display(torch.from_numpy(pixels).permute(2, 0, 1)).float().contiguous()
    real = preprocess.geometry(pixels)
    torch.testing.assert_close(preprocess.differentiable(picture), real, rtol=0, atol=1e-3)
    leaf, weights = picture.clone().requires_grad_(), torch.randn(real.shape)
    (slope,) = torch.autograd.grad((preprocess.differentiable(leaf) * weights).sum(), leaf)
    # Linear: the product with the slope is the weighted result, at any picture.
    product = (slope.double() * picture).sum()
    torch.testing.assert_close(product, (real.double() * weights).sum(), rtol=1e-3, atol=0.5)


@pytest.mark.parametrize("name", PIPELINES)
def test_logits_equal_those_of_monais_compose(name: str, tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "bundle", transforms=PIPELINES[name]))
    path = tmp_path / "photograph.png"
    Image.fromarray(photograph(1)).save(path)

    ours = classifier(classifier.preprocess.geometry(photograph(1))[None] / 255)

    oracle = classifier.network(monai_gives(PIPELINES[name], path)[None])
    torch.testing.assert_close(ours, oracle, atol=1e-4, rtol=0)


def test_images_of_a_batch_are_scaled_each_on_its_own() -> None:
    preprocess = read_preprocess(PIPELINES["anti-aliased then cropped"])
    images = torch.stack([preprocess.geometry(photograph(seed)) for seed in range(3)]) / 255

    together = preprocess.intensity(images)

    alone = torch.cat([preprocess.intensity(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", PIPELINES)
def test_gradient_of_the_intensity_steps_is_right(name: str) -> None:
    # Sides of 6 keep the numerical Jacobian small; the steps do not look at the size.
    layers = read_preprocess(PIPELINES[name]).intensity.double()
    generator = torch.Generator().manual_seed(3)
    # Distinct values inside (0.1, 0.75): no ties for the minimum and nothing at a clipping edge.
    values = (torch.randperm(108, generator=generator).double() + 0.5) / 108 * 0.65 + 0.1
    x = values.reshape(1, 3, 6, 6).requires_grad_()
    assert torch.autograd.gradcheck(layers, (x,), eps=1e-6, atol=1e-3, rtol=1e-3)


def test_shown_pixels_are_the_rounded_geometry_within_eight_bits() -> None:
    preprocess = read_preprocess(PIPELINES["longest side then padding"])
    pixels = photograph()
    exact = preprocess.geometry(pixels)

    shown = preprocess.shown(pixels)

    assert shown.dtype == torch.uint8
    assert (shown.float() - exact.clamp(0, 255)).abs().max() <= 0.5
    assert preprocess.ends_in_float


def test_nearest_neighbours_and_padding_need_no_rounding() -> None:
    for name in ("range without target", "one number for all channels"):
        preprocess = read_preprocess(PIPELINES[name])
        exact = preprocess.geometry(photograph())
        assert not preprocess.ends_in_float
        assert torch.equal(exact, preprocess.shown(photograph()).float())


@pytest.mark.parametrize("name", ["usual", "photograph's own axes"])
def test_what_is_displayed_lies_as_the_photograph_does(name: str) -> None:
    preprocess = read_preprocess(PIPELINES[name])
    shown = preprocess.shown(photograph())

    assert torch.equal(preprocess.from_display(preprocess.to_display(shown)), shown)
    lying = preprocess.to_display(shown).permute(1, 2, 0).double().numpy()
    # The photograph itself, shrunk by another library, must look like it; its transpose must not.
    height, width = lying.shape[:2]
    oracle = np.array(Image.fromarray(photograph()).resize((width, height), Image.Resampling.BILINEAR), dtype=float)
    assert np.abs(lying - oracle).mean() < 12
    square = np.array(Image.fromarray(photograph().transpose(1, 0, 2)).resize((width, height)), dtype=float)
    assert np.abs(lying - square).mean() > 30


def test_width_comes_before_height_as_in_monai() -> None:
    size: list[Value] = [{"_target_": "Resize", "spatial_size": [20, 30]}]
    assert read_preprocess([*LOAD, *size]).to_display(torch.zeros(3, 20, 30)).shape == (3, 30, 20)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 4), (0, 5, 3)])
def test_pixels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(H,W,3\) uint8"):
        read_preprocess(usual_transforms(8)).geometry(np.zeros(shape, dtype=np.uint8))


def test_a_compose_is_read_like_its_list() -> None:
    compose: Value = {"_target_": "monai.transforms.Compose", "transforms": usual_transforms(8)}
    assert read_preprocess(compose).describe() == read_preprocess(usual_transforms(8)).describe()


def test_description_says_on_which_side_of_the_attack_a_step_stands() -> None:
    lines = read_preprocess(usual_transforms(8)).describe()
    assert lines[2] == "3. Resize(spatial_size=[8, 8], mode=bilinear), before the attack"
    assert lines[3].endswith("b_max=1), inside the classifier")


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [{"_target_": "Resize", "spatial_size": [32, -1]}],
        [{"_target_": "Resize", "spatial_size": 32, "size_mode": "longest"}],
        [{"_target_": "CenterSpatialCrop", "roi_size": 32}],
    ],
)
def test_a_size_that_stays_free_is_refused(steps: list[Value]) -> None:
    with pytest.raises(PreprocessError, match="a fixed size is needed"):
        read_preprocess([*LOAD, *steps])
