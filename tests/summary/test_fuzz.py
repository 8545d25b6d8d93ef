"""Files changed at random: each is read as something valid or refused as the user's to mend, and soon."""

import random
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated

from farzi.errors import InputError
from farzi.summary import load

GOLDEN = sorted((Path(__file__).parent / "golden").iterdir())
CONTENTS = [path.read_bytes() for path in GOLDEN]
FILES_AT_ONCE = 50
MOST_SECONDS = 1.0


def check(path: Path, content: bytes) -> bool:
    """Read a file, and tell whether it is a summary: if so, all that is done with summaries works."""
    overwrite(path, content)
    began = time.process_time()
    summary, refusal = None, f"{path} is a summary"
    try:
        summary = load(path)
    except InputError as error:
        refusal = str(error)
    assert time.process_time() - began < MOST_SECONDS
    assert refusal.startswith(f"{path} ")
    assert "\n" not in refusal
    if summary is None:
        return False
    for part in summary.factors.decode():
        torch.testing.assert_close(part.sum(-1), torch.ones(part.shape[:2]), rtol=1e-4, atol=1e-4)
    for event in range(summary.factors.vocab_size):
        summary.title(event).encode()
    overwrite(path, summary.to_bytes())
    again = load(path)
    assert (again.card, again.vocabulary, again.tokenizer) == (summary.card, summary.vocabulary, summary.tokenizer)
    return True


def overwrite(path: Path, content: bytes) -> None:
    """Without emptying the file first, which some file systems make sure of on the disk."""
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


def check_some(folder: Path, seed: int) -> int:
    """How many of some files are summaries; each follows from the seed."""
    found = 0
    for number in range(FILES_AT_ONCE):
        chance = random.Random(seed * FILES_AT_ONCE + number)
        content = mutated(chance.choice(CONTENTS), CONTENTS, chance)
        try:
            found += check(folder / "file", content)
        except BaseException as error:
            error.add_note(f"the file: {content!r}")
            raise
    return found


def fuzz(folder: Path, batches: int) -> float:
    """The share of the files that are summaries."""
    counts: list[int] = []
    (folder / "file").touch()

    @given(st.integers(0, 2**40))
    @settings(max_examples=batches, deadline=None, database=None, derandomize=True)
    def search(seed):
        counts.append(check_some(folder, seed))

    search()
    assert len(counts) >= batches
    return sum(counts) / (len(counts) * FILES_AT_ONCE)


def test_hundreds_of_changed_files(tmp_path):
    assert 0.02 < fuzz(tmp_path, 10) < 0.9, "hardly anything of the reader is seen by files that are all of one kind"


@pytest.mark.slow
def test_a_hundred_thousand_changed_files(tmp_path):
    assert 0.02 < fuzz(tmp_path, 100_000 // FILES_AT_ONCE) < 0.9
