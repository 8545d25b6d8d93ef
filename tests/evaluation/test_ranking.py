"""Ranking metrics against ir-measures, and AUC against a count of pairs, on scores with ties."""

from dataclasses import dataclass

import ir_measures
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import Qrel, ScoredDoc, Success, nDCG
from torch import Tensor

from farzi.evaluation.ranking import ranking_metrics, ranks
from farzi.events import EventData, HeldOut, Vocabulary, leave_last_two_out
from farzi.models import Parameters, SASRec, hidden_states


@dataclass(frozen=True)
class Table:
    """A model that gives each history the scores in the row of its last event."""

    max_length: int = 3
    name: str = "table"

    def init(self, vocab_size: int, seed: int) -> Parameters:
        raise NotImplementedError

    def parameters(self, scores: Tensor) -> Parameters:
        return {"embedding": torch.cat([torch.eye(len(scores)), scores.T], 1)}

    def untied(self, scores: Tensor, bias: Tensor) -> Parameters:
        vocab = len(scores)
        output = torch.cat([torch.zeros(vocab, vocab), (scores - bias).T], 1)
        return {"embedding": torch.eye(vocab, 2 * vocab), "output": output, "output_bias": bias}

    def hidden(self, parameters: Parameters, embeddings: Tensor, padding: Tensor | None = None, rate: float = 0.0):
        vocab = embeddings.shape[-1] // 2
        return torch.cat([torch.zeros_like(embeddings[..., vocab:]), embeddings[..., :vocab]], -1)


def held_out(vocab: int, length: int = 1) -> tuple[HeldOut, np.ndarray]:
    """One history for each event, which comes last in it, and a random target."""
    generator = np.random.default_rng(0)
    rows = generator.integers(vocab, size=(vocab, length))
    rows[:, -1] = np.arange(vocab)
    starts = np.arange(vocab) * length
    targets = generator.integers(vocab, size=vocab).astype(np.int32)
    return HeldOut(rows.ravel().astype(np.int32), starts, starts + length, targets), targets


def scores_with_ties(vocab: int) -> Tensor:
    """Few different values, so that most targets tie with others."""
    return torch.randint(-25, 25, (vocab, vocab), generator=torch.Generator().manual_seed(1)).float() / 8


def rank_table(scores: Tensor, **options) -> np.ndarray:
    return ranks(Table(), Table().parameters(scores), held_out(len(scores))[0], **options)


def test_scores_are_made_of_the_output_vectors_and_bias():
    scores = scores_with_ties(40)
    bias = torch.randint(-25, 25, (40,), generator=torch.Generator().manual_seed(2)).float() / 8
    found = ranks(Table(), Table().untied(scores, bias), held_out(40)[0])
    assert (found == rank_table(scores)).all()


def test_agrees_with_ir_measures():
    vocab = 150
    scores, targets = scores_with_ties(vocab), held_out(vocab)[1]
    metrics = ranking_metrics(rank_table(scores), vocab)
    judged, run = [], []
    for row, target in enumerate(targets):
        judged.append(Qrel(str(row), str(target), 1))
        # Ties count against us: among equal scores the target comes last, and the order alone is handed over.
        order = sorted(range(vocab), key=lambda item: (-float(scores[row, item]), item == target))
        run += [ScoredDoc(str(row), str(item), float(vocab - place)) for place, item in enumerate(order)]
    theirs = ir_measures.calc_aggregate([Success @ 10, Success @ 100, nDCG @ 10, nDCG @ 100], judged, run)
    assert 0.02 < metrics["HR@10"] < metrics["HR@100"] < 0.98
    for ours, name in [("HR@10", Success @ 10), ("HR@100", Success @ 100)]:
        assert metrics[ours] == pytest.approx(theirs[name], abs=1e-12)
    for ours, name in [("nDCG@10", nDCG @ 10), ("nDCG@100", nDCG @ 100)]:
        assert metrics[ours] == pytest.approx(theirs[name], abs=1e-12)


def test_auc_is_the_share_of_pairs_won():
    vocab = 40
    scores, targets = scores_with_ties(vocab), held_out(vocab)[1]
    won = [
        np.mean([float(scores[row, target]) > float(scores[row, other]) for other in range(vocab) if other != target])
        for row, target in enumerate(targets)
    ]
    assert ranking_metrics(rank_table(scores), vocab)["AUC"] == pytest.approx(np.mean(won), abs=1e-12)


