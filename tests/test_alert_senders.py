"""Channels of alerts, against real servers on loopback: forms, escapes, failures, and secrets that never appear."""

import json
import os
import select
import socket
import ssl
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import keyring
import keyring.backend
import pytest
import trustme
from alert_receivers import Answer, HookServer, Mailbox, hook_server, mail_server
from pydantic import SecretStr

from verbatim.alerts.alert_config import AlertConfig, read_alert_config
from verbatim.alerts.alert_events import AlertMessage, Finding, MessagePart, Severity, Why
from verbatim.alerts.alert_messages import compose, one_line, trial_message
from verbatim.alerts.channels import make_senders
from verbatim.alerts.http_senders import (
    DISCORD_CHARS_MAX,
    SLACK_CHARS_MAX,
    TELEGRAM_CHARS_MAX,
    WebhookSender,
    webhook_form,
)
from verbatim.alerts.mail_sender import MailSender
from verbatim.alerts.senders import DeliveryError, Sender
from verbatim.sections import ConfigError

SECRET = "T0P-s3cret_of-this-test"
EVIL = (
    "@everyone <!channel> <@U123> <b>bold</b></pre><a href='https://x'>y</a> **md** [l](http://evil) \x1b[2J\n"
    "Bcc: thief@example.com\r\n\r\n$(touch pwned) `touch pwned` ; touch pwned {text} {title}"
)


def message(text: str = "balance drift", *, about: str = "", rule: str = "halted") -> AlertMessage:
    finding = Finding(rule, one_line(about, 80), Severity.CRITICAL, one_line(text))
    part = MessagePart(
        7, Why.NEW, finding.rule, "account main at x", finding.about, finding.severity, finding.text, 10**18
    )
    return compose(3, 10**18, [part])


def sender(folder: Path, environment: dict[str, str] | None = None, **channel: Any) -> Sender:
    """Make a channel as a configuration has it."""
    config = AlertConfig.model_validate({"channel": {"one": channel}})
    return make_senders(config, folder, {"HOOK": SECRET} if environment is None else environment)["one"]


def hook(server: HookServer, tmp_path: Path, kind: str, **more: Any) -> Sender:
    return sender(tmp_path, {"HOOK": f"{server.address}/{SECRET}"}, kind=kind, url={"env": "HOOK"}, **more)


def refused(send: Callable[[], object]) -> DeliveryError:
    """Return the error of a delivery. Neither it nor its traceback has the secret."""
    with pytest.raises(DeliveryError) as caught:
        send()
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value.__dict__)
    assert SECRET not in shown
    return caught.value


# ---- webhooks --------------------------------------------------------------------------------------


def test_a_webhook_gets_json_and_a_token(tmp_path: Path) -> None:
    with hook_server() as server:
        one = sender(tmp_path, kind="webhook", url=f"{server.address}/hook?x=1", token={"env": "HOOK"})
        assert one.send(message(about="BTC")) == ""
        post = server.posts.get(timeout=30)
    assert (post.path, post.headers["Authorization"], post.headers["Content-Type"]) == (
        "/hook?x=1", f"Bearer {SECRET}", "application/json",
    )  # fmt: skip
    body = json.loads(post.body)
    assert (body["source"], body["severity"], body["title"]) == (
        "verbatim", "critical", "[CRITICAL] halted BTC: account main at x",
    )  # fmt: skip
    assert body["parts"][0] == {
        "number": 7, "why": "new", "rule": "halted", "target": "account main at x", "about": "BTC",
        "severity": "critical", "text": "balance drift", "opened_ns": 10**18, "ended_ns": 0, "count": 1, "is_event": False,
    }  # fmt: skip


def test_slack_reads_no_mention_and_no_link_in_a_foreign_text(tmp_path: Path) -> None:
    with hook_server() as server:
        hook(server, tmp_path, "slack").send(message(EVIL, about=EVIL))
        body = json.loads(server.posts.get(timeout=30).body)
    assert "<" not in body["text"]
    assert "&lt;!channel&gt; &lt;@U123&gt;" in body["text"]
    assert (body["mrkdwn"], body["link_names"], body["parse"]) == (False, False, "none")


