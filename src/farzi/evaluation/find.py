"""The task of each kind of data."""

import torch

from farzi.devices import CPU
from farzi.evaluation.next_item import NextItem
from farzi.evaluation.next_token import NextToken
from farzi.evaluation.task import Task
from farzi.events import EventData, TextData


def task_of(data: EventData | TextData, device: torch.device = CPU) -> Task:
    """Tell what data is for.

    Args:
        data: sequences of events, or a text.
        device: where models are trained and measured.

    Returns:
        to predict each user's next event, or each token of the text.
    """
    return NextToken(data, device=device) if isinstance(data, TextData) else NextItem(data, device=device)
