"""Cross-protocol requests: what a web page makes a browser send must not run as a user's commands."""

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from support.client import Client, client_context, connect_as
from support.machine import DEADLINE_S
from support.server import RunningServer, action_of, is_from
from telnetsd.administration.users.credentials import user_files

FORM = """<!doctype html>
<form id=f method=post enctype=text/plain action="https://localhost:{port}/">
<textarea name="wall hello">
wall hello
</textarea></form>
<script>document.getElementById("f").submit()</script>
"""
"""A page of another origin: its body consists of lines, as commands do."""


def commands_of(server: RunningServer) -> list[str]:
    return [action_of(event) for event in server.events() if action_of(event).startswith("command-")]


@pytest.mark.parametrize("protocols", [["http/1.1"], ["h2", "http/1.1"], ["telnet", "http/1.0"]])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_offers_http_gets_the_matching_alert(
    protocols: list[str], version: ssl.TLSVersion, server: RunningServer
) -> None:
    files = user_files(server.home, "alice")
    context = client_context(server.home.ca_certificate, (files.certificate, files.key), version)
    context.set_alpn_protocols(protocols)
    raw = socket.create_connection(("127.0.0.1", server.port), DEADLINE_S)
    port = raw.getsockname()[1]
    with raw, pytest.raises(ssl.SSLError) as refused:
        context.wrap_socket(raw, server_hostname="localhost")
    assert "alert no application protocol" in str(refused.value)
    event = server.wait_for(lambda one: is_from(one, port))
    assert event["event"]["reason"] == "web-client"
    assert (action_of(event), event["event"]["outcome"]) == ("handshake-failed", "failure")


def test_a_client_that_offers_another_protocol_or_none_is_admitted(server: RunningServer) -> None:
    context = client_context(server.home.ca_certificate, None)
    context.set_alpn_protocols(["telnet"])
    with Client(server.port, server.home.ca_certificate, context=context) as client:
        client.read_until(b"guest> ")
        assert client.tls.selected_alpn_protocol() is None


@pytest.mark.parametrize("user", ["alice", None])
@pytest.mark.parametrize("first", ["POST / HTTP/1.1", "GET /x HTTP/1.0", "OPTIONS * HTTP/2"])
def test_a_session_that_begins_with_an_http_request_ends_before_any_command(
    first: str, user: str | None, server: RunningServer
) -> None:
    before = len(commands_of(server))
    with connect_as(server, user) as client:
        client.read_until()
        client.send(f"{first}\r\nHost: localhost\r\n\r\nwall hello\r\n".encode())
        assert client.read_to_end() == "goodbye: this is a telnet server, and that was an HTTP request\r\n"
        event = server.session_from(client.port, "session-ended")
    assert event["event"]["reason"] == "http-request"
    assert len(commands_of(server)) == before


def test_http_text_after_the_first_line_is_not_treated_as_a_request(server: RunningServer) -> None:
    with connect_as(server, "alice") as client:
        client.read_until()
        assert client.command("echo hello") == "hello"
        assert client.command("echo GET / HTTP/1.1") == "GET / HTTP/1.1"
        assert "no command GET" in client.command("GET / HTTP/1.1")


def test_curl_executes_no_command(server: RunningServer) -> None:
    files, before = user_files(server.home, "alice"), len(commands_of(server))
    request: list[str | Path] = [
        "curl",
        "--silent",
        "--http0.9",
        "--max-time",
        str(DEADLINE_S),
        "--data-binary",
        "\r\nwall hello\r\n",
    ]
    request += ["--cacert", server.home.ca_certificate, "--cert", files.certificate, "--key", files.key]
    url = f"https://localhost:{server.port}/"
    assert subprocess.run([*request, url], capture_output=True, check=False).returncode != 0
    server.wait_for(lambda event: event["event"]["reason"] == "web-client")
    done = subprocess.run([*request, "--no-alpn", url], capture_output=True, text=True, check=False)
    assert "that was an HTTP request" in done.stdout
    server.wait_for(lambda event: event["event"]["reason"] == "http-request")
    assert len(commands_of(server)) == before


def test_a_browser_executes_no_command(server: RunningServer, tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    assert browser is not None
    page, before = tmp_path / "page.html", len(commands_of(server))
    page.write_text(FORM.format(port=server.port))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={tmp_path / 'page.png'}"]
    subprocess.run([browser, *options, page.as_uri()], capture_output=True, check=False, timeout=DEADLINE_S)
    event = server.wait_for(lambda one: one["event"]["reason"] == "web-client")
    assert action_of(event) == "handshake-failed"
    assert len(commands_of(server)) == before
