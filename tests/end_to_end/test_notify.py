"""Sending events at once: programs and webhooks, also ones that hang, redirect, refuse, or are not there."""

import asyncio
import contextlib
import hashlib
import hmac
import http.server
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.client import connect_as
from support.command_line import done, refused, telnetsd
from support.server import RunningServer, action_of, get, wait_until
from telnetsd.audit.trail import make_trail
from telnetsd.config.settings import NotifySettings
from telnetsd.events.part import Fields
from telnetsd.files.home import Home
from telnetsd.notify import notifier
from telnetsd.notify.delivery import Receiver

SECRET = b"correct horse battery staple"


class Webhook:
    """An HTTPS server that keeps what it gets, and answers as it is told."""

    def __init__(self, home: Home) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.refused_name = ""
        self.drips = False
        self.is_over = threading.Event()
        self.hangs = threading.Event()
        self.hangs.set()
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.hangs.wait()
                webhook.got.append((dict(self.headers), content))
                if webhook.refused_name and webhook.refused_name.encode() in content:
                    self.send_error(400)
                    return
                if webhook.drips:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
                    with contextlib.suppress(OSError):
                        while not webhook.is_over.wait(0.05):
                            self.wfile.write(b"x")
                    return
                self.send_response(webhook.status)
                if webhook.status == 302:
                    self.send_header("Location", "https://elsewhere.example/")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.ca = home.ca_certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(home.server_certificate, home.server_key)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_address[1]}/hook?token=in-the-address"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(content) for _, content in self.got]

    def close(self) -> None:
        self.hangs.set()
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()


class DoneSink:
    """Takes events, and keeps none."""

    def put(self, event: Fields) -> Awaitable[None]:
        written = asyncio.get_running_loop().create_future()
        written.set_result(None)
        return written


@pytest.fixture
def webhook(home: Home) -> Iterator[Webhook]:
    made = Webhook(home)
    yield made
    made.close()


def entry(webhook: Webhook, **keys: object) -> str:
    rows = {"name": "ops", "actions": ["user-added"], "url": webhook.url, "ca": str(webhook.ca), **keys}
    return "[[notify]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in rows.items())


def test_a_webhook_gets_the_event_signed_also_of_what_a_verb_does(
    start: Callable[..., RunningServer], home: Home, webhook: Webhook
) -> None:
    (home.root / "certs" / "hook.secret").write_bytes(SECRET)
    (home.root / "certs" / "hook.secret").chmod(0o600)
    server = start(entry(webhook, secret_file="certs/hook.secret"))
    done(home, "user", "add", "nina")
    wait_until(lambda: webhook.got, "a notification")
    headers, content = webhook.got[0]
    body = json.loads(content)
    assert (body["name"], body["held_back"]) == ("ops", 0)
    assert (get(body, "event.event.action"), get(body, "event.user.target.name")) == ("user-added", "nina")
    signed = hmac.new(SECRET, headers["Telnetsd-Timestamp"].encode() + b"." + content, hashlib.sha256).hexdigest()
    assert headers["Telnetsd-Signature"] == f"sha256={signed}"
    assert server.stop() == ""
    assert len(webhook.got) == 1
    for text in (home.audit_file.read_text(), done(home, "check", COLUMNS="500")):
        assert "in-the-address" not in text


