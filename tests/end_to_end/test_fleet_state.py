"""Many servers as one: a change at one node counts at all of them, whatever becomes of the engine."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.command_line import done, refused, telnetsd
from support.fleet import (
    SUBJECTS,
    Fleet,
    catch_up,
    content,
    cut,
    describe,
    join,
    log_in,
    pending,
    position,
    running_fleet,
)
from support.homes import add
from support.machine import DEADLINE_S
from support.server import RunningServer, action_of, get, read_events, wait_for_event, wait_until
from telnetsd.administration.installation.change import changing, recover
from telnetsd.administration.installation.operator import by_operator
from telnetsd.administration.installation.turn import GiveTurn
from telnetsd.administration.users.credentials import user_files
from telnetsd.config.loading import load_settings
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home
from telnetsd.fleet.access import load_access
from telnetsd.fleet.connection import Access, Connection, EngineError, open_connection
from telnetsd.fleet.credentials import Token, make_user_seed
from telnetsd.identity.outcome import User
from telnetsd.state.fleet import Capability
from telnetsd.state.opening import open_store

pytestmark = pytest.mark.first


@pytest.fixture(scope="module")
def shared_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
def fleet(shared_fleet: Fleet) -> Iterator[Fleet]:
    """The nodes and their engine; what a test has ended of it is started again for the next one."""
    yield shared_fleet
    shared_fleet.put_right()


@pytest.fixture
def own_fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet that the test may leave broken."""
    with running_fleet(tmp_path) as running:
        yield running


def has_applied(home: Home, words: str) -> bool:
    """Tell whether a node's log has a change of another node."""
    return any(
        action_of(event) == "fleet-change-applied" and words in event["message"] for event in read_events(home)
    )


def revocation_of(home: Home, name: str) -> str:
    """Return why a user's certificate is revoked at a node; empty if it is not."""
    with closing(open_store(home)) as state:
        found = state.users.require(name).certificates[0].revocation
        return "" if found is None else found.reason.value


def test_a_user_who_is_added_at_one_node_logs_in_at_another_and_a_revocation_ends_the_session_there(
    fleet: Fleet,
) -> None:
    first, second, edge = fleet.serve()
    done(first.home, "user", "add", "bob")
    wait_until(lambda: has_applied(edge.home, "user bob was added"), "the change at the other node")
    with log_in(edge, "bob", first.home) as client:
        assert "bob" in client.read_until()
        said = done(second.home, "user", "revoke", "bob")
        assert re.search(r"^3 of \d nodes have it", said, re.MULTILINE)
        assert "revoked" in client.read_to_end()
    ended = edge.session_from(client.port, "session-ended")
    assert get(ended, "event.reason") == "certificate-revoked"
    assert has_applied(edge.home, "of bob was revoked")
    revoked = [event for event in second.events() if action_of(event) == "certificate-revoked"]
    assert [get(event, "user.target.name") for event in revoked].count("bob") == 1
    fleet.wait_alike()
    assert pending(second.home) == pending(edge.home) == 0


def test_a_node_that_may_only_take_away_puts_on_hold_and_one_that_may_do_more_confirms_or_lifts_it(
    fleet: Fleet,
) -> None:
    founder, second, edge = fleet.homes
    fleet.serve()
    for name in ("ben", "cora"):
        add(founder, name)
    catch_up(edge)
    assert "the node edge may not make this change" in refused(edge, "user", "change", "ben", "--role", "operator")
    assert "put ben on hold: telnetsd user revoke ben" in refused(edge, "user", "remove", "ben")
    said = done(edge, "user", "revoke", "ben")
    assert "is on hold\n" in said
    assert "on a node that may do more, confirm it with the same command" in said
    done(edge, "user", "revoke", "cora", "--reason", "keyCompromise")
    fleet.wait_alike()
    assert "nothing to revoke" in refused(edge, "user", "revoke", "ben")
    done(second, "user", "revoke", "ben", "--reason", "keyCompromise")
    done(second, "user", "restore", "cora")
    fleet.wait_alike()
    for home in fleet.homes:
        assert (revocation_of(home, "ben"), revocation_of(home, "cora")) == ("keyCompromise", "")


