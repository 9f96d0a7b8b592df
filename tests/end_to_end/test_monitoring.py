"""Metrics and health over HTTP, and the live view."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.client import connect_as
from support.command_line import done, refused
from support.lines import Terminal, line
from support.machine import DEADLINE_S
from support.processes import workers_of
from support.rsyslog import free_port
from support.server import RunningServer, wait_until
from support.upstreams import Upstream
from telnetsd.files.home import Home

DOCS = Path(__file__).parents[2] / "docs"
Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=DEADLINE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def figures(port: int) -> Figures:
    families = text_string_to_metric_families(get(port, "/metrics")[1])
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for one in families
        for sample in one.samples
    }


def figure(port: int, name: str, **labels: str) -> float:
    return figures(port).get((name, tuple(sorted(labels.items()))), 0.0)


@pytest.mark.parametrize("workers", [1, 2])
def test_sessions_events_and_lines_are_counted(workers: int, start: Callable[..., RunningServer]) -> None:
    port = free_port()
    with Upstream() as upstream:
        monitored = f'[metrics]\nlisten = "127.0.0.1:{port}"\n'
        server = start(monitored + line("switch-1", f"tcp://127.0.0.1:{upstream.port}"), workers=workers)
        with connect_as(server, "bob") as client, connect_as(server) as guest:
            client.read_until()
            guest.read_until()
            wait_until(lambda: figure(port, "telnetsd_sessions") == 2, "two sessions")
            identified = figure(port, "telnetsd_events_total", action="session-started", reason="identified")
            assert identified == 1
            assert figure(port, "telnetsd_handshake_seconds_count") == 2
            assert 0 < figure(port, "telnetsd_handshake_seconds_sum") < 2 * DEADLINE_S
            on_line = Terminal(client)
            on_line.connect("switch-1")
            on_line.until(b"# ")
            on_line.send(b"\r~.")
            on_line.until(b"bob> ")
            wait_until(lambda: figure(port, "telnetsd_line_sessions_total", line="switch-1") == 1, "a line's use")
            assert figure(port, "telnetsd_line_bytes_total", line="switch-1", direction="received") > 0
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(b"hello\r\n")
            raw.recv(100)
        failed = {"action": "handshake-failed", "reason": "plain-text"}
        wait_until(lambda: figure(port, "telnetsd_events_total", **failed) == 1, "a failed handshake")
        wait_until(lambda: figure(port, "telnetsd_sessions") == 0, "no session")
        assert 360 < figure(port, "telnetsd_certificate_expiry_seconds", certificate="server") / 86400 < 366
        assert figure(port, "telnetsd_audit_writable") == 1
        assert figure(port, "telnetsd_audit_commit_seconds_count") > 0
        crls = [name for name, _ in figures(port) if name == "telnetsd_crl_age_seconds"]
        assert len(crls) == 1


def test_health_and_readiness_are_reported(start: Callable[..., RunningServer]) -> None:
    port = free_port()
    server = start(f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
    assert get(port, "/healthz") == (200, "ok\n")
    assert wait_until(lambda: get(port, "/readyz") == (200, "ok\n"), "readiness")
    assert get(port, "/")[0] == 404
    with connect_as(server, "bob") as client:
        client.read_until()
        server.process.terminate()
        client.read_until()
        assert wait_until(lambda: get(port, "/readyz") == (503, "no connections are accepted\n"), "no readiness")
        assert get(port, "/healthz") == (200, "ok\n")


def test_a_hung_event_loop_is_not_healthy(start: Callable[..., RunningServer]) -> None:
    from telnetsd.daemon.monitoring import SILENT_S, Health

    health = Health(lambda: True)
    assert health.what_is_wrong() == ""
    health.turn()
    assert health.what_is_wrong() == ""
    health._turned_at = time.monotonic() - SILENT_S - 1
    assert "no process that accepts connections responded" in health.what_is_wrong()


def test_many_silent_clients_do_not_block_the_health_check(start: Callable[..., RunningServer]) -> None:
    port = free_port()
    start(f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
    with contextlib.ExitStack() as silent:
        for _ in range(100):
            silent.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert get(port, "/healthz") == (200, "ok\n")


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text;version=abc", "application/openmetrics-text", "x" * 9000]
)
def test_metrics_are_served_whatever_format_is_requested_and_nothing_is_printed(
    accept: str, start: Callable[..., RunningServer]
) -> None:
    port = free_port()
    server = start(f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)) as connection:
        connection.request("GET", "/metrics", headers={"Accept": accept})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Type"][:10]) == (200, "text/plain")
    assert server.stop() == ""


def test_hung_workers_are_not_healthy(start: Callable[..., RunningServer]) -> None:
    port = free_port()
    server = start(f'[metrics]\nlisten = "127.0.0.1:{port}"\n', workers=2)
    assert wait_until(lambda: get(port, "/readyz") == (200, "ok\n"), "readiness")
    first, second = workers_of(server)
    os.kill(first, signal.SIGSTOP)
    os.kill(second, signal.SIGSTOP)
    try:
        assert wait_until(lambda: get(port, "/healthz")[0] == 503, "an alarm")
        assert "no process that accepts connections responded" in get(port, "/readyz")[1]
        os.kill(first, signal.SIGCONT)
        assert wait_until(lambda: get(port, "/readyz") == (200, "ok\n"), "readiness")
    finally:
        for one in (first, second):
            os.kill(one, signal.SIGCONT)


def test_a_silent_client_does_not_block_another_client(start: Callable[..., RunningServer]) -> None:
    port = free_port()
    start(f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
    with (
        socket.create_connection(("127.0.0.1", port)) as slow,
        socket.create_connection(("127.0.0.1", port)) as wrong,
    ):
        slow.sendall(b"GET /healthz")
        wrong.sendall(b"\x16\x03\x01" + b"x" * 70000)
        assert get(port, "/healthz") == (200, "ok\n")


@pytest.mark.parametrize("listen", ["0.0.0.0:9993", "192.0.2.1:9993", "localhost", "[::]:9993"])
def test_metrics_may_listen_only_on_an_address_of_this_machine(listen: str, home: Home) -> None:
    home.config_file.write_text(f'[metrics]\nlisten = "{listen}"\n')
    assert "not a loopback address" in refused(home, "serve")


def test_top_prints_sessions_and_rates_once_in_a_pipe(start: Callable[..., RunningServer]) -> None:
    server = start()
    with connect_as(server, "bob") as client:
        client.read_until()
        words = done(server.home, "top", "--interval", "0.1")
        assert words.startswith("1 session\nper second: 0.0 logins")
        assert "bob" in words
        view = json.loads(done(server.home, "top", "--interval", "0.1", "--json"))
        assert [row["user"] for row in view["sessions"]] == ["bob"]
        assert view["per_s"]["commands"] == 0


def test_top_fills_a_terminal_and_restores_it(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    server = start()
    tmux = ["tmux", "-S", str(tmp_path / "tmux")]
    with connect_as(server, "bob") as client:
        client.read_until()
        # The size is that of the terminal, and not the one that Python's readline leaves in the environment.
        top = f"{sys.executable} -m telnetsd top --interval 0.2 --home {server.home.root}"
        command = f"unset LINES COLUMNS; {top}; sleep 1000"
        subprocess.run([*tmux, "new-session", "-d", "-x", "120", "-y", "20", command], check=True)
        try:
            screen = wait_until(lambda: shown(tmux, "1 session"), "a live view")
            assert "bob" in screen
            client.send(b"quit\r\n")
            wait_until(lambda: shown(tmux, "0 sessions"), "an empty view")
            subprocess.run([*tmux, "send-keys", "C-c"], check=True)
            wait_until(lambda: "sessions" not in shown(tmux, ""), "the end of the view")
        finally:
            subprocess.run([*tmux, "kill-server"], check=False)


def shown(tmux: list[str], words: str) -> str:
    screen = subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=True).stdout
    return screen if words in screen else ""


def test_the_dashboard_and_the_alerts_use_only_existing_metrics(start: Callable[..., RunningServer]) -> None:
    port = free_port()
    start(f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
    families = {one.name for one in text_string_to_metric_families(get(port, "/metrics")[1])}
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    alerts = (DOCS / "prometheus-alerts.yml").read_text()
    asked += [one.partition("expr: ")[2] for one in alerts.splitlines() if "expr: " in one]
    assert len(asked) > 10
    for expression in asked:
        names = {word for word in _words(expression) if word.startswith("telnetsd_")}
        assert names, expression
        for name in names:
            bare = name.removesuffix("_total").removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
            assert bare in families, expression


def _words(expression: str) -> list[str]:
    return "".join(one if one.isalnum() or one == "_" else " " for one in expression).split()


def test_prometheus_accepts_the_alert_rules_and_the_metrics(start: Callable[..., RunningServer]) -> None:
    port = free_port()
    server = start(f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
    with connect_as(server, "bob") as client:
        client.read_until()
    figures_now = get(port, "/metrics")[1]
    for words, given in (("rules", None), ("metrics", figures_now)):
        command = ["promtool", "check", words, *([] if given else [str(DOCS / "prometheus-alerts.yml")])]
        found = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
        assert (found.returncode, found.stderr) == (0, ""), found.stdout
