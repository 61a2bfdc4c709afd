"""Makes the sender of each configured channel, with its secret."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from verbatim.alerts.alert_config import (
    AlertConfig,
    AnyChannel,
    CommandSection,
    MailSection,
    SlackSection,
    TelegramSection,
    WebhookSection,
)
from verbatim.alerts.http_senders import (
    WebhookSender,
    check_address,
    discord_form,
    is_loopback,
    slack_form,
    telegram_address,
    telegram_form,
    webhook_form,
)
from verbatim.alerts.mail_sender import MailSender
from verbatim.alerts.secret_source import SecretSource
from verbatim.alerts.senders import CommandSender, Sender, absolute
from verbatim.sections import ConfigError


def make_senders(config: AlertConfig, base: Path, environment: Mapping[str, str] | None = None) -> dict[str, Sender]:
    """Return the senders by channel.

    Args:
        config: The configuration.
        base: Its folder.
        environment: Default: that of the process.

    Raises:
        ConfigError: A secret is missing, or an address cannot be used.
    """
    return {name: _make(f"channel.{name}", section, base, environment) for name, section in config.channel.items()}


def make_heartbeat(config: AlertConfig, base: Path, environment: Mapping[str, str] | None = None) -> Sender | None:
    """Return the sender of heartbeats, or None without one.

    Raises:
        ConfigError: Its address is missing or cannot be used.
    """
    section = config.heartbeat
    if section is None:
        return None
    url = _address("heartbeat.url", section.url, base, environment)
    ca_file = absolute(section.ca_file, base)
    return WebhookSender(url, webhook_form, timeout_s=float(section.timeout_s), ca_file=ca_file)


def _address(where: str, given: str | SecretSource, base: Path, environment: Mapping[str, str] | None) -> SecretStr:
    """Return an address that may be a secret."""
    text = given if isinstance(given, str) else given.read(where, base, environment).get_secret_value()
    return check_address(where, text)


def _make(where: str, section: AnyChannel, base: Path, environment: Mapping[str, str] | None) -> Sender:
    timeout_s = float(section.timeout_s)
    if isinstance(section, CommandSection):
        return CommandSender(section.program, timeout_s=timeout_s, environment=environment)

    def secret(name: str, source: SecretSource) -> SecretStr:
        return source.read(f"{where}.{name}", base, environment)

    ca_file, token = absolute(section.ca_file, base), None
    match section:
        case MailSection():
            if section.tls == "none" and not is_loopback(section.host):
                raise ConfigError(f'{where}.tls: mail leaves this machine only with "starttls" or "implicit"')
            return MailSender(
                section.host, section.port, tls=section.tls, sender=section.sender, recipients=section.recipients,
                timeout_s=timeout_s, user=section.user, ca_file=ca_file,
                password=None if section.password is None else secret("password", section.password),
            )  # fmt: skip
        case TelegramSection():
            url = telegram_address(where, section.api, secret("token", section.token))
            form = telegram_form(section.chat)
        case WebhookSection():
            url, form = _address(f"{where}.url", section.url, base, environment), webhook_form
            token = None if section.token is None else secret("token", section.token)
        case hook:
            url = _address(f"{where}.url", hook.url, base, environment)
            form = slack_form if isinstance(hook, SlackSection) else discord_form
    return WebhookSender(url, form, timeout_s=timeout_s, token=token, ca_file=ca_file)
