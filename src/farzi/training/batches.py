"""How a training on a summary changes with the number of sequences that there are, and that a step sees."""

import math
from dataclasses import replace

from farzi.training.fit import Training

FEW_SEQUENCES = 25
"""Synthetic sequences a step for which students' training is meant as it stands."""

FEW_WINDOWS = 100
"""Synthetic sequences up to which students' crop is meant as it stands."""


def stretch(batch_size: int) -> float:
    """How much longer the steps of a large batch are: by the root of its size, as its gradient varies less.

    So it is for Adam (Malladi et al., 2022, arXiv 2205.10287).

    Args:
        batch_size: sequences a step.

    Returns:
        a factor, 1 up to :data:`FEW_SEQUENCES`.
    """
    return math.sqrt(max(batch_size / FEW_SEQUENCES, 1.0))


def with_batches(training: Training, batch_size: int) -> Training:
    """The same training with so many sequences a step.

    Weight decay falls as steps grow, so that weights shrink at the same pace. Patience grows with them: the more
    sequences there are, the longer students gain a little at each look (docs/log.md, 2026-11-30).

    Args:
        training: meant for few sequences a step.
        batch_size: sequences a step.

    Returns:
        the training; its learning rate is left as it is.
    """
    longer = stretch(batch_size)
    return replace(
        training,
        batch_size=batch_size,
        weight_decay=training.weight_decay / longer,
        patience=round(training.patience * longer),
    )


def with_sequences(training: Training, sequences: int) -> Training:
    """The same training where there are so many sequences.

    The more there are, the less is left out: many are not learned by heart, and what is left out is not learned from
    (docs/log.md, 2026-12-01).

    Args:
        training: meant for few sequences.
        sequences: synthetic ones.

    Returns:
        the training, with a crop that falls as their number grows.
    """
    return replace(training, crop=training.crop * min(FEW_WINDOWS / sequences, 1.0))
