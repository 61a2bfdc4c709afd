"""Senders over HTTPS: any address, Slack, Discord and Telegram. Each has its own form and its own escapes.

Only the configured address is used: no redirect is followed, no proxy and no .netrc of the environment is read, and
certificates are always verified. The whole delivery has one time limit, and no answer is read beyond a bound.
"""

import re
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import escape
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from pydantic import SecretStr

from journal.printable import ELLIPSIS
from verbatim.alerts.alert_events import AlertMessage, Severity
from verbatim.alerts.senders import DeliveryError, TimeLimit
from verbatim.sections import ConfigError

ANSWER_BYTES_MAX = 16_384
SLACK_CHARS_MAX = 3000
DISCORD_CHARS_MAX = 1900
TELEGRAM_CHARS_MAX = 4000
RETRIED = frozenset({408, 425, 429})  # other statuses below 500 are final
TELEGRAM_TOKEN = re.compile(r"\d{1,20}:[A-Za-z0-9_-]{1,100}")
_DISCORD_MARKS = re.compile(r"([\\*_~`|>#\[\]()<@:.-])")

Form = Callable[[AlertMessage], dict[str, Any]]


class WebhookSender:
    """Posts messages as JSON to one address, each over its own connection."""

    def __init__(
        self,
        url: SecretStr,
        form: Form,
        *,
        timeout_s: float,
        token: SecretStr | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """Prepare to post.

        Args:
            url: The address, checked by `check_address`. It may be a secret.
            form: Returns the JSON of a message.
            timeout_s: Of one delivery in all.
            token: For the header Authorization.
            ca_file: Certificates to trust in place of the system's.

        Raises:
            ConfigError: The certificates cannot be read.
        """
        self._url, self._form, self._timeout_s, self._token = url, form, timeout_s, token
        try:
            self._tls = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError):
            raise ConfigError(f"the certificates {ca_file} cannot be read") from None

    def send(self, message: AlertMessage) -> str:
        """Post a message; the status must be 2xx."""
        body = msgspec.json.encode(self._form(message))
        reason, (status, answer, after), limit = "", (0, b"", ""), TimeLimit(self._timeout_s)
        try:
            status, answer, after = self._post(body, limit)
        except ssl.SSLCertVerificationError as error:
            reason = f"the certificate of the receiver is not valid ({error.verify_message})"
        except (OSError, HTTPException, ValueError) as error:
            is_late = limit.is_over or isinstance(error, TimeoutError)
            reason = f"no answer within {self._timeout_s:g} s" if is_late else _connection_reason(error)
        if reason:  # raised here, where no traceback leads to an error that may quote the address
            raise DeliveryError(reason)
        if 200 <= status < 300:
            return ""
        redirect = ", a redirect, which is not followed" if 300 <= status < 400 else ""
        is_final = status < 500 and status not in RETRIED
        wait_s = max(_retry_after_s(after), _telegram_wait_s(answer))
        raise DeliveryError(f"the answer has status {status}{redirect}", wait_s=wait_s, is_final=is_final)

    def _post(self, body: bytes, limit: TimeLimit) -> tuple[int, bytes, str]:
        """Return status, begin of the body and Retry-After of the answer."""
        url = urlsplit(self._url.get_secret_value())
        headers = {"Content-Type": "application/json", "User-Agent": "verbatim-alerts", "Connection": "close"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        connection: HTTPConnection
        if url.scheme == "https":
            connection = HTTPSConnection(url.hostname or "", url.port, timeout=self._timeout_s, context=self._tls)
        else:
            connection = HTTPConnection(url.hostname or "", url.port, timeout=self._timeout_s)
        with closing(connection), limit.applied_to(connection):
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(ANSWER_BYTES_MAX), response.getheader("Retry-After", "")


def check_address(where: str, url: str) -> SecretStr:
    """Return an address that may get messages: https, or http on this machine.

    Raises:
        ConfigError: It is another one. The text does not contain it, because it may be a secret.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError(f"{where}: it is not an address, as in: https://example.com/hook") from None
    if not url.isascii() or not url.isprintable() or " " in url or parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{where}: it is not an address, as in: https://example.com/hook")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{where}: an address holds no user and no password. What to do: use `token`")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(f"{where}: the address must begin with https://, because messages are not for others to read")
    return SecretStr(url)


def is_loopback(host: str) -> bool:
    """Return True if a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def telegram_address(where: str, api: str, token: SecretStr) -> SecretStr:
    """Return the address that sends a bot's messages.

    Raises:
        ConfigError: The token or the address has a wrong form.
    """
    if not TELEGRAM_TOKEN.fullmatch(token.get_secret_value()):
        raise ConfigError(f"{where}.token: it has not the form of a bot's token, 123456:ABC...")
    return check_address(f"{where}.api", f"{api.rstrip('/')}/bot{token.get_secret_value()}/sendMessage")


# ---- forms -----------------------------------------------------------------------------------------


def webhook_form(message: AlertMessage) -> dict[str, Any]:
    """Return a message as generic JSON: all its fields."""
    fields: dict[str, Any] = msgspec.to_builtins(message)
    return {"source": "verbatim", **fields}


def slack_form(message: AlertMessage) -> dict[str, Any]:
    """Return a message for Slack: `<!channel>`, `<@user>` and `<address|text>` of foreign text remain text."""
    text = _cut(f"{message.title}\n{message.text}", SLACK_CHARS_MAX)
    for mark, code in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(mark, code)
    return {
        "text": text, "mrkdwn": False, "parse": "none", "link_names": False, "unfurl_links": False,
        "unfurl_media": False,
    }  # fmt: skip


def discord_form(message: AlertMessage) -> dict[str, Any]:
    """Return a message for Discord: no mention of foreign text reaches a user, and no mark is one."""
    title, text = (_DISCORD_MARKS.sub(r"\\\1", part) for part in (message.title, message.text))
    content = _cut(f"**{title}**\n{text}", DISCORD_CHARS_MAX)
    return {"content": content, "allowed_mentions": {"parse": []}, "flags": 4}  # 4: no previews of links


def telegram_form(chat: str) -> Form:
    """Return the form of messages to a chat: all text is preformatted, where Telegram reads no mention and no link."""

    def form(message: AlertMessage) -> dict[str, Any]:
        text = _cut(f"{message.title}\n{message.text}", TELEGRAM_CHARS_MAX)
        return {
            "chat_id": chat,
            "text": f"<pre>{escape(text, quote=False)}</pre>",
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
            "disable_notification": message.severity is Severity.INFO,
        }

    return form


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip("\\") + ELLIPSIS


# ---- answers ---------------------------------------------------------------------------------------


def _connection_reason(error: Exception) -> str:
    """Return why there was no answer. The error's own text may hold the address, so only its class is used."""
    if isinstance(error, socket.gaierror):
        return "the name of the receiver is not known"
    if isinstance(error, ConnectionRefusedError):
        return "no connection to the receiver"
    return f"the connection failed ({type(error).__name__})"


def _retry_after_s(header: str) -> float:
    """Return the seconds of the header Retry-After; 0 without one."""
    if header.isdecimal() and len(header) < 10:
        return float(header)
    try:
        return max((parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return 0.0


def _telegram_wait_s(answer: bytes) -> float:
    """Return the wait in the JSON of an answer, as Telegram states it; 0 without one."""
    try:
        wait = msgspec.json.decode(answer)["parameters"]["retry_after"]
        return float(wait) if isinstance(wait, int | float) else 0.0
    except (msgspec.MsgspecError, ValueError, LookupError, TypeError, OverflowError):
        return 0.0
