"""Reading and verifying the log on the command line, as an operator and as an auditor."""

import csv
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.audit import read_log
from support.client import connect_as
from support.command_line import done, refused, telnetsd
from support.machine import DEADLINE_S
from support.server import RunningServer, action_of, get
from telnetsd.files.home import Home

pytestmark = pytest.mark.unmeasured

ROTATING = "[audit]\nrotate_bytes = 8192\n"


@pytest.fixture
def told(start: Callable[..., RunningServer], home: Home) -> Home:
    """A home folder with a log in several files: sessions of bob and a guest, commands, and denials."""
    server = start(ROTATING)
    with connect_as(server, "bob") as bob, connect_as(server) as guest:
        bob.read_until()
        guest.read_until()
        for number in range(8):
            bob.command(f"echo bob {number}")
        guest.command("who")
        bob.command("kick 1234")
        bob.send(b"quit\r\n")
        bob.read_to_end()
    server.stop()
    return home


def bobs_session(home: Home) -> str:
    found = (one for one in read_log(home.audit_file) if get(one, "user.name") == "bob")
    return str(get(next(found), "telnetsd.session.id"))


def rows(text: str) -> list[list[str]]:
    """Return the cells of rows in a pipe: time with outcome and user, session, source, event, what."""
    return [re.split(r" {2,}", line) for line in text.splitlines()[1:]]


def test_tail_filters_events_and_shows_their_user_action_and_session(told: Home) -> None:
    shown = rows(telnetsd(told, "audit", "tail", "--user", "bob", "-n", "3").stdout)
    assert all(re.fullmatch(r"[\d-]+ [\d:]+ [SF] bob", row[0]) for row in shown)
    assert [row[3] for row in shown] == ["command-denied", "command-executed", "session-ended"]
    assert {row[1] for row in shown} == {bobs_session(told)[-8:]}
    denied = rows(telnetsd(told, "audit", "tail", "--failed").stdout)
    assert [row[0][20:] for row in denied] == ["F guest", "F bob"]
    assert rows(telnetsd(told, "audit", "tail", "--source", "192.0.2.0/24").stdout) == []
    assert len(rows(telnetsd(told, "audit", "tail", "--source", "127.0.0.0/8", "-n", "2").stdout)) == 2


def test_tail_reads_back_into_rotated_files(told: Home) -> None:
    every = [json.dumps(one, separators=(",", ":"), ensure_ascii=False) for one in read_log(told.audit_file)]
    assert len(every) > len(told.audit_file.read_text().splitlines())
    assert telnetsd(told, "audit", "tail", "-n", "1000", "--json").stdout.splitlines() == every


