from __future__ import annotations

import pytest

from skinaudit.classifier.arguments import PreprocessError
from skinaudit.classifier.config_file import Value
from skinaudit.classifier.transforms import read_steps

LOAD: Value = {"_target_": "LoadImage"}
FIRST: Value = {"_target_": "EnsureChannelFirst"}
RESIZE: Value = {"_target_": "Resize", "spatial_size": [8, 8]}
SCALE: Value = {"_target_": "ScaleIntensityRange", "a_min": 0, "a_max": 255, "b_min": 0, "b_max": 1}


def step(name: str, **arguments: Value) -> Value:
    return {"_target_": name, **arguments}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([LOAD, FIRST, RESIZE, step("RandFlip")], r"transform 4 \(RandFlip\): unknown transform"),
        ([LOAD, FIRST, step("os.system", command="true")], r"transform 3 \(os.system\): unknown transform"),
        ([LOAD, FIRST, step("monai.bundle.transforms.Resize")], "unknown transform"),
        ([LOAD, FIRST, SCALE, RESIZE], r"transform 4 \(Resize\): a geometry step after an intensity step"),
        ([LOAD, FIRST, step("Resize", spatial_size=[8, 8], lazy=True)], r"\(Resize\): unknown argument lazy"),
        ([LOAD, FIRST, step("Resize", spatial_size="$(8, 8)")], "is not a literal"),
        ([LOAD, FIRST, step("Resize", spatial_size=["@size", 8])], "is not a literal"),
        ([LOAD, FIRST, step("ScaleIntensity", dtype={"_target_": "numpy.float32"})], "may not be an object"),
        ([FIRST, RESIZE], r"transform 1 \(EnsureChannelFirst\): LoadImage must be the first"),
        ([LOAD, LOAD, FIRST], r"transform 2 \(LoadImage\): LoadImage must be the first transform and stand there once"),
        ([LOAD, RESIZE], "the channels are not first yet"),
        ([LOAD, SCALE], "the channels are not first yet"),
        ([LOAD], "no step puts the channels first"),
        ([LOAD, FIRST, FIRST], "the channels are first already"),
        ([LOAD, step("EnsureChannelFirst", channel_dim="no_channel")], "channel_dim must be -1"),
        ([step("LoadImage", reader="ITKReader")], "reader must be one of null, PILReader"),
        ([step("LoadImage", image_only=False)], "image_only must be true"),
        ([step("LoadImage", reverse_indexing="yes")], "reverse_indexing must be true or false"),
        ([step("LoadImage", dtype="uint8")], "dtype must be one of float32"),
        ([step("LoadImaged", keys=["image", "label"])], "keys must name the one image key"),
        ([step("LoadImaged", keys="image"), step("EnsureChannelFirstd", keys="label")], "the same single image key"),
        ([step("LoadImaged", keys="image"), FIRST], "the same single image key"),
        ([LOAD, FIRST, step("Resize", spatial_size=8)], "spatial_size must be two whole numbers"),
        ([LOAD, FIRST, step("Resize", spatial_size=[8, 8], size_mode="longest")], "spatial_size must be two"),
        ([LOAD, FIRST, step("Resize", spatial_size=0, size_mode="longest")], "at least 1"),
        ([LOAD, FIRST, step("Resize", spatial_size=[8, 8, 8])], "one or two whole numbers"),
        ([LOAD, FIRST, step("Resize", spatial_size=[8, True])], "one or two whole numbers"),
        ([LOAD, FIRST, step("Resize", spatial_size=[8, 100_000])], "up to 2048"),
        ([LOAD, FIRST, step("Resize")], "one or two whole numbers"),
        ([LOAD, FIRST, step("Resize", spatial_size=[8, 8], mode="lanczos")], "mode must be one of nearest"),
        ([LOAD, FIRST, step("Resize", spatial_size=[8, 8], align_corners=True)], "no meaning with mode area"),
        ([LOAD, FIRST, step("Resize", spatial_size=[8, 8], anti_aliasing_sigma=-1)], "anti_aliasing_sigma"),
        ([LOAD, FIRST, step("Resize", spatial_size=[8, 8], anti_aliasing_sigma=[1, 1e9])], "from 0 to 100"),
        ([LOAD, FIRST, step("Resize", spatial_size=[8, 8], anti_aliasing_sigma=[])], "from 0 to 100"),
        ([LOAD, FIRST, step("ResizeWithPadOrCrop", spatial_size=8, mode="reflect")], "mode must be one of constant"),
        ([LOAD, FIRST, step("ScaleIntensity", minv="0")], "minv must be a number"),
        ([LOAD, FIRST, step("ScaleIntensityRange", a_max=255)], "a_min must be a number"),
        ([LOAD, FIRST, step("ScaleIntensityRange", a_min=1, a_max=1)], "a_min and a_max are equal"),
        ([LOAD, FIRST, step("ScaleIntensityRange", a_min=0, a_max=1, clip=True)], "clip needs b_min or b_max"),
        ([LOAD, FIRST, step("NormalizeIntensity", subtrahend=[1, 2, 3])], "three numbers with channel_wise true"),
        ([LOAD, FIRST, step("NormalizeIntensity", divisor=2, channel_wise=True)], "three numbers with channel_wise"),
        ([LOAD, FIRST, step("NormalizeIntensity", divisor=[1, 2], channel_wise=True)], "three numbers"),
        ([LOAD, FIRST, step("NormalizeIntensity", nonzero=True)], "nonzero true is not supported"),
        ([LOAD, FIRST, step("ToTensor", device="cuda")], "device must be one of null, cpu"),
        ([LOAD, FIRST, "Resize"], "must be a list of"),
        ([], "must be a list of"),
    ],
)
def test_a_step_that_cannot_be_read_is_named(steps: list[Value], message: str) -> None:
    with pytest.raises(PreprocessError, match=message):
        read_steps(steps)


@pytest.mark.parametrize(
    ("compose", "message"),
    [
        ({"_target_": "os.system", "transforms": [LOAD]}, "a list of transforms or a Compose, got 'os.system'"),
        ({"_target_": "Compose", "transforms": [LOAD], "lazy": True}, "Compose: unknown argument lazy"),
        ({"_target_": "Compose"}, "must be a list of"),
        ("$transforms", "must be a list of"),
    ],
)
def test_only_a_plain_compose_is_read(compose: Value, message: str) -> None:
    with pytest.raises(PreprocessError, match=message):
        read_steps(compose)


def test_a_crop_of_a_known_size_keeps_it_known() -> None:
    steps = read_steps([LOAD, FIRST, RESIZE, step("CenterSpatialCrop", roi_size=[6, 20])])
    assert steps.spatial == (6, 8)


def test_conversions_may_stand_between_geometry_steps() -> None:
    steps = read_steps([LOAD, FIRST, step("ToTensor", track_meta=False), RESIZE, SCALE, step("EnsureType")])
    assert steps.spatial == (8, 8)
    assert len(steps.intensity) == 2
