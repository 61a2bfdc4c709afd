"""Sections of the configuration about venues and accounts: their keys, defaults and bounds."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from engine.live.transport.selection import TransportProfile
from engine.live.transport.tcp import Address
from engine.venues.venue import Network
from verbatim.sections import Section

VENUE_NAME = r"^[a-z][a-z0-9_]{0,31}$"
RECV_WINDOW_MS_MAX = 60_000
OLD_TRANSPORTS = {"httpx": TransportProfile.STANDARD, "direct": TransportProfile.FAST}  # values of venue.http
ACCOUNT_NAME = r"^[a-z0-9_-]{1,32}$"


class VenueSection(Section):
    """A venue: its dialect, addresses and how requests are sent."""

    name: str = "binance_spot"  # of a [venue] without NAME: the dialect, as `kind`
    kind: str = ""
    network: Network | None = None  # its addresses come from the venue's folder; None: the addresses below name it
    rest: str = Field(default="", pattern=r"^https?://")
    stream: str = Field(default="", pattern=r"^wss?://")
    private: str = Field(default="", pattern=r"^wss?://")  # a session with an account needs it
    allow_key_rights: tuple[Literal["withdrawals"], ...] = ()  # of the key, that `verbatim check` refuses otherwise
    recv_window_ms: int = Field(default=5000, gt=0, le=RECV_WINDOW_MS_MAX)
    transport: TransportProfile = TransportProfile.STANDARD
    secret_file: Path | None = None  # TOML with api_key and api_secret, readable by its owner alone

    @property
    def dialect(self) -> str:
        """The venue's dialect."""
        return self.kind or self.name

    @field_validator("rest", "stream", "private")
    @classmethod
    def _is_address(cls, url: str) -> str:
        """Refuse an address to which no transport can connect."""
        Address.parse(url)
        return url

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        if self.network is None and not (self.rest and self.stream):
            raise ValueError("name a network (live, testnet or local), or the addresses rest and stream")
        return self

    @model_validator(mode="before")
    @classmethod
    def _read_old_name(cls, values: Any) -> Any:
        """Accept `http`, the name of `transport` in earlier versions."""
        if not isinstance(values, dict) or "http" not in values:
            return values
        if "transport" in values:
            raise ValueError("http is the old name of transport; remove it")
        values = dict(values)
        old = values.pop("http")
        if old not in OLD_TRANSPORTS:
            raise ValueError(f"http must be one of {', '.join(OLD_TRANSPORTS)}; better, set transport")
        return values | {"transport": OLD_TRANSPORTS[old]}


class AccountSection(Section):
    """An account at a venue: its key and its use; the credentials are elsewhere."""

    venue: str = ""  # "": the venue of the account's own name, or the only one
    use: Literal["trades", "watches"] = "trades"
    network: Network | None = None  # of the key
    secret_file: Path | None = None  # TOML with api_key and api_secret, readable by its owner alone
    keyring: str = ""  # a service of the system's keyring with the entries api_key and api_secret
    allow_key_rights: tuple[Literal["withdrawals"], ...] = ()  # of the key, that `verbatim check` refuses otherwise
