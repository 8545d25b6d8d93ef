"""Files of every version: those of this one come out byte for byte, and all are read as what they were made from."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_summary import make_falling, make_measured, make_summary, make_text

from farzi.errors import InputError
from farzi.summary import FORMAT_VERSION, Summary, load, round_to_stored

GOLDEN = Path(__file__).parent / "golden"
RESULTS = Path(__file__).parents[2] / "results" / "summaries"

FILES = {
    "1-free": make_summary("free"),
    "1-next-bpe": make_text("bpe"),
    "2-free": make_measured(),
    "2-next": replace(make_summary("next"), vocabulary=replace(make_summary().vocabulary, titles=None)),
    "2-next-word": make_text("word"),
    "2-free-char": make_text("char", "free"),
    "2-next-bpe": make_text("bpe"),
    "3-free": make_falling(),
    "3-next": replace(make_summary("next"), vocabulary=replace(make_summary().vocabulary, titles=None)),
    "3-next-word": make_text("word"),
    "3-free-char": make_text("char", "free"),
    "3-next-bpe": make_text("bpe"),
    "4-free": make_falling(weight_decay=0.1),
    "4-next": replace(make_summary("next"), vocabulary=replace(make_summary().vocabulary, titles=None)),
    "4-next-word": make_text("word"),
    "4-free-char": make_text("char", "free"),
    "4-next-bpe": make_text("bpe"),
    "5-free": make_falling(weight_decay=0.1, crop=0.8),
    "5-next": replace(make_summary("next"), vocabulary=replace(make_summary().vocabulary, titles=None)),
    "5-next-word": make_text("word"),
    "5-free-char": make_text("char", "free"),
    "5-next-bpe": make_text("bpe"),
}
"""What each file was made from, by its name, which begins with the version of the format."""


def same(one: Summary, other: Summary) -> bool:
    parts, others = one.factors.tensors(), other.factors.tensors()
    return (
        (one.card, one.vocabulary, one.tokenizer) == (other.card, other.vocabulary, other.tokenizer)
        and one.factors.temperature == other.factors.temperature
        and parts.keys() == others.keys()
        and all(torch.equal(part, others[name]) for name, part in parts.items())
    )


def as_stored(summary: Summary, version: int) -> Summary:
    """What a file of a version holds of a summary; small numbers have room in half precision as they are."""
    return summary if version < 3 else replace(summary, factors=round_to_stored(summary.factors))


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_any_version_is_read_as_what_it_was_made_from(name):
    assert same(load(GOLDEN / f"{name}.safetensors"), as_stored(FILES[name], int(name.split("-")[0])))


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(f"{FORMAT_VERSION}-")])
def test_the_bytes_of_the_format_are_pinned(name):
    """Where this fails, the format has changed: raise FORMAT_VERSION, add its files, and go on reading the old ones."""
    assert FILES[name].to_bytes() == (GOLDEN / f"{name}.safetensors").read_bytes()


def test_every_version_has_files_and_every_file_is_tested():
    assert {f"{name}.safetensors" for name in FILES} == {path.name for path in GOLDEN.iterdir()}
    assert {int(name.split("-")[0]) for name in FILES} == set(range(1, FORMAT_VERSION + 1))


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.safetensors")), ids=lambda path: path.stem)
def test_the_summaries_that_are_published_stay_readable(path):
    assert load(path).card.advice.steps > 0


def test_a_newer_version_is_refused_by_its_number(tmp_path):
    content = (GOLDEN / "5-free.safetensors").read_bytes()
    newer = content.replace(b'\\"format\\": 5', b'\\"format\\": 6')
    assert newer != content
    (tmp_path / "newer").write_bytes(newer)
    with pytest.raises(InputError, match=r"newer has .*format 6 is newer than this farzi reads, 5: update farzi"):
        load(tmp_path / "newer")
