from __future__ import annotations

from collections.abc import Sequence

import pytest

from skinaudit.attacks.targets import out_of_scope, reached, target_class
from skinaudit.config import TargetRule

CLASSES = ("mel", "nv", "bcc", "bkl")
LOGITS = (1.0, 4.0, 3.0, 2.0)

#: (rule, source, malignant, wanted)
TABLE = [
    pytest.param(TargetRule.LEAST_LIKELY, "nv", ("mel", "bcc"), "mel", id="least likely"),
    pytest.param(TargetRule.LEAST_LIKELY, "mel", ("mel", "bcc"), "bkl", id="least likely is not the source"),
    pytest.param(TargetRule.MOST_HARMFUL, "mel", ("mel", "bcc"), "nv", id="missed cancer: likeliest benign class"),
    pytest.param(TargetRule.MOST_HARMFUL, "bcc", ("mel", "bcc"), "nv", id="missed cancer of another kind"),
    pytest.param(TargetRule.MOST_HARMFUL, "nv", ("mel", "bcc"), "mel", id="false alarm: melanoma, however unlikely"),
    pytest.param(TargetRule.MOST_HARMFUL, "nv", ("bcc",), "bcc", id="false alarm where melanoma is not malignant"),
    pytest.param(TargetRule.MOST_HARMFUL, "nv", ("bcc", "bkl"), "bcc", id="false alarm: likeliest malignant class"),
    pytest.param(TargetRule.MOST_HARMFUL, "nv", (), "mel", id="no malignancy known: least likely"),
    pytest.param(TargetRule.MOST_HARMFUL, "mel", (), "bkl", id="no malignancy known, source least likely"),
    pytest.param(TargetRule.MOST_HARMFUL, "bcc", CLASSES, "mel", id="all malignant: least likely"),
    pytest.param(TargetRule.MOST_HARMFUL, "bkl", ("bkl", "bcc"), "nv", id="source malignant by configuration"),
    pytest.param(TargetRule.FALSE_ALARM, "nv", ("mel", "bcc"), "mel", id="false alarm alone: melanoma"),
    pytest.param(TargetRule.FALSE_ALARM, "nv", ("bcc", "bkl"), "bcc", id="false alarm alone: likeliest malignant"),
    pytest.param(TargetRule.UNTARGETED, "bcc", ("mel",), "nv", id="untargeted heads for the likeliest other"),
    pytest.param(TargetRule.UNTARGETED, "nv", ("mel",), "bcc", id="untargeted: the runner-up"),
    pytest.param(TargetRule.SAME, "bkl", ("mel",), "bkl", id="the diagnosis stays"),
]


@pytest.mark.parametrize(("rule", "source", "malignant", "wanted"), TABLE)
def test_target_follows_the_rule(rule: TargetRule, source: str, malignant: Sequence[str], wanted: str) -> None:
    target = target_class(rule, LOGITS, CLASSES.index(source), CLASSES, malignant, seed=0)
    assert CLASSES[target] == wanted


@pytest.mark.parametrize("name", ["MEL", "Melanoma", "melanoma"])
def test_melanoma_is_found_under_its_usual_names(name: str) -> None:
    classes = ("bcc", "nv", name)
    target = target_class(TargetRule.MOST_HARMFUL, (9.0, 5.0, -3.0), 1, classes, ("bcc", name), seed=0)
    assert classes[target] == name


@pytest.mark.parametrize("malignant", [(), ("mel",), ("mel", "bcc"), CLASSES])
@pytest.mark.parametrize("rule", [rule for rule in TargetRule if rule is not TargetRule.SAME])
def test_the_source_is_never_the_target(rule: TargetRule, malignant: Sequence[str]) -> None:
    for source in range(4):
        if out_of_scope(rule, CLASSES[source], CLASSES, malignant):
            continue
        for seed in range(20):
            target = target_class(rule, LOGITS, source, CLASSES, malignant, seed)
            assert target in {0, 1, 2, 3} - {source}


def test_random_targets_are_uniform_over_the_other_classes_and_follow_the_seed() -> None:
    def draw(seed: int) -> int:
        return target_class(TargetRule.RANDOM, LOGITS, 1, CLASSES, ("mel",), seed)

    drawn = [draw(seed) for seed in range(600)]
    assert drawn == [draw(seed) for seed in range(600)]
    assert all(150 < drawn.count(target) < 250 for target in (0, 2, 3))


@pytest.mark.parametrize("rule", [rule for rule in TargetRule if rule is not TargetRule.SAME])
def test_two_classes_leave_one_choice(rule: TargetRule) -> None:
    assert target_class(rule, (0.0, 1.0), 0, ("benign", "malignant"), ("malignant",), seed=3) == 1


def test_a_false_alarm_leaves_malignant_images_alone_and_needs_a_malignant_class() -> None:
    assert out_of_scope(TargetRule.FALSE_ALARM, "nv", CLASSES, ("mel",)) is None
    assert "this one is malignant" in str(out_of_scope(TargetRule.FALSE_ALARM, "mel", CLASSES, ("mel",)))
    assert "declares none" in str(out_of_scope(TargetRule.FALSE_ALARM, "nv", CLASSES, ()))
    with pytest.raises(ValueError, match="mel has no target class: a false alarm starts from a benign"):
        target_class(TargetRule.FALSE_ALARM, LOGITS, 0, CLASSES, ("mel",), seed=0)
    assert {out_of_scope(rule, "mel", CLASSES, ()) for rule in TargetRule if rule is not TargetRule.FALSE_ALARM} == {
        None
    }


@pytest.mark.parametrize(
    ("rule", "predicted", "target", "wanted"),
    [
        (TargetRule.RANDOM, 2, 2, True),
        (TargetRule.RANDOM, 3, 2, False),
        (TargetRule.RANDOM, 1, 2, False),
        (TargetRule.UNTARGETED, 3, 2, True),
        (TargetRule.UNTARGETED, 1, 2, False),
        (TargetRule.SAME, 1, 1, True),
        (TargetRule.SAME, 0, 1, False),
        (TargetRule.RANDOM, 3, None, True),
        (TargetRule.RANDOM, 1, None, False),
        (TargetRule.SAME, 1, None, True),
        (TargetRule.SAME, 3, None, False),
    ],
)
def test_what_counts_as_reached_follows_the_rule(
    rule: TargetRule, predicted: int, target: int | None, wanted: bool
) -> None:
    assert reached(rule, predicted, 1, target) is wanted
