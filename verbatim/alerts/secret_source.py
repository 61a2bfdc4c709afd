"""Where a secret of a channel comes from: an environment variable, a private file, or the system's keyring."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr, model_validator

from verbatim.keyring_entries import read_keyring
from verbatim.secret_files import read_secret_text
from verbatim.sections import ConfigError, Section

PLACES = "state one place, as { env = ... }, { file = ... } or { keyring = ..., name = ... }"


class SecretSource(Section):
    """The place of a secret, which is never in the configuration itself."""

    env: str = ""  # a variable of the environment
    file: Path | None = None  # a file that only its owner can read, from the configuration's folder
    keyring: str = ""  # a service in the system's keyring; `name` is the entry
    name: str = ""

    @model_validator(mode="before")
    @classmethod
    def _refuse_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        raise ValueError(f"a secret does not belong into the configuration: {PLACES}")

    @model_validator(mode="after")
    def _check_one_place(self) -> Self:
        places = [bool(self.env), self.file is not None, bool(self.keyring)]
        if sum(places) != 1 or bool(self.keyring) != bool(self.name):
            raise ValueError(PLACES)
        return self

    def read(self, where: str, base: Path, environment: Mapping[str, str] | None = None) -> SecretStr:
        """Read the secret.

        Args:
            where: The key of the configuration, for the error.
            base: The configuration's folder.
            environment: Default: that of the process.

        Raises:
            ConfigError: It is missing; the text never contains it.
        """
        if self.env:
            value = (os.environ if environment is None else environment).get(self.env, "").strip()
            if not value:
                raise ConfigError(f"{where}: the environment has no variable {self.env}")
            return SecretStr(value)
        if self.file is not None:
            return read_secret_text(base / self.file.expanduser())
        return read_keyring(where, self.keyring, self.name)
