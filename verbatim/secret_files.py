"""Files with secrets, which only their owner can read: an API key, and a key that signs journals.

Their content is in no error: a library's text may quote it.
"""

import os
import stat
import tomllib
from pathlib import Path

from pydantic import SecretStr, ValidationError

from engine.venues.signing import Credentials
from engine.venues.venue import Network
from journal.signing import BadKeyError, Signer
from verbatim.sections import ConfigError, Section

SECRET_BYTES_MAX = 64 * 1024


class SecretFile(Section):
    """The content of a secret file."""

    api_key: SecretStr
    api_secret: SecretStr  # an HMAC secret, or the text of a private key in PEM
    api_passphrase: SecretStr = SecretStr("")
    network: Network | None = None  # of the key: a session on another one refuses it


def read_signing_key(path: Path) -> Signer:
    """Read an Ed25519 private key from a file that only its owner can read.

    Raises:
        ConfigError: the file or the key cannot be used.
    """
    try:
        return Signer.from_pem(read_private_file(path))
    except BadKeyError as error:
        raise ConfigError(f"{path}: {error}") from None


def read_private_file(path: Path) -> bytes:
    """Return the content of a file that only its owner can read.

    Raises:
        ConfigError: others can read it, or it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - the mode is checked on the opened file, not on its name
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise ConfigError(f"{path} can be read by other users. What to do: chmod 600 {path}")
            return file.read(SECRET_BYTES_MAX)
    except OSError as error:
        raise ConfigError(f"cannot read the secret file {path}: {error.strerror or error}") from None


def read_secret_text(path: Path) -> SecretStr:
    """Read one secret from a text file that only its owner can read. Spaces and newlines around it do not count.

    Raises:
        ConfigError: the file cannot be used, or it is empty.
    """
    try:
        text = read_private_file(path).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not a text file") from None
    if not text:
        raise ConfigError(f"{path} is empty. What to do: write the secret into it")
    return SecretStr(text)


def read_secret_file(path: Path) -> Credentials:
    """Read api_key, api_secret and, if the venue has one, api_passphrase from a TOML file that only its owner can read.

    Raises:
        ConfigError: the file cannot be used.
    """
    content = read_private_file(path)
    try:
        secrets = SecretFile(**tomllib.loads(content.decode("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError, TypeError):
        # the library's text is left out, since it may quote the file
        raise ConfigError(
            f"{path} is not a secret file: it holds api_key and api_secret, as TOML, perhaps api_passphrase and network"
        ) from None
    return Credentials(
        secrets.api_key.get_secret_value(),
        secrets.api_secret.get_secret_value(),
        secrets.api_passphrase.get_secret_value(),
        secrets.network or "",
    )