def test_of_two_nodes_that_add_the_same_name_at_once_one_succeeds_and_the_other_reads_that_it_is_taken(
    fleet: Fleet,
) -> None:
    fleet.serve()
    barrier = threading.Barrier(2)

    def add_it(home: Home) -> str:
        command = [sys.executable, "-m", "telnetsd", "--home", str(home.root), "user", "add", "zora", "--mapped"]
        barrier.wait()
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        return "added" if finished.returncode == 0 else finished.stderr

    with ThreadPoolExecutor(2) as threads:
        outcomes = sorted(threads.map(add_it, fleet.homes[:2]), key=len)
    assert outcomes[0] == "added"
    assert "user zora already exists" in outcomes[1]
    fleet.wait_alike()


def test_a_change_gets_its_answer_although_the_leading_server_of_the_engine_dies(fleet: Fleet) -> None:
    fleet.serve()
    fleet.leader().kill()
    done(fleet.homes[1], "user", "add", "zeno", "--mapped")
    fleet.wait_alike()


def test_without_the_engines_majority_grants_are_refused_in_words_and_a_revocation_counts_where_it_is_typed(
    fleet: Fleet,
) -> None:
    first, second, edge = fleet.serve()
    add(first.home, "bart")
    catch_up(edge.home)
    with log_in(edge, "bart", first.home) as client:
        client.read_until()
        cut(fleet.engines[1:])
        words = refused(second.home, "user", "add", "zelda", "--mapped")
        assert re.search("nothing was changed: |whether it was changed is not known yet: ", words)
        said = done(edge.home, "user", "revoke", "bart")
        assert "it is not in the fleet's stream yet" in said
        assert "is on hold" in client.read_to_end()
    assert pending(edge.home) == 1
    for engine in fleet.engines[1:]:
        engine.start()
    wait_until(lambda: pending(edge.home) == 0, "the change in the stream")
    fleet.wait_alike()
    assert revocation_of(first.home, "bart") == "certificateHold"


def test_with_all_of_the_engine_gone_a_node_that_is_restarted_serves_its_users(fleet: Fleet) -> None:
    add(fleet.founder, "burt")
    catch_up(fleet.homes[2])
    cut(fleet.engines)
    (edge,) = fleet.serve(2)
    with log_in(edge, "burt", fleet.founder) as client:
        assert "burt" in client.read_until()
    state = describe(edge.home)
    assert (state.server, state.is_current, state.last) == ("", False, None)
    assert state.problem
    assert "nothing was changed: the engine cannot be reached" in refused(
        fleet.homes[1], "user", "add", "zita", "--mapped"
    )


def test_what_is_revoked_at_two_cut_off_nodes_counts_at_both_and_everywhere_when_the_engine_is_back(
    fleet: Fleet,
) -> None:
    first, second, edge = fleet.serve()
    for name in ("brad", "cleo", "doris"):
        add(first.home, name)
    fleet.wait_alike()
    cut(fleet.engines)
    done(edge.home, "user", "revoke", "brad")
    done(second.home, "user", "remove", "brad")
    done(second.home, "user", "revoke", "cleo", "--reason", "keyCompromise")
    done(first.home, "user", "revoke", "cleo", "--reason", "certificateHold")
    done(edge.home, "user", "revoke", "doris")
    for engine in fleet.engines:
        engine.start()
    wait_until(lambda: not any(pending(home) for home in fleet.homes), "every change in the stream")
    fleet.wait_alike()
    for home in fleet.homes:
        with closing(open_store(home)) as state:
            assert [name in state.users.names() for name in ("brad", "cleo", "doris")] == [False, True, True]
        assert (revocation_of(home, "cleo"), revocation_of(home, "doris")) == ("keyCompromise", "certificateHold")


def test_a_change_whose_outcome_was_not_known_is_completed_when_the_stream_has_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = GiveTurn.commit

    def commit_and_die(turn: GiveTurn, *arguments: object) -> None:
        commit(turn, *arguments)  # type: ignore[arg-type]
        raise OperatorError("the machine stops here")

    monkeypatch.setattr(GiveTurn, "commit", commit_and_die)
    with pytest.raises(OperatorError, match="the machine stops here"):
        add(fleet.founder, "boris")
    monkeypatch.undo()
    recover(fleet.founder)
    catch_up(fleet.founder)
    assert user_files(fleet.founder, "boris").key.exists()
    fleet.serve()
    fleet.wait_alike()
    undone = [event for event in read_events(fleet.founder) if action_of(event) == "change-undone"]
    assert not any("boris" in event["message"] for event in undone)


