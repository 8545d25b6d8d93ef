"""Where tensors are: devices by name, and random states."""

from collections.abc import Generator
from contextlib import contextmanager

import torch

from farzi.errors import InputError

CPU = torch.device("cpu")
"""Where parameters are drawn, where whatever waits rests, and where everything is computed unless said otherwise."""


def find_device(name: str | torch.device) -> torch.device:
    """Find a device.

    Args:
        name: as torch calls it: ``cpu``, ``cuda``, ``cuda:1``.

    Returns:
        the device.

    Raises:
        InputError: torch cannot compute there.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:  # the latter of a torch without CUDA
        found = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        raise InputError(
            f"device is {str(name)!r}, where torch cannot compute here; give {' or '.join(found)}"
        ) from error
    return device


@contextmanager
def seeded(seed: int, device: torch.device) -> Generator[None]:
    """Seed torch's global random states for as long as a block runs, and leave them as they were.

    Args:
        seed: of the states.
        device: whose state is put back, beside that of the CPU.

    Yields:
        nothing.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
