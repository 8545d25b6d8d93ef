from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def shared():
    """The folder of real data sets, which are not part of the repository."""
    if not SHARED.is_dir():
        pytest.skip("needs the real data sets in ../shared/data, which may not be redistributed")
    return SHARED


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache for every test, so that none touches the user's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("FARZI_CACHE", str(folder))
    return folder