def test_a_change_that_did_not_come_into_the_stream_is_undone_when_another_one_has_its_place(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(turn: GiveTurn, *_: object) -> None:
        turn.is_undecided = True
        raise OperatorError("the machine stops here")

    monkeypatch.setattr(GiveTurn, "commit", die)
    with pytest.raises(OperatorError):
        add(fleet.founder, "bella")
    monkeypatch.undo()
    recover(fleet.founder)
    assert len(list(fleet.founder.staging_folder.iterdir())) == 1
    done(fleet.homes[1], "user", "add", "zed", "--mapped")
    catch_up(fleet.founder)
    recover(fleet.founder)
    wait_for_event(
        fleet.founder,
        lambda event: action_of(event) == "change-undone" and "user bella was added" in event["message"],
    )
    assert not user_files(fleet.founder, "bella").key.exists()
    assert list(fleet.founder.staging_folder.iterdir()) == []


def test_a_node_whose_state_was_restored_from_a_backup_gets_what_it_lacks_again(fleet: Fleet, tmp_path: Path) -> None:
    second = fleet.homes[1]
    with closing(open_store(second)) as state:
        state.copy_to(tmp_path / "old.db")
    add(fleet.founder, "beth")
    catch_up(second)
    for path in second.root.glob("state.db*"):
        path.unlink()
    shutil.move(tmp_path / "old.db", second.state_file)
    catch_up(second)
    assert content(second) == content(fleet.founder)
    assert second.ca_certificate.read_bytes() == fleet.founder.ca_certificate.read_bytes()


def test_a_stream_that_was_set_back_stops_the_nodes_that_have_more_with_an_alarm(
    own_fleet: Fleet, tmp_path: Path
) -> None:
    add(own_fleet.founder, "bob")
    for engine in own_fleet.engines:
        engine.stop()
        shutil.copytree(engine.store, tmp_path / f"copy-{engine.settings.node}")
        engine.start()
    own_fleet.wait_led()
    add(own_fleet.founder, "carl")
    catch_up(own_fleet.homes[1])
    before = position(own_fleet.homes[1])
    for engine in own_fleet.engines:
        engine.stop()
        shutil.rmtree(engine.store)
        shutil.move(tmp_path / f"copy-{engine.settings.node}", engine.store)
        engine.start()
    (second,) = own_fleet.serve(1)
    stopped = second.wait_for(lambda event: action_of(event) == "fleet-stopped")
    assert get(stopped, "event.reason") == "lost-changes"
    assert get(stopped, "telnetsd.fleet.position") == before
    assert "this node applies no more changes: the stream ends at change" in refused(
        second.home, "user", "add", "zoe", "--mapped"
    )
    assert "the stream ends at change" in describe(second.home).problem
    with log_in(second, "carl", own_fleet.founder) as client:
        assert "carl" in client.read_until()


def test_a_server_of_the_engine_that_hangs_is_left_and_a_session_elsewhere_ends_all_the_same(fleet: Fleet) -> None:
    first, second, edge = fleet.serve()
    add(first.home, "basil")
    catch_up(edge.home)
    with log_in(edge, "basil", first.home) as client:
        client.read_until()
        server = describe(edge.home).server
        hung = next(one for one in fleet.engines if server.endswith(one.settings.engine.listen.rpartition(":")[2]))
        hung.signal(signal.SIGSTOP)
        try:
            done(second.home, "user", "revoke", "basil")
            assert "revoked" in client.read_to_end()
        finally:
            hung.signal(signal.SIGCONT)
    fleet.wait_alike()


def test_what_is_changed_while_nobody_serves_is_there_when_somebody_does(fleet: Fleet) -> None:
    with changing(fleet.founder, by_operator()) as change:
        change.state.users.add(User("zola", ("user",)), change.at, is_mapped=True)
    (edge,) = fleet.serve(2)
    wait_until(lambda: has_zoe(edge), "the change")


def has_zoe(server: RunningServer) -> bool:
    with closing(open_store(server.home)) as state:
        return state.users.has("zola")


def test_a_machine_joins_over_the_network_once_with_the_code_of_its_invitation(fleet: Fleet, tmp_path: Path) -> None:
    (first,) = fleet.serve(0)
    code = done(first.home, "fleet", "invite", "site-7").strip()
    where, site = f"localhost:{first.port}", Home(tmp_path / "site")
    wrong = f"{code[:8]}{'b' if code[8] == 'a' else 'a'}{code[9:]}"
    assert "the code is wrong, used up, or older than a day" in refused(site, "fleet", "join", where, wrong)
    failed = first.wait_for(lambda event: action_of(event) == "command-failed")
    assert get(failed, "event.reason") == "wrong-code"
    assert not site.root.exists()
    said = done(site, "fleet", "join", where, code)
    assert "site-7 is a node of the fleet acme" in said
    assert "the code is wrong" in refused(Home(tmp_path / "again"), "fleet", "join", where, code)
    admitted = [get(one, "telnetsd.fleet.node") for one in first.events() if action_of(one) == "fleet-node-admitted"]
    assert admitted.count("site-7") == 1
    assert code.split(".")[1] not in first.home.audit_file.read_text()
    other = f"{code.rpartition('.')[0]}.{'0' * 64}"
    assert "has another CA than the one that the invitation names" in refused(
        Home(tmp_path / "other"), "fleet", "join", where, other
    )
    done(site, "fleet", "status")
    assert content(site) == content(first.home)
    joined = RunningServer(site)
    try:
        assert {"edge", "hq-1", "hq-2", "site-7"} <= {one.name for one in describe(first.home).nodes}
    finally:
        joined.stop()
    assert "join with an empty home folder" in refused(site, "fleet", "join", where, code)


def test_a_token_lets_a_node_speak_for_itself_alone_and_what_it_says_in_vain_is_refused_by_all(fleet: Fleet) -> None:
    catch_up(fleet.founder)
    edge, before = 2, position(fleet.founder)

    async def try_everything(connection: Connection) -> list[str]:
        allowed = []
        for subject in (
            SUBJECTS.change("give", "edge"),
            SUBJECTS.change("give", "hq-1"),
            SUBJECTS.change("take", "hq-1"),
            SUBJECTS.life("hq-1"),
            f"$JS.API.STREAM.PURGE.{SUBJECTS.state}",
            f"$JS.API.STREAM.DELETE.{SUBJECTS.state}",
            f"$JS.API.STREAM.UPDATE.{SUBJECTS.state}",
            f"$JS.API.CONSUMER.CREATE.{SUBJECTS.state}.x",
            "$SYS.REQ.SERVER.PING",
        ):
            with contextlib.suppress(EngineError):
                await connection.ask(subject, b"{}", timeout_s=0.5)
                allowed.append(subject)
        await connection.put(SUBJECTS.change("take", "edge"), b"no change at all", timeout_s=DEADLINE_S)
        return allowed

    assert fleet.ask_engine(try_everything, edge) == []
    for home in fleet.homes:
        catch_up(home)
        refusal = next(one for one in reversed(read_events(home)) if action_of(one) == "fleet-change-refused")
        assert get(refusal, "event.reason") == "bad-signature"
        assert position(home) == before + 1


def test_no_node_reaches_more_of_the_engine_by_naming_a_subject_for_the_answer(fleet: Fleet) -> None:
    """The engine sends an answer to any subject that the asker names, and there it would be a question of its own."""
    catch_up(fleet.homes[2])
    before = content(fleet.founder)

    async def attack(connection: Connection) -> None:
        client: Any = connection._client
        await connection.put(SUBJECTS.life("edge"), b"{}", timeout_s=DEADLINE_S)
        for api in (SUBJECTS.api, "$JS.API"):
            for call in ("PURGE", "DELETE", "UPDATE"):
                for stream in (SUBJECTS.state, SUBJECTS.lease, SUBJECTS.nodes):
                    asked = f"{SUBJECTS.api}.DIRECT.GET.{SUBJECTS.nodes}"
                    wanted = json.dumps({"last_by_subj": SUBJECTS.life("edge")}).encode()
                    await client.publish(asked, wanted, reply=f"{api}.STREAM.{call}.{stream}")
        for stream in (SUBJECTS.state, SUBJECTS.lease):
            asked = f"{SUBJECTS.api}.STREAM.INFO.{stream}"
            await client.publish(asked, b"", reply=SUBJECTS.change("give", "hq-1"))
        await connection.ping(DEADLINE_S)

    fleet.ask_engine(attack, 2)
    for home in fleet.homes:
        catch_up(home)
    position_now, rows = content(fleet.founder)
    assert rows == before[1]
    assert position_now >= before[0]
    done(fleet.homes[1], "user", "add", "zadok", "--mapped")
    for home in fleet.homes:
        catch_up(home)
    assert len({repr(content(home)) for home in fleet.homes}) == 1


def test_the_engine_lets_in_nobody_without_a_certificate_of_the_fleet_and_a_token_for_its_key(fleet: Fleet) -> None:
    home = fleet.homes[2]
    with closing(open_store(home)) as state:
        access = load_access(home, load_settings(home.config_file).fleet, state.fleet.require_membership())
    other = Token(seed=make_user_seed(), jwt=access.token.jwt)
    stranger = ssl.create_default_context(cafile=str(home.fleet_ca_certificate))

    async def is_let_in(access: Access) -> bool:
        try:
            connection = await open_connection(access, access.servers[0])
        except EngineError:
            return False
        await connection.close()
        return True

    assert asyncio.run(is_let_in(access))
    assert not asyncio.run(is_let_in(replace(access, token=other)))
    assert not asyncio.run(is_let_in(replace(access, tls=stranger)))


def age(home: Home, seconds: float) -> None:
    """Let a node have been current so long ago."""
    then = time.time() - seconds
    os.utime(home.fleet_freshness, (then, then))


def test_a_node_that_is_cut_off_says_so_and_after_a_long_time_lets_in_whom_it_is_told_to(fleet: Fleet) -> None:
    edge = fleet.homes[2]
    for name, role in (("quinn", "user"), ("otto", "operator")):
        add(fleet.founder, name, role)
    catch_up(edge)
    configuration = edge.config_file.read_text()
    cut(fleet.engines)
    (server,) = fleet.serve(2)
    age(edge, 3600)
    with log_in(server, "quinn", fleet.founder) as client:
        words = r"this server is cut off from its fleet since (\d{4}-\d\d-\d\d at \d\d:\d\d) UTC"
        since = re.search(words, client.read_until())
        assert since is not None
    started = server.session_from(client.port)
    assert get(started, "telnetsd.fleet.cut_off_since")[:16] == since[1].replace(" at ", "T")
    finding = next(line for line in telnetsd(edge, "check").stdout.splitlines() if "cut off" in line)
    assert "warning" in finding
    age(edge, 8 * 86400)
    for policy, admitted in (("continue", {"quinn", "otto"}), ("operators", {"otto"}), ("refuse", set[str]())):
        edge.config_file.write_text(configuration.replace('name = "acme"', f'on_stale = "{policy}"\nname = "acme"'))
        done(edge, "reload")
        for name in ("quinn", "otto"):
            with log_in(server, name, fleet.founder) as client:
                said = client.read_until() if name in admitted else client.read_to_end()
            if name not in admitted:
                assert "refused: this server was cut off from its fleet for too long" in said
                assert get(server.session_from(client.port, "session-refused"), "event.reason") == "fleet-stale"
    assert "error" in next(line for line in telnetsd(edge, "check").stdout.splitlines() if "cut off" in line)
    edge.config_file.write_text(configuration)
    for engine in fleet.engines:
        engine.start()
    wait_until(lambda: time.time() - edge.fleet_freshness.stat().st_mtime < 60, "the node to be current")
    done(edge, "reload")
    with log_in(server, "quinn", fleet.founder) as client:
        assert "cut off" not in client.read_until()


def test_a_node_that_was_revoked_is_let_in_by_the_engine_no_longer_and_nothing_that_it_signs_counts(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.serve(0)
    site = Home(tmp_path / "site-8")
    join(fleet.founder, site, "site-8", (Capability.GIVE,))
    catch_up(site)
    server = RunningServer(site)
    try:
        assert "a node cannot revoke itself" in refused(site, "fleet", "revoke", "site-8")
        assert "this node may not revoke another one" in refused(fleet.homes[2], "fleet", "revoke", "site-8")
        catch_up(fleet.homes[1])
        assert "no node 'site-9'" in refused(fleet.homes[1], "fleet", "revoke", "site-9")
        done(fleet.homes[1], "fleet", "revoke", "site-8")
        assert "was revoked on" in refused(fleet.homes[1], "fleet", "revoke", "site-8")
        wait_until(lambda: not describe(site).server, "the end of its connection")
        assert "nothing was changed: the engine cannot be reached" in refused(site, "user", "add", "zach", "--mapped")
        assert "site-8" not in [node.name for node in describe(fleet.founder).nodes]
        assert "has, or had, a node site-8" in refused(fleet.founder, "fleet", "invite", "site-8")
    finally:
        server.stop()
    told = [one for one in read_events(fleet.homes[1]) if action_of(one) == "fleet-node-revoked"]
    assert [get(one, "telnetsd.fleet.node") for one in told] == ["site-8"]
