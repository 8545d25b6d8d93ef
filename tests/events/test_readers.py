"""Every reader must yield the same data from the same log: adding one to READERS and WRITERS is all it takes."""

import gzip
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from farzi.errors import InputError
from farzi.events import load_events
from farzi.events.readers import READERS

# user, item, time: out of order, with a tie in time (u1 at 20), a repeated event and ids that sort as numbers.
LOG = [
    ("u2", "10", 35),
    ("u1", "9", 20),
    ("u1", "10", 20),
    ("u2", "9", 5),
    ("u1", "100", 7),
    ("u2", "9", 35),
    ("u1", "9", 30),
]
SEQUENCES = [["100", "9", "10", "9"], ["9", "10", "9"]]


def text(path, lines, ending="\n"):
    path.write_bytes("".join(line + ending for line in lines).encode())
    return path


def table(name, header, row):
    def write(folder, ending="\n"):
        return text(folder / name, [*header, *(row.format(u=u, i=i, t=t) for u, i, t in LOG)], ending)

    return write


def parquet(folder, ending="\n"):
    frame = pl.DataFrame(LOG, schema=["user", "item", "time"], orient="row").with_columns(pl.lit(None).alias("rest"))
    frame.write_parquet(folder / "log.parquet")
    return folder / "log.parquet"


def netflix(folder, ending="\n"):
    # Ties are broken by the movies' numbers there, so there are none in this log.
    lines = [
        line
        for row, (u, i, t) in enumerate(LOG)
        for line in (f"{i}:", f"{u[1:]},3,{date(2005, 9, 6) + timedelta(9 * t + row)}")
    ]
    return text(folder / "combined_data_1.txt", lines, ending)


WRITERS = {
    "csv": table("log.csv", ['"rating, of 5",item,user,time'], '"1,5",{i},"{u}",{t}'),
    "tsv": table("log.tsv", ["user\titem\ttime"], "{u}\t{i}\t{t}.5"),
    "parquet": parquet,
    "u.data": table("u.data", [], "{u}\t{i}\t3\t{t}"),
    "ratings.dat": table("ratings.dat", [], "{u}::{i}::4.5::{t}"),
    "inter": table("log.inter", ["user_id:token\titem_id:token\trating:float\ttimestamp:float"], '{u}\t{i}\t"\t{t}'),
    "netflix": netflix,
    "sequences": lambda folder, ending="\n": text(folder / "log.txt", map(" ".join, SEQUENCES), ending),
}
TEXT = [format for format in WRITERS if format != "parquet"]
TABLES = [format for format in TEXT if format not in ("netflix", "sequences")]


def as_ids(data):
    return [[data.vocabulary.ids[k] for k in data.sequence(i)] for i in range(data.num_sequences)]


def test_every_reader_is_tested():
    assert WRITERS.keys() | {"sasrec"} == READERS.keys(), "sasrec, a folder, is tested in test_published_splits.py"


@pytest.mark.parametrize("format", WRITERS)
class TestConformance:
    def test_reads_the_log(self, format, tmp_path):
        data = load_events(WRITERS[format](tmp_path), min_count=1)
        assert as_ids(data) == SEQUENCES
        assert data.vocabulary.ids == ("9", "10", "100")
        assert data.vocabulary.titles is None
        assert data.events.dtype == np.int32

    def test_takes_the_format_by_its_name(self, format, tmp_path):
        path = WRITERS[format](tmp_path).rename(tmp_path / "log.unknown")
        assert as_ids(load_events(path, format=format, min_count=1)) == SEQUENCES
        with pytest.raises(InputError, match=r"log\.unknown does not tell its format; choose format from csv"):
            load_events(path)

    def test_refuses_an_empty_file(self, format, tmp_path):
        path = WRITERS[format](tmp_path)
        path.write_bytes(b"")
        with pytest.raises(InputError, match=r"is empty|no events|damaged"):
            load_events(path)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_refuses_a_picture(self, format, tmp_path):
        path = WRITERS[format](tmp_path)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(255, -1, -1)) * 9)
        with pytest.raises(InputError, match=path.name):
            load_events(path)


