"""Second derivatives of one batch against dense Hessians, and the flat vector that they speak of."""

import pytest
import torch
from members import ENGINES
from oracles import relative
from zoo import PROBLEMS

from farzi.metagrad.hvp import gradient
from farzi.metagrad.tensors import Layout


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
@pytest.mark.parametrize("name", PROBLEMS)
def test_second_derivatives_are_those_of_the_dense_hessian(name, engine):
    problem = PROBLEMS[name]()
    layout, weights, batch = problem.layout, problem.weights, problem.batch
    along = torch.randn(weights.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    product, mixed = engine(problem.loss, layout, weights, batch, along)

    def plain(w: torch.Tensor) -> torch.Tensor:
        return problem.plain(layout.unflatten(w), batch)

    hessian = torch.autograd.functional.hessian(plain, weights)
    assert relative(product, hessian @ along) <= 1e-12
    assert mixed.keys() == {key for key, part in batch.items() if part.is_floating_point()}
    for key in mixed:
        shape, flat = batch[key].shape, batch[key].reshape(-1)

        def slope(x: torch.Tensor, key: str = key, shape: torch.Size = shape) -> torch.Tensor:
            w = weights.clone().requires_grad_()
            value = problem.plain(layout.unflatten(w), {**batch, key: x.view(shape)})
            return torch.autograd.grad(value, w, create_graph=True)[0] @ along

        wanted = torch.autograd.functional.jacobian(slope, flat)
        assert mixed[key].shape == shape
        assert relative(mixed[key].reshape(-1), wanted) <= 1e-12, key


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradient_is_autograds(name):
    problem = PROBLEMS[name]()
    value, grad = gradient(problem.loss, problem.layout, problem.weights, problem.batch)
    leaf = problem.weights.requires_grad_()
    wanted = problem.plain(problem.layout.unflatten(leaf), problem.batch)
    assert not value.requires_grad
    assert not grad.requires_grad
    assert relative(value, wanted.detach()) <= 1e-14
    assert relative(grad, torch.autograd.grad(wanted, leaf)[0]) <= 1e-12


def test_a_parameter_without_influence_has_gradient_zero():
    layout = Layout.of({"used": torch.zeros(2), "unused": torch.zeros(3)})
    vector = torch.arange(5.0)
    loss = lambda p, _: p["used"].pow(3).sum()  # noqa: E731
    assert gradient(loss, layout, vector, {})[1].tolist() == [0, 3, 0, 0, 0]
    for engine in ENGINES:
        assert engine(loss, layout, vector, {}, torch.ones(5))[0].tolist() == [0, 6, 0, 0, 0]


def test_layout_joins_and_cuts_in_its_own_order():
    tensors = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor(7.0), "c": torch.arange(8.0, 10.0)}
    layout = Layout.of(tensors)
    vector = layout.flatten({name: tensors[name] for name in sorted(tensors)})
    assert vector.tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    parts = layout.unflatten(vector)
    assert list(parts) == ["b", "a", "c"]
    assert all(torch.equal(parts[name], tensors[name]) for name in tensors)
    vector[0] = -1
    assert parts["b"][0, 0] == -1, "parts are views"
    assert tensors["b"][0, 0] == 0, "the vector is new"


@pytest.mark.parametrize("size", [8, 10])
def test_a_vector_of_another_size_is_refused(size):
    layout = Layout.of({"a": torch.zeros(4), "b": torch.zeros(5)})
    with pytest.raises(RuntimeError):
        layout.unflatten(torch.zeros(size))
