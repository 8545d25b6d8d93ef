"""Newton's search for latents, against distributions that are known and against plain descent."""

import pytest
import torch

from farzi.summary.closest import DECREASE, closest_latents


def loss(latents: torch.Tensor, decoder: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, but for what the latents do not change."""
    return torch.logsumexp(latents @ decoder, 1) - (latents * means).sum(1)


def test_finds_the_latents_that_made_the_distributions():
    torch.manual_seed(0)
    decoder, latents = torch.randn(5, 40), torch.randn(300, 5)
    wanted = (latents @ decoder).softmax(1)
    found = closest_latents(wanted @ decoder.T, decoder, torch.zeros_like(latents))
    torch.testing.assert_close((found @ decoder).softmax(1), wanted, atol=2e-3, rtol=0)


@pytest.mark.parametrize("vocab", [30, 5000])
def test_near_certain_events_come_as_close_as_long_descent_brings_them(vocab):
    """The hardest case: far from the start, with a covariance that has next to nothing in it."""
    torch.manual_seed(1)
    decoder, events = torch.randn(6, vocab), torch.arange(20)
    wanted = torch.full((20, vocab), 0.05 / (vocab - 1))
    wanted[torch.arange(20), events] = 0.95
    means, start = wanted @ decoder.T, decoder.T[events]
    found = closest_latents(means, decoder, start)
    slow = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([slow], lr=0.05)
    for _ in range(2000):
        optimizer.zero_grad()
        loss(slow, decoder, means).sum().backward()
        optimizer.step()
    assert float((loss(found, decoder, means) - loss(slow.detach(), decoder, means)).max()) < 10 * DECREASE


def test_rows_are_searched_apart_and_never_leave_for_worse():
    torch.manual_seed(2)
    decoder = torch.randn(4, 25)
    wanted = torch.rand(600, 25).softmax(1)
    means, start = wanted @ decoder.T, torch.randn(600, 4)
    found = closest_latents(means, decoder, start)
    assert (loss(found, decoder, means) <= loss(start, decoder, means) + 1e-6).all()
    torch.testing.assert_close(closest_latents(means[7:8], decoder, start[7:8])[0], found[7], atol=1e-3, rtol=0)


def test_a_decoder_that_tells_nothing_apart_leaves_the_start():
    start = torch.randn(3, 2)
    assert torch.equal(closest_latents(torch.ones(3, 2), torch.ones(2, 9), start), start)