@pytest.mark.parametrize("format", TEXT)
class TestText:
    def test_reads_windows_line_ends(self, format, tmp_path):
        assert as_ids(load_events(WRITERS[format](tmp_path, "\r\n"), min_count=1)) == SEQUENCES

    def test_passes_over_a_byte_order_mark(self, format, tmp_path):
        path = WRITERS[format](tmp_path)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        data = load_events(path, min_count=1)
        assert as_ids(data) == SEQUENCES
        assert data.vocabulary.ids == ("9", "10", "100")

    def test_reads_a_last_line_without_an_end(self, format, tmp_path):
        path = WRITERS[format](tmp_path)
        path.write_bytes(path.read_bytes().rstrip())
        assert as_ids(load_events(path, min_count=1)) == SEQUENCES

    def test_reads_gzip(self, format, tmp_path):
        path = WRITERS[format](tmp_path)
        packed = tmp_path / f"{path.name}.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        assert as_ids(load_events(packed, min_count=1)) == SEQUENCES

    def test_refuses_truncated_gzip(self, format, tmp_path):
        packed = tmp_path / f"{WRITERS[format](tmp_path).name}.gz"
        packed.write_bytes(gzip.compress(WRITERS[format](tmp_path).read_bytes())[:-9])
        with pytest.raises(InputError, match="damaged"):
            load_events(packed)

    def test_refuses_other_encodings(self, format, tmp_path):
        if format == "netflix":
            pytest.skip("its files hold no letters, and titles are in ISO-8859-1")
        path = WRITERS[format](tmp_path)
        path.write_bytes(path.read_bytes().replace(b"9", "Amélie".encode("iso-8859-1")))
        with pytest.raises(InputError, match=rf"{path.name}.*UTF-8"):
            load_events(path)


def change(path, row, old, new):
    """Replace text in one row of events (counted from 1, without the header)."""
    lines = path.read_text().splitlines(keepends=True)
    k = row - 1 + len(lines) - len(LOG)
    assert old in lines[k]
    lines[k] = lines[k].replace(old, new)
    path.write_text("".join(lines))


@pytest.mark.parametrize("format", TABLES)
class TestTable:
    @pytest.mark.parametrize("ending", ["\n", "\r\n"])
    def test_passes_over_blank_lines(self, format, ending, tmp_path):
        path = WRITERS[format](tmp_path, ending)
        *first, last = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*first, ending.encode(), last, ending.encode() * 2]))
        assert as_ids(load_events(path, min_count=1)) == SEQUENCES

    def test_names_the_row_without_a_user(self, format, tmp_path):
        path = WRITERS[format](tmp_path)
        change(path, 4, "u2", "")
        with pytest.raises(InputError, match=rf"row 4 of .*{path.name} .* has no user"):
            load_events(path)

    def test_names_the_row_without_an_item(self, format, tmp_path):
        path = WRITERS[format](tmp_path)
        change(path, 5, "100", "")
        with pytest.raises(InputError, match=r"row 5 of .* has no item"):
            load_events(path)

    @pytest.mark.parametrize("wrong", ["soon", "nan", "inf", "2020-01-01"])
    def test_names_the_row_and_the_time_that_is_no_number(self, format, wrong, tmp_path):
        path = WRITERS[format](tmp_path)
        change(path, 1, "35.5" if format == "tsv" else "35", wrong)
        with pytest.raises(InputError, match=rf"row 1 of .* has the time '{wrong}'; it must be a number"):
            load_events(path)

    def test_names_the_row_that_breaks_off(self, format, tmp_path):
        path = WRITERS[format](tmp_path)
        path.write_bytes(path.read_bytes()[: -len("\t30\n") - 2 * (format == "tsv")])
        with pytest.raises(InputError, match=r"row 7 of .* has no time"):
            load_events(path)

    def test_names_the_line_with_too_many_columns(self, format, tmp_path):
        path = WRITERS[format](tmp_path)
        change(path, 3, "10", f"10{READERS[format].separator}10")
        line = 3 if not READERS[format].columns.named else 4
        with pytest.raises(InputError, match=rf"line {line} of .* has more columns than the first"):
            load_events(path)

    def test_lists_the_columns_that_are_there(self, format, tmp_path):
        path = WRITERS[format](tmp_path)
        if READERS[format].columns.named:
            own = READERS[format].columns
            with pytest.raises(InputError, match=rf"no column 'who', only .*'{own.item}.*'{own.time}.*option user"):
                load_events(path, user="who")
        else:
            with pytest.raises(InputError, match="no column 9, only 0 to 3; name the right one with the option user"):
                load_events(path, user=9)


