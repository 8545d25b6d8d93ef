"""The summary's file: what goes in comes out, the bytes are pinned, and foreign files are refused."""

import errno
import hashlib
import json
import os
import struct
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from farzi.errors import InputError
from farzi.events import TOKENIZERS, BPETokenizer, CharTokenizer, Tokenizer, Vocabulary, WordTokenizer
from farzi.summary import FORMAT_VERSION, Advice, Card, Factors, Summary, load, round_to_stored


def make_summary(kind: str = "free") -> Summary:
    values = torch.arange(2 * 3 * 2, dtype=torch.float32).view(2, 3, 2) / 8
    factors = Factors(
        latents=values,
        decoder=torch.arange(8, dtype=torch.float32).view(2, 4) / 4 - 1,
        targets=-values if kind == "free" else None,
        temperature=0.5,
    )
    vocabulary = Vocabulary(("a", "b", "c", "d"), ("Amélie", "Brazil", "Chocolat", "東京物語"))
    card = Card(
        data="films",
        data_fingerprint="0" * 64,
        num_events=1000,
        model={"name": "sasrec", "dim": 8},
        advice=Advice(lr=0.01, batch_size=2, steps=40),
        origin={"seed": 0},
    )
    return Summary(factors=factors, vocabulary=vocabulary, card=card)


@pytest.mark.parametrize("kind", ["free", "next"])
def test_what_was_saved_is_loaded(tmp_path, kind):
    summary = make_summary(kind)
    summary.save(tmp_path / "summary.safetensors")
    found = load(tmp_path / "summary.safetensors")
    assert found.card == summary.card
    assert found.vocabulary == summary.vocabulary
    assert found.factors.kind == kind
    assert found.factors.temperature == 0.5
    for name, part in summary.factors.tensors().items():
        assert torch.equal(part, found.factors.tensors()[name])


def test_the_bytes_of_the_format_are_pinned(tmp_path):
    make_summary().save(tmp_path / "summary.safetensors")
    content = (tmp_path / "summary.safetensors").read_bytes()
    assert FORMAT_VERSION == 1
    assert hashlib.sha256(content).hexdigest() == "5bac7c2f95a47456f64fbf33962b54a4bca5cb8eb1fb1ab2d907faa1330a84ac", (
        "the format changed: raise FORMAT_VERSION and read both"
    )


def tokenizers() -> dict[str, Tokenizer]:
    return {
        "word": WordTokenizer(Vocabulary(("<unk>", "<eos>", "to", "be")), True),
        "char": CharTokenizer(Vocabulary(("<unk>", " ", "\n", "東"))),
        "bpe": BPETokenizer(Vocabulary(("a", "b", "Ġ", "Ġa")), ("Ġ a",)),
    }


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_tokenizer_of_a_text_is_kept(tmp_path, kind):
    tokenizer = tokenizers()[kind]
    summary = replace(make_summary(), vocabulary=tokenizer.vocabulary, tokenizer=tokenizer)
    summary.save(tmp_path / "summary.safetensors")
    found = load(tmp_path / "summary.safetensors")
    assert found.tokenizer == tokenizer
    if kind == "bpe":
        pytest.importorskip("tokenizers", reason="the extra bpe is not installed")
    assert [found.title(event) for event in range(4)][-1] == {"word": "be", "char": "東", "bpe": "␣a"}[kind]
    assert make_summary().title(0) == "Amélie"


@pytest.mark.parametrize(
    "told",
    [
        {"kind": "magic"},
        {"kind": "bpe", "merges": ["a z"]},
        {"kind": "bpe"},
        {"kind": "word", "prepared": True},
        "word",
    ],
)
def test_a_damaged_tokenizer_is_refused(tmp_path, told):
    path = tmp_path / "summary.safetensors"
    make_summary().save(path)
    with safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata()["farzi"]) | {"tokenizer": told}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata={"farzi": json.dumps(card)})
    with pytest.raises(InputError, match="damaged card"):
        load(path)


def test_rounding_is_what_saving_does(tmp_path):
    summary = make_summary()
    torch.manual_seed(0)
    factors = summary.factors.with_tensors({k: torch.randn_like(v) for k, v in summary.factors.tensors().items()})
    Summary(factors=factors, vocabulary=summary.vocabulary, card=summary.card).save(tmp_path / "s")
    rounded = round_to_stored(factors).tensors()
    for name, part in load(tmp_path / "s").factors.tensors().items():
        assert torch.equal(part, rounded[name])
        assert not torch.equal(part, factors.tensors()[name])


@pytest.mark.parametrize("cut", [0, 4, 8, 100, -1])
def test_a_truncated_file_is_refused(tmp_path, cut):
    path = tmp_path / "summary.safetensors"
    make_summary().save(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"summary\.safetensors is not a whole safetensors file"):
        load(path)


def test_files_of_other_kinds_are_refused(tmp_path):
    with pytest.raises(InputError, match="is not a file"):
        load(tmp_path / "missing")
    with pytest.raises(InputError, match="is not a file"):
        load(tmp_path)
    (tmp_path / "text").write_text("user,item\n1,2\n" * 50)
    with pytest.raises(InputError, match="not a whole safetensors file"):
        load(tmp_path / "text")
    save_file({"weight": torch.zeros(2)}, tmp_path / "weights")
    with pytest.raises(InputError, match="not a farzi summary"):
        load(tmp_path / "weights")


def rewrite(path, change):
    """Change the card of a stored summary."""
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    card = json.loads(header["__metadata__"]["farzi"])
    change(card)
    header["__metadata__"]["farzi"] = json.dumps(card)
    new = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(new)) + new + content[8 + size :])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.update(format=FORMAT_VERSION + 1), "newer than this farzi"),
        (lambda card: card.pop("temperature"), "temperature"),
        (lambda card: card["vocabulary"]["ids"].pop(), "titles|ids"),
        (lambda card: card["card"].pop("advice"), "advice"),
        (lambda card: card.update(temperature="hot"), "hot"),
        (lambda card: card.update(card=None), "damaged"),
    ],
)
def test_a_damaged_card_is_refused(tmp_path, change, message):
    path = tmp_path / "summary"
    make_summary().save(path)
    rewrite(path, change)
    with pytest.raises(InputError, match=message):
        load(path)


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    summary = make_summary()
    summary.factors.decoder[0, 0] = torch.nan
    summary.save(tmp_path / "summary")
    with pytest.raises(InputError, match="not finite"):
        load(tmp_path / "summary")


def test_a_vocabulary_of_another_size_is_refused():
    summary = make_summary()
    with pytest.raises(ValueError, match="2 ids do not fit factors over 4 events"):
        Summary(factors=summary.factors, vocabulary=Vocabulary(("a", "b")), card=summary.card)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "summary"
    make_summary("next").save(path)
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        make_summary("free").save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["summary"]
