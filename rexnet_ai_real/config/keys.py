"""Which keys there are. An unknown one stops the command, however it is written, and the nearest ones are named."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Final, get_origin, get_type_hints

from rexnet_ai_real.config.rules import ConfigError

OTHER_NAMES: Final = {
    "learning_rate": "optimizer.lr",
    "epochs": "trainer.max_epochs",
    "num_epochs": "trainer.max_epochs",
    "batch": "data.batch_size",
    "size": "data.image_size",
    "img_size": "data.image_size",
    "num_workers": "data.workers",
    "gradient_clip_val": "trainer.gradient_clip",
    "pretrained": "model.weights",
    "checkpoint": "resume",
    "ckpt_path": "resume",
    "gpus": "trainer.devices",
}
"""What a key is called in other programs, and what it is called here."""


def check_known(keys: Mapping[str, str], schema: type, groups: Iterable[str] = ()) -> None:
    """Stop at keys that the settings do not have.

    Args:
        keys: each key, with dots, and how it was written: {"trainer.max_epoch": "+trainer.max_epoch=1"}.
        schema: the dataclass of all settings.
        groups: further names that may be chosen, such as model in model=rexnet_100.

    Raises:
        ConfigError: names all of them, each with the keys that may have been meant.
    """
    known = settings_of(schema)
    unknown = {key: written for key, written in keys.items() if key not in groups and not _is_known(key, known)}
    if unknown:
        named = "; ".join(f"{written}{_meant(key, [*known, *groups])}" for key, written in unknown.items())
        verb = "is no setting" if len(unknown) == 1 else "are no settings"
        raise ConfigError(f"{named} {verb}. `--cfg job` shows all that there are")


def settings_of(schema: type, prefix: str = "") -> dict[str, Any]:
    """Every key with a value of its own (optimizer.lr, but not optimizer), and its type."""
    settings: dict[str, Any] = {}
    types = get_type_hints(schema)
    for field in fields(schema):
        key, its_type = prefix + field.name, types[field.name]
        is_section = isinstance(its_type, type) and is_dataclass(its_type)
        settings |= settings_of(its_type, f"{key}.") if is_section else {key: its_type}
    return settings


def keys_of(plain: Mapping[str, Any], schema: type) -> list[str]:
    """The keys of nested dictionaries, down to where the settings have a value: `data.classes` is one."""
    known = settings_of(schema)

    def below(nested: Mapping[str, Any], prefix: str) -> Iterator[str]:
        for name, value in nested.items():
            key = prefix + str(name)
            if isinstance(value, Mapping) and any(other.startswith(f"{key}.") for other in known):
                yield from below(value, f"{key}.")
            else:
                yield key

    return list(below(plain, ""))


def _is_known(key: str, known: Mapping[str, Any]) -> bool:
    """A key with a value, a whole section (data={...}), or an entry of a dictionary (data.classes.flickr=real)."""
    if key in known or any(name.startswith(f"{key}.") for name in known):
        return True
    return any(key.startswith(f"{name}.") for name, its_type in known.items() if get_origin(its_type) is dict)


def _meant(key: str, known: Sequence[str]) -> str:
    last = _last(key)
    by_last = {_last(name): name for name in reversed(known)}
    meant = [
        *(name for name in known if _last(name) == last),
        *(OTHER_NAMES[name] for name in (last,) if OTHER_NAMES.get(name) in known),
        *get_close_matches(key, known, n=2, cutoff=0.75),
        *(by_last[name] for name in get_close_matches(last, by_last, n=2, cutoff=0.8)),
    ]
    return f" ({' or '.join(list(dict.fromkeys(meant))[:3])}?)" if meant else ""


def _last(key: str) -> str:
    return key.rpartition(".")[2]