@pytest.mark.parametrize("format", ["u.data", "ratings.dat"])
@pytest.mark.parametrize("width", [3, 5])
def test_movielens_files_have_four_columns(format, width, tmp_path):
    path = tmp_path / format
    text(path, [READERS[format].separator.join(["1"] * width)] * 9)
    with pytest.raises(InputError, match=f"{format} should have 4 columns, but its first line has {width}"):
        load_events(path)


def test_a_header_alone_is_no_data(tmp_path):
    with pytest.raises(InputError, match="no events"):
        load_events(text(tmp_path / "log.csv", ["user,item,time"]))


def test_columns_may_be_chosen_by_name_and_by_number(tmp_path):
    named = table("named.csv", ["what,who,when"], "{i},{u},{t}")(tmp_path)
    assert as_ids(load_events(named, user="who", item="what", time="when", min_count=1)) == SEQUENCES
    bare = table("bare.csv", [], "{i},{u},{t}")(tmp_path)
    assert as_ids(load_events(bare, user=1, item=0, time=2, min_count=1)) == SEQUENCES
    with pytest.raises(InputError, match="three names of columns or three numbers, not 'who', 0, 2"):
        load_events(bare, user="who", item=0, time=2)
    with pytest.raises(InputError, match="one user a line and no columns, so item cannot be chosen"):
        load_events(WRITERS["sequences"](tmp_path), item="who")


def test_ids_may_be_any_text_and_events_may_repeat(tmp_path):
    rows = ['"Zoë, 1","a ""b""",3', '"Zoë, 1","two\nlines",-2.5', '"Zoë, 1",日本,1e1', "я,日本,7", "я,日本,7"]
    data = load_events(text(tmp_path / "log.csv", ["user,item,time", *rows]), min_count=1)
    assert as_ids(data) == [["日本", "日本"], ["two\nlines", 'a "b"', "日本"]]
    frame = pl.read_csv(tmp_path / "log.csv")
    frame.write_parquet(tmp_path / "log.parquet")
    assert load_events(tmp_path / "log.parquet", min_count=1).fingerprint == data.fingerprint


DATES = ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%SZ"]


@pytest.mark.parametrize("form", DATES)
def test_a_time_may_be_a_date_in_one_form(form, tmp_path):
    times = [(datetime(2020, 1, 1) + timedelta(days=t, seconds=t)).strftime(form) for *_, t in LOG]
    rows = ["user,item,time", *(f"{u},{i},{time}" for (u, i, _), time in zip(LOG, times, strict=True))]
    assert as_ids(load_events(text(tmp_path / "log.csv", rows), min_count=1)) == SEQUENCES
    for wrong in ("77", "2020-02-31", "31.01.2020"):
        rows[4] = f"u2,9,{wrong}"
        with pytest.raises(
            InputError, match=rf"row 4 of .* has the time '{wrong}'; .* a date in the form of the other"
        ):
            load_events(text(tmp_path / "log.csv", rows))


def test_the_zone_of_a_date_counts(tmp_path):
    rows = ["user,item,time", "a,y,2020-01-01T09:30:00.5Z", "a,x,2020-01-01T10:00:00+02:00"]
    assert as_ids(load_events(text(tmp_path / "log.csv", rows), min_count=1)) == [["x", "y"]]


def test_a_user_with_one_event_is_kept_or_dropped_as_told(tmp_path):
    path = text(tmp_path / "log.csv", ["user,item,time", "a,x,1", "a,y,2", "a,x,3", "b,x,9"])
    assert as_ids(load_events(path, min_count=1)) == [["x", "y", "x"], ["x"]]
    assert as_ids(load_events(path, min_count=3, filter_items=False)) == [["x", "y", "x"]]


def test_an_unknown_format_lists_the_known(tmp_path):
    with pytest.raises(InputError, match=r"format must be one of csv, tsv, .*, not 'xls'"):
        load_events(WRITERS["csv"](tmp_path), format="xls")


def test_a_file_name_is_no_pattern(tmp_path):
    path = WRITERS["csv"](tmp_path)
    assert as_ids(load_events(path.rename(tmp_path / "log[1].csv"), min_count=1)) == SEQUENCES


