"""Which sequences a summary starts from."""

import math

from torch import Tensor

from farzi.evaluation import Task
from farzi.summary import Teacher, generate, representative

CANDIDATES = 2048
"""Sequences that a start is chosen from, or twice as many as it has, where that is more."""

PLACES = 4096
"""Places in the data for which the chosen ones are to stand, or twice as many as these have, where that is more."""

MOST_PAIRS = 2**26
"""Most candidates times places, whose nearness is held together: 268 MB."""


def choose_start(
    task: Task, teachers: tuple[Teacher, ...], count: int, length: int, *, generated: bool, seed: int
) -> Tensor:
    """Of many sequences the most useful, if a teacher can tell.

    Args:
        task: whose data they stand for.
        teachers: models trained on it; without any the sequences are drawn at random.
        count: how many.
        length: positions of each that have a target.
        generated: whether teachers write them; else they are real.
        seed: of all draws.

    Returns:
        event ids, ``(sequences, length + 1)``.
    """
    if not teachers:
        return task.draw(count, length, seed)
    offered = max(CANDIDATES, 2 * count)
    others = math.ceil(min(max(PLACES, 2 * count * length), MOST_PAIRS / offered) / length)
    drawn = task.draw(others + offered, length, seed)
    candidates = drawn[others:]
    if generated:
        candidates = generate(candidates[:, 0], length, teachers, seed=seed)
    return representative(candidates, drawn[:others], teachers[0], count)
