"""Real data against its published counts, and the ways to name what is to be loaded."""

import gzip
import hashlib

import numpy as np
import pytest

from farzi.errors import InputError
from farzi.events import OriginError, describe, find_source, leave_last_two_out, load_events, windows
from farzi.events.origins import unpack


def counts(data):
    return data.num_sequences, data.vocab_size, data.num_events


def test_a_file_is_five_core_unless_told(tmp_path):
    rows = [f"{user},{item},{user + item}" for user in range(6) for item in range(6)] + ["9,0,1", "0,9,1"]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time", *rows]))
    data = load_events(str(tmp_path / "log.csv"))
    assert data.name == "log.csv"
    assert counts(data) == (6, 6, 36)
    assert counts(load_events(tmp_path / "log.csv", min_count=1)) == (7, 7, 38)
    assert counts(load_events(tmp_path / "log.csv", filter_items=False)) == (6, 7, 37)
    with pytest.raises(InputError, match="lower min_count"):
        load_events(tmp_path / "log.csv", min_count=8)


def test_the_licence_is_the_publishers_or_what_is_said(tmp_path, monkeypatch):
    rows = [f"{user},{item},{user + item}" for user in range(6) for item in range(6)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time", *rows]))
    plain, told = load_events(tmp_path / "log.csv"), load_events(tmp_path / "log.csv", licence="CC0")
    assert (plain.licence, told.licence) == (None, "CC0")
    assert plain.fingerprint == told.fingerprint
    monkeypatch.setattr("farzi.events.source.Source.check", lambda *_: None)
    columns = {"user": "user", "item": "item", "time": "time"}
    named = load_events("amazon-magazine", path=tmp_path / "log.csv", **columns)
    assert named.licence == find_source("amazon-magazine").licence


def test_a_folder_or_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="is a folder; give the path of a file"):
        load_events(tmp_path)
    with pytest.raises(InputError, match=r"no data set '.*log\.csv'; there are ml-100k, .* check its path"):
        load_events(tmp_path / "log.csv")
    with pytest.raises(InputError, match=r"log\.csv is missing"):
        load_events("ml-100k", path=tmp_path / "log.csv")


def test_ml_100k(shared):
    data = load_events("ml-100k", path=shared / "ml-100k" / "u.data")
    assert data.name == "ml-100k"
    assert counts(data) == (943, 1349, 99287)
    assert data.vocabulary.titles is not None
    assert data.vocabulary.title(data.vocabulary.index("1")) == "Toy Story (1995)"
    assert any("é" in title for title in data.vocabulary.titles)
    # The order by an independent route: plain Python, whose sort is stable.
    rows = [line.split("\t") for line in (shared / "ml-100k" / "u.data").read_text().splitlines()]
    of_user = {user: [] for user in sorted({row[0] for row in rows}, key=int)}
    for user, item, _, _ in sorted(rows, key=lambda row: int(row[3])):
        of_user[user].append(item)
    kept = set(data.vocabulary.ids)
    for i, items in enumerate(of_user.values()):
        assert [data.vocabulary.ids[k] for k in data.sequence(i)] == [item for item in items if item in kept]
    splits = leave_last_two_out(data)
    assert splits.train.num_events == 99287 - 2 * 943
    assert describe(data).max_length == max(len(data.sequence(i)) for i in range(943))


def recbole_form(folder, shared):
    """Write u.data and u.item as RecBole packs them."""
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    folder.mkdir()
    (folder / "ml-100k.inter").write_text(header + (shared / "ml-100k" / "u.data").read_text())
    films = (shared / "ml-100k" / "u.item").read_text(encoding="iso-8859-1").splitlines()
    with (folder / "ml-100k.item").open("w", encoding="utf-8") as file:
        file.write("item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n")
        for film in films:
            id_, title = film.split("|")[:2]
            name, _, year = title.strip().removesuffix(")").rpartition(" (")
            file.write(f"{id_}\t{name or title}\t{year if name else title}\tDrama\n")
    return folder / "ml-100k.inter"


def test_both_forms_of_ml_100k_are_the_same_data(shared, tmp_path):
    movielens = load_events("ml-100k", path=shared / "ml-100k" / "u.data")
    recbole = load_events("ml-100k", path=recbole_form(tmp_path / "recbole", shared))
    assert np.array_equal(recbole.events, movielens.events)
    assert np.array_equal(recbole.offsets, movielens.offsets)
    assert recbole.vocabulary == movielens.vocabulary


