"""Passphrases: from a file, from the environment, or typed at the terminal."""

import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from telnetsd.administration.authority.authorities import (
    PASSPHRASE_VARIABLE,
    AskPassphrase,
    passphrase_of_environment,
)
from telnetsd.errors import OperatorError

PASSPHRASE_MAX_BYTES: Final = 512
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help=f"The passphrase of the CA's key, if it is encrypted; default: ${PASSPHRASE_VARIABLE}, else a prompt.",
    ),
]
ServerPassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help=f"The passphrase of the CA's key, if it is encrypted; default: ${PASSPHRASE_VARIABLE}, no prompt.",
    ),
]
PasswordFileOption = Annotated[
    Path | None, typer.Option("--password-file", metavar="FILE", help="Encrypt NAME.p12 with the password in FILE.")
]
PasswordOption = Annotated[bool, typer.Option("--password", help="Ask for a password, and encrypt NAME.p12 with it.")]


def passphrase_from(file: Path | None, *, is_person_asked: bool = True) -> AskPassphrase:
    """Return a function that finds the passphrase of the CA's key, at most once, and only when it is needed."""
    found: list[bytes] = []

    def ask() -> bytes:
        if not found:
            found.append(_find(file, is_person_asked=is_person_asked))
        return found[0]

    return ask


def new_passphrase(file: Path | None, what: str) -> bytes:
    """Return a passphrase to lock something with: from a file, from the environment, or typed twice.

    Raises:
        OperatorError: There is none, or the two entries differ.
    """
    if file is not None:
        return read_passphrase(file)
    if what == "the CA's key" and os.environ.get(PASSPHRASE_VARIABLE):
        return passphrase_of_environment()
    if not sys.stdin.isatty():
        raise OperatorError(f"no terminal to ask for a passphrase for {what}; give it in a file")
    first = getpass.getpass(f"new passphrase for {what}: ")
    if not first:
        raise OperatorError("an empty passphrase protects nothing; try again")
    if getpass.getpass("repeat it: ") != first:
        raise OperatorError("the two do not match; try again")
    return first.encode()


def read_passphrase(file: Path) -> bytes:
    """Return the first line of a file.

    Raises:
        OperatorError: It cannot be read, or is empty.
    """
    try:
        line = file.read_bytes().split(b"\n", 1)[0].rstrip(b"\r")
    except OSError as error:
        raise OperatorError(f"cannot read {file}: {error.strerror}; check its path and mode") from error
    if not line:
        raise OperatorError(f"{file} is empty; write the passphrase into its first line")
    try:
        line.decode()
    except UnicodeDecodeError:
        raise OperatorError(f"the first line of {file} is not UTF-8; write another passphrase") from None
    if len(line) > PASSPHRASE_MAX_BYTES:
        raise OperatorError(
            f"the first line of {file} is too long: a passphrase has at most {PASSPHRASE_MAX_BYTES} bytes"
        )
    return line


def pkcs12_password(file: Path | None, *, is_asked: bool) -> bytes | None:
    """Return the password for NAME.p12; None if it is not locked."""
    if file is None and not is_asked:
        return None
    return new_passphrase(file, "NAME.p12")


def password_from(file: Path | None, what: str) -> Callable[[], bytes]:
    """Return a function that finds the password of something that a user was given: from a file, or typed."""

    def ask() -> bytes:
        if file is not None:
            return read_passphrase(file)
        if not sys.stdin.isatty():
            raise OperatorError(f"{what} is encrypted; give its password with --password-file FILE")
        return getpass.getpass(f"password of {what}: ").encode()

    return ask


def _find(file: Path | None, *, is_person_asked: bool) -> bytes:
    if file is not None:
        return read_passphrase(file)
    if os.environ.get(PASSPHRASE_VARIABLE) or not is_person_asked or not sys.stdin.isatty():
        return passphrase_of_environment()
    return getpass.getpass("current passphrase of the CA's key: ").encode()