def test_search_finds_events_in_every_file(told: Home) -> None:
    found = telnetsd(told, "audit", "search", "--user", "bob", "--action", "command-*", "--json").stdout.splitlines()
    lines = [get(json.loads(line), "telnetsd.command.line") for line in found]
    assert lines == [*(f"echo bob {number}" for number in range(8)), "kick 1234", "quit"]
    session = bobs_session(told)
    by_session = telnetsd(told, "audit", "search", "--session", session[-8:], "--json").stdout.splitlines()
    assert len(by_session) == len(lines) + 2
    assert len(rows(telnetsd(told, "audit", "search", "--since", "1h", "--failed").stdout)) == 2
    nothing = telnetsd(told, "audit", "search", "--until", "2020-01-01")
    assert (nothing.returncode, nothing.stderr) == (1, "error: no matching events; use fewer filters\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--action", "command-exectued"], "there is no action 'command-exectued'; did you mean command-executed?"),
        (["--reason", "x"], "there is no reason 'x'"),
        (["--action", "line-up"], "use fewer filters"),
    ],
)
def test_where_nothing_matches_a_word_that_the_log_never_has_is_named(
    words: list[str], said: str, told: Home
) -> None:
    assert said in refused(told, "audit", "search", *words)
    assert said in refused(told, "audit", "tail", *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["search", "--since", ""], "not a time: ''; examples: 2h"),
        (["search", "--since", "soon"], "not a time: 'soon'; examples: 2h, yesterday, tuesday 14:00"),
        (["search", "--since", "1h", "--until", "yesterday"], "--since 1h is after --until yesterday"),
        (["search", "--failed", "--outcome", "success"], "use only one of --failed, --outcome success"),
        (["tail", "--source", "example.com"], "not an address or network: 'example.com'"),
    ],
)
def test_an_invalid_filter_is_a_usage_error(words: list[str], said: str, home: Home) -> None:
    done = telnetsd(home, "audit", *words)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_show_prints_the_complete_history_of_a_session(told: Home) -> None:
    session = bobs_session(told)
    story = telnetsd(told, "audit", "show", session[-8:]).stdout
    assert story.splitlines()[0] == f"session {session}"
    for pattern in (
        r"^  user +bob \(user\)$",
        r"^  roles +user$",
        r"^  from +127\.0\.0\.1:\d+$",
        r"^  tls +1\.3 ",
        r"^  certificate +verified$",
        r"^  subject +CN=bob$",
        r"^  SHA-256 +[0-9A-F]{64}$",
        r"^  length +\d+\.\d s, ended: quit$",
        r"^  \+ +0\.000 s  session-started +logged in$",
        r"^  \+ +\d+\.\d{3} s  command-executed +echo bob 7$",
        r"^  \+ +\d+\.\d{3} s  session-ended +the session ended \(quit\)$",
    ):
        assert re.search(pattern, story, re.MULTILINE), (pattern, story)
    as_json = json.loads(telnetsd(told, "audit", "show", session, "--json").stdout)
    assert (as_json["id"], as_json["is_over"], len(as_json["steps"])) == (session, True, 12)


def test_show_reports_an_ambiguous_session_id(start: Callable[..., RunningServer], home: Home) -> None:
    server = start()
    # Of seventeen ids, at least two have the same last digit.
    for _ in range(17):
        with connect_as(server) as guest:
            guest.read_until()
    server.stop()
    ids = [str(get(one, "telnetsd.session.id")) for one in read_log(home.audit_file)]
    (digit, count), *_ = Counter({one: one[-1] for one in ids if one != "None"}.values()).most_common()
    done = telnetsd(home, "audit", "show", digit)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {count} sessions match '{digit}': ")
    done = telnetsd(home, "audit", "show", "nonsense")
    assert done.stderr == "error: no sessions match 'nonsense'; see: telnetsd audit search\n"
    assert telnetsd(home, "audit", "show", "").returncode == 2


def test_stats_are_shown_as_bars_and_as_json(told: Home) -> None:
    figures = json.loads(telnetsd(told, "audit", "stats", "--json").stdout)
    assert figures["logins_by_user"] == {"bob": 1, "guest": 1}
    assert figures["refusals_by_reason"] == {"role-missing": 2}
    assert sum(figures["logins_by_hour"].values()) == 2
    charts = telnetsd(told, "audit", "stats").stdout
    assert re.search(r"^  bob +1 █+", charts, re.MULTILINE)
    assert len(re.findall(r"^  [0-2]\d +\d+ ", charts, re.MULTILINE)) == 24


def test_export_writes_json_csv_and_cef(told: Home, tmp_path: Path) -> None:
    as_json = telnetsd(told, "audit", "export").stdout.splitlines()
    assert [json.loads(line) for line in as_json] == read_log(told.audit_file)
    done = telnetsd(told, "audit", "export", "--format", "csv", "--action", "command-*", "-o", tmp_path / "x.csv")
    assert done.stderr == f"{tmp_path}/x.csv: 12 lines\n"
    found = list(csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text())))
    assert [one["command"] for one in found[:2]] == ["echo bob 0", "echo bob 1"]
    assert {one["subject"] for one in found} == {"CN=bob", ""}
    (serial,) = {one["serial_number"] for one in found if one["serial_number"]}
    for filters in ((), ("--action", "command-*"), ("--since", "1d", "--user", "bob")):
        selected = telnetsd(told, "audit", "search", "--certificate", serial, *filters, "--json").stdout.splitlines()
        assert sum('"command-executed"' in line for line in selected) == 9, filters
    cef = telnetsd(told, "audit", "export", "--format", "cef", "--failed").stdout.splitlines()
    assert [line.split("|")[4] for line in cef] == ["command-denied"] * 2


