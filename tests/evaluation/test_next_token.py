"""Perplexity and accuracy of a stream against a loop over its tokens, and the task that they belong to."""

import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from farzi.evaluation import NextItem, NextToken, find_metric, stream_likelihood, task_of
from farzi.events import EventData, TextData, Vocabulary, WordTokenizer
from farzi.models import GRU, SASRec, Transformer, hidden_states, scores
from farzi.training import Training, TrajectoryStore, fit

VOCAB = 9


def text(num_train: int = 400, num_valid: int = 57, num_test: int = 83) -> TextData:
    generator = np.random.default_rng(0)
    parts = (generator.integers(VOCAB, size=n).astype(np.int32) for n in (num_train, num_valid, num_test))
    return TextData("noise", *parts, WordTokenizer(Vocabulary(("<unk>", "<eos>", *"abcdefg"))))


def parameters(model):
    generator = torch.Generator().manual_seed(1)
    return {
        name: part.double() + 0.3 * torch.randn(part.shape, generator=generator, dtype=torch.float64)
        for name, part in model.init(VOCAB, 0).items()
    }


def by_a_loop(model, p, tokens, first: int, stride: int):
    """Each token by itself, from the window that the documentation promises."""
    nats, hits = [], 0
    for begin in range(first, len(tokens), stride):
        end = min(begin + stride, len(tokens))
        for target in range(begin, end):
            start = max(end - 1 - model.max_length, 0)
            context = torch.from_numpy(tokens[start:target].astype(np.int64))[None]
            if isinstance(model, SASRec):  # its positions are counted from the window's end
                rest = torch.zeros(1, end - 1 - target, dtype=torch.int64)
                logits = scores(p, hidden_states(model, p, torch.cat([context, rest], 1))[0, target - start - 1])
            else:
                logits = scores(p, hidden_states(model, p, context)[0, -1])
            nats.append(-float(logits.log_softmax(-1)[tokens[target]]))
            hits += int(logits.argmax()) == tokens[target]
    return np.mean(nats), hits / len(nats), len(nats)


models = pytest.mark.parametrize(
    "model", [Transformer(dim=4, blocks=1, max_length=8), GRU(dim=4, width=6, max_length=8)], ids=lambda m: m.name
)


@models
@pytest.mark.parametrize(("first", "stride"), [(8, 4), (8, 8), (3, 5), (1, 1), (20, 3)])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_every_token_is_counted_once_from_the_promised_context(model, first, stride, batch_size):
    tokens, p = text().test, parameters(model)
    found = stream_likelihood(model, p, tokens, first, stride=stride, batch_size=batch_size)
    nats, accuracy, count = by_a_loop(model, p, tokens, first, stride)
    assert found.num_tokens == count == len(tokens) - first
    assert found.nats == pytest.approx(nats, rel=1e-12)
    assert found.accuracy == pytest.approx(accuracy)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 90), st.integers(1, 8), st.integers(1, 40), st.integers(1, 100))
def test_no_token_is_counted_twice_or_left_out(length, stride, first, most):
    """A model that knows nothing makes every token worth the same, so that only the count can be wrong."""
    model, first = Transformer(dim=4, blocks=1, max_length=8), min(first, length - 1)
    p = {name: torch.zeros_like(part) for name, part in model.init(VOCAB, 0).items()}
    tokens = np.arange(length, dtype=np.int32) % VOCAB
    whole = stream_likelihood(model, p, tokens, first, stride=stride)
    assert whole.num_tokens == length - first
    assert whole.nats == pytest.approx(math.log(VOCAB))
    assert whole.accuracy == 0, "ties count against the model"
    part = stream_likelihood(model, p, tokens, first, stride=stride, most=most)
    assert part.num_tokens <= max(most, stride)
    assert part.num_tokens == whole.num_tokens or whole.num_tokens > most


def test_all_of_a_part_is_measured_with_what_stands_before_it_as_context():
    model = GRU(dim=4, width=6, max_length=8)
    p, data = parameters(model), text()
    tokens = np.concatenate([data.valid, data.test])
    nats, accuracy, count = by_a_loop(model, p, tokens, len(data.valid), 4)
    assert count == len(data.test)
    metrics = NextToken(data).metrics(model, p, "test")
    assert metrics["perplexity"] == pytest.approx(math.exp(nats))
    assert metrics["accuracy"] == pytest.approx(accuracy)
    tokens = np.concatenate([data.train, data.valid])
    nats, *_ = by_a_loop(model, p, tokens, len(data.train), 8)
    assert NextToken(data, overlap=0.0).score(model)(p) == pytest.approx(-nats)


