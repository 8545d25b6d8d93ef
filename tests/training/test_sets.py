"""What training sees: every real target once an epoch, and a summary's sequences in the order of the schedule."""

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from farzi.errors import InputError
from farzi.events import EventData, Vocabulary
from farzi.models import Batch, SASRec, sequence_loss
from farzi.training import RealSequences, TensorSequences, Training, draw_schedule, fit

quick = settings(max_examples=60, deadline=None)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distinct(lengths: list[int]) -> EventData:
    """Sequences in which every event is another: it tells where it stands."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    events = np.arange(offsets[-1], dtype=np.int32)
    return EventData("distinct", events, offsets, Vocabulary(tuple(map(str, events))))


@quick
@given(
    lengths=st.lists(st.integers(0, 23), min_size=1, max_size=6).filter(lambda lengths: max(lengths) > 1),
    length=st.integers(1, 8),
    seed=st.integers(0, 99),
)
def test_every_epoch_has_each_target_once(lengths, length, seed):
    data = distinct(lengths)
    firsts = {int(first) for first, size in zip(data.offsets, lengths, strict=False) if size}
    wanted = sorted(set(range(data.num_events)) - firsts)
    # A batch of more rows than there are windows is a whole epoch.
    for batch in islice(RealSequences(data=data, length=length).batches(1000, seeded(seed)), 3):
        inputs, targets = batch
        assert inputs.shape == targets.shape
        real = targets >= 0
        assert real.any(1).all(), "no window without a target"
        assert real[:, 0].any(), "no column of padding alone"
        assert inputs.shape[1] <= length
        assert sorted(targets[real].tolist()) == wanted
        assert torch.equal(inputs[real], targets[real] - 1), "the input is the event before the target"
        assert torch.equal(real, inputs >= 0), "a position has a target exactly where it has an input"
        assert (real.int().diff(dim=1) >= 0).all(), "padding stands on the left"


@quick
@given(batch_size=st.integers(1, 9), seed=st.integers(0, 99))
def test_small_batches_cover_an_epoch_too(batch_size, seed):
    data, seen, sizes = distinct([7, 12, 2, 9]), [], []
    num_targets = 6 + 11 + 1 + 8
    for batch in RealSequences(data=data, length=4).batches(batch_size, seeded(seed)):
        seen += batch.targets[batch.targets >= 0].tolist()
        sizes.append(len(batch.inputs))
        if len(seen) >= num_targets:
            break
    assert len(seen) == len(set(seen)) == num_targets
    assert all(size == batch_size for size in sizes[:-1])
    assert sizes[-1] <= batch_size


@pytest.mark.parametrize(("batch_size", "batches"), [(1, 4), (3, 2), (9, 1)])
def test_the_batches_of_a_pass_are_counted(batch_size, batches):
    data = RealSequences(data=distinct([6, 3, 1]), length=2)
    assert data.batches_per_pass(batch_size) == batches, "5, 2 and 0 targets make 3, 1 and 0 windows"


@pytest.mark.parametrize(("lengths", "size"), [([41] * 30, 16), ([81] * 30, 16), ([4] * 500, 64)])
def test_usual_batches_have_as_many_events_whatever_the_length_of_the_windows(lengths, size):
    """16 windows of 40 events have 640, as those of 50 and 30 have in the mean; short ones are no more than 64."""
    data = RealSequences(data=distinct(lengths), length=50)
    assert data.usual_batch_size == size
    first = next(data.batches(data.usual_batch_size, seeded(0)))
    model = SASRec(dim=8)
    one, other = (
        Training(steps=2, batch_size=batch_size, evaluate_every=0) for batch_size in (0, data.usual_batch_size)
    )
    assert len(first.inputs) == data.usual_batch_size
    assert one.steps_between_looks(data) == other.steps_between_looks(data)
    found, wanted = (fit(model, data, training).parameters for training in (one, other))
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_narrow_batches_are_the_wide_ones_without_the_padding():
    """Were they of the full width, there would be 5 x 20 positions in an epoch instead of 16 for 16 targets."""
    data, model = distinct([3, 2, 9, 4, 3]), SASRec(dim=8, max_length=20)
    parameters = {name: part.double() for name, part in model.init(data.vocab_size, 0).items()}
    positions = targets = 0
    for batch in islice(RealSequences(data=data, length=20).batches(1, seeded(0)), 5):
        wide = Batch(*(functional.pad(part, (20 - part.shape[1], 0), value=-1) for part in batch))
        losses = (sequence_loss(model, parameters, each) for each in (batch, wide))
        torch.testing.assert_close(*losses, rtol=1e-12, atol=0)
        positions += batch.inputs.numel()
        targets += int((batch.targets >= 0).sum())
    assert positions == targets == 2 + 1 + 8 + 3 + 2


def test_windows_are_cut_and_shuffled_anew_in_every_epoch():
    real = RealSequences(data=distinct([40, 40]), length=8)
    epochs = [batch.inputs for batch in islice(real.batches(1000, seeded(0)), 8)]
    assert len({tuple(sorted(map(tuple, epoch.tolist()))) for epoch in epochs}) > 1, "other cuts"
    same_cuts = [tuple(map(tuple, epoch.tolist())) for epoch in epochs]
    assert len(set(same_cuts)) == 8, "another order"
    assert any(order != tuple(sorted(order)) for order in same_cuts)


def test_batches_follow_from_the_generators_seed():
    real = RealSequences(data=distinct([15, 9, 30]), length=5)
    first, again, other = (list(islice(real.batches(3, seeded(seed)), 20)) for seed in (1, 1, 2))
    same = [a.inputs.equal(b.inputs) and a.targets.equal(b.targets) for a, b in zip(first, again, strict=True)]
    assert all(same)
    assert not all(a.inputs.equal(b.inputs) for a, b in zip(first, other, strict=True))


def test_the_size_of_the_vocabulary_is_the_datas():
    assert RealSequences(data=distinct([5]), length=2).vocab_size == 5


sizes = st.integers(1, 12).flatmap(lambda count: st.tuples(st.just(count), st.integers(1, count)))


@quick
@given(sizes=sizes, steps=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_schedule_is_made_of_passes_without_repetition(sizes, steps, seed):
    count, batch_size = sizes
    schedule = draw_schedule(count, batch_size, steps, seeded(seed))
    assert schedule.shape == (steps, batch_size)
    assert schedule.dtype == torch.int64
    assert 0 <= schedule.min() <= schedule.max() < count
    for one_pass in schedule.split(count // batch_size):
        assert one_pass.unique().numel() == one_pass.numel(), "no sequence twice in a pass"
    assert torch.equal(schedule, draw_schedule(count, batch_size, steps, seeded(seed)))
    longer = draw_schedule(count, batch_size, steps + 7, seeded(seed))
    assert torch.equal(schedule, longer[:steps]), "a longer run begins as a shorter one"


def test_a_whole_batch_is_every_sequence_in_another_order_each_step():
    schedule = draw_schedule(9, 9, 20, seeded(0))
    assert all(sorted(row) == list(range(9)) for row in schedule.tolist())
    assert len(set(map(tuple, schedule.tolist()))) == 20


def test_passes_leave_out_each_sequence_alike():
    seen = draw_schedule(5, 2, 1000, seeded(0)).flatten().bincount()
    assert seen.min() > 350, f"five sequences, 2000 places: {seen.tolist()}"


@quick
@given(sizes=sizes, seed=st.integers(0, 99))
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_tensor_sequences_follow_the_schedule(kind, sizes, seed):
    count, batch_size = sizes
    shape = (count, 3) if kind == "hard" else (count, 3, 4)
    inputs = torch.arange(torch.Size(shape).numel()).view(shape)
    inputs = inputs if kind == "hard" else inputs.double()
    data = TensorSequences(inputs=inputs, targets=-inputs, vocab_size=4)
    schedule = draw_schedule(count, batch_size, 25, seeded(seed))
    for indices, batch in zip(schedule, data.batches(batch_size, seeded(seed)), strict=False):
        assert torch.equal(batch.inputs, inputs[indices])
        assert torch.equal(batch.targets, -inputs[indices])


def test_a_batch_larger_than_the_set_is_the_set():
    data = TensorSequences(inputs=torch.arange(6).view(3, 2), targets=torch.arange(6).view(3, 2), vocab_size=6)
    for batch in islice(data.batches(10, seeded(0)), 5):
        assert sorted(batch.inputs[:, 0].tolist()) == [0, 2, 4]


def test_sequences_of_one_event_are_nothing_to_learn_from():
    data = EventData("lonely", np.array([0, 1], dtype=np.int32), np.array([0, 1, 2]), Vocabulary(("a", "b")))
    with pytest.raises(InputError, match="lonely has two events"):
        RealSequences(data=data, length=3)
