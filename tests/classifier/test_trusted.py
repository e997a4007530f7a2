from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from skinaudit.classifier.checks import check_model
from skinaudit.classifier.classifier import Classifier, load_classifier
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.source import ModelSource
from skinaudit.interpreters.base import InterpreterUnavailable
from skinaudit.interpreters.registry import build_interpreter
from tests.plain_models import CLASSES, IMAGENET, exported, plain_source, scripted, tiny_network, tiny_weights

FACTORY = """
from skinaudit.classifier.networks import build_network

open("ran.txt", "a").write("imported\\n")

def make():
    arguments = {"spatial_dims": 2, "in_channels": 3, "out_channels": 3, "init_features": 8, "growth_rate": 4}
    return build_network("monai.networks.nets.DenseNet", {**arguments, "block_config": [2, 2]})

def make_with(weights):
    from safetensors.torch import load_file

    network = make()
    if weights is not None:
        network.load_state_dict(load_file(weights))
    return network

def of_own_taste(pretrained=True):
    assert pretrained is True
    return make()

def optional(weights=None):
    return make_with(weights)

def moody(fail=KeyError):
    from torch import nn

    class Moody(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = make()

        def forward(self, x):
            print("chatter")
            if len(x) > 1:
                raise fail(len(x))
            return self.inner(x)

    return Moody()

def small_memory():
    return moody(lambda size: RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))

def fails():
    raise KeyError("no network\\ntoday")

def leaves():
    raise SystemExit(0)

def nothing():
    return 3

number = 3
"""


