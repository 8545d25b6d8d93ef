"""What the names of metrics mean: how they are written, and when a summary keeps one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric.

    Args:
        is_share: whether it lies between 0 and 1 and is written in percent.
        lower_is_better: as for perplexity.
    """

    is_share: bool = True
    lower_is_better: bool = False

    def retention(self, value: float, full: float) -> float:
        """What is kept of the full data's value, 1 for all of it; 0 where there is nothing to compare.

        Args:
            value: on the summary.
            full: on the full data.
        """
        kept, whole = (full, value) if self.lower_is_better else (value, full)
        return kept / whole if whole and math.isfinite(kept) else 0.0

    def format(self, value: float) -> str:
        """A value as tables have it, its unit left to :attr:`unit`."""
        return f"{100 * value:.2f}" if self.is_share else f"{value:.2f}"

    @property
    def unit(self) -> str:
        """What stands behind the name in a table."""
        return ", %" if self.is_share else ""


METRICS: Mapping[str, Metric] = {"perplexity": Metric(is_share=False, lower_is_better=True)}
"""The metrics that are not shares, or of which less is better, by name."""


def find_metric(name: str) -> Metric:
    """Tell what a metric is by its name.

    Args:
        name: as in result files.

    Returns:
        what is known of it; a share of which more is better, if nothing else is.
    """
    return METRICS.get(name, Metric())
