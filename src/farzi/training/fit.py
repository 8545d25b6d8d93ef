"""Fit a model from scratch, on real sequences or on a summary alike."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Protocol

import torch

from farzi.devices import find_device, seeded
from farzi.errors import InputError
from farzi.models import Batch, Factored, Parameters, SequenceModel, check_causal, sequence_loss, shortened
from farzi.summary import Summary
from farzi.training.crop import cropped
from farzi.training.sets import as_training_set
from farzi.training.unfinished import Course, Unfinished

logger = logging.getLogger(__name__)

Score = Callable[[Parameters], float]
"""Judges parameters on validation data; higher is better."""

FitLoss = Callable[[SequenceModel, Parameters, Batch | Factored, float], torch.Tensor]
"""A scalar to be lowered: of a model with its parameters on a batch, with a rate of dropout."""


class TrainingSet(Protocol):
    """Anything that a model can be fitted to."""

    @property
    def vocab_size(self) -> int:
        """Number of events in the vocabulary."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its batches are."""
        ...

    @property
    def usual_batch_size(self) -> int:
        """Sequences of a batch where nobody says how many."""
        ...

    def batches_per_pass(self, batch_size: int) -> int:
        """How many batches show everything once."""
        ...

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch | Factored]:
        """Yield shuffled batches for ever, by chance from the generator alone."""
        ...


