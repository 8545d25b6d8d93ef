"""The reader of the Netflix Prize against the plainest way to read its files, however they are cut into blocks."""

import gzip
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farzi.errors import InputError
from farzi.events import load_events, netflix

FILES = [f"combined_data_{number}.txt" for number in range(1, 5)]
RATINGS = st.dictionaries(
    st.tuples(st.sampled_from([1, 7, 40, 2649429]), st.sampled_from([1, 9, 10, 17770])),
    st.integers(0, 400).map(lambda day: date(2003, 12, 1) + timedelta(day)),
    min_size=1,
)


def write(folder, ratings, ending="\n", files=FILES):
    """The ratings, {(user, movie): date}, spread over the files by movie in turn, without an end to the last line."""
    movies = sorted({movie for _, movie in ratings})
    for number, name in enumerate(files):
        lines = []
        for movie in movies[number :: len(files)]:
            lines.append(f"{movie}:")
            lines += [f"{user},{1 + user % 5},{day}" for (user, other), day in ratings.items() if other == movie]
        (folder / name).write_bytes(ending.join(lines).encode())
    return folder


def sequences(data):
    return [[data.vocabulary.ids[k] for k in data.sequence(i)] for i in range(data.num_sequences)]


@given(RATINGS, st.integers(1, 60), st.sampled_from(["\n", "\r\n"]))
def test_events_are_in_order_of_user_date_and_movie(tmp_path_factory, ratings, block, ending):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(netflix, "BLOCK", block)
        data = load_events(write(tmp_path_factory.mktemp("prize"), ratings, ending), min_count=1)
    users = sorted({user for user, _ in ratings})
    ordered = [sorted((day, movie) for (one, movie), day in ratings.items() if one == user) for user in users]
    assert sequences(data) == [[str(movie) for _, movie in events] for events in ordered]
    assert list(data.vocabulary.ids) == [str(movie) for movie in sorted({movie for _, movie in ratings})]


DAY = date(2005, 9, 6)
FEW = {(1, 8): DAY, (2, 8): DAY, (1, 3): DAY + timedelta(1), (2, 5): DAY - timedelta(1), (1, 5): DAY}


def test_one_file_may_be_read_alone_and_files_may_be_packed(tmp_path):
    alone = load_events(write(tmp_path, FEW) / FILES[1], min_count=1)
    assert sequences(alone) == [["5"], ["5"]]
    for name in FILES:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    assert sequences(load_events(tmp_path, min_count=1)) == [["5", "8", "3"], ["5", "8"]]
    assert load_events(tmp_path / f"{FILES[0]}.gz", min_count=1).vocabulary.ids == ("3",)


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path):
    (tmp_path / FILES[0]).write_bytes(b"\xef\xbb\xbf\n8:\r\n\r\n1,3,2005-09-06\n\n\n3:\n\n1,3,2005-09-05\n\n")
    assert sequences(load_events(tmp_path, min_count=1)) == [["3", "8"]]


def test_titles_come_from_the_file_beside(tmp_path):
    films = "3,1997,Character\n5,NULL,Wallace, Gromit\n8,2004,Amélie \n"
    (write(tmp_path, FEW) / "movie_titles.csv").write_bytes(films.encode("iso-8859-1"))
    data = load_events(tmp_path, min_count=1)
    assert data.vocabulary.titles == ("Character (1997)", "Wallace, Gromit", "Amélie (2004)")
    (tmp_path / "movie_titles.csv").write_text("3,1997,Character\n5,1998\n")
    with pytest.raises(InputError, match=r"line 2 of .*movie_titles\.csv, the file of titles, has 2 columns, not 3"):
        load_events(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        "1,3",
        ",3,2005-09-06",
        "u1,3,2005-09-06",
        "1,,2005-09-06",
        "1,33,2005-09-06",
        "1,x,2005-09-06",
        "1,3,2005-9-6",
        "1,3,2005-13-06",
        "1,3,2005-02-29",
        "1,3,2005-00-06",
        "1,3,2005-09-00",
        "1,3,1969-12-31",
        "1,3,2150-01-01",
        "1,3,2005/09/06",
        "1;3;2005-09-06",
        "1234567890,3,2005-09-06",
        "1,3,2005-09-06,7",
        "0:",
        "65536:",
        "x:",
        ":",
        "-1:",
        "é",
    ],
)
@pytest.mark.parametrize("block", [1, 2**25])
def test_a_line_of_another_form_is_named(tmp_path, monkeypatch, wrong, block):
    monkeypatch.setattr(netflix, "BLOCK", block)
    (tmp_path / FILES[0]).write_text(f"8:\n\n1,3,2005-09-06\n{wrong}\n9,9,9\n")
    with pytest.raises(InputError, match=rf"line 4 of .*{FILES[0]} is '{wrong}'; it must be .*1488844,3,2005-09-06"):
        load_events(tmp_path)


def test_an_event_above_all_movies_is_named(tmp_path):
    (tmp_path / FILES[0]).write_text("1,3,2005-09-06\n8:\n")
    with pytest.raises(InputError, match=r"line 1 of .* is '1,3,2005-09-06'; .* below such a line"):
        load_events(tmp_path)


def test_what_is_missing_is_told(tmp_path):
    with pytest.raises(InputError, match=r"is a folder; give .* a folder with combined_data_1\.txt or"):
        load_events("netflix", path=tmp_path)
    for content in ("", "8:\n"):
        (tmp_path / FILES[0]).write_text(content)
        with pytest.raises(InputError, match="has no events"):
            load_events(tmp_path)
    with pytest.raises(InputError, match="columns of the Netflix Prize, so user cannot be chosen"):
        load_events(tmp_path, user=1)


def test_a_part_of_the_prize_is_not_the_prize(tmp_path):
    with pytest.raises(InputError, match=r"is not the published netflix: .* has 2 users, .* not 480,189 users"):
        load_events("netflix", path=write(tmp_path, FEW))
    assert load_events("netflix", path=tmp_path, min_count=2).num_events == 4
