"""The device's memory runs out: smaller batches, said on every record and in the log, and nothing half done is kept."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from skinaudit.audit.engines.local import run_audit
from skinaudit.audit.memory import HALVED, DeviceTooSmall, prepare_within_memory, within_memory
from skinaudit.audit.reader import RunReader
from skinaudit.audit.records import Record
from skinaudit.audit.session import AuditRequest, Prepared, prepare
from skinaudit.classifier.classifier import Classifier
from skinaudit.classifier.device_memory import is_out_of_memory
from skinaudit.config import Budget
from tests.audit.tiny_audit import DIRECT, Listener, request
from tests.bundles import make_bundle, tiny_densenet

BUDGET = Budget(images=5, pgd_steps=3, cam_steps=3, grad_steps=3, warm_steps=1, controls=1, early_stop=True)

Rule = Callable[[Tensor], bool]


@contextmanager
def memory(holds: Rule) -> Iterator[None]:
    """A device on which a forward pass of the classifier fails, as CUDA fails, unless a rule holds for its images."""

    def look(module: nn.Module, inputs: tuple[object, ...]) -> None:
        if isinstance(module, Classifier) and isinstance(inputs[0], Tensor) and not holds(inputs[0]):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    handle = register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        handle.remove()


def gradients_of(most: int) -> Rule:
    """Forward passes always fit, those that a gradient follows only up to a batch of ``most``."""
    return lambda x: not (x.requires_grad and torch.is_grad_enabled()) or len(x) <= most


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> AuditRequest:
    folder = tmp_path_factory.mktemp("memory")
    found = request(folder, count=6, budget=BUDGET, labels=False)
    make_bundle(folder / "bundle", network={**tiny_densenet(3), "init_features": 4, "block_config": [1]})
    return replace(found, config=found.config.model_copy(update={"interpreters": ("cam",)}))


@pytest.fixture(scope="module")
def prepared(asked: AuditRequest) -> Prepared:
    return prepare(asked, DIRECT, Listener())


@pytest.fixture(scope="module")
def in_pairs(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Records of an undisturbed run in batches of two."""
    folder = tmp_path_factory.mktemp("pairs") / "run"
    small = replace(prepared, bench=prepared.bench.in_batches_of(2))
    run_audit(small, folder, DIRECT, Listener())
    with RunReader(folder) as run:
        return run.records()


def attacks(records: list[Record]) -> list[Record]:
    return [record for record in records if record.attack in {"pgd", "adv2"}]


def test_the_batch_is_halved_and_later_records_say_so(
    prepared: Prepared, in_pairs: list[Record], tmp_path: Path
) -> None:
    listener = Listener()
    with memory(gradients_of(2)):
        run_audit(prepared, tmp_path / "run", DIRECT, listener)
    with RunReader(tmp_path / "run") as run:
        records = run.records()
        halved = [dict(event.detail) for event in run.events() if event.kind == HALVED]
        assert run.verify_chain() == []
        assert run.is_closed
    assert halved == [{"from": 4, "to": 2, "stage": "pgd"}]
    assert "The device's memory does not hold 4 images at once; going on with 2." in listener.said
    assert {record.batch_size for record in records if record.target_class is None} == {4}
    assert {record.batch_size for record in attacks(records)} == {2}
    assert attacks(records) == attacks(in_pairs)


def test_units_that_were_half_done_begin_again_and_finished_ones_stay(
    prepared: Prepared, in_pairs: list[Record], tmp_path: Path
) -> None:
    steps = iter(range(10_000))
    full_after = 10  # the first batch of PGD has its ten steps, then the memory is full

    def holds(x: Tensor) -> bool:
        return not x.requires_grad or len(x) < 4 or next(steps) < full_after

    with memory(holds):
        run_audit(prepared, tmp_path / "run", DIRECT, Listener())
    with RunReader(tmp_path / "run") as run:
        found = attacks(run.records())
        assert run.verify_chain() == []
    early = [record for record in found if record.batch_size == 4]
    late = [record for record in found if record.batch_size == 2]
    assert {record.attack for record in early} == {"pgd"}
    assert len(early) == 4
    assert {record.attack for record in late} == {"pgd", "adv2"}
    assert all(record in in_pairs for record in late)


