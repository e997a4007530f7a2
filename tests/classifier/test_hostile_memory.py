"""Files that would cost memory, time or the process itself: refused within 2 GiB and seconds."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from skinaudit.classifier.config_file import Value
from tests.bundles import make_bundle
from tests.classifier import hostile
from tests.classifier.hostile import as_torch, as_yaml, config, grown, network, written

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")

INFERENCE = "configs/inference.json"
BIG = 65_536


def timm(**arguments: Value) -> Callable[[Path], object]:
    return config(network_def={"_target_": "timm.create_model", "num_classes": 3, **arguments})


def resnet(**arguments: Value) -> Callable[[Path], object]:
    usual: dict[str, Value] = {"block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [4, 4, 4, 4]}
    sides: dict[str, Value] = {"spatial_dims": 2, "n_input_channels": 3, "num_classes": 3}
    return config(network_def={"_target_": "monai.networks.nets.ResNet", **usual, **sides, **arguments})


def many_tensors(count: int) -> bytes:
    entries = ",".join(f'"{place}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for place in range(count))
    return hostile.safetensors(f"{{{entries}}}".encode())


def long_directory() -> bytes:
    """An archive that is nearly all directory: each of its entries costs a reader ten times its own size."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"x"
    directory = entry * 200_000
    return b"PK\x03\x04" + directory + b"PK\x05\x06" + bytes(8) + struct.pack("<IIH", len(directory), 4, 0)


