"""The file of a backup: whatever was done to it, it is taken as a whole or refused in one line."""

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telnetsd.administration.backup.archive import extract
from telnetsd.administration.backup.making import make_backup
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home

PASSPHRASE = b"correct horse"


@pytest.fixture(scope="module")
def backup(made_home: Home, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("backup")
    home, target = Home(folder / "home"), folder / "b.tar.zst"
    shutil.copytree(made_home.root, home.root)
    make_backup(home, target, PASSPHRASE, has_recordings=False)
    return target.read_bytes()


def take(content: bytes, folder: Path, public_keys: Path | None = None) -> None:
    (folder / "b").write_bytes(content)
    (folder / "out").mkdir(exist_ok=True)
    extract(folder / "b", folder / "out", public_keys)


def members_of(content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    plain = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content)).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return [(one, file.read() if (file := tar.extractfile(one)) else b"") for one in tar]


def packed(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    return zstandard.ZstdCompressor().compress(plain.getvalue())


def test_a_backup_lists_its_files_and_no_private_key_is_readable_in_it(backup: bytes, made_home: Home) -> None:
    members = members_of(backup)
    names = [one.name for one, _ in members]
    assert {"telnetsd.toml", "state.db", "certs/ca.pem", "audit/audit.jsonl", "audit/audit.seal"} <= set(names)
    assert names[-3:] == ["keys.box", "manifest.json", "manifest.sig"]
    assert not any(name.endswith((".key", ".p12")) for name in names)
    secret = made_home.ca_key.read_bytes().splitlines()[1]
    assert all(secret not in content and b"PRIVATE KEY" not in content for _, content in members)


def test_the_keys_open_only_with_their_passphrase(backup: bytes, made_home: Home, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(backup)
    (tmp_path / "out").mkdir()
    extracted = extract(tmp_path / "b", tmp_path / "out", None)
    assert extracted.keys(PASSPHRASE)["certs/ca.key"] == made_home.ca_key.read_bytes()
    with pytest.raises(OperatorError, match="the passphrase does not open the keys of this backup"):
        extracted.keys(b"another")


def rename(to: str) -> Callable[[tarfile.TarInfo], None]:
    return lambda member: setattr(member, "name", to)


def become(kind: bytes, target: str = "") -> Callable[[tarfile.TarInfo], None]:
    def change(member: tarfile.TarInfo) -> None:
        member.type, member.linkname, member.size = kind, target, 0

    return change


@pytest.mark.parametrize(
    "change",
    [
        rename("/etc/passwd"),
        rename("certs/../../escaped"),
        rename("certs/./x"),
        rename("certs//x"),
        rename("../escaped"),
        rename("run/control.sock"),
        rename("certs/.staged/x/manifest.json"),
        rename("certs/\x1b]0;x"),
        rename("certs"),
        rename("state.db/x"),
        rename("certs/" + "/".join("a" * 9) + "/x"),
        become(tarfile.SYMTYPE, "/etc/passwd"),
        become(tarfile.LNKTYPE, "state.db"),
        become(tarfile.DIRTYPE),
        become(tarfile.FIFOTYPE),
        become(tarfile.CHRTYPE),
    ],
    ids=lambda change: getattr(change, "__name__", ""),
)
def test_only_regular_files_with_the_paths_of_an_installation_are_taken(
    change: Callable[[tarfile.TarInfo], None], backup: bytes, tmp_path: Path
) -> None:
    members = members_of(backup)
    change(members[1][0])
    with pytest.raises(OperatorError, match="is not a whole backup of telnetsd: .*; use another copy"):
        take(packed(members), tmp_path)
    outside = [one for one in tmp_path.rglob("*") if one.is_file() and one.parent == tmp_path]
    assert outside == [tmp_path / "b"]


def test_a_member_that_comes_twice_is_refused(backup: bytes, tmp_path: Path) -> None:
    members = members_of(backup)
    with pytest.raises(OSError, match="File exists"):
        take(packed([*members[:2], *members]), tmp_path)


@pytest.mark.parametrize("what", ["removed", "added", "changed"])
def test_a_backup_whose_files_are_not_those_of_its_manifest_is_refused(
    what: str, backup: bytes, tmp_path: Path
) -> None:
    members = members_of(backup)
    if what == "removed":
        del members[1]
    elif what == "added":
        members.insert(0, (tarfile.TarInfo("certs/trust/mine.pem"), b""))
    else:
        member, content = members[1]
        members[1] = member, bytes(reversed(content))
    with pytest.raises(OperatorError, match="was changed: its files are not those of its manifest"):
        take(packed(members), tmp_path)


def test_a_manifest_that_the_audit_key_did_not_sign_is_refused(backup: bytes, tmp_path: Path) -> None:
    members = members_of(backup)
    member, content = members[-2]
    changed = content.replace(b'"taken_at": "2', b'"taken_at": "1')
    assert changed != content
    members[-2] = member, changed
    with pytest.raises(OperatorError, match="was not signed by the audit key of the installation in it"):
        take(packed(members), tmp_path)


def test_a_backup_of_another_installation_is_refused_by_its_key(backup: bytes, tmp_path: Path, home: Home) -> None:
    from telnetsd.audit.key import make_audit_key

    home.audit_public_keys.unlink()
    make_audit_key(home)
    with pytest.raises(OperatorError, match=f"was not signed by the audit key of {home.audit_public_keys}"):
        take(backup, tmp_path, home.audit_public_keys)


def test_a_backup_of_a_later_format_names_the_version_to_install(backup: bytes, tmp_path: Path) -> None:
    members = members_of(backup)
    member, _ = members[-2]
    content = b'{"format": 2, "telnetsd": "9.0"}'
    member.size = len(content)
    members[-2] = member, content
    with pytest.raises(OperatorError, match="was made by telnetsd 9.0; install that version"):
        take(packed(members), tmp_path)


def test_a_backup_without_its_manifest_is_said_to_be_cut_off(backup: bytes, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="was cut off: it has no manifest"):
        take(packed(members_of(backup)[:-2]), tmp_path)


def is_refused_or_whole(content: bytes, folder: Path, backup: bytes) -> bool:
    """Tell whether a changed backup is refused, or gives every file as it was: padding and times may differ."""
    try:
        take(content, folder)
    except (OperatorError, FileExistsError):
        return True
    files = {one.name: content for one, content in members_of(backup)[:-3]}
    return all((folder / "out" / name).read_bytes() == content for name, content in files.items())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_a_backup_that_was_cut_or_changed_anywhere_is_refused_or_whole(
    data: st.DataObject, backup: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    at = data.draw(st.integers(0, len(backup) - 1))
    if data.draw(st.booleans()):
        content = backup[:at]
    else:
        content = backup[:at] + bytes([backup[at] ^ data.draw(st.integers(1, 255))]) + backup[at + 1 :]
    assert is_refused_or_whole(content, tmp_path_factory.mktemp("changed"), backup)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_a_tar_that_was_changed_anywhere_is_refused_or_whole(
    data: st.DataObject, backup: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plain = bytearray(zstandard.ZstdDecompressor().stream_reader(io.BytesIO(backup)).read())
    heads = [512 * number for number in range(len(plain) // 512)]
    at = data.draw(st.sampled_from(heads)) + data.draw(st.integers(0, 511))
    plain[at] ^= data.draw(st.integers(1, 255))
    content = zstandard.ZstdCompressor().compress(bytes(plain))
    assert is_refused_or_whole(content, tmp_path_factory.mktemp("changed"), backup)


def test_a_fifo_in_place_of_a_backup_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "b")
    with pytest.raises(OSError, match="not a regular file"):
        extract(tmp_path / "b", tmp_path, None)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_long_header_is_refused_before_it_is_read(kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = kind, 2**40
    content = zstandard.ZstdCompressor().compress(member.tobuf(tarfile.PAX_FORMAT)[-512:] + bytes(10240))
    with pytest.raises(OperatorError, match="is not a whole backup of telnetsd"):
        take(content, tmp_path)


def test_a_manifest_that_is_nested_too_deeply_is_refused(backup: bytes, tmp_path: Path) -> None:
    members = members_of(backup)
    member, content = members[-2]
    content = b'{"format": 1, "telnetsd": "x", "deep": ' + b"[" * 200_000
    member.size = len(content)
    members[-2] = member, content
    with pytest.raises(OperatorError, match="the manifest of .* cannot be read"):
        take(packed(members), tmp_path)


@pytest.mark.parametrize("name", ["bob.P12", "ca-key.der", "ops.secret", "bob.p12.bak"])
def test_a_file_that_is_no_certificate_is_left_out_like_a_private_key(name: str, home: Home, tmp_path: Path) -> None:
    (home.certs_folder / name).write_bytes(b"\x30\x82secret")
    made = make_backup(home, tmp_path / "b", None, has_recordings=False)
    assert f"certs/{name}" in made.keys
    assert f"certs/{name}" not in [one.name for one, _ in members_of((tmp_path / "b").read_bytes())]
