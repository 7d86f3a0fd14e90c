"""A search that asks Optuna which settings to run next.

Hydra's own Optuna plugin is limited to Optuna 2.10 (2022) as long as Hydra is below 1.4: its SQLite storage needs
SQLAlchemy 1.x, and importing it warns. This search uses a current Optuna, keeps its state in a journal file from which
it continues after Ctrl-C, and can be shared by several processes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher

from rexnet_ai_real.sweep.pruning import judged_by

if TYPE_CHECKING:  # importing Optuna takes a second
    import optuna

STUDY: Final = "rexnet_ai_real"


@dataclass(frozen=True)
class OptunaSearch:
    """Runs job after job, each with the settings that Optuna's TPE sampler suggests. Minimises what the jobs return."""

    trials: int
    """Jobs in all, failed and pruned ones, earlier ones and those of other processes included."""
    seed: int | None
    """None: a random one."""
    journal: Path
    """The file that holds the search."""
    params: Mapping[str, Any]
    """Key to sweep, as on the command line."""
    first: Sequence[Mapping[str, Any]] = ()
    """Settings of the first jobs, before the search chooses; a key that a point lacks is chosen."""
    pruner: str | None = None
    """One of PRUNERS; None: every job runs to its end."""

    def run(self, arguments: Sequence[str], launcher: Launcher) -> "optuna.Study":
        """Launch jobs until the study holds `trials` finished ones.

        Args:
            arguments: overrides of the command line; they win over `params`.
            launcher: Hydra's.

        Raises:
            CompactHydraException: Optuna is not installed, nothing is left to search, or the journal holds a search
                over other ranges.
        """
        try:
            import optuna
        except ImportError as error:
            raise CompactHydraException("Optuna is not installed: pip install 'rexnet-ai-real[optuna]'") from error
        space, fixed = self._parse(arguments)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = self._open_study()
        for point in self.first:
            check_point(point, space)
            study.enqueue_trial(dict(point), skip_if_exists=True)
        states = optuna.trial.TrialState
        finished = (states.COMPLETE, states.FAIL, states.PRUNED)
        while len(study.get_trials(deepcopy=False, states=finished)) < self.trials:
            try:
                trial = study.ask(space)
            except ValueError as error:
                raise CompactHydraException(
                    f"{self.journal} holds a search over other ranges ({error}) Give the ranges with which it began, "
                    "or another output_dir for a new search"
                ) from error
            chosen = [f"{key}={value}" for key, value in trial.params.items()]
            # The trial's number names the job's folder: unique among all processes and restarts that share the study.
            judge = PruningJudge(trial)
            with judged_by(judge if self.pruner else None):
                (job,) = launcher.launch([[*fixed, *chosen]], initial_job_idx=trial.number)
            score = job.return_value
            if judge.has_pruned:
                study.tell(trial, state=states.PRUNED)
            elif isinstance(score, float) and not math.isnan(score):  # a failed job's score is NaN
                study.tell(trial, score)
            else:
                study.tell(trial, state=states.FAIL)
        return study

    def _parse(self, arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        """The ranges to search, by key, and the overrides that every job has in common."""
        params = [f"{key}={value}" for key, value in self.params.items()]
        parsed = OverridesParser.create().parse_overrides([*params, *arguments])
        latest = {override.get_key_element(): override for override in parsed}  # the command line comes last and wins
        space = {key: distribution(override) for key, override in latest.items() if override.is_sweep_override()}
        if not space:
            raise CompactHydraException(
                "nothing to search: give at least one range, such as optimizer.lr='interval(1e-4, 1e-2)'"
            )
        return space, [str(override.input_line) for override in latest.values() if not override.is_sweep_override()]

    def _open_study(self) -> "optuna.Study":
        """The study in the journal, or a new one."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        self.journal.parent.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(self.journal)))
        study = optuna.create_study(storage=storage, study_name=STUDY, direction="minimize", load_if_exists=True)
        # A continued search must not draw its first random trials a second time.
        seed = None if self.seed is None else self.seed + len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(seed=seed)
        study.pruner = new_pruner(self.pruner)
        return study


@dataclass
class PruningJudge:
    """Tells the study the loss of each epoch of one job, and whether the job should end."""

    trial: "optuna.Trial"
    has_pruned: bool = False

    def __call__(self, epoch: int, loss: float) -> bool:
        """As `pruning.Judge`."""
        self.trial.report(loss, epoch)
        self.has_pruned = self.has_pruned or self.trial.should_prune()
        return self.has_pruned


def new_pruner(name: str | None) -> "optuna.pruners.BasePruner":
    """The pruner of a name.

    median ends a job whose best loss so far is above the median of the earlier jobs at that epoch (Golovin et al.
    2017); the first 5 jobs and the first 2 epochs of each are spared. hyperband gives most jobs few epochs and the best
    ones all (Li et al. 2018).

    Raises:
        CompactHydraException: no such pruner.
    """
    import optuna

    pruners: dict[str | None, optuna.pruners.BasePruner] = {
        None: optuna.pruners.NopPruner(),
        # Epochs count from 1, and the one with the number n_warmup_steps is the first that may be the last.
        "median": optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=3),
        "hyperband": optuna.pruners.HyperbandPruner(min_resource=2),
    }
    if name not in pruners:
        named = ", ".join(str(known) for known in pruners if known)
        raise CompactHydraException(f"hydra.sweeper.pruner={name}: expected null or one of {named}")
    return pruners[name]


def check_point(point: Mapping[str, Any], space: Mapping[str, "optuna.distributions.BaseDistribution"]) -> None:
    """Stop where a first point lies outside of the search, which Optuna would only warn of.

    Raises:
        CompactHydraException: names the key and the value.
    """
    for key, value in point.items():
        if key not in space:
            raise CompactHydraException(
                f"hydra.sweeper.first: {key} is not searched; give it a range, leave it out of the first points, or "
                "search without such points: hydra.sweeper.first=[]"
            )
        try:
            inside = space[key]._contains(space[key].to_internal_repr(value))
        except ValueError:  # not among the choices
            inside = False
        if not inside:
            raise CompactHydraException(f"hydra.sweeper.first: {key}={value} is outside of its range, {space[key]}")


def distribution(override: Override) -> "optuna.distributions.BaseDistribution":
    """The values from which Optuna chooses for a sweep in Hydra's grammar.

    interval(a, b) is a range of whole numbers where both ends are whole, otherwise of real numbers, on a logarithmic
    scale when tagged log; a,b,c and range(...) are values without an order.
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