class OutOfTimeError(Exception):
    """A training did not end in the time that it was given, and was given up."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a model is fitted.

    Args:
        lr: learning rate of Adam.
        steps: most steps taken.
        batch_size: sequences a step; 0 for as many as is usual for the data.
        dropout: rate of dropout.
        weight_decay: decoupled weight decay (AdamW).
        decay: share of the steps, the last ones, over which the learning rate falls in a straight line to nothing.
        crop: most that a step may leave out of its sequences' ends, a share of their length, see :func:`cropped`.
        evaluate_every: steps between two looks at the validation score; 0 for as many as a pass over the data takes.
        patience: looks without improvement after which training ends.

    Raises:
        ValueError: a value is outside its range.
    """

    lr: float = 1e-3
    steps: int = 2000
    batch_size: int = 32
    dropout: float = 0.0
    weight_decay: float = 0.0
    decay: float = 0.0
    crop: float = 0.0
    evaluate_every: int = 50
    patience: int = 5

    def __post_init__(self) -> None:
        for name in ("steps", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("batch_size", "evaluate_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be negative")
        if self.lr <= 0:
            raise ValueError(f"lr is {self.lr}; it must be positive")
        for name in ("dropout", "crop"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay is {self.weight_decay}; it must not be negative")
        if not 0 <= self.decay <= 1:
            raise ValueError(f"decay is {self.decay}; it must be between 0 and 1")

    def lr_at(self, step: int) -> float:
        """The learning rate of a step.

        Args:
            step: from 1 on.
        """
        left, falling = self.steps - step + 1, self.decay * self.steps
        return self.lr * min(1.0, left / falling) if falling else self.lr

    def decay_within(self, steps: int) -> float:
        """The decay of a training that ends sooner, with the rate that this one has had on average by then.

        Args:
            steps: at most as many as this training has.

        Returns:
            share of these steps, 0 to 1.
        """
        falling = self.decay * self.steps
        fallen = max(0.0, falling - (self.steps - steps))
        return fallen**2 / (falling * steps) if falling else 0.0

    def steps_between_looks(self, data: TrainingSet) -> int:
        """How often the validation score is looked at.

        Args:
            data: what is trained on.

        Returns:
            steps, at least 1.
        """
        return self.evaluate_every or data.batches_per_pass(self.batch_size or data.usual_batch_size)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A trained model.

    Args:
        model: what was trained.
        parameters: at the step with the best validation score, or at the last one if nothing was scored; on the CPU,
            wherever they were trained.
        steps: that step.
        score: that score; not a number if nothing was scored.
        curve: (step, score) at every look.
        seconds: time taken.
    """

    model: SequenceModel
    parameters: Parameters
    steps: int
    score: float
    curve: tuple[tuple[int, float], ...]
    seconds: float


def check_length(summary: Summary, model: SequenceModel) -> None:
    """Refuse a summary that a model cannot read.

    Args:
        summary: a summary.
        model: to be trained on it.

    Raises:
        InputError: the summary has more positions than the model reads.
    """
    if summary.factors.length > model.max_length:
        raise InputError(
            f"the summary has {summary.factors.length} positions, but the model reads {model.max_length}; "
            f"give the model a max_length of at least {summary.factors.length}"
        )


def advised(summary: Summary) -> Training:
    """How a summary's card says to train on it.

    Args:
        summary: a summary.

    Returns:
        its learning rate and how that falls, batch size, number of steps, weight decay and crop.
    """
    return Training(**asdict(summary.card.advice))


def _check_start(start: Parameters, fresh: Parameters) -> None:
    """Refuse parameters that are not those of the model that is to be trained."""
    for name in dict.fromkeys((*fresh, *start)):
        shapes = [tuple(some[name].shape) if name in some else None for some in (start, fresh)]
        if shapes[0] != shapes[1]:
            has, wants = ("is not there" if shape is None else f"is {shape}" for shape in shapes)
            raise InputError(f"start is of another model or of other events: {name} {has}, but in this model {wants}")


def fit(
    model: SequenceModel,
    data: TrainingSet | Summary,
    training: Training | None = None,
    score: Score | None = None,
    *,
    loss: FitLoss = sequence_loss,
    start: Parameters | None = None,
    seed: int = 0,
    device: str | None = None,
    observe: Callable[[int, Parameters, float], None] | None = None,
    unfinished: Unfinished | None = None,
    within: float = math.inf,
) -> Fitted:
    """Train with Adam, from fresh parameters or others, and keep the step that scores best on validation.

    Args:
        model: what to train; from fresh parameters it is made to read no farther than a summary's sequences reach, as
            what stands beyond stays untrained.
        data: what to train on.
        training: how; None takes what the summary's card advises, and the defaults for other data.
        score: judges parameters; higher is better. None takes all steps and keeps the last.
        loss: what is lowered; cross-entropy over all events by default. One of your own may draw random numbers by
            torch. It sees a very large summary as :class:`farzi.models.Factored`.
        start: parameters to go on from, of this model and these events; None draws fresh ones.
        seed: of fresh parameters, the order of the data, dropout and what is left out.
        device: where a model is trained on a summary, as torch names it, such as ``cuda``; None for where its tensors
            are. Other data says itself where its batches are.
        observe: called at every look with the step, the parameters and their score, not a number if nothing is scored.
        unfinished: what this very training wrote down before it was stopped, to go on from, and where it is written
            down now and then; for :class:`farzi.training.TrajectoryStore`, which knows one from another. The same comes
            out, to the last bit where the device computes alike each time (a CPU with as many threads). ``observe`` is
            not called again for what was looked at before.
        within: seconds after which it is given up, counted from this call.

    Returns:
        the model as it was trained, with its parameters.

    Raises:
        InputError: the model looks ahead, a summary has more positions than it reads, the start is that of another
            model or other events, or torch cannot compute on the device.
        OutOfTimeError: it did not end in the seconds that it was given.
    """
    began = called = time.monotonic()
    if isinstance(data, Summary):
        check_length(data, model)
        model = shortened(model, data.factors.length) if start is None else model
        training = training or advised(data)
        data = as_training_set(data.factors if device is None else data.factors.to(find_device(device)))
    training = training or Training()
    every = training.steps_between_looks(data)
    fresh = model.init(data.vocab_size, seed)
    check_causal(model, fresh)
    if start is not None:
        _check_start(start, fresh)
    initial = {name: part.detach() for name, part in (fresh if start is None else start).items()}
    parameters = {name: part.to(data.device, copy=True).requires_grad_() for name, part in initial.items()}
    optimizer = torch.optim.AdamW(parameters.values(), lr=training.lr, weight_decay=training.weight_decay, foreach=True)
    batches = data.batches(training.batch_size or data.usual_batch_size, torch.Generator().manual_seed(seed))
    course = Course(parameters, optimizer)
    with seeded(seed, data.device):
        if unfinished is not None and (found := unfinished.restore()):
            next(islice(batches, found["step"], found["step"]), None)  # those that it has seen
            course.load_state_dict(found)
            began = time.monotonic() - found["seconds"]
        for step in range(course.step + 1, training.steps + 1):
            if time.monotonic() - called > within:
                raise OutOfTimeError
            value = loss(model, parameters, cropped(next(batches), training.crop), training.dropout)
            optimizer.zero_grad()
            value.backward()
            optimizer.param_groups[0]["lr"] = training.lr_at(step)
            optimizer.step()
            course.step = step
            if step == training.steps or step % every == 0:
                now = {name: part.detach() for name, part in parameters.items()}
                reached = math.nan if score is None else float(score(now))
                if observe is not None:
                    observe(step, now, reached)
                if step == training.steps or score is not None:
                    logger.debug("step %d: loss %.4f, validation %.4f", step, value.item(), reached)
                    course.look(now, reached)
                    if step - course.best_step >= training.patience * every:
                        break
            if unfinished is not None:
                unfinished.keep(lambda: course.state_dict() | {"seconds": time.monotonic() - began})
    return Fitted(
        model=model,
        parameters=course.best,
        steps=course.best_step,
        score=course.best_score,
        curve=tuple(course.curve),
        seconds=time.monotonic() - began,
    )
