"""The configuration of alerts: a TOML file with the sections watch, quiet, rule and channel. It contains no secret."""

from collections.abc import Sequence
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, create_model, model_validator

from engine.live.time_zones import find_zone
from engine.suggestions import suggestion
from verbatim.alerts.alert_book import OWN_RULES, AlertPolicy, ChannelPolicy, RulePolicy
from verbatim.alerts.alert_events import Severity
from verbatim.alerts.alert_options import RuleOptions
from verbatim.alerts.alert_rules import RULES
from verbatim.alerts.quiet_hours import DAYS, SECOND_NS, QuietHours
from verbatim.alerts.secret_source import SecretSource
from verbatim.sections import ConfigError, Section, first_error, read_toml

CHANNEL_NAME = r"^[a-z][a-z0-9_-]{0,31}$"
CLOCK = r"^([01]\d|2[0-3]):[0-5]\d$"
LOG_NAME = "alerts.jsonl"


def _check_zone(zone: str) -> str:
    find_zone(zone)
    return zone


def _check_days(days: tuple[str, ...]) -> tuple[str, ...]:
    if not days or not {*days} <= {*DAYS}:
        raise ValueError(f"days are one or more of {', '.join(DAYS)}")
    return days


def _check_rules(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in (*RULES, *OWN_RULES):
            raise ValueError(f"there is no rule {name!r}{suggestion(name, (*RULES, *OWN_RULES))}")
    return names


class WatchSection(Section):
    """The watcher."""

    poll_s: Decimal = Field(default=Decimal(1), ge=Decimal("0.1"), le=60)
    clear_s: Decimal = Field(default=Decimal(10), ge=0)  # a condition must be absent for so long
    event_s: Decimal = Field(default=Decimal(300), ge=0)  # an event that occurs again within it is the same alert
    repeat_s: Decimal = Field(default=Decimal(1800), ge=0)  # while an alert lasts; 0: one message
    log: Path = Path(LOG_NAME)  # from the configuration's folder


class QuietSection(Section):
    """Quiet hours: alerts that are not critical wait for their end."""

    zone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    begin: str = Field(pattern=CLOCK)
    end: str = Field(pattern=CLOCK)
    days: Annotated[tuple[str, ...], AfterValidator(_check_days)] = DAYS

    def hours(self) -> QuietHours:
        """Return the hours."""
        begin, end = time.fromisoformat(self.begin), time.fromisoformat(self.end)
        return QuietHours(find_zone(self.zone), begin, end, self.days)


class ChannelSection(Section):
    """The options of every channel."""

    severity_min: Severity = Severity.WARNING
    rules: Annotated[tuple[str, ...], AfterValidator(_check_rules)] = ()  # empty: all
    resolved: bool = True  # report the end of alerts
    quiet: bool = True  # keep the quiet hours
    messages_max: int = Field(default=20, ge=1, le=500)  # within window_s
    window_s: Decimal = Field(default=Decimal(600), gt=0, le=86_400)
    timeout_s: Decimal = Field(default=Decimal(10), gt=0, le=60)  # of one delivery, in all

    def policy(self) -> ChannelPolicy:
        """Return what the channel gets."""
        return ChannelPolicy(
            self.severity_min, frozenset(self.rules), self.resolved, self.quiet, self.messages_max,
            _ns(self.window_s),
        )  # fmt: skip


class CommandSection(ChannelSection):
    """A program that is started for each message, without a shell."""

    kind: Literal["command"]
    program: tuple[str, ...] = Field(min_length=1)  # and its arguments; {title}, {text} and {severity} are replaced


class WebhookSection(ChannelSection):
    """An address that gets the message as JSON."""

    kind: Literal["webhook"]
    url: str | SecretSource
    token: SecretSource | None = None  # as `Authorization: Bearer TOKEN`
    ca_file: Path | None = None  # certificates to trust in place of the system's


class SlackSection(ChannelSection):
    """An incoming webhook of Slack."""

    kind: Literal["slack"]
    url: SecretSource
    ca_file: Path | None = None


class DiscordSection(ChannelSection):
    """A webhook of Discord."""

    kind: Literal["discord"]
    url: SecretSource
    ca_file: Path | None = None


class TelegramSection(ChannelSection):
    """A bot of Telegram."""

    kind: Literal["telegram"]
    token: SecretSource
    chat: str = Field(pattern=r"^(-?\d{1,20}|@[A-Za-z0-9_]{1,64})$")
    api: str = "https://api.telegram.org"
    ca_file: Path | None = None


class MailSection(ChannelSection):
    """Mail by SMTP."""

    kind: Literal["mail"]
    host: str = Field(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")
    port: int = Field(default=0, ge=0, le=65535)  # 0: 587, 465 or 25, by `tls`
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    user: str = ""
    password: SecretSource | None = None
    sender: str
    recipients: tuple[str, ...] = Field(min_length=1, max_length=20)
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        if bool(self.user) != (self.password is not None):
            raise ValueError("user and password belong together")
        for address in (self.sender, *self.recipients):
            local, at, domain = address.partition("@")
            if not (local and at and domain) or not address.isprintable() or any(c in address for c in ' ,;:<>"\\'):
                raise ValueError(f"{address!r} is not a mail address, as in: alerts@example.com")
        return self


class HeartbeatSection(Section):
    """An address that must get a POST every so often: its owner notices the death of the watcher."""

    url: str | SecretSource
    every_s: Decimal = Field(default=Decimal(60), ge=Decimal("0.1"))
    timeout_s: Decimal = Field(default=Decimal(10), gt=0, le=60)
    ca_file: Path | None = None


AnyChannel = CommandSection | WebhookSection | SlackSection | DiscordSection | TelegramSection | MailSection
KINDS: dict[str, type[ChannelSection]] = {
    get_args(section.model_fields["kind"].annotation)[0]: section for section in get_args(AnyChannel)
}
_SECTIONS: dict[str, Any] = {name: (rule.options, rule.options()) for name, rule in RULES.items()}
RuleSections: Any = create_model("RuleSections", __base__=Section, **_SECTIONS)  # one section a rule
Channels = dict[
    Annotated[str, StringConstraints(pattern=CHANNEL_NAME)], Annotated[AnyChannel, Field(discriminator="kind")]
]


class AlertConfig(Section):
    """The whole configuration of alerts."""

    watch: WatchSection = WatchSection()
    quiet: QuietSection | None = None
    heartbeat: HeartbeatSection | None = None
    rule: RuleSections = RuleSections()
    channel: Channels = Field(default_factory=dict)

    def rule_options(self) -> dict[str, RuleOptions]:
        """Return the options of each rule."""
        return {name: getattr(self.rule, name) for name in RULES}

    def policy(self) -> AlertPolicy:
        """Return the settings of the decisions."""
        repeat_s = self.watch.repeat_s
        rules = {
            name: RulePolicy(
                _ns(options.for_s),
                _ns(repeat_s if options.repeat_s is None else options.repeat_s),
                RULES[name].ends_together,
            )
            for name, options in self.rule_options().items()
        }
        own = {name: RulePolicy(for_s * SECOND_NS, _ns(repeat_s)) for name, for_s in OWN_RULES.items()}
        return AlertPolicy(
            own | rules,
            {name: section.policy() for name, section in self.channel.items()},
            _ns(self.watch.clear_s),
            _ns(self.watch.event_s),
            None if self.quiet is None else self.quiet.hours(),
        )


def _ns(seconds: Decimal) -> int:
    return int(seconds * SECOND_NS)


def read_alert_config(path: Path) -> AlertConfig:
    """Return the configuration of alerts in a file.

    Raises:
        ConfigError: A name is unknown, or a value cannot be used.
    """
    try:
        return AlertConfig(**read_toml(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_error(error, _names_of)}") from None


def log_path(config: AlertConfig, base: Path, chosen: Path | None = None) -> Path:
    """Return the path of the log: the chosen one, or that of the configuration."""
    return chosen if chosen is not None else base / config.watch.log.expanduser()


def _names_of(sections: Sequence[int | str]) -> list[str]:
    """Return the names that a section of the configuration may hold."""
    match [str(name) for name in sections]:
        case []:
            return list(AlertConfig.model_fields)
        case ["rule"]:
            return list(RULES)
        case ["rule", rule, *_] if rule in RULES:
            return list(RULES[rule].options.model_fields)
        case ["channel", _, kind] if kind in KINDS:
            return list(KINDS[kind].model_fields)
        case ["watch"]:
            return list(WatchSection.model_fields)
        case ["heartbeat"]:
            return list(HeartbeatSection.model_fields)
        case ["quiet"]:
            return list(QuietSection.model_fields)
        case _:
            return list(SecretSource.model_fields)
