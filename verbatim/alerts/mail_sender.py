"""Mail by SMTP: with STARTTLS, TLS from the start, or none on this machine. Certificates are always verified."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from pathlib import Path

from pydantic import SecretStr

from verbatim.alerts.alert_events import AlertMessage
from verbatim.alerts.senders import DeliveryError, TimeLimit
from verbatim.sections import ConfigError

PORTS = {"starttls": 587, "implicit": 465, "none": 25}
FINAL_CODES = range(550, 560)  # a refusal of this mail or of its addresses; other codes may pass


class MailSender:
    """Sends messages as mail, each over its own connection."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: str,
        sender: str,
        recipients: tuple[str, ...],
        timeout_s: float,
        user: str = "",
        password: SecretStr | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """Prepare to send.

        Raises:
            ConfigError: The certificates cannot be read.
        """
        self._host, self._port, self._tls = host, port or PORTS[tls], tls
        self._sender, self._recipients, self._timeout_s = sender, recipients, timeout_s
        self._user, self._password = user, password
        try:
            self._context = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError):
            raise ConfigError(f"the certificates {ca_file} cannot be read") from None

    def send(self, message: AlertMessage) -> str:
        """Send a message to all recipients; one of them at least must be accepted."""
        reason, is_final, refused, limit = "", False, {}, TimeLimit(self._timeout_s)
        late = f"no answer within {self._timeout_s:g} s"
        try:
            with self._connection(limit) as smtp:
                refused = smtp.send_message(mail(message, self._sender, self._recipients))
        except smtplib.SMTPResponseException as error:  # its text is the server's, and may quote the login
            reason = f"the mail server answered {error.smtp_code}"
            is_final = error.smtp_code in FINAL_CODES
        except smtplib.SMTPRecipientsRefused:
            reason, is_final = "the mail server refused every recipient", True
        except smtplib.SMTPNotSupportedError:
            reason, is_final = "the mail server does not offer STARTTLS or a login", True
        except ssl.SSLCertVerificationError as error:
            reason = f"the certificate of the mail server is not valid ({error.verify_message})"
        except TimeoutError:
            reason = late
        except (smtplib.SMTPException, OSError, ValueError) as error:
            is_late = limit.is_over or isinstance(
                error.__context__, TimeoutError
            )  # smtplib raises its own error instead
            reason = late if is_late else f"the connection to the mail server failed ({type(error).__name__})"
        if reason:
            raise DeliveryError(reason, is_final=is_final)
        return f"{len(refused)} of {len(self._recipients)} recipients were refused" if refused else ""

    @contextmanager
    def _connection(self, limit: TimeLimit) -> Iterator[smtplib.SMTP]:
        """Connect and log in. From the greeting on, the time limit holds however slowly the server answers."""
        smtp: smtplib.SMTP
        if self._tls == "implicit":
            smtp = smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout_s, context=self._context)
        else:
            smtp = smtplib.SMTP(self._host, self._port, timeout=self._timeout_s)
        with closing(smtp), limit.applied_to(smtp):
            if self._tls == "starttls":
                smtp.starttls(context=self._context)
            if self._password is not None:
                smtp.login(self._user, self._password.get_secret_value())
            yield smtp
            smtp.quit()


def mail(message: AlertMessage, sender: str, recipients: tuple[str, ...]) -> EmailMessage:
    """Return a message as mail. The title has no newline, so foreign text cannot add a header."""
    found = EmailMessage(policy=SMTP)
    found["Subject"] = " ".join(message.title.split())
    found["From"] = sender
    found["To"] = ", ".join(recipients)
    found["Date"] = formatdate(message.at_ns / 1e9)
    found["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    found["Auto-Submitted"] = "auto-generated"
    found.set_content(message.text + "\n")
    return found
