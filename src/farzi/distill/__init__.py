"""The outer loop: learning a summary, one file for each objective."""

from farzi.distill.checkpoint import Checkpoints, OuterState, locked
from farzi.distill.costs import read_costs
from farzi.distill.distill import distill
from farzi.distill.estimate import MARGIN, Estimate, ReplayEstimate, Span, estimate
from farzi.distill.loop import MOST_BAD_STEPS, DivergedError, Judge, OuterLoop, Progress, Verdict, run_loop
from farzi.distill.meta_matching import MetaMatching
from farzi.distill.metrics import MetricsFile, read_metrics
from farzi.distill.objective import Objective, OuterGradient, Problem
from farzi.distill.ranks import Ranks, launched
from farzi.distill.search import SEARCHABLE
from farzi.distill.size import Size
from farzi.distill.trials import Trial, Tuned
from farzi.distill.tune import tune
from farzi.distill.watch import SearchWatch, TeacherProgress, Watch
from farzi.distill.work import JUDGE_SEED

__all__ = [
    "JUDGE_SEED",
    "MARGIN",
    "MOST_BAD_STEPS",
    "SEARCHABLE",
    "Checkpoints",
    "DivergedError",
    "Estimate",
    "Judge",
    "MetaMatching",
    "MetricsFile",
    "Objective",
    "OuterGradient",
    "OuterLoop",
    "OuterState",
    "Problem",
    "Progress",
    "Ranks",
    "ReplayEstimate",
    "SearchWatch",
    "Size",
    "Span",
    "TeacherProgress",
    "Trial",
    "Tuned",
    "Verdict",
    "Watch",
    "distill",
    "estimate",
    "launched",
    "locked",
    "read_costs",
    "read_metrics",
    "run_loop",
    "tune",
]
