"""The outer loop: learning a summary, one file for each objective."""

from farzi.distill.checkpoint import Checkpoints, OuterState, locked
from farzi.distill.costs import read_costs
from farzi.distill.distill import JUDGE_SEED, Size, distill
from farzi.distill.loop import MOST_BAD_STEPS, DivergedError, Judge, OuterLoop, Progress, Verdict, run_loop
from farzi.distill.meta_matching import MetaMatching
from farzi.distill.metrics import MetricsFile
from farzi.distill.objective import Objective, OuterGradient, Problem
from farzi.distill.watch import TeacherProgress, Watch

__all__ = [
    "JUDGE_SEED",
    "MOST_BAD_STEPS",
    "Checkpoints",
    "DivergedError",
    "Judge",
    "MetaMatching",
    "MetricsFile",
    "Objective",
    "OuterGradient",
    "OuterLoop",
    "OuterState",
    "Problem",
    "Progress",
    "Size",
    "TeacherProgress",
    "Verdict",
    "Watch",
    "distill",
    "locked",
    "read_costs",
    "run_loop",
]
