"""A Hydra sweeper that asks Optuna what to run next. Hydra only accepts plugins that live in `hydra_plugins`.

Hydra's own Optuna plugin stands still at Optuna 2.10 (2022) as long as Hydra is below 1.4: its SQLite storage needs
SQLAlchemy 1.x and importing it warns. This one asks and tells a current Optuna, keeps the search in a journal file from
which it goes on after Ctrl-C, and lets several processes share it.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:  # Hydra imports every plugin whenever it starts; Optuna takes a second that only a search should pay
    import optuna

STUDY = "rexnet_ai_real"


class OptunaSweeper(Sweeper):
    """Runs job after job, each where Optuna's TPE sampler expects the most. Minimises what the jobs return."""

    def __init__(self, trials: int, seed: int | None, journal: str, params: DictConfig) -> None:
        """See conf/hydra/sweeper/optuna.yaml for what each setting means."""
        self.trials = trials
        self.seed = seed
        self.journal = Path(journal)
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> "optuna.Study":
        """Run jobs until the study holds `trials` finished ones, failed ones included.

        Raises:
            CompactHydraException: Optuna is not installed, the arguments leave nothing to search, or the journal
                holds a search over other ranges.
        """
        try:
            import optuna
        except ImportError as error:
            raise CompactHydraException("Optuna is not installed: pip install 'rexnet-ai-real[optuna]'") from error

        params = [f"{key!s}={value}" for key, value in self.params.items()]
        parsed = OverridesParser.create().parse_overrides([*params, *arguments])
        latest = {override.get_key_element(): override for override in parsed}  # the command line comes last and wins
        space = {key: distribution(override) for key, override in latest.items() if override.is_sweep_override()}
        fixed = [str(override.input_line) for override in latest.values() if not override.is_sweep_override()]
        if not space:
            raise CompactHydraException(
                "nothing to search: give at least one range, such as optimizer.lr='interval(1e-4, 1e-2)'"
            )

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = self.open_study()
        while len(study.get_trials(deepcopy=False, states=_finished_states())) < self.trials:
            try:
                trial = study.ask(space)
            except ValueError as error:
                raise CompactHydraException(
                    f"{self.journal} holds a search over other ranges ({error}) Give the ranges that it began with, or "
                    "another output_dir to begin anew"
                ) from error
            chosen = [f"{key}={value}" for key, value in trial.params.items()]
            # The trial's number names the job's folder: unique among all processes and restarts that share the study.
            (job,) = self.launcher.launch([[*fixed, *chosen]], initial_job_idx=trial.number)
            score = job.return_value
            if isinstance(score, float) and not math.isnan(score):  # a failed job's score is NaN
                study.tell(trial, score)
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return study

    def open_study(self) -> "optuna.Study":
        """The study in the journal; a new one where there is none."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        self.journal.parent.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(self.journal)))
        study = optuna.create_study(storage=storage, study_name=STUDY, direction="minimize", load_if_exists=True)
        # A search that goes on must not draw its first random trials a second time.
        seed = None if self.seed is None else self.seed + len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(seed=seed)
        return study


def distribution(override: Override) -> "optuna.distributions.BaseDistribution":
    """What a sweep of Hydra's grammar lets Optuna choose from.

    interval(a, b) is a range of whole numbers where both ends are, else of real ones, drawn on a logarithmic scale when
    tagged log; a,b,c and range(...) are values without an order.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    sweep = override.value()
    if not isinstance(sweep, IntervalSweep):
        values: Sequence[Any] = list(override.sweep_iterator(transformer=Transformer.encode))
        return CategoricalDistribution(values)
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    if low is None or high is None:
        raise CompactHydraException(f"{override.input_line}: an interval needs two ends")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def _finished_states() -> "tuple[optuna.trial.TrialState, ...]":
    from optuna.trial import TrialState

    return TrialState.COMPLETE, TrialState.FAIL
