"""Small training problems in float64: every way of differentiating through training has to agree on all of them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import gelu, one_hot

from farzi.metagrad.tensors import Layout, Loss, Tensors
from farzi.metagrad.unroll import OuterLoss
from farzi.models import Batch, SASRec, hidden_states, sequence_loss

NUM_EXAMPLES = 6


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An inner loss and its examples, an outer loss, and the parameters at the start.

    ``shared`` are tensors that every batch holds whole, beside its rows of the examples.
    ``plain`` is the inner loss once more, in operations of torch alone, for the oracle.
    """

    loss: Loss
    plain: Loss
    outer: OuterLoss
    parameters: Tensors
    examples: Tensors
    shared: Tensors = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        return Layout.of(self.parameters)

    @property
    def weights(self) -> Tensor:
        return self.layout.flatten(self.parameters)

    @property
    def batch(self) -> Tensors:
        """All examples at once."""
        return self.examples | self.shared


def _normals(seed: int) -> Callable[..., Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def linear() -> Problem:
    """Least squares with a bias."""
    normal = _normals(1)

    def loss(p: Tensors, batch: Tensors) -> Tensor:
        return (batch["x"] @ p["slope"] + p["bias"] - batch["y"]).square().mean()

    validation = {"x": normal(9, 3), "y": normal(9)}
    return Problem(
        loss=loss,
        plain=loss,
        outer=lambda p: loss(p, validation),
        parameters={"slope": normal(3), "bias": normal(())},
        examples={"x": normal(NUM_EXAMPLES, 3), "y": normal(NUM_EXAMPLES)},
    )


def perceptron() -> Problem:
    """A multilayer perceptron; one tensor of the examples has no influence at all."""
    normal = _normals(2)

    def forward(p: Tensors, x: Tensor) -> Tensor:
        return gelu(x @ p["up"] + p["bias"]).matmul(p["down"]).tanh()

    def loss(p: Tensors, batch: Tensors) -> Tensor:
        return (forward(p, batch["x"]) - batch["y"]).square().sum(1).mean()

    x, y = normal(9, 3), normal(9, 2)
    return Problem(
        loss=loss,
        plain=loss,
        outer=lambda p: (forward(p, x) - y).square().mean(),
        parameters={"up": normal(3, 5), "bias": normal(5), "down": normal(5, 2)},
        examples={"x": normal(NUM_EXAMPLES, 3), "y": normal(NUM_EXAMPLES, 2), "unused": normal(NUM_EXAMPLES, 2)},
    )


def sparse_rows() -> Problem:
    """An embedding of which each batch reads a few rows: some are read late, others never, so that v = 0 there.

    The rows are read by a matrix product: unlike a look-up, it would spread a NaN in a row that it does not read.
    """
    normal = _normals(3)

    def loss(p: Tensors, batch: Tensors) -> Tensor:
        read = one_hot(batch["ids"], 8).to(batch["x"]).mean(1) @ p["embedding"]
        return ((read * batch["x"]).sum(1) - batch["y"]).square().mean()

    wanted = normal(8, 3)
    return Problem(
        loss=loss,
        plain=loss,
        outer=lambda p: (p["embedding"] - wanted).square().sum().tanh() + p["embedding"].sin().sum(),
        parameters={"embedding": 0.3 * normal(8, 3)},
        examples={
            "ids": torch.tensor([[0, 1], [1, 2], [3, 3], [4, 0], [5, 2], [5, 5]]),
            "x": normal(NUM_EXAMPLES, 3),
            "y": normal(NUM_EXAMPLES),
        },
    )


def sasrec() -> Problem:
    """SASRec on soft sequences with soft targets, both held as logits."""
    normal = _normals(4)
    model = SASRec(dim=4, blocks=1, heads=2, max_length=4)
    vocab, length = 7, 4

    def loss(p: Tensors, batch: Tensors) -> Tensor:
        return sequence_loss(model, p, Batch(batch["inputs"].softmax(-1), batch["targets"].softmax(-1)))

    def plain(p: Tensors, batch: Tensors) -> Tensor:
        hidden = hidden_states(model, p, batch["inputs"].softmax(-1))
        logs = (hidden @ p["embedding"].T).log_softmax(-1)
        return -(batch["targets"].softmax(-1) * logs).sum(-1).mean()

    validation = {"inputs": 3 * normal(5, length, vocab), "targets": 3 * normal(5, length, vocab)}
    return Problem(
        loss=loss,
        plain=plain,
        outer=lambda p: plain(p, validation),
        parameters={name: part + 0.5 * normal(*part.shape) for name, part in model.init(vocab, 0).items()},
        examples={"inputs": 2 * normal(NUM_EXAMPLES, length, vocab), "targets": normal(NUM_EXAMPLES, length, vocab)},
    )


def recurrent() -> Problem:
    """A gated recurrent cell that reads a short sequence."""
    normal = _normals(5)
    dim = 3

    def forward(p: Tensors, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), dim)
        for now in x.unbind(1):
            gates = (now @ p["gates_in"] + state @ p["gates_state"]).sigmoid()
            forget, update = gates.split(dim, 1)
            state = forget * state + update * (now @ p["in"] + p["bias"] + state @ p["state"]).tanh()
        return state

    def loss(p: Tensors, batch: Tensors) -> Tensor:
        return (forward(p, batch["x"]) @ p["out"] - batch["y"]).square().mean()

    x, y = normal(9, 4, 2), normal(9)
    return Problem(
        loss=loss,
        plain=loss,
        outer=lambda p: (forward(p, x) @ p["out"] - y).square().mean(),
        parameters={
            "gates_in": normal(2, 2 * dim),
            "gates_state": normal(dim, 2 * dim),
            "in": normal(2, dim),
            "state": normal(dim, dim),
            "bias": normal(dim),
            "out": normal(dim),
        },
        examples={"x": normal(NUM_EXAMPLES, 4, 2), "y": normal(NUM_EXAMPLES)},
    )


