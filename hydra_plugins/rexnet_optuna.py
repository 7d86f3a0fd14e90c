"""The sweeper of conf/hydra/sweeper/optuna.yaml: Hydra accepts sweepers only from the package `hydra_plugins`."""

from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig

if TYPE_CHECKING:
    import optuna


class OptunaSweeper(Sweeper):
    """Passes Hydra's launcher to the search in rexnet_ai_real/sweep/optuna_sweeper.py."""

    def __init__(
        self,
        trials: int,
        seed: int | None,
        journal: str,
        params: DictConfig,
        first: ListConfig,
        pruner: str | None,
    ) -> None:
        """See conf/hydra/sweeper/optuna.yaml for the meaning of each setting."""
        # Imported here, since Hydra imports every plugin whenever it starts.
        from rexnet_ai_real.sweep.optuna_sweeper import OptunaSearch

        ranges = {str(key): value for key, value in params.items()}
        points = [{str(key): value for key, value in point.items()} for point in first]
        self.search = OptunaSearch(trials, seed, Path(journal), ranges, points, pruner)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> "optuna.Study":
        """Run the search."""
        return self.search.run(arguments, self.launcher)
