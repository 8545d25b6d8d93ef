"""The ends of sequences are left out, and what is left is as it was."""

from collections import Counter

import pytest
import torch

from farzi.devices import CPU, seeded
from farzi.models import Batch, SASRec, sequence_loss
from farzi.summary import Factors
from farzi.training import cropped

LENGTH, VOCAB = 6, 5


def factors(kind: str) -> Factors:
    generator = torch.Generator().manual_seed(4)
    latents, targets = torch.randn(2, 3, LENGTH, 2, generator=generator)
    decoder = torch.randn(2, VOCAB, generator=generator)
    return Factors(latents=latents, decoder=decoder, targets=targets if kind == "free" else None)


def test_nothing_is_left_out_unless_it_is_asked_for():
    batch = factors("free").decode()
    state = torch.get_rng_state()
    assert cropped(batch, 0.0) is batch
    assert torch.equal(torch.get_rng_state(), state), "so a training without it is what it was"


def test_lengths_are_drawn_evenly_from_the_least_to_all_and_beginnings_stay():
    batch = Batch(torch.arange(12).view(2, 6), torch.arange(1, 13).view(2, 6))
    seen: Counter[int] = Counter()
    with seeded(0, CPU):
        for _ in range(500):
            inputs, targets = cropped(batch, 0.7)
            length = inputs.shape[1]
            assert torch.equal(inputs, batch.inputs[:, :length])
            assert torch.equal(targets, batch.targets[:, :length])
            seen[length] += 1
    assert set(seen) == {2, 3, 4, 5, 6}
    assert min(seen.values()) > 60


def test_something_is_left_of_sequences_that_are_padded():
    inputs = torch.tensor([[-1, -1, -1, -1, -1, 3], [-1, -1, -1, -1, 2, 1]])
    batch = Batch(inputs, inputs.roll(-1, 1).masked_fill(inputs < 0, -1))
    with seeded(0, CPU):
        lengths = {cropped(batch, 0.99).inputs.shape[1] for _ in range(50)}
    assert lengths == {5, 6}, "of two positions, of which the first has one event"


@pytest.mark.parametrize("kind", ["free", "next"])
def test_sequences_in_factors_lose_as_much_as_decoded_ones(kind):
    model, some = SASRec(dim=4, blocks=1, max_length=LENGTH), factors(kind)
    parameters = model.init(VOCAB, 0)
    losses = []
    for batch in (some.decode(), some.factored(torch.arange(3))):
        with seeded(3, CPU):
            losses.append([sequence_loss(model, parameters, cropped(batch, 0.9)).item() for _ in range(8)])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert len(set(losses[0])) > 2
