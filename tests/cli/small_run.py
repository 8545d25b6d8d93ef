"""A data set and settings that make every command last a second."""

import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ITEMS = [f"Film {letter} (1999)" for letter in "ABCDEFGHI"]
MODEL = ["--model", "sasrec", "--model.dim", "4", "--model.max_length", "5"]
QUICK = [
    *MODEL,
    *["--sequences", "3", "--length", "5", "--size.rank", "4", "--steps", "2", "--loop.evaluate_every", "2"],
    *["--objective.window", "2", "--objective.steps", "3", "--judges", "1", "--teachers.count", "1"],
    *["--teachers.training.steps", "4", "--teachers.training.evaluate_every", "2"],
]
"""Options that make a distillation last a second."""

QUICK_STUDY = [
    *["--seeds", "2", "--reference.steps", "4", "--reference.evaluate_every", "2"],
    *["--student.steps", "4", "--student.evaluate_every", "2", "--workers", "1"],
]


def write_films(folder: Path, num_users: int = 20, length: int = 9) -> Path:
    """MovieLens' files: each user sees the films in their order, from a random one on."""
    chance = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    lines = list[str]()
    for user in range(num_users):
        first = chance.randrange(len(ITEMS))
        lines += [f"{user}\t{(first + i) % len(ITEMS)}\t5\t{i}\n" for i in range(length)]
    (folder / "u.data").write_text("".join(lines))
    (folder / "u.item").write_text("".join(f"{number}|{title}|x\n" for number, title in enumerate(ITEMS)))
    return folder / "u.data"


def write_text(path: Path, num_lines: int = 200) -> Path:
    """Lines of words, with Windows' ends between them."""
    chance = random.Random(0)
    words = ["the", "cat", "dog", "saw", "a", "bird", "and"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\r\n".join(" ".join(chance.choices(words, k=7)) for _ in range(num_lines)).encode())
    return path


def run_as_process(words: Sequence[str | Path], **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "farzi", *map(str, words)], capture_output=True, text=True, **options)
