"""What is measured: the points of the quick and of the full grid."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from metagrad_contenders.contenders import REPLAYS
from metagrad_contenders.problem import Shape

FOREIGN = ("higher", "higher, epsilon scaled", "torchopt")
BY_STEP = "autograd, step by step"
OTHERS = ("autograd", BY_STEP, "higher", "torchopt")
COMPILED = "farzi compiled"
MOST_STEPS = {"StoreAll": 200, "Unstep": 100}
"""How far the grid goes with a replay: un-stepping drifts, and whoever takes a thousand steps wants to save memory."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One point of the grid."""

    contender: str = "farzi"
    replay: str = ""
    steps: int = 100
    batch: int = 10
    dtype: str = "float32"
    zero_moments: bool = False
    shape: Shape = field(default_factory=Shape)
    repeats: int = 1

    @property
    def truth(self) -> "Case":
        """What its gradients are compared with."""
        return replace(self, contender=BY_STEP, replay="", dtype="float64", repeats=1)


def quick() -> list[Case]:
    """Everything that the headline needs."""
    middle = Case(replay="StoreAll", repeats=2)
    return [
        middle,
        replace(middle, contender=COMPILED),
        *(replace(middle, contender=name, replay="", repeats=1 if name == BY_STEP else 2) for name in OTHERS),
        replace(middle, dtype="float64", repeats=1),
        *(Case(replay=frugal(), steps=steps) for steps in (10, 1000)),
    ]


def full() -> list[Case]:
    """Steps by batch for everybody, and how farzi's step grows with each size."""
    cases = [Case(replay="StoreAll", dtype="float64"), *fresh()]
    for steps in (10, 50, 100, 200, 1000):
        for batch in (10, 50):
            base = Case(steps=steps, batch=batch, repeats=3 if steps == 100 else 1)
            cases += [replace(base, replay=name) for name in REPLAYS if steps <= MOST_STEPS.get(name, steps)]
            compiled = frugal() if steps > MOST_STEPS["StoreAll"] else "StoreAll"
            cases.append(replace(base, contender=COMPILED, replay=compiled))
            cases += [replace(base, contender=name) for name in OTHERS]
    small = Case(replay="StoreAll", steps=5, repeats=3)
    shapes = [Shape(), *(Shape(vocab=vocab, sequences=10) for vocab in (1_000, 10_000, 50_000))]
    shapes += [Shape(sequences=sequences) for sequences in (10, 200)]
    shapes += [Shape(dim=dim) for dim in (16, 64, 128)]
    return cases + [replace(small, shape=shape) for shape in shapes]


def fresh() -> list[Case]:
    """The start from zero moments, where the libraries differ."""
    return [Case(replay="StoreAll", steps=10, zero_moments=True)] + [
        Case(contender=name, steps=10, zero_moments=True) for name in FOREIGN
    ]


def frugal() -> str:
    """The strategy that keeps the fewest states."""
    return next(name for name in ("Tree", "Segments", "StoreAll") if name in REPLAYS)


def groups(cases: list[Case]) -> Iterator[list[Case]]:
    """Cases by what they are compared with."""
    found: dict[Case, list[Case]] = {}
    for case in cases:
        found.setdefault(case.truth, []).append(case)
    yield from found.values()