def trusted(place: Path | None = None, **changes: object) -> ModelSource:
    stated: dict[str, object] = {
        "classes": CLASSES, "mean": IMAGENET[0], "std": IMAGENET[1], "size": (32, 32), "trust_code": True,
    }  # fmt: skip
    return ModelSource(place, **{**stated, **changes})  # type: ignore[arg-type]


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of factories in the current directory; what it is called differs from test to test."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"zoo_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}.py"
    path.write_text(FACTORY, encoding="utf-8")
    yield path
    sys.modules.pop(path.stem, None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def script(weights: Path) -> Path:
    return scripted(tiny_network(weights), weights.with_name("script.pt"))


@pytest.fixture(scope="module")
def program(weights: Path) -> Path:
    return exported(tiny_network(weights), weights.with_name("program.pt2"))


def logits(classifier: Classifier) -> torch.Tensor:
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return classifier(x)


def test_archives_give_the_logits_of_their_network(weights: Path, script: Path, program: Path) -> None:
    expected = logits(load_classifier(plain_source(weights)))
    assert torch.allclose(logits(load_classifier(trusted(script))), expected, atol=1e-5, rtol=0)
    assert torch.allclose(logits(load_classifier(trusted(program))), expected, atol=1e-5, rtol=0)


def test_the_card_names_the_code_that_ran(script: Path) -> None:
    classifier = load_classifier(trusted(script))
    digest = hashlib.sha256(script.read_bytes()).hexdigest()
    assert classifier.card().kind == "TorchScript archive"
    assert classifier.card().trusted_code == f"TorchScript archive script.pt, SHA-256 {digest}"
    assert classifier.digest != classifier.tensor_digest == classifier.card().tensor_digest


def test_without_trust_no_archive_is_loaded(script: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(*_arguments: object, **_named: object) -> None:
        pytest.fail("an archive was loaded without trust")

    monkeypatch.setattr(torch.jit, "load", loaded)
    monkeypatch.setattr(torch.export, "load", loaded)
    with pytest.raises(ModelRefused, match=r"^script\.pt: is a TorchScript archive, .* add --trust-code; else save"):
        load_classifier(trusted(script, trust_code=False))
    with pytest.raises(ModelRefused, match=r"^program\.pt2: is a torch\.export archive, .* add --trust-code"):
        load_classifier(trusted(program, trust_code=False))


def test_an_interpreter_that_needs_to_look_inside_is_unavailable_and_grad_is_not(script: Path) -> None:
    classifier = load_classifier(trusted(script))
    probe = torch.full((1, 3, 32, 32), 0.5)
    with pytest.raises(InterpreterUnavailable):
        build_interpreter("cam", classifier, probe)
    map_ = build_interpreter("grad", classifier, probe).explain(torch.rand(2, 3, 32, 32), torch.tensor([0, 1]))
    assert map_.shape == (2, 8, 8)
    assert float(map_.amax()) == 1


@pytest.mark.parametrize(
    "change",
    [{"network": "timm:resnet18"}, {"weights_key": "ema"}, {"weights_prefix": "model."}, {"weights": Path("w.pt")}],
)
def test_an_archive_brings_its_network_and_weights(change: dict[str, object], script: Path) -> None:
    with pytest.raises(ModelRefused, match="brings its network and weights; leave out --network"):
        load_classifier(trusted(script, **change))


def test_a_damaged_archive_is_one_line(program: Path, tmp_path: Path) -> None:
    path = tmp_path / "program.pt2"
    path.write_bytes(program.read_bytes().replace(b'"graph_module"', b'"graph_modulo"'))
    with pytest.raises(ModelRefused, match=r"^program\.pt2: its code failed: "):
        load_classifier(trusted(path))


def test_a_factory_gets_its_weights_through_the_safe_path(zoo: Path, weights: Path) -> None:
    classifier = load_classifier(trusted(factory=f"{zoo.stem}:make", weights=weights))
    plain = load_classifier(plain_source(weights))
    assert torch.equal(logits(classifier), logits(plain))
    assert classifier.tensor_digest == plain.tensor_digest
    digest = hashlib.sha256(zoo.read_bytes()).hexdigest()
    card = classifier.card()
    assert card.trusted_code == f"Python function {zoo.stem}:make, SHA-256 {digest}"
    assert (card.kind, card.network) == ("Python function", "DenseNet")


def test_of_the_weights_of_a_factory_only_those_under_the_prefix_are_taken(zoo: Path, weights: Path) -> None:
    content = {f"model.{name}": value for name, value in load_file(weights).items()} | {"loss.weight": torch.ones(1)}
    torch.save({"state_dict": content}, zoo.with_name("lightning.ckpt"))
    source = trusted(factory=f"{zoo.stem}:make", weights=zoo.with_name("lightning.ckpt"), weights_prefix="model.")
    classifier = load_classifier(source)
    assert classifier.tensor_digest == load_classifier(plain_source(weights)).tensor_digest
    assert classifier.card().ignored == ("1 tensor outside model.: loss.weight",)


def test_a_factory_with_a_parameter_reads_its_weights_itself(zoo: Path, weights: Path) -> None:
    given = load_classifier(trusted(factory=f"{zoo.stem}:make_with", weights=weights))
    assert torch.equal(logits(given), logits(load_classifier(plain_source(weights))))
    assert load_classifier(trusted(factory=f"{zoo.stem}:make_with")).digest != given.digest


def test_only_a_parameter_that_must_be_given_or_is_called_weights_gets_the_path(zoo: Path, weights: Path) -> None:
    expected = load_classifier(plain_source(weights)).tensor_digest
    for name in ("of_own_taste", "optional"):
        assert load_classifier(trusted(factory=f"{zoo.stem}:{name}", weights=weights)).tensor_digest == expected


def test_whatever_the_network_raises_later_is_one_line_and_what_it_prints_is_no_output(
    zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = load_classifier(trusted(factory=f"{zoo.stem}:moody"))
    with pytest.raises(ModelRefused, match=rf"{zoo.stem}:moody: its code failed: KeyError: 2"):
        classifier(torch.zeros(2, 3, 32, 32))
    printed = capsys.readouterr()
    assert "chatter" in printed.err
    assert printed.out == ""


def test_a_network_that_takes_one_image_only_and_one_that_has_no_memory_are_told_apart(zoo: Path) -> None:
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    (found,) = [one for one in check_model(load_classifier(trusted(factory=f"{zoo.stem}:moody")), images)
                if one.check == "batch-dependence"]  # fmt: skip
    assert "takes one image only" in found.evidence
    with pytest.raises(RuntimeError, match="ALLOC_FAILED"):
        check_model(load_classifier(trusted(factory=f"{zoo.stem}:small_memory")), images)


def test_other_code_is_another_model(zoo: Path, weights: Path) -> None:
    before = load_classifier(trusted(factory=f"{zoo.stem}:make", weights=weights))
    sys.modules.pop(zoo.stem)
    zoo.write_text(FACTORY + "\n# another word\n", encoding="utf-8")
    after = load_classifier(trusted(factory=f"{zoo.stem}:make", weights=weights))
    assert before.tensor_digest == after.tensor_digest
    assert before.digest != after.digest
    assert before.card().config_digest != after.card().config_digest


def test_without_trust_nothing_is_imported(zoo: Path) -> None:
    with pytest.raises(ModelRefused, match=rf"^{zoo.stem}:make: names a Python function, .* add --trust-code"):
        load_classifier(trusted(factory=f"{zoo.stem}:make", trust_code=False))
    assert not Path("ran.txt").exists()


def test_the_module_path_is_afterwards_as_before(zoo: Path, weights: Path) -> None:
    before = list(sys.path)
    load_classifier(trusted(factory=f"{zoo.stem}:make", weights=weights))
    assert sys.path == before
    assert Path("ran.txt").read_text() == "imported\n"


@pytest.mark.parametrize(
    ("function", "changes", "problem"),
    [
        ("fails", {}, "its code failed: KeyError: 'no network.*today'"),
        ("leaves", {}, "its code failed: SystemExit: 0"),
        ("nothing", {}, "gave a int, not a torch.nn.Module"),
        ("missing", {}, "has no function missing"),
        ("number", {}, "has no function number"),
        ("make", {"network": "timm:resnet18"}, "builds its network itself; leave out --network"),
        ("make", {"classes": ()}, "Give --classes"),
        ("make", {"mean": None}, "Give --mean"),
        ("make", {"classes": ("a", "b")}, "has 3 outputs, but --classes names 2 classes"),
        ("make_with", {"weights_key": "ema"}, "reads its weights itself; leave out --weights-key"),
        ("make_with", {"weights_prefix": "model."}, "leave out --weights-key and --weights-prefix"),
    ],
)
def test_a_factory_that_gives_no_usable_network_is_one_line(
    function: str, changes: dict[str, object], problem: str, zoo: Path
) -> None:
    with pytest.raises(ModelRefused, match=rf"^{zoo.stem}:{function}: .*{problem}"):
        load_classifier(trusted(factory=f"{zoo.stem}:{function}", **changes))


def test_a_module_that_does_not_exist_is_one_line() -> None:
    with pytest.raises(ModelRefused, match=r"^no_such_zoo:make: its code failed: ModuleNotFoundError"):
        load_classifier(trusted(factory="no_such_zoo:make"))
    with pytest.raises(ModelRefused, match="has no source file"):
        load_classifier(trusted(factory="sys:exit"))


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch is about to drop such tensors
def test_quantised_weights_are_refused(zoo: Path) -> None:
    quantised = "\nimport torch\ndef quantised():\n    m = torch.nn.Module()\n    m.register_buffer('w', torch."
    zoo.write_text(FACTORY + quantised + "quantize_per_tensor(torch.zeros(2), 0.1, 0, torch.qint8))\n    return m\n")
    with pytest.raises(ModelRefused, match=r"w is not a dense tensor with values \(a quantised model\?\)"):
        load_classifier(trusted(factory=f"{zoo.stem}:quantised"))