def test_discord_mentions_nobody_and_reads_no_marks(tmp_path: Path) -> None:
    with hook_server() as server:
        hook(server, tmp_path, "discord").send(message(EVIL))
        body = json.loads(server.posts.get(timeout=30).body)
    assert body["allowed_mentions"] == {"parse": []}
    assert r"\@everyone" in body["content"]
    assert r"\*\*md\*\* \[l\]\(http\:" in body["content"]


def test_telegram_gets_preformatted_text_in_which_nothing_is_read(tmp_path: Path) -> None:
    token = f"12345:{SECRET}"
    with hook_server() as server:
        one = sender(
            tmp_path, {"BOT": token}, kind="telegram", token={"env": "BOT"}, chat="-100200", api=server.address
        )
        one.send(message(EVIL))
        post = server.posts.get(timeout=30)
    body = json.loads(post.body)
    assert post.path == f"/bot{token}/sendMessage"
    assert (body["chat_id"], body["parse_mode"], body["disable_notification"]) == ("-100200", "HTML", False)
    inner = body["text"].removeprefix("<pre>").removesuffix("</pre>")
    assert not {"<", ">"} & {*inner}
    assert "&lt;/pre&gt;&lt;a href=" in inner


@pytest.mark.parametrize(("kind", "limit"), [("slack", SLACK_CHARS_MAX), ("discord", DISCORD_CHARS_MAX)])
def test_long_texts_are_cut_to_the_limit_of_the_channel(tmp_path: Path, kind: str, limit: int) -> None:
    parts = [message("*" * 2000).parts[0]] * 20
    with hook_server() as server:
        hook(server, tmp_path, kind).send(compose(1, 10**18, parts))
        body = json.loads(server.posts.get(timeout=30).body)
    text = body["text" if kind == "slack" else "content"]
    assert limit - 50 < len(text) <= limit
    assert TELEGRAM_CHARS_MAX < 4096


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(tmp_path: Path, status: int) -> None:
    with hook_server() as server, hook_server() as other:
        server.answers = [Answer(status, {"Location": other.address})]
        error = refused(lambda: hook(server, tmp_path, "slack").send(message()))
        assert (error.is_final, "redirect" in str(error)) == (True, True)
        assert (server.posts.qsize(), other.posts.qsize()) == (1, 0)


def test_statuses_decide_whether_another_attempt_makes_sense(tmp_path: Path) -> None:
    late = "Fri, 31 Dec 9999 23:59:59 GMT"
    answers: list[tuple[Answer, bool, bool]] = [
        (Answer(404), True, False),
        (Answer(401), True, False),
        (Answer(500), False, False),
        (Answer(503, {"Retry-After": "17"}), False, True),
        (Answer(429, {"Retry-After": late}), False, True),
        (Answer(429, body=b'{"ok":false,"parameters":{"retry_after":17}}'), False, True),
        (Answer(429, {"Retry-After": "-5"}, body=b"[[[["), False, False),
    ]
    with hook_server() as server:
        server.answers = [answer for answer, _, _ in answers]
        one = hook(server, tmp_path, "slack")
        for answer, is_final, waits in answers:
            error = refused(lambda: one.send(message()))
            assert (error.is_final, error.wait_s >= 17) == (is_final, waits), answer
        assert one.send(message()) == ""


def test_an_answer_that_never_comes_or_never_ends_costs_a_bounded_time(tmp_path: Path) -> None:
    with hook_server() as server:
        server.answers = [Answer(is_late=True), Answer(is_endless=True)]
        one = hook(server, tmp_path, "slack", timeout_s="0.3")
        assert "no answer within 0.3 s" in str(refused(lambda: one.send(message())))
        assert one.send(message()) == "", "the status is enough, the rest is not read"


