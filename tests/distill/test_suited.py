"""What is left open of inner runs and students, and suits the size of the summary."""

import math

import pytest

from farzi.distill import MetaMatching, Size
from farzi.distill.work import Work
from farzi.metagrad import SGD, Adam
from farzi.training import Training


@pytest.mark.parametrize("name", ["lr", "batch_size", "sampled_events"])
@pytest.mark.parametrize("value", [-1, math.nan])
def test_what_is_no_positive_number_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be positive, or 0 for "):
        MetaMatching(**{name: value})


@pytest.mark.parametrize(
    ("sequences", "length", "batch_size"),
    [
        (5, 20, 25),
        (50, 10, 25),
        (125, 5, 25),
        (250, 10, 50),
        (400, 5, 80),
        (500, 10, 100),
        (5000, 10, 100),
        (400, 50, 25),
    ],
)
def test_batches_grow_with_the_summary_and_steps_with_the_batches(sequences, length, batch_size):
    chosen = MetaMatching().suited(sequences, length)
    assert chosen.batch_size == batch_size
    assert chosen.lr == pytest.approx(0.01 * math.sqrt(batch_size / 25))
    assert chosen.suited(1000, 1) == chosen, "what is chosen stays"


def test_what_is_said_of_batches_holds_and_steps_suit_it():
    assert MetaMatching(batch_size=100, lr=0.5).suited(10, 10) == MetaMatching(batch_size=100, lr=0.5)
    assert MetaMatching(batch_size=100).suited(400, 10).lr == pytest.approx(0.02)
    assert MetaMatching(batch_size=100).suited(36, 10).lr == pytest.approx(0.012), "a step has no more than there are"
    assert MetaMatching(batch_size=1).suited(400, 10).lr == pytest.approx(0.01)


@pytest.mark.parametrize(("inner", "lr"), [(Adam(), 0.3), (SGD(), 0.02)])
def test_students_take_the_rate_of_inner_runs_by_adam_alone_and_else_what_suits_the_batch(inner, lr):
    assert MetaMatching(inner=inner).suited(500, 10).student_lr(0.3) == pytest.approx(lr)


@pytest.mark.parametrize(
    ("sequences", "batch_size", "patience", "crop"),
    [(20, 20, 10, 0.8), (50, 25, 10, 0.8), (300, 60, 15, 0.8 / 3), (500, 100, 20, 0.16)],
)
def test_students_have_patience_weights_and_crop_as_suits_the_size(sequences, batch_size, patience, crop):
    size, usual = Size(sequences=sequences, length=10), Training(lr=0.01, weight_decay=0.1, patience=10, crop=0.8)
    wanted = {"objective": MetaMatching().suited(sequences, 10), "size": size, "student": usual}
    work = Work(**{name: wanted.get(name) for name in Work.__dataclass_fields__})
    training = work.student_training(work.objective.lr)
    assert (training.batch_size, training.patience) == (batch_size, patience)
    assert training.crop == pytest.approx(crop)
    assert training.lr * training.weight_decay == pytest.approx(usual.lr * usual.weight_decay)
