"""Everything can be computed on another device than the CPU, as far as a machine without one can tell.

A device is made believe: tensors of a class of their own that say they are on the device ``meta``, each of which holds
an ordinary one. An operation that mixes the two is an error, as it is between a GPU and the CPU, and so is a look into
the memory of one that is elsewhere. What comes out has to be what comes out on the CPU, to the last bit.
"""

import io
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

import farzi
from farzi.cli import main
from farzi.devices import CPU, find_device, seeded
from farzi.distill import MetaMatching, OuterLoop, Size, distill
from farzi.errors import InputError
from farzi.evaluation import NextItem, NextToken, Study, evaluate, task_of
from farzi.events import CharTokenizer, EventData, TextData, Vocabulary
from farzi.metagrad import SGD, Segments, Tree, Unstep
from farzi.models import MODELS, ModuleModel, SASRec, Transformer
from farzi.summary import initialise
from farzi.training import Teachers, Training, TrajectoryStore, Workers, fit
from farzi.training.unfinished import Unfinished

THERE = "meta"
_COPIES = (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default)


class Elsewhere(Tensor):
    """A tensor on the device that is made believe."""

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor):
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        made = Tensor._make_wrapper_subclass(cls, inner.shape, device=THERE, **layout)
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return call(func, args, kwargs or {})


class MadeUp(TorchDispatchMode):
    """For as long as it lasts, there is such a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return call(func, args, kwargs or {})


def call(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    there = any(isinstance(tensor, Elsewhere) for tensor in tensors)
    here = [tuple(tensor.shape) for tensor in tensors if not isinstance(tensor, Elsewhere) and tensor.ndim]
    if there and here and func not in _COPIES:
        raise RuntimeError(f"{func} is given tensors of two devices; those on the CPU have the shapes {here}")
    generator = kwargs.get("generator")
    assert generator is None or not there, f"{func} draws on another device from a generator of the CPU"
    device = kwargs.get("device")
    if func is torch.ops.aten._efficientzerotensor.default:  # has no memory, and its aliases here do not know that
        func = torch.ops.aten.zeros.default
    inner_args, inner_kwargs = tree_map(lambda one: one.inner if isinstance(one, Elsewhere) else one, (args, kwargs))
    result = func(*inner_args, **inner_kwargs | ({} if device is None else {"device": CPU}))
    if func is torch.ops.aten.copy_.default:
        return args[0]
    if not (there if device is None else torch.device(device).type == THERE):
        return result
    result = tree_map(lambda one: Elsewhere(one) if isinstance(one, Tensor) else one, result)
    return return_and_correct_aliasing(func, args, kwargs, result) if there else result


class Recurrent(nn.Module):
    """A module that knows nothing of farzi."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.dropout = nn.GRU(4, 4, batch_first=True), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.recurrent(x)[0])


VOCAB, LENGTH = 12, 5
SIZES = {"dim": 4, "max_length": LENGTH}
QUICK = Training(lr=1e-2, steps=4, batch_size=8, evaluate_every=2, dropout=0.1)
OBJECTIVE = MetaMatching(window=2, steps=4, runs=2, batch_size=2, real_positions=4 * LENGTH)
SMALL = {
    "size": Size(sequences=4, length=LENGTH, rank=4),
    "loop": OuterLoop(steps=3, evaluate_every=2, checkpoint_every=2),
    "teachers": Teachers(count=2, training=QUICK),
    "judges": 1,
}
STUDY = Study(seeds=1, reference=QUICK, student=QUICK)


def events() -> EventData:
    starts = np.random.default_rng(0).integers(VOCAB, size=20)
    ids = (starts[:, None] + np.arange(9)) % VOCAB
    offsets = np.arange(21, dtype=np.int64) * 9
    return EventData("cycle", ids.astype(np.int32).ravel(), offsets, Vocabulary(tuple(map(str, range(VOCAB)))))


def text() -> TextData:
    tokenizer = CharTokenizer(Vocabulary(("<unk>", *"abcdefghijk")))
    tokens = np.random.default_rng(0).integers(1, VOCAB, size=300).astype(np.int32)
    return TextData("letters", tokens[:200], tokens[200:250], tokens[250:], tokenizer)


@pytest.fixture(autouse=True)
def little_work(monkeypatch):
    """Every operation passes through Python here, twice."""
    for task in (NextItem, NextToken):
        for name in ("student", "judging"):
            monkeypatch.setattr(task, name, QUICK)
    monkeypatch.setattr(sys.modules["farzi.evaluation.study"], "STUDENT_LRS", (1e-2,))
    descend = initialise._descend
    monkeypatch.setattr(initialise, "_descend", lambda *given, lr, steps: descend(*given, lr=lr, steps=min(steps, 3)))


CLOSE = {"rtol": 2e-3, "atol": 1e-6}
"""A device may differ by rounding, as seen on one processor, where the CPU by itself gives the same bytes each time.

A summary's decoder is in half precision, whose last bit is a thousandth.
"""


