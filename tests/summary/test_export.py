"""Hard sequences in files: what tools of others read is what was drawn, and a plain loop learns from it."""

import dataclasses

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from farzi.errors import InputError
from farzi.events import Vocabulary, WordTokenizer, load_events
from farzi.summary import Advice, Card, Factors, Summary, effective_events, export

VOCAB, LENGTH, COUNT = 6, 5, 4
IDS = ("a", "b,c", 'd"e', "ü", "007", "f g")


def certain(kind: str, sharpness: float = 50.0, ids: tuple[str, ...] = IDS) -> Summary:
    """Sequences that walk through the vocabulary one by one, the first from event 0, the next from 1, and so on."""
    walks = (torch.arange(COUNT)[:, None] + torch.arange(LENGTH + 1)) % VOCAB
    latents = nn.functional.one_hot(walks, VOCAB).float()
    free = kind == "free"
    factors = Factors(
        latents=latents[:, :-1] if free else latents,
        targets=latents[:, 1:] if free else None,
        decoder=sharpness * torch.eye(VOCAB),
    )
    advice = Advice(lr=0.01, batch_size=2, steps=10)
    card = Card(data="walk", data_fingerprint="", num_events=100, model={"name": "sasrec"}, advice=advice, origin={})
    return Summary(factors=factors, vocabulary=Vocabulary(ids), card=card)


WALKS = [[(start + step) % VOCAB for step in range(LENGTH + 1)] for start in range(COUNT)]
kinds = pytest.mark.parametrize("kind", ["free", "next"])


def table(path) -> pl.DataFrame:
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    if path.suffix == ".csv":
        return pl.read_csv(path, schema_overrides={"item": pl.String})
    read = pl.read_csv(path, separator="\t", quote_char=None, schema_overrides={"item_id:token": pl.String})
    assert read.columns == ["user_id:token", "item_id:token", "timestamp:float"]
    return read.rename(dict(zip(read.columns, ("user", "item", "time"), strict=True)))


@kinds
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".inter"])
def test_a_table_has_a_row_for_each_event(tmp_path, kind, suffix):
    path = tmp_path / f"drawn{suffix}"
    assert export(certain(kind), path, draws=2).tolist() == WALKS * 2
    found = table(path)
    assert found["item"].to_list() == [IDS[event] for walk in WALKS * 2 for event in walk]
    assert found["user"].to_list() == [user for user in range(2 * COUNT) for _ in range(LENGTH + 1)]
    assert found["time"].to_list() == list(range(LENGTH + 1)) * 2 * COUNT
    assert [path] == list(tmp_path.iterdir())


@kinds
def test_arrays_are_read_without_pickle(tmp_path, kind):
    export(certain(kind), tmp_path / "drawn.npz")
    with np.load(tmp_path / "drawn.npz") as found:
        assert found["events"].tolist() == WALKS
        assert found["ids"].tolist() == list(IDS)


def test_text_is_written_as_text(tmp_path):
    summary = certain("free", ids=("<unk>", "<eos>", "to", "be", "or", "not"))
    summary = dataclasses.replace(summary, tokenizer=WordTokenizer(summary.vocabulary))
    export(summary, tmp_path / "drawn.txt")
    walk = ["<unk>", "\n", "to", "be", "or", "not"] * 2
    told = [" ".join(walk[start : start + LENGTH + 1]).strip().replace(" \n ", "\n") for start in range(COUNT)]
    assert (tmp_path / "drawn.txt").read_text() == "\n\n".join(told) + "\n"


def test_events_are_written_a_sequence_a_line(tmp_path):
    path = tmp_path / "drawn.txt"
    export(certain("free", ids=tuple("abcdef")), path)
    assert path.read_text().splitlines()[1] == "b c d e f a"
    assert load_events(path, min_count=1).num_events == COUNT * (LENGTH + 1)


@pytest.mark.parametrize("suffix", [".csv", ".inter", ".parquet"])
def test_farzi_reads_what_it_wrote(tmp_path, suffix):
    path = tmp_path / f"drawn{suffix}"
    export(certain("free"), path)
    data = load_events(str(path), min_count=1)
    sequences = np.split(data.events, data.offsets[1:-1])
    assert [[data.vocabulary.ids[event] for event in one] for one in sequences] == [[IDS[e] for e in w] for w in WALKS]


def test_a_draw_follows_from_its_seed(tmp_path):
    summary = certain("free", sharpness=1.0)
    first, again, other = (export(summary, tmp_path / "drawn.csv", draws=3, seed=seed).tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_how_much_is_lost():
    assert effective_events(certain("free")) == pytest.approx(1, abs=1e-6)
    assert effective_events(certain("next", sharpness=0.0)) == pytest.approx(VOCAB, rel=1e-6)


def test_a_plain_loop_learns_from_the_file(tmp_path):
    """With rows in another order, or another event than the next as its successor, it would guess one in six."""
    export(certain("free"), tmp_path / "drawn.csv", draws=3)
    rows = table(tmp_path / "drawn.csv")
    numbers = {id_: number for number, id_ in enumerate(sorted(set(IDS)))}
    events = torch.tensor([numbers[id_] for id_ in rows["item"]]).view(-1, LENGTH + 1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(VOCAB, 8), nn.Linear(8, VOCAB))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(events[:, :-1]).flatten(0, 1), events[:, 1:].flatten()).backward()
        optimizer.step()
    successors = {id_: IDS[(place + 1) % VOCAB] for place, id_ in enumerate(IDS)}
    guesses = model(torch.arange(VOCAB)).argmax(-1)
    assert [int(guess) for guess in guesses] == [numbers[successors[id_]] for id_ in sorted(set(IDS))]


@pytest.mark.parametrize(
    ("name", "draws", "ids", "message"),
    [
        ("drawn.dat", 1, IDS, r"drawn.dat has no ending .*\.csv, \.parquet, \.inter, \.txt, \.npz"),
        ("drawn.txt", 1, IDS, "the id 'f g' is empty or holds a space"),
        ("drawn", 1, IDS, "no ending"),
        ("drawn.csv", 0, IDS, "draws is 0; it must be at least 1"),
        ("drawn.inter", 1, ("a\tb", *IDS[1:]), "holds a tab or a line's end"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, name, draws, ids, message):
    with pytest.raises(InputError, match=message):
        export(certain("free", ids=ids), tmp_path / name, draws=draws)
    assert not list(tmp_path.iterdir())