@pytest.mark.slow
def test_the_packaged_ml_100k_is_the_same_data(shared, tmp_path):
    origin = find_source("ml-100k").origins[1]
    try:
        archive = origin.download(tmp_path)
    except OriginError as error:
        if "hash" in str(error):
            raise
        pytest.skip(f"needs a package index: {error}")
    unpack(archive, origin.members, tmp_path)
    recbole = load_events("ml-100k", path=tmp_path / "ml-100k.inter")
    movielens = load_events("ml-100k", path=shared / "ml-100k" / "u.data")
    assert np.array_equal(recbole.events, movielens.events)
    assert np.array_equal(recbole.offsets, movielens.offsets)
    assert recbole.vocabulary.ids == movielens.vocabulary.ids
    pairs = zip(recbole.vocabulary.titles, movielens.vocabulary.titles, strict=True)
    assert [pair for pair in pairs if pair[0] != pair[1]] == [("unkonwn", "unknown")]  # the package's own misprint


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (3092, 1305, 12689)),
        ({"filter_items": True}, (2739, 555, 11020)),
        ({"filter_items": True, "min_count": 5}, (326, 138, 2236)),
    ],
)
def test_amazon_magazine(shared, options, expected):
    path = shared / "amazon-magazine" / "Magazine_Subscriptions.csv"
    data = load_events("amazon-magazine", path=path, **options)
    assert counts(data) == expected
    if not options:
        numbers = describe(data)
        assert (numbers.min_length, numbers.median_length, numbers.max_length) == (3, 3, 55)
        assert numbers.mean_length == pytest.approx(4.10, abs=0.005)


def test_the_published_file_of_amazon_magazine_is_this_one_with_other_line_ends(shared, tmp_path):
    path = shared / "amazon-magazine" / "Magazine_Subscriptions.csv"
    published = path.read_bytes().replace(b"\n", b"\r\n")
    (known,) = find_source("amazon-magazine").origins
    assert known.known_hash == "sha256:" + hashlib.sha256(published).hexdigest()
    (tmp_path / path.name).write_bytes(published)
    data = load_events("amazon-magazine", path=tmp_path / path.name)
    assert data.fingerprint == load_events("amazon-magazine", path=path).fingerprint


def test_short_histories_of_amazon_magazine(shared):
    data = load_events("amazon-magazine", path=shared / "amazon-magazine" / "Magazine_Subscriptions.csv")
    splits = leave_last_two_out(data)
    lengths = np.diff(splits.train.offsets)
    assert splits.train.num_events == 12689 - 2 * 3092
    assert np.count_nonzero(lengths == 1) == 1812, "users without a target in training"
    starts, ends = windows(splits.train.offsets, 50)
    assert len(starts) == 3092 - 1812 + 1, "one user has more than a window"
    assert (ends - starts - 1).sum() == splits.train.num_events - 3092 == 3413
    assert len(splits.valid) == len(splits.test) == 3092
    assert (splits.valid.ends - splits.valid.starts).min() == 1, "everyone has a history"


def test_ml_1m_as_the_ratings_of_half_its_users(shared):
    ratings = load_events(shared / "ml-1m" / "ratings.users_1-2999.dat.gz", min_count=1)
    assert counts(ratings) == (2999, 3615, 487650)
    assert ratings.vocabulary.title(ratings.vocabulary.index("260")) == "Star Wars: Episode IV - A New Hope (1977)"
    with pytest.raises(InputError, match="not the published ml-1m: prepared, it has 2,999 users"):
        load_events("ml-1m", path=shared / "ml-1m" / "ratings.users_1-2999.dat.gz")


def lines(path):
    return gzip.decompress(path.read_bytes()).decode().split()


def test_ml_1m_as_sequences(shared):
    folder = shared / "ml-1m" / "sasrec"
    train = load_events(folder / "train" / "input.txt.gz", min_count=1)
    assert counts(train) == (6040, 3416, 987019)
    assert (describe(train).min_length, describe(train).max_length) == (16, 2275)
    data = load_events("ml-1m", path=folder)
    assert (data.name, *counts(data)) == ("ml-1m", 6040, 3416, 999611 - 5528)
    assert describe(data).min_length == 17
    # Everyone's last event is the published one, and for a sample of 512 users the one before it is too.
    splits = leave_last_two_out(data)
    assert [data.vocabulary.ids[k] for k in splits.test.targets] == lines(folder / "test" / "output.txt.gz")
    longer = np.flatnonzero(np.diff(data.offsets) - np.diff(train.offsets) == 3)
    assert len(longer) == 512
    assert [data.vocabulary.ids[k] for k in splits.valid.targets[longer]] == lines(folder / "val" / "output.txt.gz")


def test_amazon_magazine_is_not_ml_100k(shared):
    path = shared / "amazon-magazine" / "Magazine_Subscriptions.csv"
    with pytest.raises(InputError, match="is not the published ml-100k: prepared, it has 326 users"):
        load_events("ml-100k", path=path, user=1, item=0, time=3)