def grown_by_updates() -> bytes:
    """A dictionary of 100 000 entries, copied into as many others as fit."""
    items = b"".join(hostile.whole(place) + b"N" for place in range(100_000))
    return hostile.archive(
        hostile.entry(b"}(" + items + b"uq\x01(" + b"ccollections\nOrderedDict\n)Rh\x01b" * 50_000 + b"l")
    )


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "JSON 1 000 000 deep": (written(INFERENCE, "[" * 10**6 + "]" * 10**6), "2000000 bytes; .* at most"),
    "JSON 500 000 deep": (written(INFERENCE, "[" * 500_000 + "]" * 500_000), "nested deeper than 100"),
    "objects 150 000 deep": (written(INFERENCE, '{"a":' * 150_000 + "1" + "}" * 150_000), "nested deeper than 100"),
    "YAML 1 000 000 deep": (as_yaml("[" * 10**6 + "]" * 10**6), "2000000 bytes; .* at most"),
    "YAML 130 000 deep": (as_yaml("[" * 130_000 + "]" * 130_000), "nested deeper than 100"),
    "YAML of many keys": (
        as_yaml("".join(f"{place}a: 1\n" for place in range(25_000))),
        "entry .network_def. is missing",
    ),
    "a config of 200 MB": (grown(INFERENCE, 200 * 2**20), "209715200 bytes; .* at most"),
    "weights of 1 TB": (grown(hostile.WEIGHTS, 2**40), "1099511627776 bytes; .* at most"),
    "a torch file of 1 TB": (
        lambda bundle: grown("models/model.pt", 2**40)(as_torch(lambda: b"PK\x03\x04")(bundle)),
        "1099511627776 bytes; .* at most",
    ),
    "a header of 1 GB": (
        lambda bundle: grown(hostile.WEIGHTS, 2**30 + 8)(
            written(hostile.WEIGHTS, hostile.safetensors({}, length=2**30))(bundle)
        ),
        "the header says 1073741824 bytes",
    ),
    "a million tensors": (written(hostile.WEIGHTS, many_tensors(1_000_000)), "the header says .* are accepted"),
    "fifty thousand tensors": (written(hostile.WEIGHTS, many_tensors(50_000)), "unexpected: 0, 1, 10, 100, 1000"),
    "a bytearray of 16 GB": (
        as_torch(lambda: hostile.archive(hostile.entry(hostile.called("builtins", "bytearray", hostile.whole(2**34))))),
        "asks for builtins.bytearray",
    ),
    "a tuple 1 000 000 deep as a key": (
        as_torch(lambda: hostile.archive(hostile.entry(b"N", key=b")" + b"\x85" * 10**6))),
        "nested deeper than 50",
    ),
    "a dictionary copied 50 000 times": (as_torch(grown_by_updates), "more than 10 BUILD"),
    "a million tensors in a pickle": (
        as_torch(lambda: hostile.archive(hostile.entry(b"(" + hostile.tensor(1, 1, 1) * 100_000 + b"t"))),
        "its pickle has .* bytes; at most",
    ),
    "two million operations": (
        as_torch(lambda: hostile.archive(hostile.entry(b"(" + b"N0" * 10**6 + b"t"))),
        "uses the operation POP",
    ),
    "a million numbers": (
        as_torch(lambda: hostile.archive(hostile.entry(b"](" + b"N" * 10**6 + b"e"))),
        "more than 1000000 operations",
    ),
    "one number a trillion times": (
        as_torch(lambda: hostile.archive(hostile.entry(hostile.tensor(1, 10**12, 0)), {"x/data/0": bytes(4)})),
        "repeats stored values",
    ),
    "a record that unpacks to 200 MB": (
        as_torch(lambda: hostile.archive(bytes(200 * 2**20), compression=zipfile.ZIP_DEFLATED)),
        "compressed or encrypted",
    ),
    "a long directory": (as_torch(long_directory), "the archive's directory has 9400000 bytes"),
    "a network of 65536 features": (config(network_def=network(init_features=BIG)), "takes [0-9]{10,} bytes"),
    "a network that grows by 65536": (
        config(network_def=network(init_features=BIG, growth_rate=BIG)),
        "a network with these arguments takes [0-9]{12,} bytes",
    ),
    "a network of 100 000 layers": (
        config(network_def=network(block_config=[10**4] * 10)),
        "block_config asks for 100000 layers",
    ),
    "a network of 262 144 layers": (resnet(layers=[BIG] * 4), "layers asks for 262144 layers"),
    "a kernel of 65536": (resnet(conv1_t_size=BIG), "takes [0-9]{12,} bytes"),
    "a stride of nothing": (resnet(conv1_t_stride=0), "do not belong to the network"),
    "no channels": (resnet(widen_factor=0.0), "cannot be built|do not belong"),
    "groups of nothing": (
        config(network_def={"_target_": "SEResNet50", "spatial_dims": 2, "in_channels": 3, "groups": 0}),
        "cannot be built with these arguments",
    ),
    "a million classes": (config(network_def=network(out_channels=10**6)), "numbers up to 65536"),
    "a transformer for a huge image": (
        timm(model_name="vit_tiny_patch16_224", img_size=BIG, patch_size=1),
        "takes [0-9]{12,} bytes",
    ),
    "positions of a huge image": (timm(model_name="beit_base_patch16_224", img_size=4096), "takes [0-9]{12,} bytes"),
    "windows of a huge image": (timm(model_name="swin_tiny_patch4_window7_224", img_size=BIG), "bytes|do not belong"),
    "the largest model of timm": (timm(model_name="eva02_enormous_patch14_clip_224"), "takes [0-9]{11,} bytes"),
    "a small file and a huge image": (
        # 2.4 million weights, and 16384 channels of 1024 x 1024 behind the first layer.
        lambda bundle: (
            shutil.rmtree(bundle),
            make_bundle(bundle, network=network(init_features=16_384, block_config=[1]), size=2048),
        ),
        "one image takes at least [0-9]{11,} bytes inside the network",
    ),
}


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str, float, float]]:
    """Load all of them in one process: starting one takes seconds."""
    folder = tmp_path_factory.mktemp("heavy")
    harmless = make_bundle(folder / "harmless")
    places = []
    for place, (spoil, _) in enumerate(CASES.values()):
        bundle = Path(shutil.copytree(harmless, folder / str(place)))
        spoil(bundle)
        places.append(str(bundle))
    command = [sys.executable, "-m", "tests.classifier.loading", str(harmless), *places]
    root = Path(__file__).parents[2]
    told = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    for place in places:
        shutil.rmtree(place)
    lines = [json.loads(line) for line in told.stdout.splitlines() if line.startswith("[")]
    assert told.returncode == 0, (len(lines), told.stderr[-1000:])
    return {name: tuple(line[1:]) for name, line in zip(CASES, lines, strict=True)}


@pytest.mark.parametrize("case", CASES)
def test_a_file_that_costs_much_is_refused_before_it_does(
    case: str, ends: dict[str, tuple[str, str, float, float]]
) -> None:
    end, message, seconds, megabytes = ends[case]
    assert end == "refused", message
    assert re.search(CASES[case][1], message), message
    assert message.isprintable()
    assert megabytes < 500
    assert seconds < 30