class TestParquet:
    def write(self, folder, **columns):
        plain = {"user": ["a"] * 3, "item": [3, 2, 1], "time": [3, 2, 1]}
        pl.DataFrame({**plain, **columns}).write_parquet(folder / "log.parquet")
        return folder / "log.parquet"

    @pytest.mark.parametrize(
        "time",
        [
            [0.3, 0.2, 0.1],
            ["30", "20", "10"],
            [datetime(2020, 1, 3), datetime(2020, 1, 2), datetime(2020, 1, 1)],
            pl.Series([2**62 + 2, 2**62 + 1, 2**62]),  # a float64 could not tell these apart
        ],
    )
    def test_takes_any_kind_of_time(self, time, tmp_path):
        assert as_ids(load_events(self.write(tmp_path, time=time), min_count=1)) == [["1", "2", "3"]]

    def test_names_the_bad_row(self, tmp_path):
        with pytest.raises(InputError, match=r"row 2 of .* has no time"):
            load_events(self.write(tmp_path, time=[1, None, 3]))
        with pytest.raises(InputError, match=r"row 3 of .* has no user"):
            load_events(self.write(tmp_path, user=["a", "b", None]))
        with pytest.raises(InputError, match=r"row 1 of .* has the time nan"):
            load_events(self.write(tmp_path, time=[float("nan"), 2.0, 3.0]))

    def test_refuses_times_that_are_lists(self, tmp_path):
        with pytest.raises(InputError, match=r"log\.parquet is damaged or of another format"):
            load_events(self.write(tmp_path, time=[[1], [2], [3]]))

    def test_lists_the_columns_that_are_there(self, tmp_path):
        with pytest.raises(InputError, match=r"no column 'when', only 'user', 'item', 'time'; .* option time"):
            load_events(self.write(tmp_path), time="when")

    def test_refuses_a_truncated_file(self, tmp_path):
        path = self.write(tmp_path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(InputError, match="damaged"):
            load_events(path)


class TestTitles:
    @pytest.mark.parametrize(
        ("format", "name", "encoding", "lines"),
        [
            ("u.data", "u.item", "iso-8859-1", ["9|Amélie|2001", "10|Heat: x (1995) |1995", "100|Persona|1966"]),
            ("ratings.dat", "movies.dat", "iso-8859-1", ["9::Amélie::A", "10::Heat: x (1995)::B", "100::Persona::C"]),
            (
                "inter",
                "log.item",
                "utf-8",
                [
                    "item_id:token\tmovie_title:token_seq\trelease_year:token",
                    "9\tAmélie\t",
                    "10\tHeat: x\t1995",
                    "100\tPersona\tPersona",
                ],
            ),
        ],
    )
    @pytest.mark.parametrize("ending", ["\n", "\r\n"])
    def test_come_from_the_file_beside(self, format, name, encoding, lines, ending, tmp_path):
        path = WRITERS[format](tmp_path)
        (tmp_path / name).write_bytes("".join(line + ending for line in lines).encode(encoding))
        assert load_events(path, min_count=1).vocabulary.titles == ("Amélie", "Heat: x (1995)", "Persona")
        packed = tmp_path / f"{path.name}.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        assert load_events(packed, min_count=1).vocabulary.titles == ("Amélie", "Heat: x (1995)", "Persona")

    def test_a_broken_line_is_named(self, tmp_path):
        text(tmp_path / "u.item", ["9|Amélie|2001", "10|Heat"])
        with pytest.raises(InputError, match=r"line 2 of .*u\.item, the file of titles, has 2 columns, not 3"):
            load_events(WRITERS["u.data"](tmp_path))

    def test_another_encoding_is_named(self, tmp_path):
        (tmp_path / "log.item").write_bytes("item_id\ttitle\n9\tAmélie\n".encode("iso-8859-1"))
        with pytest.raises(InputError, match=r"log\.item, the file of titles, cannot be read"):
            load_events(WRITERS["inter"](tmp_path))

    def test_a_file_without_titles_gives_none(self, tmp_path):
        text(tmp_path / "log.item", ["item_id:token\tprice:float", "9\t3"])
        assert load_events(WRITERS["inter"](tmp_path), min_count=1).vocabulary.titles is None
