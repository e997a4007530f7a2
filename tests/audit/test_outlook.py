"""What is left of a run, and how long it takes at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from skinaudit.audit.engines.local import run_audit
from skinaudit.audit.failures import RunDiffers
from skinaudit.audit.forecast import clean_passes, costly_passes, stage_passes
from skinaudit.audit.outlook import Outlook, outlook
from skinaudit.audit.plan import stages
from skinaudit.audit.reader import RunReader
from skinaudit.audit.session import prepare
from skinaudit.config import ThreatModel
from skinaudit.interpreters.mask import Mask
from tests.audit.tiny_audit import DIRECT, Listener, request


def test_the_outlook_shrinks_as_units_are_done(tmp_path: Path) -> None:
    asked = request(tmp_path)
    prepared = prepare(asked, DIRECT, Listener())
    config, images = prepared.header.config, len(prepared.chosen)
    run = tmp_path / "run"

    fresh = outlook(prepared, run)
    assert not run.exists()
    assert (fresh.units_left, fresh.units) == (4 * images, 4 * images)
    asked_about = dict.fromkeys(config.interpreters, images)
    whole = sum(stage_passes(config, stage, images, asked_about) for stage in stages(config))
    whole += clean_passes(config, images)
    assert fresh.total_seconds == pytest.approx(whole * prepared.seconds_per_pass)

    with pytest.raises(KeyboardInterrupt):
        run_audit(prepared, run, DIRECT, Listener(interrupt_after=("pgd", images)))
    halfway = outlook(prepared, run)
    assert set(halfway.seconds) == {"adv2-cam", "adv2-grad"}
    assert halfway.units_left == 2 * images

    run_audit(prepared, run, DIRECT, Listener())
    assert outlook(prepared, run).seconds == {}

    threat = ThreatModel(epsilon=4 / 255)
    other = asked.config.model_copy(update={"threat": threat})
    differing = prepared.header.model_copy(update={"config": other})
    with pytest.raises(RunDiffers, match="epsilon was 8/255, now 4/255"):
        outlook(replace(prepared, header=differing), run)


@pytest.mark.parametrize("names", [("cam", "mask-fast"), ("mask-fast",)])
def test_a_map_that_is_asked_about_few_images_leaves_nothing_to_do(tmp_path: Path, names: tuple[str, ...]) -> None:
    asked = request(tmp_path)
    budget = asked.config.budget.model_copy(update={"mask_images": 2, "mask_steps": 6})
    config = asked.config.model_copy(update={"interpreters": names, "budget": budget, "sweep": ()})
    prepared = prepare(replace(asked, config=config), DIRECT, Listener())
    run, images = tmp_path / "run", 6 if "cam" in names else 2
    assert len(prepared.chosen) == images

    planned = outlook(prepared, run)
    listener = Listener(interrupt_after=("pgd", images))
    with pytest.raises(KeyboardInterrupt):
        run_audit(prepared, run, DIRECT, listener)
    halfway = outlook(prepared, run)
    assert set(halfway.seconds) == {f"adv2-{name}" for name in names}

    again = Listener()
    run_audit(prepared, run, DIRECT, again)
    assert outlook(prepared, run) == Outlook({}, 0, planned.units)
    with RunReader(run) as reader:
        assert len(reader.finished_units()) == planned.units
        attacked = [image for image in reader.images() if image.status == "attacked"]
        others = {image.reason for image in reader.images() if image.status == "not selected"}
    assert len(attacked) == images
    assert ("every map is asked about at most 2 images (--mask-images)" in others) == (images == 2)


def test_costly_maps_are_billed_where_they_are_computed(tmp_path: Path) -> None:
    asked = request(tmp_path)
    budget = asked.config.budget.model_copy(update={"mask_images": 2, "mask_steps": 6})
    config = asked.config.model_copy(update={"interpreters": ("cam", "mask-fast"), "budget": budget, "sweep": ()})
    prepared = prepare(replace(asked, config=config), DIRECT, Listener())
    run, images = tmp_path / "run", len(prepared.chosen)
    maps = costly_passes(config, "mask-fast", 2)

    def billed(folder: Path) -> dict[str, float]:
        seconds = outlook(prepared, folder).seconds
        return {name: one / prepared.seconds_per_pass for name, one in seconds.items()}

    def own(names: Sequence[str]) -> dict[str, float]:
        every = {"cam": images, "mask-fast": 2}
        found = {}
        for stage in (one for one in stages(config) if one.name in names):
            few = stage.interpreter == "mask-fast"
            found[stage.name] = stage_passes(
                config, stage, 2 if few else images, {"cam": 2, "mask-fast": 2} if few else every
            )
        return found

    names = [stage.name for stage in stages(config)]
    assert billed(run) == pytest.approx({"clean": clean_passes(config, images) + maps, **own(names)})
    with pytest.raises(KeyboardInterrupt):
        run_audit(prepared, run, DIRECT, Listener(interrupt_after=("adv2-cam", images)))
    # Another process does not remember them.
    (last,) = (name for name in names if name == "adv2-mask-fast")
    assert billed(run) == pytest.approx({last: own([last])[last] + maps})


def test_no_more_rows_of_costly_maps_are_made_than_billed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(tmp_path, count=21)
    budget = asked.config.budget.model_copy(update={"images": 20, "mask_images": 6, "mask_steps": 6})
    config = asked.config.model_copy(update={"interpreters": ("cam", "mask-fast"), "budget": budget, "sweep": ()})
    config = config.model_copy(update={"batch_size": 4})
    prepared = prepare(replace(asked, config=config), DIRECT, Listener())
    assert len(prepared.chosen) > 12
    rows = []
    explain = Mask.explain

    def counted(self: Mask, x: Tensor, classes: Tensor) -> Tensor:
        rows.append(len(x))
        return explain(self, x, classes)

    monkeypatch.setattr(Mask, "explain", counted)
    with pytest.raises(KeyboardInterrupt):
        run_audit(prepared, tmp_path / "run", DIRECT, Listener(interrupt_after=("clean", len(prepared.chosen))))
    each = costly_passes(config, "mask-fast", 4) / 4
    assert sum(rows) * each == costly_passes(config, "mask-fast", 6)


def test_what_is_left_is_billed_to_the_maps_that_it_is_asked_about_by(tmp_path: Path) -> None:
    asked = request(tmp_path)
    budget = asked.config.budget.model_copy(update={"mask_images": 2})
    config = asked.config.model_copy(update={"interpreters": ("cam", "mask-fast"), "budget": budget})
    prepared = prepare(replace(asked, config=config), DIRECT, Listener())
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_audit(prepared, run, DIRECT, Listener(interrupt_after=("controls", 4)))
    # The two images that MASK is asked about stand in the first batch, which is done.
    passes = stage_passes(config, stages(config)[0], 2, {"cam": 2})
    assert outlook(prepared, run).seconds["controls"] == pytest.approx(passes * prepared.seconds_per_pass)
