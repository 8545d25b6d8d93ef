"""What a process that trains asks of its machine."""

import ctypes
import sys

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # numbers of mallopt(3)
_LARGEST_MMAP_THRESHOLD = 32 * 2**20


def prepare_process() -> None:
    """Make this process, and threads that it starts from now on, fast at training; it changes nothing but rounding.

    Freed memory is used again instead of handed back to the system, where the C library is glibc: training frees and
    asks for the same arrays of some megabytes in every step. By default glibc may map each of them anew, and the page
    faults cost about as much as the arithmetic on them.

    Numbers too small for a normal exponent, below 1e-38 in float32, become 0: moments of entries without a gradient can
    fall that low in some 800 steps of Adam, and processors may take far longer for them (docs/log.md).
    """
    torch.set_flush_denormal(True)
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
