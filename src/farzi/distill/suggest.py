"""What a search tries next, and when it gives a trial up: by ``optuna`` (extra ``tune``)."""

from collections.abc import Mapping
from typing import Any

from farzi.distill.search import Range
from farzi.distill.trials import Trial
from farzi.errors import InputError


class Suggestions:
    """Values drawn by a tree-structured Parzen estimator, trials judged by the median of those before.

    What is drawn depends on the seed, the trial's number and the trials before it: a search that is resumed goes on as
    if it had not stopped.

    Args:
        searched: range by option.
        seed: of all draws.

    Raises:
        InputError: ``optuna`` is not installed.
    """

    def __init__(self, searched: Mapping[str, Range], seed: int) -> None:
        self._optuna, self._seed = _library(), seed
        kinds, states = self._optuna.distributions, self._optuna.trial.TrialState
        self._distributions = {
            name: (kinds.IntDistribution if isinstance(low, int) else kinds.FloatDistribution)(low, high, log=log)
            for name, (low, high, log) in searched.items()
        }
        self._states = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}
        self._study = self._optuna.create_study(direction="maximize", pruner=self._optuna.pruners.MedianPruner())

    def begin_with(self, parameters: dict[str, Any]) -> None:
        """Suggest these values first.

        Args:
            parameters: value by option.
        """
        self._study.enqueue_trial(parameters)

    def add(self, trial: Trial) -> None:
        """Take a trial of before into account.

        Args:
            trial: finished.
        """
        past = self._optuna.trial.create_trial(
            state=self._states[trial.state],
            value=trial.score,
            params=trial.parameters,
            distributions=self._distributions,
            intermediate_values=dict(trial.judgements),
        )
        self._study.add_trial(past)

    def ask(self, number: int) -> Any:
        """Suggest values.

        Args:
            number: of the trial, from 1 on.

        Returns:
            optuna's trial, with values in ``params``; it takes a score and a step by ``report``, and says by
            ``should_prune`` whether to end.
        """
        seed = (self._seed * 1_000_003 + number) % 2**32
        self._study.sampler = self._optuna.samplers.TPESampler(seed=seed)
        return self._study.ask(self._distributions)

    def tell(self, asked: Any, trial: Trial) -> None:
        """Take into account how a suggestion did.

        Args:
            asked: what :meth:`ask` gave.
            trial: what became of it.
        """
        self._study.tell(asked, trial.score if trial.state == "complete" else None, self._states[trial.state])


def _library() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise InputError("a search needs the package optuna; install it with pip install 'farzi[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
