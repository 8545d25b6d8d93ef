"""Sequences that were cut into files for training, validation and testing are put together again."""

import gzip

import pytest

from farzi.errors import InputError
from farzi.events import load_events

WHOLE = [["a", "b", "c", "d"], ["b", "c", "a", "e", "b"], ["c", "c", "c"]]
SAMPLE = [1]
"""The users whose validation is published; of the others the second-to-last event is not."""


def cut(folder, whole=WHOLE, sample=SAMPLE):
    files = {
        "train/input.txt": [events[: -3 if user in sample else -2] for user, events in enumerate(whole)],
        "test/output.txt": [events[-1:] for events in whole],
        "val/input.txt": [whole[user][:-2] for user in sample],
        "val/output.txt": [whole[user][-2:-1] for user in sample],
    }
    for name, lines in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("".join(" ".join(line) + "\n" for line in lines))
    return folder


def sequences(data):
    return [[data.vocabulary.ids[k] for k in data.sequence(i)] for i in range(data.num_sequences)]


def test_what_is_published_of_each_user_becomes_a_sequence(tmp_path):
    data = load_events(cut(tmp_path), min_count=1)
    assert sequences(data) == [["a", "b", "d"], ["b", "c", "a", "e", "b"], ["c", "c"]]
    for name in ("train/input.txt", "val/output.txt"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    assert sequences(load_events(tmp_path, min_count=1)) == sequences(data)


def test_files_that_do_not_belong_together_are_told(tmp_path):
    cut(tmp_path)
    (tmp_path / "val/input.txt").write_text("b a x\n")
    with pytest.raises(InputError, match=r"line 1 of val/input\.txt in .* is no line of train/input\.txt"):
        load_events(tmp_path)
    (tmp_path / "val/output.txt").write_text("")
    with pytest.raises(InputError, match=r"val/input\.txt has 1 lines and val/output\.txt 0"):
        load_events(tmp_path)
    (tmp_path / "test/output.txt").write_text("d\n")
    with pytest.raises(InputError, match=r"train/input\.txt has 3 lines and test/output\.txt 1"):
        load_events(tmp_path)
    (tmp_path / "val/input.txt").unlink()
    with pytest.raises(InputError, match=r"has no val/input\.txt \(or val/input\.txt\.gz\)"):
        load_events(tmp_path)


def test_columns_cannot_be_chosen(tmp_path):
    with pytest.raises(InputError, match="one user a line and no columns, so item cannot be chosen"):
        load_events(cut(tmp_path), item=2)
