"""What a network would cost, before it costs anything: built and run on tensors that have shapes but no memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from skinaudit.classifier.refusal import ModelRefused

#: Parameters and buffers of a network; a ViT-H takes 2.5e9.
MAX_NETWORK_BYTES = 4 * 2**30
#: The largest single result inside the network, for one image.
MAX_RESULT_BYTES = 2**30
#: All results inside the network together, for one image: an attack keeps them until its gradient is known.
MAX_PASS_BYTES = 128 * 2**30
#: Operations of one pass for one image; a ResNet-50 at 224 pixels needs 8e9.
MAX_OPERATIONS = 2e13


def sketch_network(build: Callable[[], nn.Module], *, counts: bool = False) -> nn.Module:
    """Build a network in evaluation mode whose tensors have no memory.

    Args:
        build: makes the network.
        counts: the constructor reads numbers out of small tensors that it makes itself (the RegNets).

    Raises:
        ModelRefused: Parameters and buffers together are larger than any model needs.
    """
    with torch.device("meta"):
        if counts:
            with _CountsInMemory():
                network = build()
        else:
            network = build()
    tensors = [*network.parameters(), *network.buffers()]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if size > MAX_NETWORK_BYTES:
        raise ModelRefused(
            f"network_def: a network with these arguments takes {size} bytes; at most {MAX_NETWORK_BYTES} are accepted."
        )
    return network.eval()


def check_pass(sketch: nn.Module, size: tuple[int, int]) -> None:
    """Follow one image through a sketch, so that no network is ever run that needs too much memory or time.

    Args:
        sketch: what ``sketch_network`` gave.
        size: (h, w) of the image.

    Raises:
        ModelRefused: The network cannot take such an image, or one pass would be too large or too long.
    """
    try:
        # Not in inference mode: the meter would see layers there before torch takes them apart into what it counts.
        with torch.no_grad(), _Meter():
            sketch(torch.empty(1, 3, *size, device="meta"))
    except ModelRefused:
        raise
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ModelRefused(f"the network cannot take a {size} image: {str(error)[:300]}") from error


class _CountsInMemory(TorchFunctionMode):
    """Leaves the making of small tensors from plain numbers on the CPU, where they can be read."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        options = dict(kwargs or {})
        if func in {torch.arange, torch.tensor}:
            options.setdefault("device", "cpu")
        return func(*args, **options)


class _Meter(TorchDispatchMode):
    """Adds up the results of every operation and stops at the first one that goes too far."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it without types
        self.bytes, self.operations = 0, 0.0

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        options = dict(kwargs or {})
        result: object = func(*args, **options)
        # A view has no memory of its own.
        made = () if func.is_view else result if isinstance(result, tuple | list) else (result,)
        for tensor in made:
            if isinstance(tensor, Tensor):
                self._add(tensor.numel() * tensor.element_size())
        count = flop_registry.get(func.overloadpacket)
        self.operations += 0 if count is None else count(*args, **options, out_val=result)
        if self.operations > MAX_OPERATIONS:
            raise ModelRefused(
                f"network_def: one image takes more than {MAX_OPERATIONS:.0e} operations; use a smaller network "
                "or input."
            )
        return result

    def _add(self, size: int) -> None:
        self.bytes += size
        if size > MAX_RESULT_BYTES or self.bytes > MAX_PASS_BYTES:
            raise ModelRefused(
                f"network_def: one image takes at least {self.bytes} bytes inside the network; use a smaller network "
                "or input."
            )
