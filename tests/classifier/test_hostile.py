"""Nothing that a file can do to us: nothing runs, nothing else is read, one line says what and where."""

from __future__ import annotations

import os
import re
import shutil
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from skinaudit.classifier import files
from skinaudit.classifier.classifier import load_classifier
from skinaudit.classifier.refusal import MAX_LENGTH, ModelRefused
from skinaudit.classifier.weights import read_weights
from skinaudit.cli import main
from tests.bundles import change_config, make_bundle
from tests.classifier import hostile
from tests.classifier.hostile import as_torch, as_yaml, changed_weights, config, first_step, network, written

Spoil = Callable[[Path], object]

RUN = "touch CANARY"
EXPRESSION = "$__import__('os').system('touch CANARY')"
METADATA = "configs/metadata.json"
INFERENCE = "configs/inference.json"


@pytest.fixture(scope="session")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that loads; every hostile one differs from it in one thing. Loading it imports what loading imports."""
    folder = make_bundle(tmp_path_factory.mktemp("models") / "bundle")
    assert main(["models", "show", str(folder)]) == 0
    return folder


@pytest.fixture
def bundle(harmless: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to spoil, in the current directory: commands write their canary there."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(harmless, tmp_path / "bundle"))


def refusal(bundle: Path) -> str:
    """Load a bundle, hold what happens meanwhile against the rules, and give the refusal."""
    before = sorted(str(path) for path in bundle.parent.rglob("*"))
    with hostile.nothing_happens(bundle), pytest.raises(ModelRefused) as caught:
        load_classifier(bundle)
    assert sorted(str(path) for path in bundle.parent.rglob("*")) == before
    message = str(caught.value)
    assert message.startswith("bundle: ")
    assert message.isprintable()
    assert len(message) <= MAX_LENGTH
    return message


def chain(length: int) -> dict[str, object]:
    return {f"a{place}": f"@a{place + 1}" for place in range(length)}


CONFIGS: dict[str, tuple[Spoil, str]] = {
    # code where a network is expected
    "an import for a network": (config(network_def="$import os; os.system('touch CANARY')"), "network_def asks for"),
    "a command for a network": (config(network_def={"_target_": "os.system", "command": RUN}), '"os.system" is not on'),
    "eval": (config(network_def={"_target_": "builtins.eval", "source": RUN}), '"builtins.eval" is not on the list'),
    "exec by MONAI": (config(network_def={"_target_": "monai.bundle.run"}), '"monai.bundle.run" is not on the list'),
    "torch.load": (config(network_def={"_target_": "torch.load", "f": "x"}), '"torch.load" is not on the list'),
    "a path in a name": (config(network_def={"_target_": "monai.networks.nets.../../os"}), "is not on the list"),
    "a dotted way out": (config(network_def={"_target_": "monai.networks.nets.densenet.torch.load"}), "is not on"),
    "an expression for a name": (config(network_def={"_target_": EXPRESSION}), "network_def::_target_ asks for"),
    "a name of control signs": (config(network_def={"_target_": "\x1b]0;x\x07\n\x9b2J"}), r"\\x1b\]0;x\\x07 \\x9b2J"),
    # what MONAI's parser would obey
    "_requires_": (config(network_def=network(_requires_=EXPRESSION)), "network_def::_requires_ asks for"),
    "_requires_ of a list": (config(network_def=network(_requires_=["@run"]), run=EXPRESSION), "run asks for"),
    "_mode_ callable": (config(network_def=network(_mode_="callable")), "argument _mode_ is not accepted"),
    "_mode_ debug": (config(network_def=network(_mode_="debug")), "argument _mode_ is not accepted"),
    "_desc_": (config(network_def=network(_desc_=EXPRESSION)), "network_def::_desc_ asks for"),
    "_disabled_": (config(network_def=network(_disabled_=True)), "argument _disabled_ is not accepted"),
    "an expression as argument": (config(network_def=network(in_channels=EXPRESSION)), "::in_channels asks for"),
    "an expression in nested lists": (config(network_def=network(act=["relu", {"inplace": [EXPRESSION]}])), "::0 asks"),
    "an object as argument": (config(network_def=network(act={"_target_": "os.system"})), "must be a literal"),
    "a reference to an expression": (config(network_def=network(in_channels="@n"), n=EXPRESSION), "n asks for"),
    "a reference to a file": (config(network_def=network(in_channels="%../../etc/passwd#x")), "::in_channels asks for"),
    "a macro for a network": (config(network_def="%configs/train.json::network"), "network_def asks for"),
    "a circle": (config(network_def="@a", a="@b", b="@a"), "leads back to itself"),
    "a circle of one": (config(network_def=network(in_channels="@network_def::in_channels")), "leads back to itself"),
    "a long chain": (config(network_def="@a0", **chain(100)), "more than 10 references in a row"),
    "references that double": (
        config(network_def=network(act="@a0"), **{f"a{n}": [f"@a{n + 1}"] * 20 for n in range(8)}, a8=[1]),
        "grows beyond 20000 values",
    ),
    "an index of 5000 digits": (config(network_def=network(in_channels="@a::" + "9" * 5000), a=[1]), "refers to"),
    "a device in an option": (
        config(network_def=network(norm=["layer", {"normalized_shape": [65536, 65536], "device": "cpu"}])),
        "argument device is not accepted",
    ),
    "weights from elsewhere": (
        config(network_def={"_target_": "timm.create_model", "model_name": "resnet18", "checkpoint_path": "/etc/x"}),
        "checkpoint_path is not accepted",
    ),
    "a model of a hub": (
        config(network_def={"_target_": "timm.create_model", "model_name": "hf-hub:evil/model"}),
        "is not a model of timm",
    ),
    "a model of a folder": (
        config(network_def={"_target_": "timm.create_model", "model_name": "local-dir:../../etc"}),
        "is not a model of timm",
    ),
    # transforms
    "an expression for transforms": (config(preprocessing=EXPRESSION), "preprocessing asks for"),
    "an expression in a transform": (first_step(reader=EXPRESSION), "preprocessing::0::reader asks for"),
    "a reader from elsewhere": (first_step(reader="/etc/passwd"), "reader must be one of"),
    "a command as transform": (first_step(_target_="os.system"), r"transform 1 \(os.system\): unknown transform"),
    "Lambda": (first_step(_target_="Lambdad", func="print"), "unknown transform"),
    "_mode_ of a transform": (first_step(_mode_="debug"), "unknown argument _mode_"),
    "_requires_ of a transform": (first_step(_requires_="x"), "unknown argument _requires_"),
    "a thousand transforms": (config(preprocessing=[{"_target_": "ToTensor"}] * 1000), "at most 50"),
    "a picture of gigabytes": (
        config(preprocessing=[{"_target_": "LoadImage"}, {"_target_": "Resize", "spatial_size": [65536, 65536]}]),
        "channels are not first|up to 2048",
    ),
    # files that are more, or other, than their name says
    "YAML that builds": (as_yaml("network_def: !!python/object/apply:os.system ['touch CANARY']"), "tags"),
    "YAML that names a module": (as_yaml("network_def: !!python/module:payload x"), "tags"),
    "YAML of laughs": (
        as_yaml(
            "a: &a [x]\n"
            + "".join(f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True))
        ),
        "aliases",
    ),
    "YAML that merges": (as_yaml("a: {<<: {b: 1}, b: 2}"), "merge keys"),
    "YAML with a set": (as_yaml("a: !!set {b}"), "tags"),
    "YAML with a key twice": (as_yaml("a: 1\na: 2"), 'the key "a" appears twice'),
    "YAML with a key that is a list": (as_yaml("? [a]\n: b"), "a key must be text"),
    "YAML with a number of base 60": (as_yaml("a: 1" + ":1" * 100_000), "a number of 200001 characters"),
    "YAML with a hexadecimal novel": (as_yaml("a: 0x" + "f" * 90), "a whole number of 360 bits"),
    "YAML of two documents": (as_yaml("a: 1\n---\nb: 1"), "not readable as YAML"),
    "YAML with a null byte": (as_yaml("a: \0"), "not readable as YAML"),
    "JSON with a key twice": (written(INFERENCE, '{"network_def": 1, "network_def": 2}'), "appears twice"),
    "JSON with NaN": (written(INFERENCE, '{"a": NaN}'), "NaN is not a number"),
    "JSON with -Infinity": (written(INFERENCE, '{"a": -Infinity}'), "-Infinity is not a number"),
    "JSON with 1e999": (written(INFERENCE, '{"a": 1e999}'), "inf is not a number"),
    "JSON with 100 000 digits": (written(INFERENCE, '{"a": ' + "9" * 100_000 + "}"), "not readable as JSON"),
    "JSON with 400 digits": (written(INFERENCE, '{"a": ' + "9" * 400 + "}"), "a whole number of 1329 bits"),
    "JSON of half a million values": (
        written(INFERENCE, '{"a": [' + "0," * 500_000 + "0]}"),
        "more than 100000 values",
    ),
    "JSON with a long key": (written(INFERENCE, '{"' + "k" * 5000 + '": 1}'), "a key of 5000 characters"),
    "JSON in UTF-16": (written(INFERENCE, '{"a": 1}'.encode("utf-16")), "not readable as JSON"),
    "JSON with a mark of byte order": (written(INFERENCE, b"\xef\xbb\xbf{}"), "not readable as JSON"),
    "JSON with a null byte": (written(INFERENCE, '{"a": "\0"}'), "not readable as JSON"),
    "JSON that is empty": (written(INFERENCE, ""), "not readable as JSON"),
    "JSON of a list": (written(METADATA, "[]"), "the top level must be an object, got list"),
    # metadata
    "a class name of control signs": (
        lambda bundle: change_config(bundle, "metadata.json", channels("mel\x1b[2J", "nv", "bkl")),
        "different, printable names",
    ),
    "a class name that turns the line": (
        lambda bundle: change_config(bundle, "metadata.json", channels("mel\u202egp.exe", "nv", "bkl")),
        "different, printable names",
    ),
    "half a character as class name": (
        lambda bundle: change_config(bundle, "metadata.json", channels("\ud800", "nv", "bkl")),
        r"\\ud800",
    ),
    "a thousand and one classes": (
        lambda bundle: change_config(bundle, "metadata.json", channels(*(str(n) for n in range(1001)))),
        "at most 1000",
    ),
}


def channels(*names: str) -> dict[str, object]:
    return {
        "network_data_format": {"outputs": {"pred": {"channel_def": {str(n): name for n, name in enumerate(names)}}}}
    }


@pytest.mark.parametrize("case", CONFIGS)
def test_a_hostile_config_is_refused_and_does_nothing(case: str, bundle: Path) -> None:
    spoil, message = CONFIGS[case]
    spoil(bundle)
    assert_says(refusal(bundle), message)


def assert_says(told: str, message: str) -> None:
    assert re.search(message, told), told


FOUR = b"\0\0\0\0"
WEIGHTS: dict[str, tuple[Spoil, str]] = {
    # pickles that run
    "a pickle": (as_torch(lambda: hostile.pickled(hostile.Command(RUN))), "not plain weights: no archive of torch"),
    "an archive with a pickle": (as_torch(lambda: hostile.saved({"w": hostile.Command(RUN)})), "asks for posix.system"),
    "an old torch file": (as_torch(lambda: hostile.saved_as_before_1_6({"w": hostile.Command(RUN)})), "no archive of"),
    "a newer pickle": (
        as_torch(lambda: hostile.archive(hostile.pickled({"w": hostile.Command(RUN)}, 4))),
        "its pickle uses the operation",
    ),
    "a tar file": (as_torch(lambda: b"x" * 257 + b"ustar" + bytes(10_000)), "no archive of torch"),
    "a pickle called safetensors": (
        written(hostile.WEIGHTS, hostile.pickled(hostile.Command(RUN))),
        "cut off or damaged",
    ),
    "a torch file called safetensors": (
        written(hostile.WEIGHTS, hostile.saved({"w": hostile.Command(RUN)})),
        "cut off or damaged",
    ),
    # torch files that harm without running
    "eval in a pickle": (as_torch(lambda: hostile.archive(hostile.entry(b"cbuiltins\neval\n"))), "builtins.eval"),
    "a call of a call": (
        as_torch(lambda: hostile.archive(hostile.entry(b"ccollections\nOrderedDict\n)R)R"))),
        "calls something that makes no tensor",
    ),
    "a long list copied": (
        as_torch(lambda: hostile.archive(hostile.entry(hostile.called("collections", "OrderedDict", b"]")))),
        "calls something that makes no tensor",
    ),
    "a shape that can be grown": (
        as_torch(lambda: hostile.archive(hostile.entry(hostile.called("torch._utils", "_rebuild_tensor_v2", b"]")))),
        "calls something that makes no tensor",
    ),
    "a tuple of a hundred": (
        as_torch(lambda: hostile.archive(hostile.entry(b"(" + b"N" * 100 + b"t"))),
        "a tuple of 100 entries",
    ),
    "eleven updates": (
        as_torch(lambda: hostile.archive(hostile.entry(b"ccollections\nOrderedDict\n)R" + b"}b" * 11))),
        "more than 10 BUILD",
    ),
    "eleven counters": (
        as_torch(
            lambda: hostile.archive(
                hostile.entry(b"(" + hostile.called("collections", "Counter", b"}") * 11 + b"t"),
            )
        ),
        "more than 10 collections Counter",
    ),
    "a pickle cut off": (as_torch(lambda: hostile.archive(b"\x80\x02}")), "its pickle is damaged"),
    "a pickle that takes from nothing": (as_torch(lambda: hostile.archive(b"\x80\x02s.")), "its pickle is damaged"),
    "a pickle that takes a mark": (as_torch(lambda: hostile.archive(b"\x80\x02((s.")), "its pickle is damaged"),
    "a pickle that recalls nothing": (as_torch(lambda: hostile.archive(b"\x80\x02h\x07.")), "its pickle is damaged"),
    "a storage that is not there": (
        as_torch(lambda: hostile.archive(hostile.entry(hostile.tensor(1, 1, 1)))),
        "not plain weights",
    ),
    "a storage larger than the file": (
        as_torch(lambda: hostile.archive(hostile.entry(hostile.tensor(2**40, 2**40, 1)), {"x/data/0": FOUR})),
        "not plain weights",
    ),
    "a shape that overflows": (
        as_torch(lambda: hostile.archive(hostile.entry(hostile.tensor(1, 2**62, 2**62)), {"x/data/0": FOUR})),
        "not plain weights",
    ),
    "one number a trillion times": (
        as_torch(lambda: hostile.archive(hostile.entry(hostile.tensor(1, 10**12, 0)), {"x/data/0": FOUR})),
        r"'a' of shape \(1000000000000,\) repeats stored values",
    ),
    "a compressed record": (
        as_torch(lambda: hostile.archive(b"\x80\x02}.", {"x/data/0": FOUR}, compression=zipfile.ZIP_DEFLATED)),
        "compressed or encrypted",
    ),
    "one name twice in other letters": (
        as_torch(lambda: hostile.archive(b"\x80\x02}.", {"x/DATA.pkl": b"\x80\x02}."})),
        "two entries of the archive have one name",
    ),
    "a control sign in an entry's name": (
        as_torch(lambda: hostile.archive(b"\x80\x02}.", {"x/\x1b[2J": FOUR})),
        "a name is not plain text",
    ),
    "no pickle": (as_torch(lambda: hostile.archive(b"").replace(b"data.pkl", b"data.bin")), "no data.pkl"),
    "something behind the end": (as_torch(lambda: hostile.archive(b"\x80\x02}.") + b"x"), "stands behind its end"),
    "an archive cut off": (as_torch(lambda: hostile.saved({"w": torch.zeros(9)})[:-30]), "cut off"),
    "a second directory": (
        as_torch(lambda: with_a_second_directory(hostile.saved({"w": torch.zeros(9)}))),
        "a second directory",
    ),
    "a sparse tensor": (as_torch(lambda: hostile.saved({"w": torch.eye(3).to_sparse()})), "_rebuild_sparse_tensor"),
    "a complex tensor": (as_torch(lambda: hostile.saved({"w": torch.zeros(3, dtype=torch.complex64)})), "ComplexFloat"),
    "a tensor without values": (as_torch(lambda: hostile.saved({"w": torch.zeros(3, device="meta")})), "_rebuild_meta"),
    "a quantised tensor": (
        as_torch(lambda: hostile.saved({"w": torch.quantize_per_tensor(torch.zeros(3), 1.0, 0, torch.qint8)})),
        "_rebuild_qtensor",
    ),
    "a whole module": (
        as_torch(lambda: hostile.saved(torch.nn.Conv2d(3, 3, 1))),
        "asks for torch.nn.modules.conv.Conv2d",
    ),
    "no tensors": (as_torch(lambda: hostile.saved({"w": 3})), "is not a dense tensor"),
    "names that are no text": (as_torch(lambda: hostile.saved({1: torch.zeros(1)})), "is not a dense tensor"),
    "a name of control signs": (as_torch(lambda: hostile.saved({"\x1b[2J": torch.zeros(1)})), r"unexpected: \\x1b\[2J"),
    # safetensors
    "a header of 2^60 bytes": (written(hostile.WEIGHTS, hostile.safetensors({}, length=2**60)), "cut off or damaged"),
    "a header longer than the file": (
        written(hostile.WEIGHTS, hostile.safetensors({}, length=100)),
        "cut off or damaged",
    ),
    "a header in UTF-16": (written(hostile.WEIGHTS, hostile.safetensors("{}".encode("utf-16"))), "not JSON"),
    "a header that is no text": (written(hostile.WEIGHTS, hostile.safetensors(b"\xff{}")), "not JSON"),
    "a deep header": (written(hostile.WEIGHTS, hostile.safetensors(b"[" * 500_000 + b"]" * 500_000)), "not JSON"),
    "a header with a number of 5000 digits": (
        written(hostile.WEIGHTS, hostile.safetensors(b'{"a": ' + b"9" * 5000 + b"}")),
        "not JSON",
    ),
    "one tensor twice": (
        written(hostile.WEIGHTS, hostile.safetensors(b'{"a": 1, "a": 2}')),
        'the key "a" appears twice',
    ),
    "overlapping tensors": (
        written(
            hostile.WEIGHTS,
            hostile.safetensors({"a": hostile.header([1], 0, 4), "b": hostile.header([1], 0, 4)}, FOUR),
        ),
        "do not fill the file exactly",
    ),
    "a tensor beyond the file": (
        written(hostile.WEIGHTS, hostile.safetensors({"a": hostile.header([9], 0, 36)}, FOUR)),
        "do not fill the file exactly",
    ),
    "a tensor before the file": (
        written(hostile.WEIGHTS, hostile.safetensors({"a": hostile.header([1], -4, 0)}, b"")),
        "no readable type, shape and place",
    ),
    "a shape of 2^64": (
        written(hostile.WEIGHTS, hostile.safetensors({"a": hostile.header([2**32, 2**32], 0, 0)})),
        "no readable type, shape and place",
    ),
    "nine dimensions": (
        written(hostile.WEIGHTS, hostile.safetensors({"a": hostile.header([1] * 9, 0, 4)}, FOUR)),
        "no readable type, shape and place",
    ),
    "a type nobody knows": (
        written(hostile.WEIGHTS, hostile.safetensors({"a": hostile.header([1], 0, 4, "\x1b[2J")}, FOUR)),
        "no readable type, shape and place",
    ),
    "a tensor of nothing": (
        written(hostile.WEIGHTS, hostile.safetensors({"a": hostile.header([0, 9], 0, 0)})),
        "the weights do not belong to the network; .* 1 unexpected: a",
    ),
    "metadata that is a list": (
        written(hostile.WEIGHTS, hostile.safetensors({"__metadata__": [1]})),
        "damaged safetensors file",
    ),
    # weights that do not fit
    "NaN": (changed_weights(class_layers__out__bias=torch.tensor([0.0, float("nan"), 0.0])), "NaN or infinite values"),
    "infinity": (changed_weights(class_layers__out__bias=torch.tensor([0.0, 1.0, float("inf")])), "NaN or infinite"),
    "a key too few": (changed_weights(class_layers__out__bias=None), "1 missing: class_layers.out.bias"),
    "a key too many": (changed_weights(more=torch.zeros(1)), "1 unexpected: more"),
    "a wrong shape": (changed_weights(class_layers__out__bias=torch.zeros(4)), r"\(4,\) instead of \(3,\)"),
    "whole numbers": (
        changed_weights(class_layers__out__bias=torch.zeros(3, dtype=torch.int64)),
        "1 of another type: class_layers.out.bias torch.int64",
    ),
}


def with_a_second_directory(archive: bytes) -> bytes:
    """Let the 64-bit record of the end lie elsewhere than its locator says."""
    assert archive[-42:-38] == b"PK\x06\x07"
    return archive[:-34] + (0).to_bytes(8, "little") + archive[-26:]


@pytest.mark.parametrize("case", WEIGHTS)
def test_hostile_weights_are_refused_and_do_nothing(case: str, bundle: Path) -> None:
    spoil, message = WEIGHTS[case]
    spoil(bundle)
    assert_says(refusal(bundle), message)


def linked(name: str) -> Spoil:
    def spoil(bundle: Path) -> None:
        shutil.move(bundle / name, bundle.parent / "elsewhere")
        (bundle / name).symlink_to(bundle.parent / "elsewhere")

    return spoil


def piped(name: str) -> Spoil:
    def spoil(bundle: Path) -> None:
        (bundle / name).unlink()
        os.mkfifo(bundle / name)

    return spoil


def crowded(bundle: Path) -> None:
    (bundle / "many").mkdir()
    for place in range(101):
        (bundle / "many" / str(place)).touch()


def with_empty_folders(bundle: Path) -> None:
    for place in range(11):
        for inner in range(10):
            (bundle / str(place) / str(inner)).mkdir(parents=True)


ODD_FILES: dict[str, tuple[Spoil, str]] = {
    "weights elsewhere": (linked(hostile.WEIGHTS), "models/model.safetensors is a symbolic link"),
    "a config elsewhere": (linked(INFERENCE), "configs/inference.json is a symbolic link"),
    "a folder elsewhere": (linked("models"), "models is a symbolic link"),
    "a dangling link": (lambda bundle: (bundle / "x").symlink_to("/nowhere"), "x is a symbolic link"),
    "a link to itself": (lambda bundle: (bundle / "x").symlink_to(bundle), "x is a symbolic link"),
    "a pipe for weights": (piped(hostile.WEIGHTS), "models/model.safetensors is not a regular file"),
    "a pipe for a config": (piped(INFERENCE), "configs/inference.json is not a regular file"),
    "a folder for weights": (
        lambda bundle: ((bundle / hostile.WEIGHTS).unlink(), (bundle / hostile.WEIGHTS).mkdir()),
        "no weights; add",
    ),
    "too many files": (crowded, "more than 100 files and folders"),
    "too many folders": (with_empty_folders, "more than 100 files and folders"),
    "a link with a name of control signs": (
        lambda bundle: (bundle / "\x1b[2J\n\x9b").symlink_to("/nowhere"),
        r"\\x1b\[2J \\x9b is a symbolic link",
    ),
}


@pytest.mark.parametrize("case", ODD_FILES)
def test_what_is_not_a_plain_file_in_the_bundle_is_refused(
    case: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_ENTRIES", 100)
    spoil, message = ODD_FILES[case]
    spoil(bundle)
    assert_says(refusal(bundle), message)


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_weights_that_are_a_pipe_a_socket_a_device_or_a_folder_do_not_hang(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).mkdir()
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / name).symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        (tmp_path / "s").mkdir()
        server.bind(str(tmp_path / "s" / name))
        for folder in ("", "folder", "device", "s"):
            with pytest.raises(ModelRefused, match=f"^{name}: not a regular file"):
                read_weights(tmp_path / folder / name)
    with pytest.raises(ModelRefused, match="cannot be read: No such file"):
        read_weights(tmp_path / "nowhere" / name)


def test_an_archive_in_place_of_a_folder_is_not_unpacked(bundle: Path) -> None:
    packed = Path(shutil.make_archive(str(bundle), "zip", bundle))
    shutil.rmtree(bundle)
    with hostile.nothing_happens(packed), pytest.raises(ModelRefused, match=r"^bundle.zip: "):
        load_classifier(packed)
    assert not bundle.exists()


def test_what_is_not_needed_is_listed_and_never_touched(bundle: Path) -> None:
    payload = f"open({str(bundle.parent / 'CANARY')!r}, 'w')\n"
    for name in ("scripts/__init__.py", "scripts/payload.py", "payload.py", "configs/payload.py", "sitecustomize.py"):
        written(name, payload)(bundle)
    written("configs/logging.conf", "[handlers]\nkeys=x\n[handler_x]\nclass=__import__('os').system('touch CANARY')\n")(
        bundle
    )
    written("models/model.pt", hostile.saved({"w": hostile.Command(RUN)}))(bundle)
    written("\x1b[2J\n.json", "")(bundle)
    odd = os.fsencode(bundle) + b"/\xff\xfe.json"
    Path(os.fsdecode(odd)).touch()
    change_config(
        bundle,
        "inference.json",
        {
            "imports": ["$import payload", EXPRESSION],
            "initialize": [EXPRESSION],
            "run": [EXPRESSION],
            "evaluator": {"_target_": "os.system", "command": RUN},
            "\x1b]0;owned\x07": EXPRESSION,
        },
    )
    with hostile.nothing_happens(bundle):
        ignored = load_classifier(bundle).card().ignored
    assert set(ignored) == {
        *("imports", "initialize", "run", "evaluator", "postprocessing", "\\x1b]0;owned\\x07"),
        *("scripts/__init__.py", "scripts/payload.py", "payload.py", "configs/payload.py", "sitecustomize.py"),
        *("configs/logging.conf", "models/model.pt", "\\x1b[2J .json", "\\udcff\\udcfe.json"),
    }
    assert not (bundle.parent / "CANARY").exists()


def test_a_list_of_what_was_ignored_has_an_end(bundle: Path) -> None:
    change_config(bundle, "inference.json", {f"entry {place:04}": None for place in range(1000)})
    ignored = load_classifier(bundle).card().ignored
    assert len(ignored) == 201
    assert ignored[-1] == "and 803 more"


def test_text_out_of_a_bundle_is_shown_and_not_obeyed(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_config(
        bundle,
        "metadata.json",
        {
            **channels("[bold]mel[/bold]", "<img src='http://x'>", "[link=http://x]bkl[/link]"),
            "name": "tiny\x1b[31m[red]\u202e\n\ud800",
            "version": "1\r\x9b2J",
            "license": "\x07" * 500,
            "skinaudit": {"class_titles": {"[bold]mel[/bold]": "a\x1bb"}, "measured": {"\x1b[2J": 1, "huge": 2**62}},
        },
    )
    assert main(["models", "show", str(bundle)]) == 0
    printed = capsys.readouterr().out
    assert printed.replace("\n", "").isprintable()
    for words in (
        "tiny\\x1b[31m[red]\\u202e \\ud800, version 1 \\x9b2J",
        "[bold]mel[/bold]: a\\x1bb",
        "<img src='http://x'>",
    ):
        assert words in printed
    assert main(["models", "show", str(bundle), "--json"]) == 0
    assert capsys.readouterr().out.replace("\n", "").isprintable()


CLI: dict[str, Spoil] = {
    "an expression": config(network_def=EXPRESSION),
    "a command": config(network_def={"_target_": "os.system\x1b[2J", "command": RUN}),
    "a pickle": as_torch(lambda: hostile.saved({"w": hostile.Command(RUN)})),
    "a link": linked(hostile.WEIGHTS),
    "a deep config": written(INFERENCE, '{"a": ' + "[" * 500_000 + "]" * 500_000 + "}"),
    "a huge file": hostile.grown(hostile.WEIGHTS, 2**40),
}


@pytest.mark.parametrize("case", CLI)
def test_the_command_says_it_in_one_line_with_exit_code_4(
    case: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    CLI[case](bundle)
    with hostile.nothing_happens(bundle, command_line=True):
        assert main(["models", "show", str(bundle)]) == 4
    assert not (bundle.parent / "CANARY").exists()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("skinaudit: bundle: ")
    assert printed.err[:-1].isprintable()


def test_a_list_of_models_survives_every_one_of_them(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place, (spoil, _) in enumerate(list(CONFIGS.values())[::8]):
        spoil(Path(shutil.copytree(bundle, bundle.parent / f"evil {place}\x1b[2J\x9b\u202e[red]")))
    for arguments in (["models", "list", "."], ["models", "list", ".", "--json"]):
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        assert printed.replace("\n", "").isprintable()
        assert "bundle" in printed
