"""A machine that stops at any moment leaves a change complete or absent, and two operators do not interfere."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from support.client import connect_as
from support.command_line import done, refused
from support.homes import add
from support.machine import DEADLINE_S
from support.server import RunningServer, action_of, get, read_events
from telnetsd.administration.authority.authorities import passphrase_of_environment
from telnetsd.administration.authority.revocation import RevocationTarget, revoke
from telnetsd.administration.authority.rotation import rotate
from telnetsd.administration.enrolment.upkeep import keep_up
from telnetsd.administration.installation.change import changing, recover
from telnetsd.administration.installation.generation import load_home_trust
from telnetsd.administration.installation.operator import by_operator
from telnetsd.administration.users.credentials import user_files
from telnetsd.events.of_changes import UserRemoved
from telnetsd.events.reason import RevocationReason
from telnetsd.files.home import Home
from telnetsd.pki.keys import KeyType
from telnetsd.state.opening import open_store

pytestmark = pytest.mark.unmeasured


def die_at(moment: int, work: Callable[[], object]) -> bool:
    """Do some work in a process that kills itself at a moment; return False if the work was done before.

    The moments are the audit events of Python's runtime: a file is opened, renamed or removed, a lock is taken, a
    database is opened.
    """
    child = os.fork()
    if child == 0:
        left = moment

        def count(event: str, _: tuple[object, ...]) -> None:
            nonlocal left
            if event.partition(".")[0] in {"open", "os", "fcntl", "shutil", "sqlite3"}:
                left -= 1
                # The kill itself is an event.
                if left == -1:
                    os.kill(os.getpid(), signal.SIGKILL)

        # Most children lose their coverage data when they are killed, so measuring it would only take time.
        sys.settrace(None)
        try:
            sys.addaudithook(count)
            work()
        finally:
            # Events at the end of the runtime are not part of the work.
            left = -1
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def killed_at_each_moment(
    work: Callable[[int], object], prepare: Callable[[int], object] = lambda _: None
) -> Iterator[int]:
    """Repeat some work, killed at the first moment, then at the second, and so on until the work is done."""
    for moment in itertools.count():
        prepare(moment)
        if not die_at(moment, partial(work, moment)):
            assert moment > 20, "it was not killed often enough to say anything"
            return
        yield moment


def name_for(moment: int) -> str:
    return "u" + "".join(chr(97 + int(digit)) for digit in f"{moment:03}") + "x"


def files_of(home: Home, name: str) -> set[str]:
    files = user_files(home, name)
    return {path.suffix for path in (files.certificate, files.key, files.pkcs12) if path.exists()}


def test_user_add_killed_at_any_moment_leaves_the_complete_user_or_nothing(home: Home) -> None:
    outcomes = set()
    for moment in killed_at_each_moment(lambda moment: add(home, name_for(moment), key_type=KeyType.ED25519)):
        name = name_for(moment)
        recover(home)
        is_there = user_exists(home, name)
        assert files_of(home, name) == ({".pem", ".key", ".p12"} if is_there else set())
        told = [action_of(one) for one in read_events(home) if f"user {name} was added" in str(one["message"])]
        if is_there:
            assert told == ["user-added"]
        else:
            assert told in ([], ["change-undone"], ["user-added", "change-undone"])
        outcomes.add((is_there, tuple(told)))
    assert len(outcomes) == 4, "every outcome was met"
    assert list(home.staging_folder.iterdir()) == []


def copied(home: Home, moment: int) -> Home:
    """A home folder for one moment, so that the results of earlier moments do not count."""
    copy = Home(home.root.parent / f"at-{moment}")
    if not copy.root.exists():
        shutil.copytree(home.root, copy.root)
    return copy


def test_a_revocation_killed_at_any_moment_is_complete_or_absent_and_reaches_the_crl(home: Home) -> None:
    def work(moment: int) -> None:
        revoke(copied(home, moment), RevocationTarget(("bob",)), RevocationReason.UNSPECIFIED, by_operator())

    outcomes = set()
    for moment in killed_at_each_moment(work, partial(copied, home)):
        copy = copied(home, moment)
        recover(copy)
        with closing(open_store(copy)) as state:
            (certificate,) = state.certificates.of_user("bob")
        told = [action_of(one) for one in read_events(copy) if "of bob was revoked" in str(one["message"])]
        if certificate.revocation is not None:
            assert told == ["certificate-revoked"]
            keep_up(copy, passphrase_of_environment)
            (crl,) = (x509.load_pem_x509_crl(path.read_bytes()) for path in copy.crl_folder.iterdir())
            assert [f"{entry.serial_number:X}" for entry in crl] == [certificate.serial_number]
        else:
            assert told in ([], ["change-undone"], ["certificate-revoked", "change-undone"])
        outcomes.add(certificate.revocation is not None)
    assert outcomes == {True, False}


def test_a_rotation_killed_at_any_moment_leaves_a_ca_that_can_issue(home: Home) -> None:
    for moment in killed_at_each_moment(lambda moment: rotate(copied(home, moment)), partial(copied, home)):
        copy = copied(home, moment)
        recover(copy)
        add(copy, "carol", key_type=KeyType.ED25519)
        roots = x509.load_pem_x509_certificates(copy.ca_certificate.read_bytes())
        leaf = x509.load_pem_x509_certificates(user_files(copy, "carol").certificate.read_bytes())[0]
        leaf.verify_directly_issued_by(roots[0])
        load_home_trust(copy)


def user_exists(home: Home, name: str) -> bool:
    with closing(open_store(home)) as state:
        return state.users.has(name)


def test_a_user_whose_addition_was_interrupted_after_the_commit_can_log_in(
    home: Home, start: Callable[..., RunningServer]
) -> None:
    name = next(
        name_for(moment)
        for moment in killed_at_each_moment(lambda moment: add(home, name_for(moment)))
        if user_exists(home, name_for(moment))
    )
    assert files_of(home, name) < {".pem", ".key", ".p12"}
    server = start()
    with connect_as(server, name) as client:
        client.read_until(f"{name}> ".encode())


def test_two_operators_who_add_the_same_name_at_once_add_it_once(home: Home) -> None:
    command = [sys.executable, "-m", "telnetsd", "user", "add", "carol", "--home", str(home.root)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate(timeout=DEADLINE_S)[1] for one in both]
    assert sorted(one.returncode for one in both) == [0, 1]
    assert any(one.endswith("user carol already exists; see: telnetsd user show carol\n") for one in said)
    added = [
        one for one in read_events(home) if action_of(one) == "user-added" and get(one, "user.target.name") == "carol"
    ]
    assert len(added) == 1
    files = user_files(home, "carol")
    leaf = x509.load_pem_x509_certificates(files.certificate.read_bytes())[0]
    assert load_pem_private_key(files.key.read_bytes(), None).public_key() == leaf.public_key()


def test_a_change_that_raises_leaves_no_file_no_event_and_no_row(home: Home) -> None:
    events = read_events(home)

    def change_and_fail() -> None:
        with changing(home, {}) as change:
            change.state.users.remove("bob")
            change.write_public(home.root / "certs" / "new.pem", b"x")
            change.record(UserRemoved(message="bob was removed", name="bob", roles=()))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_and_fail()
    assert read_events(home) == events
    assert user_exists(home, "bob")
    assert not (home.root / "certs" / "new.pem").exists()
    assert list(home.staging_folder.iterdir()) == []


def test_commands_without_a_home_folder_create_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for words in (("user", "revoke", "bob"), ("user", "add", "x"), ("ca", "crl"), ("trust", "add", "x.pem")):
        refused(home, *words)
    assert list(tmp_path.iterdir()) == []
    done(home, "init")