def test_a_program_gets_the_event_on_its_input_without_a_shell(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    script = tmp_path / "tell"
    script.write_text(f'#!/bin/sh\ncd {tmp_path}\necho "$2" > words\ncat > told.part\nmv told.part told\n')
    script.chmod(0o755)
    program = f"{script} one 'two $HOME; id'"
    rows = f'name = "tell"\nactions = ["session-started"]\nusers = ["bob"]\nprogram = "{program}"\n'
    server = start(f"[[notify]]\n{rows}")
    with connect_as(server, "alice") as alice, connect_as(server, "bob") as bob:
        alice.read_until()
        bob.read_until()
    wait_until((tmp_path / "told").exists, "a notification")
    assert (tmp_path / "words").read_text() == "two $HOME; id\n"
    body = json.loads((tmp_path / "told").read_text())
    assert get(body, "event.user.name") == "bob"
    assert get(body, "event.telnetsd.session.id") == get(server.session_from(bob.port), "telnetsd.session.id")


def test_a_webhook_that_hangs_delays_no_session_and_not_the_end_of_the_server(
    start: Callable[..., RunningServer], home: Home, webhook: Webhook
) -> None:
    webhook.hangs.clear()
    server = start(entry(webhook))
    done(home, "user", "add", "nina")
    with connect_as(server, "bob") as bob:
        bob.read_until()
        assert bob.command("echo still served") == "still served"
    assert server.stop() == ""


def test_it_is_told_that_a_server_stops(start: Callable[..., RunningServer], webhook: Webhook) -> None:
    server = start(entry(webhook, actions=["server-*"]))
    assert server.stop() == ""
    assert "server-stopped" in [get(one, "event.event.action") for one in webhook.bodies()]


@pytest.mark.parametrize(
    ("status", "said"),
    [(500, "refuses: status 500"), (302, "redirects, which is not followed: status 302")],
)
def test_a_webhook_that_refuses_is_tried_again_and_the_log_says_so(
    status: int, said: str, start: Callable[..., RunningServer], home: Home, webhook: Webhook
) -> None:
    webhook.status = status
    server = start(entry(webhook))
    done(home, "user", "add", "nina")
    failed = server.wait_for(lambda one: action_of(one) == "notification-failed")
    assert get(failed, "event.reason") == "webhook-refused"
    assert get(failed, "message") == f"notifications ops are not delivered: the webhook {said}"
    assert len(webhook.got) >= 3
    webhook.status = 204
    wait_until(lambda: webhook.got[-1] and len(webhook.got) >= 4, "another attempt")
    shown = server.stop()
    assert "notifications ops are not delivered: the webhook" in shown
    assert "in-the-address" not in shown


def test_notify_test_says_what_happened(home: Home, webhook: Webhook, tmp_path: Path) -> None:
    home.config_file.write_text(
        entry(webhook)
        + '[[notify]]\nname = "ends"\nactions = ["*"]\nprogram = "true"\n'
        + '[[notify]]\nname = "fails"\nactions = ["*"]\nprogram = "false"\n'
        + '[[notify]]\nname = "untrusted"\nactions = ["*"]\n'
        + f"url = {json.dumps(webhook.url)}\n"
        + '[[notify]]\nname = "nowhere"\nactions = ["*"]\nprogram = "/nonexistent"\n'
        + '[[notify]]\nname = "gone"\nactions = ["*"]\nurl = "https://127.0.0.1:1/secret-path"\n'
    )
    result = telnetsd(home, "notify", "test")
    assert result.returncode == 1
    assert result.stdout == "ops: delivered\nends: delivered\n"
    assert result.stderr.splitlines() == [
        "fails: not delivered: the program failed: exit status 1",
        "untrusted: not delivered: the webhook is not trusted; check ca, and the host in url",
        "nowhere: not delivered: program of [[notify]] 'nowhere' not found or not executable: '/nonexistent'",
        "gone: not delivered: the webhook cannot be reached: Connection refused",
    ]
    assert get(webhook.bodies()[0], "event.event.action") == "notify-test"
    assert done(home, "notify", "test", "ops") == "ops: delivered\n"
    assert refused(home, "notify", "test", "nobody") == "error: no [[notify]] 'nobody' in telnetsd.toml"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        *(
            (f'url = "{url}"\n', "the url of [[notify]] 'ops' is not an https:// address")
            for url in (
                "http://localhost/",
                "https://chat.example/h\u00fck",
                "https://chat..example/",
                f"https://{'x' * 64}.example/",
                "https://user:secret@chat.example/",
                "https://chat.example/a b",
            )
        ),
        ("", "[[notify]] 'ops' needs either a program or a url"),
        ('url = "https://localhost/"\nprogram = "true"\n', "[[notify]] 'ops' needs either a program or a url"),
        ('program = "true"\nsecret_file = "x"\n', "[[notify]] 'ops' has a secret_file or a ca, but no url"),
    ],
)
def test_a_contradictory_entry_is_refused(rows: str, said: str, home: Home) -> None:
    home.config_file.write_text(f'[[notify]]\nname = "ops"\nactions = ["*"]\n{rows}')
    assert said in refused(home, "notify", "test")


def test_a_program_that_is_not_there_is_refused_at_the_start(home: Home) -> None:
    home.config_file.write_text('[[notify]]\nname = "ops"\nactions = ["*"]\nprogram = "/nonexistent x"\n')
    said = refused(home, "serve", "--listen", "127.0.0.1:0")
    assert said == "error: program of [[notify]] 'ops' not found or not executable: '/nonexistent x'"
    found = json.loads(telnetsd(home, "check", "--json").stdout)
    assert {"part": "notifications", "verdict": "error", "message": said.removeprefix("error: ")} in found


def test_a_webhook_that_answers_in_drips_is_given_up_and_does_not_keep_the_server_from_stopping(
    start: Callable[..., RunningServer], home: Home, webhook: Webhook
) -> None:
    webhook.drips = True
    server = start(entry(webhook))
    done(home, "user", "add", "nina")
    wait_until(lambda: webhook.got, "a notification")
    assert server.stop() == ""


def test_an_event_that_a_webhook_refuses_does_not_keep_the_others_from_it(
    home: Home, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "BACKOFF_MIN_S", 0.001)
    monkeypatch.setattr(notifier, "BACKOFF_MAX_S", 0.001)
    webhook.refused_name = "nina"
    given: list[dict[str, Any]] = [
        {"event": {"action": "user-added"}, "user": {"name": name}} for name in ("nina", "mona")
    ]
    settings = NotifySettings(name="ops", actions=("user-added",), url=webhook.url, ca=str(webhook.ca))

    async def run() -> None:
        made = notifier.Notifier(settings, Receiver(home, settings), make_trail(DoneSink()))
        for event in given:
            made.offer(event)
        running = asyncio.get_running_loop().create_task(made.run(asyncio.Event()))
        enough = notifier.REFUSALS_MAX + 2
        await asyncio.to_thread(wait_until, lambda: len(webhook.got) >= enough, "every attempt")
        running.cancel()

    asyncio.run(run())
    assert get(webhook.bodies()[-1], "event.user.name") == "mona"
    assert webhook.bodies()[-1]["held_back"] == 1


def test_a_secret_that_others_can_read_is_refused(home: Home) -> None:
    secret = home.root / "hook.secret"
    secret.write_bytes(SECRET)
    secret.chmod(0o644)
    home.config_file.write_text(
        '[[notify]]\nname = "ops"\nactions = ["*"]\nurl = "https://localhost/"\nsecret_file = "hook.secret"\n'
    )
    said = "secret_file of [[notify]] 'ops' is open to others: hook.secret; run: chmod 600"
    assert refused(home, "serve", "--listen", "127.0.0.1:0").startswith(f"error: {said}")
    tried = telnetsd(home, "notify", "test")
    assert (tried.returncode, tried.stderr.startswith(f"ops: not delivered: {said}")) == (1, True)
