"""What people see of a job and its result: progress, tables, readable sequences, and the record of a study."""

from farzi.report.estimate import advice, replay_table, stage_table
from farzi.report.page import write_page
from farzi.report.progress import MOST_SECONDS_BETWEEN_LINES, SECONDS_BETWEEN_LINES, Show, show_progress
from farzi.report.record import Recorded, read_record, record
from farzi.report.run import Run, read_run
from farzi.report.search import search_table, watch_search
from farzi.report.sequences import card_table, sequence_table
from farzi.report.table import result_table
from farzi.report.tracking import TRACKERS, Session, TensorBoard, Tracker, tracked
from farzi.report.watching import watch_distillation, watch_study, watch_training

__all__ = [
    "MOST_SECONDS_BETWEEN_LINES",
    "SECONDS_BETWEEN_LINES",
    "TRACKERS",
    "Recorded",
    "Run",
    "Session",
    "Show",
    "TensorBoard",
    "Tracker",
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
    "tracked",
    "watch_distillation",
    "watch_search",
    "watch_study",
    "watch_training",
    "write_page",
]
