"""The loss of hard and soft sequences."""

import torch

from farzi.models import Batch, SASRec, sequence_loss


def test_gradients_are_the_same_to_the_last_bit_every_time_also_with_two_threads():
    model, generator = SASRec(dim=32, max_length=50), torch.Generator().manual_seed(0)
    parameters = {name: part.requires_grad_() for name, part in model.init(50, 0).items()}
    tokens = torch.randint(50, (128, 51), generator=generator)
    batch, threads = Batch(tokens[:, :-1], tokens[:, 1:]), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen = [torch.autograd.grad(sequence_loss(model, parameters, batch), [*parameters.values()]) for _ in range(5)]
    finally:
        torch.set_num_threads(threads)
    for other in seen[1:]:
        assert all(torch.equal(a, b) for a, b in zip(seen[0], other, strict=True))
