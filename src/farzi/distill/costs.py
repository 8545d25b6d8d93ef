"""What a run took, as its folder tells."""

import json
from pathlib import Path

from farzi.errors import InputError
from farzi.evaluation import Costs


def read_costs(run: Path) -> Costs:
    """Read what a finished run took.

    Args:
        run: its folder.

    Returns:
        its costs.

    Raises:
        InputError: the folder's record is missing or damaged.
    """
    path = run / "run.json"
    try:
        content = json.loads(path.read_text())
        return Costs(teacher_s=content["teacher_s"], distill_s=content["distill_s"], peak_mb=content["peak_mb"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}); finish the run with farzi distill and --resume") from error