def test_a_run_that_goes_on_keeps_the_smaller_batch(prepared: Prepared, in_pairs: list[Record], tmp_path: Path) -> None:
    with memory(gradients_of(2)), pytest.raises(KeyboardInterrupt):
        run_audit(prepared, tmp_path / "run", DIRECT, Listener(interrupt_after=("pgd", 1)))
    run_audit(prepared, tmp_path / "run", DIRECT, Listener())  # now with all the memory of the world
    with RunReader(tmp_path / "run") as run:
        assert attacks(run.records()) == attacks(in_pairs)
        assert run.verify_chain() == []


def test_when_not_even_one_image_fits_it_says_what_to_do_and_can_go_on(prepared: Prepared, tmp_path: Path) -> None:
    with (
        memory(gradients_of(0)),
        pytest.raises(DeviceTooSmall, match=r"does not hold one image .*; free memory on the device and run the same"),
    ):
        run_audit(prepared, tmp_path / "run", DIRECT, Listener())
    run_audit(prepared, tmp_path / "run", DIRECT, Listener())
    with RunReader(tmp_path / "run") as run:
        assert [event.detail["to"] for event in run.events() if event.kind == HALVED] == [2, 1]
        assert {record.batch_size for record in attacks(run.records())} == {1}
        assert run.is_closed


def test_a_run_that_is_prepared_in_smaller_batches_says_so_and_goes_on_so(asked: AuditRequest, tmp_path: Path) -> None:
    listener = Listener()
    with memory(lambda x: len(x) <= 3):
        small = prepare_within_memory(asked, tmp_path / "run", DIRECT, listener)
    assert (small.header.config.batch_size, small.header.batch_size_asked) == (2, 4)
    assert "--batch-size 2" in small.header.command
    assert any("does not hold 4 images at once" in text for text in listener.said)
    with pytest.raises(KeyboardInterrupt):
        run_audit(small, tmp_path / "run", DIRECT, Listener(interrupt_after=("controls", 2)))
    again = prepare_within_memory(asked, tmp_path / "run", DIRECT, Listener())  # the memory is there by now
    assert again.header.config == small.header.config
    run_audit(again, tmp_path / "run", DIRECT, Listener())
    with RunReader(tmp_path / "run") as run:
        assert {record.batch_size for record in run.records()} == {2}
        assert run.verify_chain() == []


def test_with_memory_enough_nothing_is_asked_for_twice(asked: AuditRequest, tmp_path: Path) -> None:
    listener = Listener()
    found = prepare_within_memory(asked, tmp_path / "run", DIRECT, listener)
    assert found.header.batch_size_asked is None
    assert found.header.config.batch_size == 4
    assert not any("memory" in text for text in listener.said)


def test_the_tensors_of_the_failed_attempt_are_gone_before_the_next() -> None:
    held: list[weakref.ref[Tensor]] = []

    def work(size: int) -> None:
        assert all(reference() is None for reference in held)
        batch = torch.zeros(size)
        held.append(weakref.ref(batch))
        if size > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    told: list[tuple[int, int]] = []
    assert within_memory(12, work, lambda old, new: told.append((old, new))) == 1
    assert told == [(12, 6), (6, 3), (3, 1)]


def test_another_error_is_not_taken_for_a_full_memory() -> None:
    def work(size: int) -> None:
        raise RuntimeError(f"shape mismatch at {size}")

    with pytest.raises(RuntimeError, match="shape mismatch at 8"):
        within_memory(8, work, lambda *_: None)
    assert is_out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    assert not is_out_of_memory(ValueError("CUDA error: out of memory"))


def test_a_full_memory_of_this_machine_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_a_gpu_that_is_too_small_for_the_batch(asked: AuditRequest, tmp_path: Path) -> None:
    config = asked.config.model_copy(update={"device": "cuda", "batch_size": 256})
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(64 * 2**20 / total)
    try:
        found = prepare_within_memory(replace(asked, config=config), tmp_path / "run", DIRECT, Listener())
        run_audit(found, tmp_path / "run", DIRECT, Listener())
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    with RunReader(tmp_path / "run") as run:
        assert run.is_closed
        assert min(record.batch_size or 256 for record in run.records()) < 256
