"""Time and memory that reading the Netflix Prize's hundred million events takes, on files made to be like them.

    python benchmarks/netflix_reader.py --json results/netflix-reader.json

The prize's files may not be passed on, so four of their form and size are made in a temporary folder (2.1 GB), with as
many users, movies and events; popularity and activity are log-normal with the original's mean and median. They are read
in a process of its own, so that its peak of memory is that of reading alone.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from farzi.files import write_json

NUM_USERS, NUM_MOVIES, NUM_EVENTS = 480_189, 17_770, 100_480_507
LARGEST_USER, MOST_RATINGS, FEWEST_RATINGS = 2_649_429, 232_944, 3
FIRST_MOVIES = (1, 4_500, 9_211, 13_368)  # of each file
FIRST_DAY, LAST_DAY = ((day - date(1970, 1, 1)).days for day in (date(1999, 11, 11), date(2005, 12, 31)))
LIMIT_S, LIMIT_GIB = 15 * 60, 6

READ = """
import json, resource, sys, time
from farzi.events import describe, load_events
began = time.monotonic()
data = load_events(sys.argv[1], min_count=1)
seconds = time.monotonic() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({**vars(describe(data)), "seconds": seconds, "peak_gib": peak}))
"""


def popularity(num_movies: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """How many ratings each movie has, as many in all as the prize has for as many movies."""
    target = round(NUM_EVENTS * num_movies / NUM_MOVIES)
    drawn = generator.lognormal(sigma=2.15, size=num_movies)
    low, high = 0.0, float(target)
    for _ in range(100):  # the scale is bisected, for the highest counts are cut off
        scale = (low + high) / 2
        counts = np.clip(drawn * scale, FEWEST_RATINGS, MOST_RATINGS)
        low, high = (scale, high) if counts.sum() < target else (low, scale)
    whole = counts.astype(np.int64)
    whole[np.argsort(whole - counts)[: target - whole.sum()]] += 1
    return whole


def write_files(folder: Path, num_movies: int, seed: int) -> None:
    """Write the four files; everyone has rated something, and nobody a movie twice."""
    generator = np.random.default_rng(seed)
    counts = popularity(num_movies, generator)
    ids = np.sort(generator.choice(LARGEST_USER, NUM_USERS, replace=False)) + 1
    activity = generator.lognormal(sigma=1.25, size=NUM_USERS).astype(np.float32)
    joined = generator.integers(FIRST_DAY, LAST_DAY, NUM_USERS)
    # One place of its own for each user among all ratings.
    places = generator.permutation(generator.choice(counts.sum(), NUM_USERS, replace=False))
    sure = np.searchsorted(np.cumsum(counts), places, side="right")
    by_movie = np.split(np.argsort(sure, kind="stable"), np.cumsum(np.bincount(sure, minlength=num_movies))[:-1])
    ends = (*FIRST_MOVIES[1:], NUM_MOVIES + 1)
    for number, (first, end) in enumerate(zip(FIRST_MOVIES, ends, strict=True), start=1):
        with (folder / f"combined_data_{number}.txt").open("wb") as file:
            for movie in range(first, min(end, num_movies + 1)):
                # The earliest of exponential waiting times are a draw without repetition, weighted by activity.
                waits = generator.standard_exponential(NUM_USERS, dtype=np.float32) / activity
                waits[by_movie[movie - 1]] = 0
                users = np.argpartition(waits, counts[movie - 1])[: counts[movie - 1]]
                days = generator.integers(joined[users], LAST_DAY + 1).astype(np.int32)
                stars = generator.integers(1, 6, len(users))
                file.write(f"{movie}:\n".encode())
                rows = pl.DataFrame({"user": ids[users], "rating": stars, "date": pl.Series(days).cast(pl.Date)})
                rows.write_csv(file, include_header=False)


def origin() -> dict[str, str]:
    """The commit, and the machine."""
    describe = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "command": " ".join(["python", *sys.argv]),
        "commit": subprocess.run(describe, capture_output=True, text=True).stdout.strip(),
        "machine": f"{platform.system()}, {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB",
    }


def main() -> None:
    """Write the files, read them, and record what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--movies", type=int, default=NUM_MOVIES, help="fewer make smaller files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", required=True)
    options = parser.parse_args()
    began_as = origin()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        write_files(Path(folder), options.movies, options.seed)
        write_s = time.monotonic() - began
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        print(f"{size / 1e9:.2f} GB are written in {write_s:.0f} s", flush=True)
        done = subprocess.run([sys.executable, "-c", READ, folder], check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout)
    wanted = NUM_USERS, options.movies, round(NUM_EVENTS * options.movies / NUM_MOVIES)
    assert (found["num_users"], found["num_items"], found["num_events"]) == wanted, f"{found} has not {wanted}"
    result = {
        **began_as,
        "bytes": size,
        "limits": {"seconds": LIMIT_S, "peak_gib": LIMIT_GIB},
        "kept": found["seconds"] <= LIMIT_S and found["peak_gib"] <= LIMIT_GIB,
        **{name: value for name, value in found.items() if name != "name"},
    }
    write_json(options.json, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