def test_ties_count_against_the_target():
    vocab = 12
    assert set(rank_table(torch.zeros(vocab, vocab))) == {vocab}
    metrics = ranking_metrics(rank_table(torch.zeros(vocab, vocab)), vocab)
    assert metrics["HR@10"] == metrics["nDCG@10"] == metrics["AUC"] == 0


def test_the_best_target_ranks_first():
    vocab = 12
    targets = torch.from_numpy(held_out(vocab)[1].astype(np.int64))
    scores = torch.zeros(vocab, vocab).scatter(1, targets[:, None], 1.0)
    assert ranking_metrics(rank_table(scores), vocab) == dict.fromkeys(
        ["HR@10", "nDCG@10", "HR@100", "nDCG@100", "AUC"], 1.0
    )


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_model_that_diverged_ranks_last(wrong):
    vocab = 12
    assert set(rank_table(torch.full((vocab, vocab), wrong))) == {vocab}


@pytest.mark.parametrize("batch_size", [1, 7, 40, 1000])
def test_the_batch_size_does_not_matter(batch_size):
    vocab = 40
    assert np.array_equal(
        rank_table(scores_with_ties(vocab), batch_size=batch_size), rank_table(scores_with_ties(vocab))
    )


def test_the_batch_size_does_not_matter_to_a_real_model():
    ends = np.cumsum([4, 9, 3, 6, 5])
    events = np.random.default_rng(2).integers(30, size=ends[-1]).astype(np.int32)
    vocabulary = Vocabulary(tuple(map(str, range(30))))
    data = EventData("toy", events, np.array([0, *ends]), vocabulary)
    model, test = SASRec(dim=8, max_length=5), leave_last_two_out(data).test
    parameters = {name: part.double() for name, part in model.init(30, 0).items()}
    together, alone = (ranks(model, parameters, test, batch_size=size) for size in (5, 1))
    assert np.array_equal(together, alone)
    assert together.shape == (5,)
    assert 1 <= together.min() <= together.max() <= 30


def test_a_batch_is_as_wide_as_its_longest_history():
    """Were histories not put in order of their lengths, or batches of the full width, more would be read."""
    widths = list[tuple[int, ...]]()

    class Watched(SASRec):
        def hidden(self, parameters, embeddings, padding=None, rate=0.0):
            widths.append(tuple(embeddings.shape[:2]))
            return super().hidden(parameters, embeddings, padding, rate)

    lengths = np.array([9, 1, 2, 7, 1, 2, 30])
    ends = np.cumsum(lengths)
    targets = np.arange(7, dtype=np.int32)
    histories = HeldOut(np.arange(ends[-1], dtype=np.int32) % 11, ends - lengths, ends, targets)
    model = Watched(dim=8, max_length=20)
    parameters = {name: part.double() for name, part in model.init(11, 0).items()}
    found = ranks(model, parameters, histories, batch_size=2)
    assert widths == [(2, 1), (2, 2), (2, 9), (1, 20)]
    for row in range(7):
        wide = np.full(20, -1)
        events = histories.events[histories.starts[row] : histories.ends[row]][-20:]
        wide[20 - len(events) :] = events
        scores = hidden_states(model, parameters, torch.from_numpy(wide[None]))[0, -1] @ parameters["embedding"].T
        assert found[row] == 11 - (scores < scores[targets[row]]).sum()


def test_reads_the_last_events_of_a_history():
    vocab = 20
    rows, _ = held_out(vocab, length=8)
    scores = scores_with_ties(vocab)
    assert np.array_equal(ranks(Table(), Table().parameters(scores), rows), rank_table_like(scores, rows))


def rank_table_like(scores: Tensor, rows: HeldOut) -> np.ndarray:
    """Ranks by sorting, one row at a time."""
    found = []
    for row, target in enumerate(rows.targets):
        others = np.delete(scores[row].numpy(), target)
        found.append(1 + int((others >= scores[row, target].item()).sum()))
    return np.array(found)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=20))
def test_metrics_follow_from_ranks(found):
    metrics = ranking_metrics(np.array(found), 300)
    assert all(0 <= value <= 1 for value in metrics.values())
    for k in (10, 100):
        assert metrics[f"HR@{k}"] == pytest.approx(sum(rank <= k for rank in found) / len(found))
        gains = [1 / np.log2(1 + rank) for rank in found if rank <= k]
        assert metrics[f"nDCG@{k}"] == pytest.approx(sum(gains) / len(found))


def test_a_vocabulary_of_one_event_is_no_division_by_zero():
    assert ranking_metrics(np.array([1]), 1)["AUC"] == 1
