"""How good a model, and so a summary, is: tasks with their metrics, and the study that compares from scratch."""

from farzi.evaluation.evaluate import evaluate, with_retention
from farzi.evaluation.find import task_of
from farzi.evaluation.likelihood import Likelihood, stream_likelihood
from farzi.evaluation.metric import METRICS, Metric, find_metric
from farzi.evaluation.next_item import NextItem
from farzi.evaluation.next_token import LOOK_TOKENS, NextToken
from farzi.evaluation.ranking import ranking_metrics, ranks
from farzi.evaluation.row import Costs, Row, spread
from farzi.evaluation.students import ASSISTANTS, USUAL_METHODS, Method, Students
from farzi.evaluation.study import STUDENT_LRS, Study, check_fits
from farzi.evaluation.task import Part, Task
from farzi.machine import peak_mb

__all__ = [
    "ASSISTANTS",
    "LOOK_TOKENS",
    "METRICS",
    "STUDENT_LRS",
    "USUAL_METHODS",
    "Costs",
    "Likelihood",
    "Method",
    "Metric",
    "NextItem",
    "NextToken",
    "Part",
    "Row",
    "Students",
    "Study",
    "Task",
    "check_fits",
    "evaluate",
    "find_metric",
    "peak_mb",
    "ranking_metrics",
    "ranks",
    "spread",
    "stream_likelihood",
    "task_of",
    "with_retention",
]
