"""The base of every section of a configuration, and its errors. Loads no engine: the watcher of alerts needs none."""

import tomllib
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.suggestions import suggestion


class ConfigError(Exception):
    """The configuration cannot be used; the text names the key and the reason."""


def first_error(error: ValidationError, names_of: Callable[[Sequence[int | str]], Sequence[str]]) -> str:
    """Return the first error without its input, which may be a misplaced secret.

    Args:
        error: Of a configuration.
        names_of: Returns the names that a section may hold, by the path of the section.
    """
    errors = error.errors(include_input=False, include_url=False, include_context=False)
    key = ".".join(str(name) for name in errors[0]["loc"] if name != "")
    reason = errors[0]["msg"]
    if errors[0]["type"] == "extra_forbidden":
        *sections, name = errors[0]["loc"]
        reason = f"unknown name{suggestion(str(name), names_of(sections))}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{key}: {reason}{more}"


class Section(BaseModel):
    """A table of the configuration: it is frozen, and it refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; numbers keep their digits.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file, parse_float=Decimal)  # a price keeps the digits of the file
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
