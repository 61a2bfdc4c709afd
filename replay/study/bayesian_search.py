"""Bayesian search with optuna (the extra `bayes`): each batch of variants is drawn where earlier ones scored best.

The batch has the same size on any number of workers, and scores are reported in its order. So the same axes, seed and
scores give the same variants, and an interrupted search continues with its kept rows.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from replay.study.sweep_space import Axis, SweepError, Variant, check_axes, number_text

BATCH = 8  # variants that are drawn before the scores of the first are known
WORST = -1e9  # the score of a variant that could not be run

RunBatch = Callable[[list[Variant]], list[float | None]]


def search(axes: Sequence[Axis], count: int, seed: int, run_batch: RunBatch) -> Iterator[Variant]:
    """Yield the variants of a search, batch by batch, after each batch has run.

    Args:
        axes: The parameters.
        count: How many variants.
        seed: Of the sampler.
        run_batch: Runs variants, and returns their scores in the same order.

    Raises:
        SweepError: optuna is not installed, or the parameters are not valid.
    """
    check_axes(axes)
    try:
        import optuna
    except ModuleNotFoundError:
        raise SweepError(
            "--search bayes needs optuna. What to do: pip install 'verbatim-trading[bayes]', or choose random."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    done = 0
    while done < count:
        trials = [study.ask() for _ in range(min(BATCH, count - done))]
        variants = [Variant({axis.name: _suggested(trial, axis) for axis in axes}) for trial in trials]
        for trial, score in zip(trials, run_batch(variants), strict=True):
            study.tell(trial, WORST if score is None else score)
        done += len(trials)
        yield from variants


def _suggested(trial: Any, axis: Axis) -> str:
    if axis.values:
        return str(trial.suggest_categorical(axis.name, axis.values))
    if axis.is_integer:
        return str(trial.suggest_int(axis.name, int(axis.low), int(axis.high), log=axis.is_log))
    return number_text(trial.suggest_float(axis.name, float(axis.low), float(axis.high), log=axis.is_log))