def run(device: str, folder, data=None, model=None, **changes):
    """All of a summary's life: what is left of it, to be compared."""
    data = events() if data is None else data
    model = SASRec(**SIZES) if model is None else model
    store = TrajectoryStore(folder=folder / "teachers", num_snapshots=2)
    summary = distill(
        data,
        **{**SMALL, "model": model, "objective": OBJECTIVE, **changes},
        store=store,
        run=folder / "run",
        device=device,
    )
    rows = evaluate(summary, data, model=model, study=STUDY, store=store, device=device)
    student = fit(model, summary, QUICK, seed=1, device=device)
    assert all(type(part) is Tensor for part in (*summary.factors.tensors().values(), *student.parameters.values()))
    return summary, [row.metrics for row in rows], student.parameters


def assert_alike(summary, other):
    assert summary.card.origin == other.card.origin
    torch.testing.assert_close(summary.factors.tensors(), other.factors.tensors(), **CLOSE)


def compare(tmp_path, **changes):
    here = run("cpu", tmp_path / "here", **changes)
    with MadeUp():
        there = run(THERE, tmp_path / "there", **changes)
    assert_alike(there[0], here[0])
    for row, other in zip(here[1], there[1], strict=True):
        assert {name: value["mean"] for name, value in other.items()} == pytest.approx(
            {name: value["mean"] for name, value in row.items()}, rel=1e-3
        )
    torch.testing.assert_close(there[2], here[2], **CLOSE)


def test_what_is_made_believe_tells_one_device_from_another():
    with MadeUp():
        there, here = torch.ones(2, device=THERE), torch.ones(2)
        for wrong in (lambda: there + here, lambda: torch.cat([here, there]), lambda: here.mul_(there), there.numpy):
            with pytest.raises((RuntimeError, TypeError)):
                wrong()
        assert (there * 2).cpu().tolist() == [2, 2]
        assert (there * torch.tensor(2.0)).sum().item() == 4, "a scalar may be anywhere"
        with pytest.raises(AssertionError, match="generator"):
            there.bernoulli_(0.5, generator=torch.Generator())
    with pytest.raises(InputError):
        find_device(THERE)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in {"gpt2", "llama"} else name for name in MODELS]
)
def test_every_model_does_the_same_there(tmp_path, name):
    if name in ("gpt2", "llama"):
        pytest.importorskip("transformers", reason="the extra hf is not installed")
    compare(tmp_path, model=MODELS[name](**SIZES))


def test_a_module_of_torch_does_nearly_the_same_there(tmp_path):
    """Torch's own recurrence takes other operations on the CPU than elsewhere, and rounds otherwise."""
    model = ModuleModel(module=Recurrent, **SIZES)
    *_, here = run("cpu", tmp_path / "here", model=model)
    with MadeUp():
        *_, there = run(THERE, tmp_path / "there", model=model)
    for name, part in here.items():
        torch.testing.assert_close(there[name], part, rtol=0, atol=1e-3)


def test_text_is_learned_there(tmp_path):
    compare(tmp_path, data=text(), model=Transformer(heads=1, **SIZES))


def test_a_generated_start_is_made_there(tmp_path):
    compare(tmp_path, size=replace(SMALL["size"], start="generated"))


@pytest.mark.parametrize("targets", ["free", "next"])
def test_large_summaries_are_learned_there(tmp_path, monkeypatch, targets):
    for module in ("farzi.training.sets", "farzi.distill.meta_matching"):
        monkeypatch.setattr(sys.modules[module], "MOST_DECODED_BYTES", 0)
    compare(tmp_path, size=replace(SMALL["size"], targets=targets))


@pytest.mark.parametrize(
    "objective",
    [
        replace(OBJECTIVE, sampled_events=6),
        replace(OBJECTIVE, snapshot_share=1.0, teacher_share=0.0),
        replace(OBJECTIVE, replay=Segments(), window=4),
        replace(OBJECTIVE, replay=Tree(arity=2), window=4),
        replace(OBJECTIVE, replay=Unstep(tolerance=1e9)),
        replace(OBJECTIVE, inner=SGD(momentum=0.5)),
    ],
    ids=["sampled", "snapshots", "segments", "tree", "unstep", "sgd"],
)
def test_every_objective_does_the_same_there(tmp_path, objective):
    compare(tmp_path, objective=objective)


def test_a_start_without_teachers_is_made_there(tmp_path):
    for targets in ("free", "next"):
        compare(tmp_path / targets, teachers=Teachers(count=0), size=replace(SMALL["size"], targets=targets))