def test_an_auditor_needs_only_the_files_and_the_public_key(told: Home, tmp_path: Path) -> None:
    said = telnetsd(told, "audit", "verify")
    assert said.returncode == 0
    count = len(read_log(told.audit_file))
    assert said.stdout.splitlines()[0] == "intact"
    assert f"  lines 1 to {count} are intact, in " in said.stdout
    assert "  nothing is missing after them: the seal proves it" in said.stdout
    copy = tmp_path / "copy"
    shutil.copytree(told.audit_file.parent, copy)
    shutil.copy(told.audit_public_keys, tmp_path / "key.pem")
    files = sorted(copy.glob("*.jsonl*"))
    elsewhere = Home(tmp_path / "nowhere")
    done = telnetsd(elsewhere, "audit", "verify", "--key", tmp_path / "key.pem", *files)
    assert done.returncode == 0, done.stdout
    report = json.loads(
        telnetsd(elsewhere, "audit", "verify", "--json", "--key", tmp_path / "key.pem", *files).stdout
    )
    assert (report["damage"], report["events"], report["unsealed"]) == (None, count, 0)


def test_verify_names_the_first_bad_line_and_the_kind_of_damage(told: Home) -> None:
    content = told.audit_file.read_bytes()
    lines = content.splitlines(keepends=True)
    told.audit_file.write_bytes(b"".join([lines[0], *lines[2:]]))
    done = telnetsd(told, "audit", "verify")
    assert done.returncode == 1
    assert re.match(
        r"removed: audit\.jsonl line 2: number \d+ before it is missing\n  lines 1 to \d+ are intact", done.stdout
    )
    report = json.loads(telnetsd(told, "audit", "verify", "--json").stdout)
    assert (report["damage"]["kind"], report["damage"]["line"]) == ("removed", 2)


def test_an_exported_checkpoint_reveals_that_an_older_log_was_restored(told: Home, tmp_path: Path) -> None:
    state = tmp_path / "state"
    folder, before = told.audit_file.parent, tmp_path / "before"
    shutil.copytree(folder, before)
    assert telnetsd(told, "user", "add", "carol").returncode == 0
    done = telnetsd(told, "audit", "checkpoint", "-o", state)
    assert done.stdout.startswith(f"{state}: to prove later that the log contains it: telnetsd audit verify")
    assert telnetsd(told, "user", "add", "dora").returncode == 0
    said = telnetsd(told, "audit", "verify", "--checkpoint", state)
    assert said.returncode == 0
    assert f"  the exported checkpoint, line {get(json.loads(state.read_text()), 'event.sequence')}," in said.stdout
    # Restoring an older copy, including its seal, is detected by a checkpoint that was kept elsewhere.
    shutil.rmtree(folder)
    shutil.copytree(before, folder)
    assert telnetsd(told, "audit", "verify").returncode == 0
    said = telnetsd(told, "audit", "verify", "--checkpoint", state)
    assert said.returncode == 1
    assert said.stdout.startswith("truncated: audit.jsonl line ")
    state.write_text(state.read_text().replace("signed for", "signed by"))
    said = telnetsd(told, "audit", "verify", "--checkpoint", state)
    assert said.stderr.startswith(
        f"error: {state} is not what `audit checkpoint` exported: it does not match its hash"
    )