def test_a_look_at_a_long_text_takes_evenly_spread_tokens(monkeypatch):
    model = GRU(dim=4, width=6, max_length=8)
    p, task = parameters(model), NextToken(text(num_valid=4000))
    whole = task.score(model)(p)
    assert whole == pytest.approx(-math.log(task.metrics(model, p, "valid")["perplexity"]))
    monkeypatch.setattr(sys.modules[NextToken.__module__], "LOOK_TOKENS", 800)
    assert task.score(model)(p) != whole
    assert task.score(model)(p) == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 1e30])
def test_a_model_that_diverged_is_the_worst(wrong):
    model = Transformer(dim=4, blocks=1, max_length=8)
    p = {name: part * wrong for name, part in parameters(model).items()}
    task = NextToken(text())
    assert task.score(model)(p) < -1e3
    metrics = task.metrics(model, p, "test")
    assert metrics["perplexity"] == math.inf
    assert task.format(task.score(model)(p)) == "inf"
    assert find_metric("perplexity").retention(metrics["perplexity"], 100.0) == 0


def test_scores_are_told_as_perplexity_and_retention_is_the_inverse():
    task = task_of(text())
    assert isinstance(task, NextToken)
    assert (task.headline, task.format(-math.log(123.456))) == ("perplexity", "123.46")
    assert task.value(-math.log(123.456)) == pytest.approx(123.456)
    perplexity, accuracy = find_metric("perplexity"), find_metric("accuracy")
    assert perplexity.retention(125.0, 100.0) == pytest.approx(0.8)
    assert accuracy.retention(0.2, 0.25) == pytest.approx(0.8)
    assert (perplexity.format(123.456), accuracy.format(0.12345)) == ("123.46", "12.35")
    assert find_metric("HR@10") == find_metric("nDCG@100") == accuracy
    with pytest.raises(ValueError, match=r"overlap is 1\.0"):
        NextToken(text(), overlap=1.0)


def test_items_and_tokens_are_told_apart_by_their_data():
    data = EventData("e", np.zeros(6, np.int32), np.array([0, 3, 6]), Vocabulary(("a",)))
    assert isinstance(task_of(data), NextItem)
    task = task_of(text())
    assert task.train_data.num_sequences == 1
    assert task.full_size(Transformer(max_length=50)) == (8, 50)
    assert NextItem(data).full_size(Transformer(max_length=50)) == (2, 50)
    assert (task.tokenizer, NextItem(data).tokenizer) == (text().tokenizer, None)


def test_a_pass_shows_every_token_of_the_stream_once_and_the_next_pass_cuts_elsewhere():
    data = text(num_train=101)
    model = Transformer(max_length=10)
    batches = task_of(data).real(model).batches(4, torch.Generator().manual_seed(0))
    cuts = []
    for _ in range(3):
        seen, rows = 0, []
        while seen < 100:
            batch = next(batches)
            rows += [batch.targets[row][batch.targets[row] >= 0] for row in range(len(batch.targets))]
            seen += int((batch.targets >= 0).sum())
        assert seen == 100
        assert sorted(torch.cat(rows).tolist()) == sorted(data.train[1:].tolist())
        cuts.append(min(len(row) for row in rows))
    assert len(set(cuts)) > 1


def test_a_text_with_order_is_learned(tmp_path):
    """Each token follows from the one before it; a model that reads nothing stays at a perplexity of nine."""
    walk = (np.arange(3000) * 2 % VOCAB).astype(np.int32)
    data = TextData("walk", walk[:2400], walk[2400:2700], walk[2700:], text().tokenizer)
    task, model = task_of(data), Transformer(dim=16, blocks=1, max_length=10)
    trained = task.train(
        model, Training(lr=1e-2, steps=120, batch_size=16, evaluate_every=40), TrajectoryStore(folder=tmp_path), 0
    )
    metrics = task.metrics(model, trained.parameters, "test")
    assert metrics["perplexity"] < 1.2
    assert metrics["accuracy"] == 1
    assert trained.fitted.score == pytest.approx(
        -math.log(task.metrics(model, trained.parameters, "valid")["perplexity"])
    )
    assert fit(model, task.real(model), Training(steps=1)).steps == 1