def example_weights() -> Problem:
    """Logistic regression on fixed labels: what is differentiated is how much each example counts."""
    normal = _normals(6)

    def per_example(p: Tensors, x: Tensor, label: Tensor) -> Tensor:
        logits = x @ p["slope"] + p["bias"]
        return (1 + (-logits * (2 * label - 1)).exp()).log()

    def loss(p: Tensors, batch: Tensors) -> Tensor:
        return (batch["weight"].sigmoid() * per_example(p, batch["x"], batch["label"])).mean()

    x, label = normal(9, 3), torch.arange(9) % 2
    return Problem(
        loss=loss,
        plain=loss,
        outer=lambda p: per_example(p, x, label).mean(),
        parameters={"slope": normal(3), "bias": normal(())},
        examples={
            "x": normal(NUM_EXAMPLES, 3),
            "label": torch.arange(NUM_EXAMPLES) % 2,
            "weight": normal(NUM_EXAMPLES),
        },
    )


def regularised() -> Problem:
    """Least squares in features that all examples share, with a learned penalty on each slope."""
    normal = _normals(7)

    def loss(p: Tensors, batch: Tensors) -> Tensor:
        error = (batch["x"] @ batch["features"]).tanh() @ p["slope"] - batch["y"]
        return error.square().mean() + (batch["penalty"].exp() * p["slope"].square()).sum()

    x, y, features = normal(9, 3), normal(9), normal(3, 4)
    return Problem(
        loss=loss,
        plain=loss,
        outer=lambda p: ((x @ features).tanh() @ p["slope"] - y).square().mean(),
        parameters={"slope": normal(4)},
        examples={"x": normal(NUM_EXAMPLES, 3), "y": normal(NUM_EXAMPLES)},
        shared={"features": normal(3, 4), "penalty": normal(4) - 2, "ids": torch.arange(3)},
    )


PROBLEMS = {
    make.__name__: make
    for make in (
        linear,
        perceptron,
        sparse_rows,
        sasrec,
        recurrent,
        example_weights,
        regularised,
    )
}