def test_a_new_audit_key_signs_from_then_on_and_the_previous_key_still_verifies(
    told: Home, start: Callable[..., RunningServer]
) -> None:
    former = json.loads(telnetsd(told, "audit", "key", "--json").stdout)["key_ids"]
    shown = telnetsd(told, "audit", "key", "--new").stdout
    keys = json.loads(telnetsd(told, "audit", "key", "--json").stdout)["key_ids"]
    assert keys[1:] == former
    assert f"  {keys[0]}  signs now\n  {keys[1]}  signed before" in shown
    server = start()
    done = telnetsd(told, "audit", "key", "--new")
    assert done.stderr.startswith("error: a server is already running on this home folder: process ")
    server.stop()
    events = read_log(told.audit_file)
    changed = next(one for one in events if action_of(one) == "audit-key-changed")
    assert get(changed, "telnetsd.audit.key_id") == keys[0]
    signers = [get(one, "telnetsd.checkpoint.key_id") for one in events if action_of(one) == "audit-checkpoint"]
    assert signers[0] == former[0]
    assert signers[-1] == keys[0]
    assert not [one for one in events if action_of(one) == "audit-damaged"]
    assert telnetsd(told, "audit", "verify").returncode == 0


def test_without_an_audit_key_nothing_is_written_and_the_error_names_the_remedy(home: Home) -> None:
    home.audit_key.unlink()
    for words in (["user", "add", "carol"], ["serve", "--listen", "127.0.0.1:0"], ["audit", "checkpoint"]):
        done = telnetsd(home, *words)
        assert done.returncode == 1
        remedy = "put it back, or create a new one: telnetsd audit key --new"
        assert done.stderr == f"error: no private key at certs/audit.key; {remedy}\n"
    assert telnetsd(home, "user", "show", "carol").returncode == 1
    assert telnetsd(home, "audit", "key", "--new").returncode == 0
    assert telnetsd(home, "user", "add", "carol").returncode == 0


def test_an_audit_key_readable_by_others_is_refused(home: Home) -> None:
    home.audit_key.chmod(0o640)
    done = telnetsd(home, "user", "add", "carol")
    assert done.stderr.startswith("error: private key open to others (mode 0640): certs/audit.key; run: chmod 600")


def test_terminal_colours_show_the_outcome_and_peer_text_cannot_control_the_terminal(
    home: Home, start: Callable[..., RunningServer]
) -> None:
    server = start()
    with connect_as(server, "bob") as bob:
        bob.read_until()
        bob.command("echo \x1b[31mred\x1b]0;title\x07")
        bob.command("\x1b[2Jclear")
        session = get(server.session_from(bob.port), "telnetsd.session.id")
    server.stop()
    for words in (["tail"], ["search", "--user", "bob"], ["show", session], ["stats"]):
        text = at_terminal(home, "audit", *words)
        codes = set(re.findall(r"\x1b(?:\[[0-9;?]*.|.)", text))
        colours = {"\x1b[31m", "\x1b[1;31m", "\x1b[32m", "\x1b[2;32m", "\x1b[39;49m"}
        assert codes <= {"\x1b[0m", "\x1b[1m", "\x1b[2m", *colours}, (words, codes)
        assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]", text)
    shown = at_terminal(home, "audit", "search", "--user", "bob", "--failed")
    assert "\x1b[1;31m F " in shown


def test_a_changed_line_shown_as_json_cannot_control_the_terminal(home: Home) -> None:
    with home.audit_file.open("ab") as file:
        file.write(b'{"message":"\x1b[2Jgone\xc2\x9b"}\n')
    shown = at_terminal(home, "audit", "tail", "-n", "1", "--json")
    assert shown.strip() == r'{"message":"\x1b[2Jgone\x9b"}'
    assert (
        telnetsd(home, "audit", "tail", "-n", "1", "--json").output
        == home.audit_file.read_bytes().splitlines()[-1] + b"\n"
    )


def test_an_export_is_readable_only_by_its_owner(told: Home, tmp_path: Path) -> None:
    telnetsd(told, "audit", "export", "-o", tmp_path / "log.json")
    assert (tmp_path / "log.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_broken_audit_key_can_be_replaced(content: bytes | None, home: Home) -> None:
    home.audit_key.write_bytes(content or b"")
    if content is None:
        home.audit_public_keys.unlink()
    assert "create a new one: telnetsd audit key --new" in telnetsd(home, "user", "add", "carol").stderr
    assert telnetsd(home, "audit", "key", "--new").returncode == 0
    assert telnetsd(home, "user", "add", "carol").returncode == 0


def test_verify_succeeds_while_a_server_writes_and_rotates(start: Callable[..., RunningServer], home: Home) -> None:
    server = start("[audit]\nrotate_bytes = 4096\n")
    with connect_as(server, "bob") as client:
        client.read_until()
        for number in range(15):
            client.send(b"".join(b"echo %d-%d\r\n" % (number, one) for one in range(10)))
            done = telnetsd(home, "audit", "verify")
            assert done.returncode == 0, done.stdout + done.stderr
        client.read_until(b"14-9\r\n")
    server.stop()


def at_terminal(home: Home, *words: str, columns: int = 120) -> str:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "telnetsd", "--home", str(home.root), *words]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:
                break
            text += chunk
        os.close(ours)
        assert process.wait(DEADLINE_S) == 0
    return text.decode()


