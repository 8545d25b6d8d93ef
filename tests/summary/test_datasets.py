"""A summary as a data set of PyTorch, and of Hugging Face's ``datasets``."""

import sys

import polars as pl
import pytest
import torch
from small_summary import make_measured, make_summary
from torch.utils.data import DataLoader, Dataset

from farzi.errors import InputError
from farzi.models import Batch, SASRec, sequence_loss

kinds = pytest.mark.parametrize("kind", ["free", "next"])


@kinds
def test_a_summary_is_a_data_set_of_pytorch(kind):
    summary = make_summary(kind)
    assert isinstance(summary, Dataset)
    assert len(summary) == len(list(summary)) == 2
    whole = summary.factors.decode()
    for index in (0, 1, -1):
        inputs, targets = summary[index]
        assert torch.equal(inputs, whole.inputs[index])
        assert torch.equal(targets, whole.targets[index])
    with pytest.raises(IndexError):
        summary[2]


@kinds
@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_loader_gives_batches_that_the_loss_takes(kind, workers):
    summary = make_summary(kind)
    (batch,) = DataLoader(summary, batch_size=2, num_workers=workers)
    assert isinstance(batch, Batch)
    model = SASRec(dim=4)
    parameters = model.init(vocab_size=4, seed=0)
    assert sequence_loss(model, parameters, batch) == sequence_loss(model, parameters, summary.factors.decode())


@kinds
def test_the_likeliest_events_are_rows_of_hugging_face(tmp_path, kind):
    pytest.importorskip("datasets", reason="the extra hub is not installed")
    summary = make_summary(kind)
    rows = summary.to_datasets(top=2).with_format("torch")
    assert len(rows) == 2
    for part, whole in summary.factors.decode()._asdict().items():
        found = whole.topk(2)
        assert torch.equal(rows[:][f"{part[:-1]}_events"], found.indices)
        assert torch.equal(rows[:][f"{part[:-1]}_probabilities"], found.values)
    rows.to_parquet(tmp_path / "rows.parquet")
    assert pl.read_parquet(tmp_path / "rows.parquet")["input_events"].to_list() == rows[:]["input_events"].tolist()


def test_rows_say_what_they_are_and_what_is_lost():
    pytest.importorskip("datasets", reason="the extra hub is not installed")
    summary = make_measured()
    kept = [part.topk(3).values.sum(-1).mean().item() for part in summary.factors.decode()]
    info = summary.to_datasets(top=3).info
    assert "films" in info.description
    assert "3 likeliest of 4 events" in info.description
    assert f"{kept[0]:.1%} of the inputs' probability and {kept[1]:.1%} of the targets'" in info.description
    assert info.license == "CC BY 4.0"
    assert "100.0% of the inputs'" in summary.to_datasets().info.description


def test_no_events_at_all_are_refused():
    pytest.importorskip("datasets", reason="the extra hub is not installed")
    with pytest.raises(InputError, match="top is 0; it must be at least 1"):
        make_summary().to_datasets(top=0)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'farzi\[hub\]'"):
        make_summary().to_datasets()
