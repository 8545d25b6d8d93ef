"""A small data set with titles, and one run on it that most tests look at."""

from pathlib import Path

import pytest
from small_run import QUICK, write_films

from farzi.cli import main


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """One cache for all tests here, so that the teacher is trained once, and the user's is left alone."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARZI_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def films(tmp_path_factory) -> Path:
    return write_films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="session")
def finished(films, tmp_path_factory) -> Path:
    """The folder of a finished run; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "films"
    assert main(["distill", str(films), "-o", str(folder), *QUICK]) == 0
    return folder


@pytest.fixture
def refused(capsys):
    """Call the command line with something wrong; the one line that it has to say about it."""

    def call(*words: str | Path) -> str:
        capsys.readouterr()
        assert main([str(word) for word in words]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        *news, line = err.splitlines()
        assert all(piece.startswith(("teachers", "start", "distillation ", "study ")) for piece in news), err
        assert line.startswith("farzi: ")
        return line

    return call
