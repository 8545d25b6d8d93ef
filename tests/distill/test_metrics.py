"""A line for each outer step, also where a killed run takes some of them again."""

import json
import math
from dataclasses import asdict, replace

import pytest

from farzi.distill import MetricsFile, Progress, read_metrics
from farzi.errors import InputError


def progress(step: int, loss: float = 1.0) -> Progress:
    scores = {"score": 0.1, "best_score": 0.2, "best_step": 0}
    return Progress(step=step, seconds=step, loss=loss, gradient_norm=0.5, peak_mb=99.5, lr=0.01, skipped=0, **scores)


def steps_in(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_steps_that_are_taken_again_replace_those_of_before(tmp_path):
    path = tmp_path / "metrics.jsonl"
    killed = MetricsFile(path)
    for step in (1, 2, 3, 4):
        killed.add(progress(step))
    with path.open("a") as file:
        file.write('{"step": 5, "sec')  # cut short by the kill
    resumed = MetricsFile(path)
    for step in (3, 4):
        resumed.add(progress(step, loss=0.5))
    assert steps_in(path) == [1, 2, 3, 4]
    assert [json.loads(line)["loss"] for line in path.read_text().splitlines()] == [1.0, 1.0, 0.5, 0.5]


def test_a_new_run_begins_a_new_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("of another run\n")
    MetricsFile(path).add(progress(1))
    assert steps_in(path) == [1]


def test_a_full_disk_is_named(tmp_path):
    full = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(full)
    metrics.add(progress(1))
    full.unlink()
    full.symlink_to("/dev/full")
    with pytest.raises(InputError, match="No space left"):
        metrics.add(progress(2))


def test_what_was_written_is_read_again_but_for_a_line_that_is_not_whole(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_metrics(path) == []
    metrics = MetricsFile(path)
    for step in (1, 2):
        metrics.add(progress(step, loss=float("inf")))
    with path.open("a") as file:
        file.write('{"step": 3, "sec')
    assert read_metrics(path) == [progress(1, loss=float("inf")), progress(2, loss=float("inf"))]


def test_a_record_from_before_lacks_what_was_not_recorded(tmp_path):
    path = tmp_path / "metrics.jsonl"
    content = asdict(progress(1))
    path.write_text(json.dumps({name: content[name] for name in content.keys() - {"gradient_norm", "peak_mb"}}) + "\n")
    (read,) = read_metrics(path)
    assert math.isnan(read.gradient_norm)
    assert math.isnan(read.peak_mb)
    assert replace(read, gradient_norm=0.5, peak_mb=99.5) == progress(1)


@pytest.mark.parametrize("line", ["", "{", "[]", "3", '{"step": 2}'])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    MetricsFile(path).add(progress(1))
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=r"line 2 of .*metrics\.jsonl is damaged"):
        read_metrics(path)
