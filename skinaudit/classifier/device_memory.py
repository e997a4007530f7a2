"""What errors say when the memory of a device is used up."""

from __future__ import annotations

import torch

# How libraries below PyTorch say it, where PyTorch does not turn it into its own error.
_PHRASES = (
    "CUDA error: out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator: can't allocate memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Does an error say that the device has no memory left?"""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _PHRASES)
