"""What people see of a job and its result: progress, tables, readable sequences, and the record of a study."""

from farzi.report.progress import SECONDS_BETWEEN_LINES, Show, show_progress, watch_distillation, watch_study
from farzi.report.record import record
from farzi.report.search import search_table, watch_search
from farzi.report.sequences import card_table, sequence_table
from farzi.report.table import result_table

__all__ = [
    "SECONDS_BETWEEN_LINES",
    "Show",
    "card_table",
    "record",
    "result_table",
    "search_table",
    "sequence_table",
    "show_progress",
    "watch_distillation",
    "watch_search",
    "watch_study",
]
