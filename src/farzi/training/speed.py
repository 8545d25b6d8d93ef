"""How many steps of a training there is time for."""

import time
from dataclasses import replace
from typing import NamedTuple

from farzi.models import SequenceModel
from farzi.training.fit import Score, Training, TrainingSet, fit

TRIED_STEPS = 5
"""Steps that are taken to find out."""


class Speed(NamedTuple):
    """How long a training takes on this machine.

    Args:
        step: seconds a step.
        look: seconds a look at the validation score.
    """

    step: float
    look: float

    def steps_within(self, seconds: float, every: int) -> int:
        """How many steps fit into some time, looks among them.

        Args:
            seconds: for all of it.
            every: steps between two looks; there is one more at the end.

        Returns:
            a number, at least 1.
        """
        return max(int((seconds - self.look) / (self.step + self.look / every)), 1)


def measure_speed(model: SequenceModel, data: TrainingSet, training: Training, score: Score) -> Speed:
    """Take a few steps and a look, after one step that does not count: a process's first can take seconds.

    Args:
        model: what is to be trained.
        data: on what.
        training: how.
        score: how it is looked at.

    Returns:
        how long they took.
    """
    fit(model, data, replace(training, steps=1))
    tried = fit(model, data, replace(training, steps=TRIED_STEPS))
    began = time.monotonic()
    score(tried.parameters)
    return Speed(tried.seconds / TRIED_STEPS, time.monotonic() - began)
