"""Secrets in the system's keyring (extra `keyring`)."""

from pydantic import SecretStr

from verbatim.sections import ConfigError


def read_keyring(where: str, service: str, name: str) -> SecretStr:
    """Return an entry of the system's keyring. `where` is the key of the configuration, for the error.

    Raises:
        ConfigError: It cannot be read, or lacks the entry.
    """
    try:
        import keyring
        from keyring.errors import KeyringError
    except ModuleNotFoundError:
        raise ConfigError(
            f"{where}: keyring is not installed. What to do: pip install 'verbatim-trading[keyring]'"
        ) from None
    try:
        value = keyring.get_password(service, name)
    except KeyringError as error:  # its text is a library's
        raise ConfigError(f"{where}: the keyring cannot be read ({type(error).__name__})") from None
    if not value:
        raise ConfigError(f"{where}: the keyring has no entry {name} of {service}")
    return SecretStr(value)