def test_no_receiver_is_an_error_without_its_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    one = sender(tmp_path, {"HOOK": f"http://127.0.0.1:{port}/{SECRET}"}, kind="slack", url={"env": "HOOK"})
    assert str(refused(lambda: one.send(message()))) == "no connection to the receiver"


def test_certificates_are_verified_and_one_of_your_own_may_be_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with hook_server(tls) as server:
        error = refused(lambda: hook(server, tmp_path, "slack").send(message()))
        assert "certificate of the receiver is not valid" in str(error)
        assert hook(server, tmp_path, "slack", ca_file="ca.pem").send(message()) == ""


def test_the_environments_proxy_and_netrc_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hook_server() as server, hook_server() as proxy:
        (tmp_path / "netrc").write_text("machine localhost login me password hidden\n")
        for name, value in {
            "HTTP_PROXY": proxy.address,
            "ALL_PROXY": proxy.address,
            "NETRC": f"{tmp_path}/netrc",
        }.items():
            monkeypatch.setenv(name, value)
        hook(server, tmp_path, "slack").send(message())
        assert "Authorization" not in server.posts.get(timeout=30).headers
        assert proxy.posts.qsize() == 0


# ---- mail ------------------------------------------------------------------------------------------


def mailer(tmp_path: Path, port: int, **more: Any) -> Sender:
    given = {"sender": "bot@example.com", "recipients": ("a@example.com", "b@example.com"), "tls": "none"} | more
    return sender(tmp_path, kind="mail", host="localhost", port=port, **given)


def test_a_mail_arrives_and_a_foreign_text_adds_no_header(tmp_path: Path) -> None:
    box = Mailbox()
    with mail_server(box) as port:
        assert mailer(tmp_path, port).send(message(EVIL + "ü", about=EVIL)) == ""
    [mail], [recipients] = box.mails, box.recipients
    assert recipients == ["a@example.com", "b@example.com"]
    assert mail["Subject"].startswith("[CRITICAL] halted @everyone")
    assert {name.lower() for name in mail} <= {
        "subject", "from", "to", "date", "message-id", "auto-submitted", "content-type", "content-transfer-encoding",
        "mime-version", "x-peer", "x-mailfrom", "x-rcptto",
    }  # fmt: skip
    assert "Bcc: thief@example.com" in mail.get_content(), "it is text"
    assert "ü" in mail.get_content()


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # of the server, which does not know that it is inside TLS
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_mail_over_tls_with_a_login(tmp_path: Path, tls: str) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    box = Mailbox()
    login: dict[str, Any] = {"tls": tls, "user": "bot", "password": {"env": "HOOK"}}
    with mail_server(box, tls=context, starttls=tls == "starttls", login=f"bot:{SECRET}") as port:
        distrusted = refused(lambda: mailer(tmp_path, port, **login).send(message()))
        assert "certificate of the mail server is not valid" in str(distrusted)
        assert mailer(tmp_path, port, ca_file="ca.pem", **login).send(message()) == ""
        wrong = {**login, "user": "other"}
        assert "answered 535" in str(refused(lambda: mailer(tmp_path, port, ca_file="ca.pem", **wrong).send(message())))
    assert len(box.mails) == 1


def test_a_server_without_starttls_gets_no_login(tmp_path: Path) -> None:
    with mail_server(box := Mailbox()) as port:
        one = mailer(tmp_path, port, tls="starttls", user="bot", password={"env": "HOOK"})
        error = refused(lambda: one.send(message()))
    assert (error.is_final, "STARTTLS" in str(error), box.mails) == (True, True, [])


def test_refused_recipients_are_a_remark_and_all_of_them_an_error(tmp_path: Path) -> None:
    with mail_server(box := Mailbox(refused="a@example.com")) as port:
        assert mailer(tmp_path, port).send(message()) == "1 of 2 recipients were refused"
        assert box.recipients == [["b@example.com"]]
        error = refused(lambda: mailer(tmp_path, port, recipients=("a@example.com",)).send(message()))
        assert error.is_final


