"""What there is time for in a distillation whose minutes are limited."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from farzi.errors import InputError
from farzi.files import write_json
from farzi.training import Teachers, Training

TEACHERS_SHARE = 0.4
"""Share of a distillation's minutes that is for teachers."""

JUDGEMENT_SHARE = 0.15
"""Share that is for a judgement; there are two of them at least, of the start and at the end."""

LEAST_STUDENT_STEPS = 100
"""Steps of a student that judges, however little time there is: with fewer it has learned next to nothing."""


class Budget(NamedTuple):
    """What there is time for.

    Args:
        teachers: trained already.
        student: how students are trained that judge.
        seconds: that it took to find out, with the training of the teachers.
    """

    teachers: Teachers
    student: Training
    seconds: float


def keep_budget(path: Path, budget: Budget) -> None:
    """Write a budget down, for a run that is resumed.

    Args:
        path: of the file.
        budget: what there is time for.

    Raises:
        InputError: the file cannot be written.
    """
    teachers, student = asdict(budget.teachers), asdict(budget.student)
    write_json(path, {"teachers": teachers, "student": student, "seconds": budget.seconds})


def read_budget(path: Path) -> Budget | None:
    """Read a budget.

    Args:
        path: of the file.

    Returns:
        the budget, or None where there is no such file.

    Raises:
        InputError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text())
        told = content["teachers"]
        teachers = Teachers(count=told["count"], training=Training(**told["training"]))
        return Budget(teachers, Training(**content["student"]), float(content["seconds"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged ({error}); start again in a new folder") from error