def test_a_run_goes_on_on_another_device(tmp_path):
    """Checkpoints hold tensors of the CPU alone; the teachers are trained on each device."""
    shorter = replace(SMALL["loop"], steps=2)
    whole, *_ = run("cpu", tmp_path / "whole")
    with MadeUp():
        run(THERE, tmp_path / "parts", loop=shorter)
    checkpoint = torch.load(tmp_path / "parts" / "run" / "checkpoint.pt", weights_only=True)
    assert checkpoint["state"]["tensors"]["latents"].device == CPU
    store = TrajectoryStore(folder=tmp_path / "parts" / "teachers", num_snapshots=2)
    rest = {**SMALL, "model": SASRec(**SIZES), "objective": OBJECTIVE, "store": store, "resume": True}
    assert_alike(distill(events(), **rest, run=tmp_path / "parts" / "run"), whole)


def test_a_training_that_was_stopped_goes_on_there(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["farzi.training.unfinished"], "SECONDS_BETWEEN", 0.0)

    def stop(step, *_):
        if step == QUICK.steps:
            raise KeyboardInterrupt

    with MadeUp():
        task, model = task_of(events(), find_device(THERE)), SASRec(**SIZES)
        train = partial(fit, model, task.real(model), QUICK, task.score(model), seed=1)
        whole = train()
        with pytest.raises(KeyboardInterrupt):
            train(observe=stop, unfinished=Unfinished(tmp_path / "stopped"))
        looks: list[int] = []
        rest = train(unfinished=Unfinished(tmp_path / "stopped"), observe=lambda step, *_: looks.append(step))
    assert looks == [QUICK.steps], "the look before is not taken again"
    assert rest.curve == whole.curve
    torch.testing.assert_close(rest.parameters, whole.parameters, rtol=0, atol=0)


class Posted(Workers):
    """Workers whose work goes to another process and comes back by mail: nothing but tensors of the CPU does."""

    def __init__(self, count: int = 1) -> None:
        super().__init__(1)
        self.count = 2

    def map(self, function, *arguments):
        for one in zip(*arguments, strict=False):
            yield by_mail(function(*by_mail(one)))


def by_mail(parcel):
    class Pickler(pickle.Pickler):
        def reducer_override(self, value):
            assert not isinstance(value, Elsewhere), "a tensor of another device is sent to another process"
            return NotImplemented

    content = io.BytesIO()
    Pickler(content).dump(parcel)
    return pickle.loads(content.getvalue())


def test_workers_are_sent_the_device_and_no_tensor_on_it(tmp_path, monkeypatch):
    for module in ("farzi.distill.distill", "farzi.evaluation.evaluate"):
        monkeypatch.setattr(sys.modules[module], "Workers", Posted)
    compare(tmp_path)


def test_a_search_tries_the_same_there(tmp_path):
    pytest.importorskip("optuna", reason="the extra tune is not installed")

    def search(device: str):
        store = TrajectoryStore(folder=tmp_path / device / "teachers", num_snapshots=2)
        given = {**SMALL, "model": SASRec(**SIZES), "objective": OBJECTIVE, "store": store}
        tuned = farzi.tune(events(), tmp_path / device / "search", trials=2, **given, device=device)
        return [(one.parameters, one.score) for one in tuned.trials]

    here = search("cpu")
    with MadeUp():
        assert search(THERE) == here


def test_models_are_trained_there_by_the_command_line(tmp_path):
    rows = "".join(f"u{user},i{(user + time) % 7},{time}\n" for user in range(9) for time in range(9))
    (tmp_path / "events.csv").write_text("user,item,time\n" + rows)
    data = farzi.load_events(tmp_path / "events.csv")
    small = {**SMALL, "model": SASRec(**SIZES), "objective": OBJECTIVE}
    distill(data, **small, store=TrajectoryStore(folder=tmp_path / "teachers")).save(tmp_path / "summary")
    for more in ([], ["--data", str(tmp_path / "events.csv")]):
        words = ["train", str(tmp_path / "summary"), *more]
        assert main([*words, "-o", str(tmp_path / "here")]) == 0
        with MadeUp():
            assert main([*words, "-o", str(tmp_path / "there"), "--device", THERE]) == 0
        assert (tmp_path / "there").read_bytes() == (tmp_path / "here").read_bytes()


@pytest.mark.parametrize("name", ["nonsense", "cuda:99", "meta", "", "vulkan"])
def test_a_device_that_is_not_there_is_named(name):
    with pytest.raises(InputError, match=f"^device is '{name}', where torch cannot compute here; give cpu"):
        find_device(name)


def test_seeding_leaves_the_random_state_as_it_was():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with seeded(7, CPU):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(7, CPU):
        assert torch.equal(torch.rand(3), first)


def test_a_task_measures_parameters_wherever_they_rest():
    with MadeUp():
        task, model = task_of(events(), find_device(THERE)), SASRec(**SIZES)
        parameters = model.init(VOCAB, 0)
        assert type(next(task.real(model).batches(2, torch.Generator())).inputs) is Elsewhere
        assert task.metrics(model, parameters, "test") == task_of(events()).metrics(model, parameters, "test")
