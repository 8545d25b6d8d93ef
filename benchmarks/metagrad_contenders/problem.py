"""The bilevel problem that every contender differentiates, as one file that every process reads."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import farzi
from farzi.models import Batch, hidden_states
from farzi.summary import Factors

LR = 1e-2
LENGTH = 50
WARM_STEPS = 30
REAL_WINDOWS = 32
LATENT_RANK = 8
LOGIT_SPREAD = 0.3
SUMMARY = Path(__file__).parents[2] / "results" / "summaries" / "ml-100k-50x50-free.safetensors"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a problem: events, synthetic sequences, width of the model."""

    vocab: int = 1349
    sequences: int = 50
    dim: int = 32


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Soft sequences to train on, the state of Adam to start from, and real windows that judge the trained weights.

    ``first`` and ``second`` are Adam's moments by parameter after ``count`` steps.
    """

    model: farzi.SASRec
    inputs: Tensor
    targets: Tensor
    parameters: dict[str, Tensor]
    count: int
    first: dict[str, Tensor]
    second: dict[str, Tensor]
    schedule: Tensor
    real: Tensor

    def plain(self, parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        """The inner loss in operations of torch alone."""
        log_p = self._logits(parameters, inputs).log_softmax(-1)
        return -(targets * log_p).sum(-1).mean()

    def plain_outer(self, parameters: dict[str, Tensor]) -> Tensor:
        """The outer loss in operations of torch alone."""
        return cross_entropy(self._logits(parameters, self.real[:, :-1]).flatten(0, 1), self.real[:, 1:].flatten())

    def _logits(self, parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return hidden_states(self.model, parameters, inputs) @ parameters["embedding"].T


def make(path: str, shape: Shape, steps: int, batches: list[int], task: farzi.NextItem | None) -> None:
    """Draw a problem and save it; without a task all of it is generated."""
    generator = torch.Generator().manual_seed(7)
    decoded = _examples(shape, generator, learned=task is not None)
    if task is None:
        popularity = 1 / torch.arange(1, shape.vocab + 1, dtype=torch.float64)
        draws = torch.multinomial(popularity, REAL_WINDOWS * (LENGTH + 1), replacement=True, generator=generator)
        real = draws.view(REAL_WINDOWS, LENGTH + 1)
    else:
        real = task.draw(REAL_WINDOWS, LENGTH, seed=0)
    schedules = {
        batch: torch.stack([torch.randperm(shape.sequences, generator=generator)[:batch] for _ in range(steps)])
        for batch in batches
    }
    fresh = farzi.SASRec(dim=shape.dim).init(shape.vocab, seed=1)
    zeros = {name: torch.zeros_like(part) for name, part in fresh.items()}
    start = Problem(
        model=farzi.SASRec(dim=shape.dim),
        inputs=decoded.inputs,
        targets=decoded.targets,
        parameters=fresh,
        count=0,
        first=zeros,
        second=zeros,
        schedule=schedules[batches[0]],
        real=real,
    )
    warm = _warm(start)
    content = {
        field.name: getattr(warm, field.name) for field in fields(warm) if field.name not in ("model", "schedule")
    }
    torch.save({**content, "dim": shape.dim, "schedules": schedules}, path)


def _examples(shape: Shape, generator: torch.Generator, learned: bool) -> Batch:
    """The committed summary where it fits the data; otherwise distributions not far from even ones.

    Training on sharp distributions drawn at random is chaotic at this learning rate: after 100 steps the gradient is
    10,000 times larger than on the summary, and float32 has no digit of it right.
    """
    if learned and shape == Shape() and SUMMARY.is_file():
        return Batch(*(part.detach() for part in farzi.load(SUMMARY).factors.decode()))

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator)

    latents, targets = (normal(shape.sequences, LENGTH, LATENT_RANK) for _ in range(2))
    temperature = LATENT_RANK**0.5 / LOGIT_SPREAD
    decoder = normal(LATENT_RANK, shape.vocab)
    return Factors(latents=latents, decoder=decoder, targets=targets, temperature=temperature).decode()


def load(path: str, batch: int, steps: int, dtype: torch.dtype, zero_moments: bool) -> Problem:
    """Read a problem for one way of running it; with ``zero_moments`` Adam forgets the steps before the start."""
    content = torch.load(path)

    def cast(name: str, scale: int = 1) -> dict[str, Tensor]:
        return {key: part.to(dtype) * scale for key, part in content[name].items()}

    def rows(x: Tensor) -> Tensor:
        # Rows that sum to one only to float32's precision would make two heads differ that are the same function.
        return x if dtype == torch.float32 else (x := x.to(dtype)) / x.sum(-1, keepdim=True)

    return Problem(
        model=farzi.SASRec(dim=content["dim"]),
        inputs=rows(content["inputs"]),
        targets=rows(content["targets"]),
        parameters=cast("parameters"),
        count=0 if zero_moments else content["count"],
        first=cast("first", 0 if zero_moments else 1),
        second=cast("second", 0 if zero_moments else 1),
        schedule=content["schedules"][batch][:steps],
        real=content["real"],
    )


def _warm(problem: Problem) -> Problem:
    """Some steps of plain training: Adam's first steps from fresh weights amplify every rounding error."""
    parameters = {name: part.clone().requires_grad_() for name, part in problem.parameters.items()}
    optimizer = torch.optim.Adam(parameters.values(), lr=LR)
    for step in range(WARM_STEPS):
        indices = problem.schedule[step % len(problem.schedule)]
        optimizer.zero_grad()
        problem.plain(parameters, problem.inputs[indices], problem.targets[indices]).backward()
        optimizer.step()
    return replace(
        problem,
        parameters={name: part.detach() for name, part in parameters.items()},
        count=WARM_STEPS,
        first={name: optimizer.state[part]["exp_avg"] for name, part in parameters.items()},
        second={name: optimizer.state[part]["exp_avg_sq"] for name, part in parameters.items()},
    )
