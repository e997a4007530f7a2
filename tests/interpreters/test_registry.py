"""Entry points from real distributions in a temporary folder; the example of the documentation, as it stands there."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import captum.attr
import pytest
import torch
from torch import Tensor

from skinaudit.attacks.adv2 import Goal, MapObjective
from skinaudit.attacks.objectives import objective_for
from skinaudit.audit.artifacts import artifact_path
from skinaudit.config import AuditConfig
from skinaudit.interpreters.base import InterpreterUnavailable, min_max
from skinaudit.interpreters.gradient_map import GradientMap
from skinaudit.interpreters.registry import build_interpreter, cost_of, family_of, kinds, summary_of, title_of
from tests.small_networks import images, small_network

DOCUMENT = Path(__file__).parents[2] / "docs" / "own-interpreter.md"
Install = Callable[[str, str, str], None]

PLUGIN = """
from skinaudit.interpreters.base import min_max
from skinaudit.interpreters.gradient_map import GradientMap
from skinaudit.interpreters.registry import InterpreterKind

class Brightness:
    name = "{name}"
    def explain(self, x, classes):
        return min_max(x.mean(1))

KIND = InterpreterKind("{name}", "Brightness", "perturbation", "How bright it is.", lambda network, probe: Brightness())
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lay a module and its dist-info into a folder of sys.path, as pip would."""
    monkeypatch.syspath_prepend(tmp_path)
    modules: list[str] = []

    def put(module: str, code: str, entry_points: str) -> None:
        (tmp_path / f"{module}.py").write_text(code, encoding="utf-8")
        about = tmp_path / f"{module}-1.0.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0.0\n", encoding="utf-8")
        (about / "entry_points.txt").write_text(entry_points, encoding="utf-8")
        modules.append(module)
        importlib.invalidate_caches()
        kinds.cache_clear()

    yield put
    for module in modules:
        sys.modules.pop(module, None)
    kinds.cache_clear()


def point(name: str, value: str) -> str:
    return f"[skinaudit.interpreters]\n{name} = {value}\n"


def test_the_tools_own_interpreters_come_in_the_order_of_a_report() -> None:
    names = list(kinds())
    assert names[:2] == ["cam", "grad"]
    assert names[-5:] == ["grad-cam", "grad-cam++", "layer-cam", "smooth-grad", "integrated-gradients"]
    assert set(AuditConfig().interpreters) <= set(names)


@pytest.mark.parametrize("name", ["grad-cam", "grad-cam++", "layer-cam", "smooth-grad", "integrated-gradients"])
def test_every_kind_builds_an_interpreter_of_its_name_and_says_what_it_is(name: str) -> None:
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    interpreter = build_interpreter(name, small_network(), x[:1])
    assert interpreter.name == name
    assert interpreter.explain(x, torch.tensor([0, 2])).shape[0] == 2
    assert family_of(name) == ("gradient" if name in {"smooth-grad", "integrated-gradients"} else "activation")
    assert title_of(name) != name
    assert summary_of(name).endswith(".")
    assert "/" in artifact_path("id", f"adv2-{name}-map.npy")


def test_the_forecast_knows_how_many_points_an_interpreter_visits() -> None:
    x = torch.rand(1, 3, 16, 16)
    for name in ("smooth-grad", "integrated-gradients"):
        interpreter = build_interpreter(name, small_network(), x)
        assert isinstance(interpreter, GradientMap)
        few, honest = (len(interpreter.points(x, searching=searching)) for searching in (True, False))
        assert cost_of(name) == (honest, 3 * few + 1)
    assert cost_of("cam") == cost_of("gone") == (None, None)


def test_an_interpreter_of_an_installed_package_is_one_of_them(install: Install) -> None:
    install("bright", PLUGIN.format(name="brightness"), point("brightness", "bright:KIND"))
    assert list(kinds())[-1] == "brightness"
    assert title_of("brightness") == "Brightness"
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(build_interpreter("brightness", small_network(), x).explain(x, x), min_max(x.mean(1)))


def test_entry_points_of_other_groups_are_left_alone(install: Install) -> None:
    install("bright", "raise RuntimeError", "[console_scripts]\nbright = bright:main\n")
    assert "bright" not in kinds()


@pytest.mark.parametrize(
    ("code", "value", "match"),
    [
        pytest.param(
            "import nothing_of_that_name", "odd:KIND", "'mine' of odd:KIND cannot be loaded", id="import fails"
        ),
        pytest.param("raise RuntimeError('no licence')", "odd:KIND", "cannot be loaded: no licence", id="raises"),
        pytest.param("", "odd:KIND", "cannot be loaded: .*KIND", id="nothing there"),
        pytest.param("KIND = 3", "odd:KIND", "odd:KIND is a int; .* InterpreterKind", id="no kind"),
        pytest.param(PLUGIN.format(name="cam"), "odd:KIND", "is called 'cam', but there is one", id="name of our own"),
        pytest.param(PLUGIN.format(name="a/b"), "odd:KIND", "'a/b'.* small letters", id="name with a slash"),
        pytest.param(PLUGIN.format(name="a,b"), "odd:KIND", "'a,b'.* small letters", id="name with a comma"),
    ],
)
def test_a_package_that_brings_none_is_refused_by_name(install: Install, code: str, value: str, match: str) -> None:
    install("odd", code, point("mine", value))
    with pytest.raises(InterpreterUnavailable, match=match):
        kinds()


def test_two_packages_with_one_name_are_refused(install: Install) -> None:
    install("one", PLUGIN.format(name="brightness"), point("a", "one:KIND"))
    install("two", PLUGIN.format(name="brightness"), point("b", "two:KIND"))
    with pytest.raises(InterpreterUnavailable, match="two:KIND is called 'brightness', but there is one"):
        kinds()


def test_an_interpreter_that_is_no_longer_installed_still_has_a_title_and_a_family() -> None:
    assert title_of("gone") == "GONE"
    assert summary_of("gone") == ""
    assert family_of("gone") == "gradient"


# --- the example of the documentation ---------------------------------------------------------------------------------


@pytest.fixture
def occlusion(install: Install) -> None:
    """The two files of the document, installed."""
    blocks = dict(re.findall(r"```(toml|python)\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL))
    named = tomllib.loads(blocks["toml"])["project"]["entry-points"]["skinaudit.interpreters"]
    install("skinaudit_occlusion", blocks["python"], "".join(point(name, value) for name, value in named.items()))


def batch(side: int = 28) -> Tensor:
    return images(2, height=side, width=side).float() / 255


@pytest.mark.usefixtures("occlusion")
def test_the_documented_example_agrees_with_captum() -> None:
    network, x, classes = small_network(), batch(), torch.tensor([0, 2])
    window = (3, 4, 4)
    falls = captum.attr.Occlusion(network).attribute(x, window, strides=window, baselines=0.5, target=classes)
    maps = build_interpreter("occlusion", network, x[:1]).explain(x, classes)
    torch.testing.assert_close(maps, min_max(falls[:, 0, ::4, ::4]), atol=1e-5, rtol=0)


@pytest.mark.usefixtures("occlusion")
def test_the_documented_example_can_be_attacked() -> None:
    network, x, classes = small_network(), batch(), torch.tensor([0, 2])
    interpreter = build_interpreter("occlusion", network, x[:1])
    objective = objective_for("adv2", network, interpreter)
    goal = Goal(classes, (interpreter.explain(x, classes).flip(1),))
    before = objective.evaluate(x, torch.ones(2), goal, objective.start(x, goal))
    nearer = x - 2e-3 * (before.gradient - objective.evaluate(x, torch.zeros(2), goal, ()).gradient).sign()
    assert isinstance(objective, MapObjective)
    assert (objective.evaluate(nearer, torch.ones(2), goal, ()).map_loss < before.map_loss).all()


@pytest.mark.usefixtures("occlusion")
def test_the_documented_example_refuses_what_it_cannot_explain_and_works_on_odd_sizes() -> None:
    with pytest.raises(InterpreterUnavailable, match="7 × 7"):
        build_interpreter("occlusion", small_network(), batch(6)[:1])
    odd = batch(33)
    assert build_interpreter("occlusion", small_network(), odd[:1]).explain(odd, torch.tensor([0, 1])).shape == (
        2,
        7,
        7,
    )
