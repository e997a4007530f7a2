from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torchvision.transforms import v2

from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.source import ModelSource
from skinaudit.classifier.stated_preprocess import stated_preprocess
from tests.plain_models import IMAGENET

PLACE = Path("lesion.pt")


def photograph(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def test_an_image_of_the_input_size_reaches_the_network_as_from_torchvision() -> None:
    stated = stated_preprocess(ModelSource(PLACE, mean=IMAGENET[0], std=IMAGENET[1], size=(40, 60)))
    pixels = photograph(40, 60)
    ours = stated.preprocess.intensity(stated.preprocess.geometry(pixels)[None] / 255)
    theirs = v2.functional.normalize(
        v2.functional.to_dtype(v2.functional.to_image(Image.fromarray(pixels)), scale=True), *map(list, IMAGENET)
    )
    assert ours.shape == (1, 3, 40, 60)
    assert torch.allclose(ours[0], theirs, atol=1e-5, rtol=0)


def test_resizing_is_close_to_that_of_torchvision() -> None:
    stated = stated_preprocess(ModelSource(PLACE, mean=(0.0,) * 3, std=(1.0,) * 3, size=(32, 48)))
    pixels = photograph(150, 200)
    theirs = v2.functional.resize(torch.from_numpy(pixels).permute(2, 0, 1).float(), [32, 48], antialias=True)
    assert float((stated.preprocess.geometry(pixels) - theirs).abs().mean()) < 2  # of 255 grey levels


def test_maps_lie_as_the_photograph_does() -> None:
    stated = stated_preprocess(ModelSource(PLACE, mean=(0.0,) * 3, std=(1.0,) * 3, size=(32, 48)))
    one = torch.rand(32, 48)
    assert torch.equal(stated.preprocess.to_display(one), one)


def test_nothing_is_assumed_where_everything_is_stated() -> None:
    stated = stated_preprocess(ModelSource(PLACE, mean=(0.1, 0.2, 0.3), std=(1.0, 0.2, 0.3), size=(32, 48)), "resnet18")
    assert (stated.mean, stated.std, stated.size, stated.assumed) == ((0.1, 0.2, 0.3), (1.0, 0.2, 0.3), (32, 48), ())


def test_what_timm_knows_stands_in_and_is_said() -> None:
    stated = stated_preprocess(ModelSource(PLACE, std=(1.0, 1.0, 1.0)), "tf_efficientnet_lite0")
    published = timm.get_pretrained_cfg("tf_efficientnet_lite0")
    assert stated.size == published.input_size[1:]
    assert stated.mean == published.mean
    assert stated.std == (1.0, 1.0, 1.0)
    assert stated.assumed == (
        "size 224x224, mean 0.5,0.5,0.5: not stated, taken from timm's settings of tf_efficientnet_lite0",
    )


def test_nothing_is_assumed_silently_of_other_networks() -> None:
    with pytest.raises(ModelRefused, match=r"lesion\.pt: .* Give --size and --std,"):
        stated_preprocess(ModelSource(PLACE, mean=(0.0, 0.0, 0.0)))


@pytest.mark.parametrize(
    ("size", "mean", "std"),
    [
        ((0, 32), 0.5, 0.5),
        ((32, 5000), 0.5, 0.5),
        ((32, 32), math.nan, 0.5),
        ((32, 32), 0.5, 0.0),
        ((32, 32), 0.5, -1.0),
        ((32, 32), 0.5, math.inf),
    ],
)
def test_numbers_out_of_range_are_refused(size: tuple[int, int], mean: float, std: float) -> None:
    with pytest.raises(ModelRefused, match=r"--size|--mean"):
        stated_preprocess(ModelSource(PLACE, mean=(mean, mean, mean), std=(std, std, std), size=size))


@pytest.mark.parametrize(
    ("mean", "std", "instead"),
    [
        ((127, 127, 127), (58.4, 57.12, 57.38), "--mean 0.498,0.498,0.498 --std 0.229,0.224,0.225"),
        ((123.675, 116.28, 103.53), (1, 1, 1), "--mean 0.485,0.456,0.406 --std 0.003922,0.003922,0.003922"),
        ((0, 0, 0), (255, 255, 255), "--mean 0,0,0 --std 1,1,1"),
        ((127, 127, 127), (0, 1, 1), ""),
        ((-0.5, 0.5, 0.5), (0.5, 0.5, 0.5), ""),
        ((0.5, 0.5, 0.5), (0, 0.5, 0.5), ""),
    ],
)
def test_mean_and_deviation_of_another_scale_are_refused_with_those_of_ours(
    mean: tuple[float, float, float], std: tuple[float, float, float], instead: str
) -> None:
    with pytest.raises(ModelRefused, match=r"these are of pixels in \[0,1\]") as caught:
        stated_preprocess(ModelSource(PLACE, mean=mean, std=std, size=(32, 32)))
    assert str(caught.value).endswith(f"divide them by 255: {instead}" if instead else "at most 1.")


def test_only_what_was_given_is_asked_for_anew() -> None:
    with pytest.raises(ModelRefused, match=r"divide them by 255: --mean 0\.498,0\.498,0\.498$"):
        stated_preprocess(ModelSource(PLACE, mean=(127, 127, 127)), "tf_efficientnet_lite0")
