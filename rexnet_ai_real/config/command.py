"""Commands that Hydra configures, with the errors and exit codes of every other command."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, get_type_hints

import hydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from rexnet_ai_real.cli.ending import DONE, ending
from rexnet_ai_real.cli.hydra_help import CONF
from rexnet_ai_real.config.compose import SCHEMAS
from rexnet_ai_real.config.keys import check_known
from rexnet_ai_real.config.rules import ConfigError
from rexnet_ai_real.config.schema import TrainConfig
from rexnet_ai_real.errors import UserError


def run_hydra(name: str, run: Callable[..., Any]) -> int:
    """Compose the settings and call `run` with them, once or, with -m, once for each job. Arguments: sys.argv.

    Args:
        name: of the file under conf/.
        run: takes what Hydra composed. It ends with `ending` where something is wrong.

    Raises:
        SystemExit: something is wrong with the settings, or `run` raised it.
    """
    with ending():
        check_typed(sys.argv[1:], SCHEMAS[name])
        try:
            with _errors_are_raised():
                hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(run)()
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(in_our_words(error, SCHEMAS[name])) from error
    return DONE


def check_typed(arguments: Sequence[str], schema: type) -> None:
    """Stop at keys of the command line that do not exist, with or without + before them.

    Hydra adds what has a +, and advises to type one where a key is unknown.

    Raises:
        ConfigError: names all of them, each with the keys that may have been meant.
    """
    typed = [text for text in arguments if not text.startswith("-") and (text.startswith("~") or "=" in text)]
    keys = {re.split("[=@]", text.lstrip("+~"), maxsplit=1)[0].strip(): text for text in typed}
    own = {key: text for key, text in keys.items() if not re.match("hydra[./]", key)}  # Hydra knows its own keys
    check_known(own, schema, groups(schema))


def groups(schema: type) -> list[str]:
    """What can be chosen with group=option: the folders under conf/; of a report, those that are its sections."""
    folders = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir())
    return folders if schema is TrainConfig else [name for name in folders if name in get_type_hints(schema)]


def in_our_words(error: Exception, schema: type) -> str:
    """One line for an error of Hydra or OmegaConf, which explain themselves in several."""
    text, cause = str(error).strip(), error.__cause__
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        near = get_close_matches(name, error.options, n=1)
        return f"{group}={name}: expected one of {', '.join(error.options)}" + (f" ({near[0]}?)" if near else "")
    if isinstance(error, OverrideParseException):
        return f"{error.override}: {text.splitlines()[0]}. A value with , or = in it needs quotes: \"key='a,b=c'\""
    if key := re.match(r"Could not override '([^']+)'", text) or re.search(r"full_key: (\S+)", f"{text}\n{cause}"):
        if unknown := _unknown(key[1], schema):
            file = re.match(r"In '([^']+)'", text)
            return f"{file[1]}.yaml: {unknown}" if file else unknown
        if key[1] in groups(schema):
            return f"{key[1]} is not chosen yet: put a + before it, +{key[1]}=NAME"
        if text.startswith("Could not override"):
            return f"{key[1]} is not set: check its spelling, or put a + before it to add it"
    if merging := re.match("Error merging override (.+)", text):
        return f"{merging[1]}: {str(cause).splitlines()[0] if cause else 'impossible value'}"
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _unknown(key: str, schema: type) -> str | None:
    try:
        check_known({key: key}, schema, groups(schema))
    except ConfigError as error:
        return str(error)
    return None


@contextmanager
def _errors_are_raised() -> Iterator[None]:
    """Let Hydra raise what it would print, with advice to set this variable."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before