def test_a_mail_server_that_is_busy_or_silent_is_tried_again(tmp_path: Path) -> None:
    with mail_server(Mailbox(data=f"451 try later, {SECRET}")) as port:
        assert not refused(lambda: mailer(tmp_path, port).send(message())).is_final
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refused(lambda: mailer(tmp_path, silent.getsockname()[1], timeout_s="0.2").send(message()))
        assert "no answer within 0.2 s" in str(error)


def test_a_mail_server_that_answers_a_byte_at_a_time_is_cut_off(tmp_path: Path) -> None:
    """Each byte comes in time, the whole does not."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            client, _ = listening.accept()
            with client:
                client.sendall(b"220 here\r\n250-")
                try:
                    while True:
                        client.sendall(b"x")
                        client.settimeout(0.05)
                        try:
                            if not client.recv(1000):
                                return
                        except TimeoutError:
                            continue
                except OSError:
                    return

        thread = Thread(target=drip)
        thread.start()
        refused(lambda: mailer(tmp_path, listening.getsockname()[1], timeout_s="0.5").send(message()))
        thread.join(30)
        assert not thread.is_alive()


# ---- commands --------------------------------------------------------------------------------------


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "program.py"
    path.write_text(text)
    return str(path)


def test_a_command_gets_arguments_and_json_and_no_shell_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERBATIM_API_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)
    code = (
        "import json,os,sys; json.dump([sys.argv[1:], dict(os.environ), json.load(sys.stdin)], open(sys.argv[1], 'w'))"
    )
    out = tmp_path / "out.json"
    one = sender(
        tmp_path, dict(os.environ), kind="command",
        program=("python3", "-c", code, str(out), "{severity}", "say {title}", "{text}", "{other}"),
    )  # fmt: skip
    assert one.send(message(EVIL)) == ""
    [_, severity, title, text, other], environment, body = json.loads(out.read_text())
    assert (severity, title, other) == ("critical", f"say {body['title']}", "{other}")
    assert "$(touch pwned) `touch pwned` ; touch pwned {text} {title}" in text
    assert text == body["text"]
    assert SECRET not in json.dumps([environment, body])
    assert not (tmp_path / "pwned").exists()


def test_a_command_that_fails_hangs_or_is_missing_is_an_error(tmp_path: Path) -> None:
    def run(*words: str, **more: Any) -> DeliveryError:
        return refused(
            lambda: sender(tmp_path, dict(os.environ), kind="command", program=words, **more).send(message())
        )

    assert "status 3" in str(run("sh", "-c", "exit 3"))
    assert "cannot be started" in str(run(str(tmp_path / "missing")))
    mark = tmp_path / "mark"
    error = run("sh", "-c", f"(sleep 600; touch {mark}) & echo $! > {mark}.pid; wait", timeout_s="0.3")
    assert "did not end within 0.3 s" in str(error)
    with suppress(ProcessLookupError):  # it ended already
        child = os.pidfd_open(int(Path(f"{mark}.pid").read_text()))
        assert select.select([child], [], [], 30)[0], "what the program started ends too"
        os.close(child)


# ---- secrets and the configuration -----------------------------------------------------------------


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring for one test."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        if service == "locked":
            raise keyring.errors.KeyringLocked(SECRET)
        return f"https://example.com/{SECRET}" if (service, username) == ("verbatim", "slack") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("nothing is written")


def test_secrets_come_from_the_environment_a_private_file_or_the_keyring(tmp_path: Path) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    (tmp_path / "url").write_text(f"https://example.com/{SECRET}\n")
    (tmp_path / "url").chmod(0o600)
    try:
        for source in ({"file": "url"}, {"keyring": "verbatim", "name": "slack"}, {"env": "HOOK"}):
            one = sender(tmp_path, {"HOOK": f"https://example.com/{SECRET}"}, kind="slack", url=source)
            assert isinstance(one, WebhookSender)
            assert one._url == SecretStr(f"https://example.com/{SECRET}")
            assert SECRET not in repr(vars(one)) + str(vars(one))
        for source, reason in (
            ({"keyring": "locked", "name": "x"}, "cannot be read (KeyringLocked)"),
            ({"keyring": "verbatim", "name": "x"}, "no entry x of verbatim"),
            ({"env": "OTHER"}, "no variable OTHER"),
            ({"file": "missing"}, "cannot read the secret file"),
        ):
            with pytest.raises(ConfigError) as error:
                sender(tmp_path, {}, kind="slack", url=source)
            assert reason in str(error.value)
            assert SECRET not in "".join(traceback.format_exception(error.value))
        (tmp_path / "url").chmod(0o644)
        with pytest.raises(ConfigError, match="chmod 600"):
            sender(tmp_path, {}, kind="slack", url={"file": "url"})
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        ({"kind": "webhook", "url": "http://example.com/x"}, "must begin with https://"),
        ({"kind": "webhook", "url": "ftp://example.com"}, "it is not an address"),
        ({"kind": "webhook", "url": "https:///x"}, "it is not an address"),
        ({"kind": "webhook", "url": "https://example.com:99999/x"}, "it is not an address"),
        ({"kind": "webhook", "url": "https://exam ple.com/\r\nX: y"}, "it is not an address"),
        ({"kind": "webhook", "url": "https://me:secret@example.com/x"}, "no user and no password"),
        ({"kind": "telegram", "token": {"env": "HOOK"}, "chat": "1"}, "it has not the form of a bot's token"),
        (
            {"kind": "mail", "host": "mx.example.com", "tls": "none", "sender": "a@b", "recipients": ("c@d",)},
            "starttls",
        ),
        ({"kind": "webhook", "url": "https://example.com", "ca_file": "missing.pem"}, "cannot be read"),
    ],
)
def test_an_address_that_would_leak_is_refused(tmp_path: Path, channel: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        sender(tmp_path, **channel)
    assert reason in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[channel.a]\nkind = "slack"\nurl = "https://hooks.example/SECRET"', "a secret does not belong into"),
        ('[channel.a]\nkind = "slack"\nurl = {env = "A", file = "b"}', "state one place"),
        ('[channel.a]\nkind = "pigeon"', "Input tag 'pigeon'"),
        (
            '[channel.a]\nkind = "slack"\nurl = {env = "A"}\nseverity = "info"',
            "unknown name (did you mean 'severity_min'?)",
        ),
        ('[channel.a]\nkind = "slack"\nurl = {env = "A"}\nrules = ["halt"]', "there is no rule 'halt' (did you mean"),
        ("[rule.halteed]\nenabled = false", "unknown name (did you mean 'halted'?)"),
        ("[rule.loss]\nlos_max = 5", "unknown name (did you mean 'loss_max'?)"),
        ('[quiet]\nbegin = "25:00"\nend = "07:00"', "quiet.begin"),
        ('[quiet]\nzone = "Europe/Atlantis"\nbegin = "22:00"\nend = "07:00"', "no time zone 'Europe/Atlantis'"),
        ('[quiet]\nbegin = "22:00"\nend = "07:00"\ndays = ["monday"]', "days are one or more of mon"),
        (
            '[channel.a]\nkind = "mail"\nhost = "x"\nsender = "a@b\\nBcc: c@d"\nrecipients = ["c@d"]',
            "is not a mail address",
        ),
        ('[channel.a]\nkind = "mail"\nhost = "x"\nsender = "a@b"\nuser = "u"\nrecipients = ["c@d"]', "belong together"),
        ("[watch]\npoll_s = 0", "watch.poll_s"),
        ("not toml", "is not valid TOML"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line_without_its_value(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_alert_config(path)
    assert reason in str(error.value)
    assert "SECRET" not in str(error.value)


def test_a_trial_says_that_it_is_one() -> None:
    trial = trial_message(10**18, "phone")
    assert webhook_form(trial)["title"] == "[TEST] Verbatim alerts"
    assert MailSender.__doc__
