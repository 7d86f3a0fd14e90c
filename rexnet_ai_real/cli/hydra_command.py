"""Commands that Hydra configures: where their configuration lies, and exit codes as of every other command."""

from collections.abc import Callable
from typing import Any

from rexnet_ai_real.cli.ending import DONE, WRONG, ending
from rexnet_ai_real.cli.hydra_help import CONF


def run_hydra(name: str, run: Callable[..., Any]) -> int:
    """Compose the settings and call `run` with them, once or, with -m, once for each job. Arguments: sys.argv.

    Args:
        name: of the file under conf/.
        run: takes what Hydra composed. It ends with `ending` where something is wrong.

    Raises:
        SystemExit: `run` raised it, or an exception that is no user's error, after its traceback.
    """
    import hydra
    from hydra.errors import HydraException

    try:
        with ending():
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(run)()
    except SystemExit as end:
        # Hydra has printed what was wrong with the settings; by itself it would end with 1.
        if isinstance(end.__context__, HydraException):
            return WRONG
        raise
    return DONE