def test_search_has_filters_for_lines_reasons_and_text(told: Home) -> None:
    def found(*words: str) -> list[str]:
        return [row[-1] for row in rows(telnetsd(told, "audit", "search", *words).stdout)]

    assert found("--reason", "role-*", "--user", "bob") == ["kick 1234 (role-missing)"]
    assert found("--text", "BOB 7") == ["echo bob 7"]
    assert telnetsd(told, "audit", "search", "--line", "nowhere").returncode == 1
    assert len(found("--outcome", "failure")) == 2
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert len(found("--since", today, "--until", today, "--utc", "--failed")) == 2


def test_a_person_sees_the_date_once_and_rows_that_fit_the_screen(told: Home) -> None:
    shown = at_terminal(
        told, "audit", "tail", "--user", "bob", "--source", "127.0.0.1", "--utc", columns=80
    ).splitlines()
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in shown]
    assert lines[0] == "time       user  event             what"
    assert re.fullmatch(r"[MTWFS][a-z]+day \d{4}-\d\d-\d\d \(UTC\)", lines[1])
    assert re.fullmatch(r"\d\d:\d\d:\d\d S bob   session-started   logged in", lines[2])
    assert re.fullmatch(r"\d\d:\d\d:\d\d F bob   command-denied    kick 1234 \(role-missing\)", lines[-3])
    assert max(map(len, lines)) <= 80
    narrow = at_terminal(
        told, "audit", "tail", "--user", "bob", "--source", "127.0.0.1", "--utc", columns=40
    ).splitlines()
    assert "bob   kick 1234" in narrow[-3]


def test_colours_can_be_kept_in_a_pipe(told: Home) -> None:
    assert "\x1b[" not in telnetsd(told, "audit", "tail").stdout
    shown = telnetsd(told, "audit", "tail", "--color", "always").stdout
    assert "\x1b[1;31m F " in shown
    assert telnetsd(told, "audit", "tail", "--color", "sometimes").returncode == 2


def test_a_report_is_written_for_its_owner_alone_and_says_whether_the_log_is_intact(
    told: Home, tmp_path: Path
) -> None:
    page = tmp_path / "november.html"
    said = done(told, "audit", "report", "--since", "1d", "-o", page)
    assert re.fullmatch(rf"{page}: \d+ events; the log is intact\n", said)
    assert page.stat().st_mode & 0o777 == 0o600
    text = page.read_text()
    assert "<td>bob</td>" in text
    assert "The log is intact." in text
    assert "<td>role-missing</td>" in text
    told.audit_file.write_bytes(told.audit_file.read_bytes().replace(b'"bob"', b'"eve"', 1))
    damaged = telnetsd(told, "audit", "report", "-o", page)
    assert (damaged.returncode, "the log is DAMAGED" in damaged.stdout) == (1, True)
    assert "THE LOG IS NOT INTACT." in page.read_text()
    nowhere = refused(told, "audit", "report", "-o", tmp_path / "no" / "x.html")
    assert nowhere == f"error: cannot write to {tmp_path}/no/x.html: No such file or directory"
    wrong = telnetsd(told, "audit", "report", "--since", "1h", "--until", "2h", "-o", page)
    assert wrong.returncode == 2
    empty = refused(Home(tmp_path / "empty"), "audit", "report", "-o", page)
    assert empty.startswith("error: no audit log at ")
