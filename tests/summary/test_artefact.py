"""The summary's file: what goes in comes out, and foreign files are refused."""

import errno
import os

import pytest
import torch
from safetensors.torch import save_file
from small_summary import make_summary, make_text, tokenizers, with_card

from farzi.errors import InputError
from farzi.events import TOKENIZERS, Vocabulary
from farzi.summary import Factors, Summary, load, round_to_stored


@pytest.mark.parametrize("kind", ["free", "next"])
def test_what_was_saved_is_loaded(tmp_path, kind):
    summary = make_summary(kind)
    summary.save(tmp_path / "summary.safetensors")
    found = load(tmp_path / "summary.safetensors")
    assert found.card == summary.card
    assert found.vocabulary == summary.vocabulary
    assert found.factors.kind == kind
    assert found.factors.temperature == 0.5
    for name, part in round_to_stored(summary.factors).tensors().items():
        assert torch.equal(part, found.factors.tensors()[name])
        torch.testing.assert_close(part, summary.factors.tensors()[name], rtol=0, atol=0.006)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_tokenizer_of_a_text_is_kept(tmp_path, kind):
    tokenizer = tokenizers()[kind]
    make_text(kind).save(tmp_path / "summary.safetensors")
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
    path.write_bytes(with_card(make_summary().to_bytes(), lambda card: card.update(tokenizer=told)))
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


def test_what_is_rounded_once_stays_as_it_is():
    torch.manual_seed(0)
    sizes = torch.logspace(-2, 5, 60).view(6, 10, 1)  # of a whole latent vector
    factors = Factors(latents=torch.randn(6, 10, 8) * sizes, decoder=torch.randn(8, 5), targets=torch.zeros(6, 10, 8))
    rounded = round_to_stored(factors)
    for name, part in round_to_stored(rounded).tensors().items():
        assert torch.equal(part, rounded.tensors()[name])
    assert bool(rounded.latents.isfinite().all())
    assert not rounded.targets.any()
    off = (rounded.latents - factors.latents).abs() / factors.latents.abs().amax(-1, keepdim=True)
    assert 0.003 < float(off.max()) < 0.51 / 127 + 2**-11


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.pop("temperature"), "temperature"),
        (lambda card: card["vocabulary"]["ids"].pop(), "titles|ids"),
        (lambda card: card["card"].pop("advice"), "advice"),
        (lambda card: card.update(temperature="hot"), "hot"),
        (lambda card: card.update(card=None), "damaged"),
    ],
)
def test_a_damaged_card_is_refused(tmp_path, change, message):
    path = tmp_path / "summary"
    path.write_bytes(with_card(make_summary().to_bytes(), change))
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
