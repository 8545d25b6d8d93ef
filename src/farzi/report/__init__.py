"""What people see of a job and its result: progress, tables, readable sequences, and the record of a study."""

from farzi.report.estimate import advice, replay_table, stage_table
from farzi.report.page import write_page
from farzi.report.progress import SECONDS_BETWEEN_LINES, Show, show_progress, watch_distillation, watch_study
from farzi.report.record import Recorded, read_record, record
from farzi.report.run import Run, read_run
from farzi.report.search import search_table, watch_search
from farzi.report.sequences import card_table, sequence_table
from farzi.report.table import result_table

__all__ = [
    "SECONDS_BETWEEN_LINES",
    "Recorded",
    "Run",
    "Show",
    "advice",
    "card_table",
    "read_record",
    "read_run",
    "record",
    "replay_table",
    "result_table",
    "search_table",
    "sequence_table",
    "show_progress",
    "stage_table",
    "watch_distillation",
    "watch_search",
    "watch_study",
    "write_page",
]
