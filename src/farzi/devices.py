"""Where tensors are: devices by name, and random states."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor

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


def random_states(device: torch.device) -> list[Tensor]:
    """Torch's global random states.

    Args:
        device: whose state is wanted beside that of the CPU.

    Returns:
        the states, to be given to :func:`set_random_states`.
    """
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_random_states(states: list[Tensor], device: torch.device) -> None:
    """Put torch's global random states to what they were.

    Args:
        states: that :func:`random_states` gave for a device of this kind.
        device: whose state is put back beside that of the CPU.
    """
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
