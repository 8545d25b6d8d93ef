"""How good a model, and so a summary, is: ranking metrics, and the study that compares from scratch."""

from farzi.evaluation.evaluate import evaluate
from farzi.evaluation.ranking import ranking_metrics, ranks
from farzi.evaluation.students import Method, Students
from farzi.evaluation.study import STUDENT, STUDENT_LRS, Costs, Row, Study, check_fits, peak_mb
from farzi.evaluation.task import HEADLINE, NextItem

__all__ = [
    "HEADLINE",
    "STUDENT",
    "STUDENT_LRS",
    "Costs",
    "Method",
    "NextItem",
    "Row",
    "Students",
    "Study",
    "check_fits",
    "evaluate",
    "peak_mb",
    "ranking_metrics",
    "ranks",
]
