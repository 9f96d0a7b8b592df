"""Reading many users from a CSV file, and checking them all before the first is added."""

import csv
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from telnetsd.administration.authority.issuing import Grant, check_grant
from telnetsd.administration.users.credentials import GeneratedKey
from telnetsd.administration.users.names import look_alike
from telnetsd.administration.users.users import NewUser, check_new_user
from telnetsd.config.loading import load_settings
from telnetsd.config.settings import Settings
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.keys import KeyType
from telnetsd.state.opening import open_store

CHUNK_USERS: Final = 25
"""How many users are added together: all of them or none."""
USERS_MAX: Final = 100_000
_COLUMNS: Final = ("name", "roles", "class", "days", "key_type")


@dataclass(frozen=True, slots=True)
class Template:
    """The defaults for a row."""

    roles: tuple[str, ...]
    key_type: KeyType
    grant: Grant


CsvRow = tuple[NewUser, GeneratedKey, Grant]


def read_users(home: Home, file: Path, template: Template, *, is_skipping: bool) -> list[CsvRow]:
    """Read the users of a CSV file; roles in a row are separated by spaces.

    Args:
        home: The installation.
        file: The CSV file; its first line names the columns.
        template: The defaults for a row.
        is_skipping: Whether to skip the names of existing users.
    Raises:
        OperatorError: The file cannot be read, or one of its rows cannot be added.
    """
    settings = load_settings(home.config_file)
    taken = _taken_names(home)
    users: list[CsvRow] = []
    for number, cells in _read_rows(file):
        try:
            row = _parse_row(cells, template)
            name = row[0].user.name
            if is_skipping and name in taken:
                continue
            _check(row, settings, taken)
        except (OperatorError, ValueError) as error:
            raise OperatorError(f"{file} line {number}: {error}") from error
        taken.add(name)
        users.append(row)
    return users


def _taken_names(home: Home) -> set[str]:
    with closing(open_store(home)) as state:
        return set(state.users.names())


def _read_rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            reader = csv.DictReader(opened, restkey="", restval="")
            columns = list(reader.fieldnames or ())
            is_known = len(set(columns)) == len(columns) and set(columns) <= set(_COLUMNS)
            if not is_known or "name" not in columns:
                raise OperatorError(f"{file} line 1: the columns are {', '.join(_COLUMNS)}, and name is required")
            rows = [(reader.line_num, {str(key): str(value) for key, value in row.items()}) for row in reader]
    except OSError as error:
        raise OperatorError(f"cannot read {file}: {error.strerror}; check its path and mode") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise OperatorError(f"{file} is not a CSV file in UTF-8: {error}") from error
    if len(rows) > USERS_MAX:
        raise OperatorError(f"{file} has more than {USERS_MAX} users; split it")
    return rows


def _parse_row(cells: dict[str, str], template: Template) -> CsvRow:
    days, number = cells.get("days", "").strip(), cells.get("class", "").strip()
    if not all(text.isdecimal() for text in (days, number) if text):
        raise OperatorError("days and class are numbers")
    grant = Grant(
        int(days) if days else template.grant.days, int(number) if number else template.grant.assurance_class
    )
    kind = cells.get("key_type", "").strip()
    if kind and kind not in set(KeyType):
        raise OperatorError(f"unknown key type {kind!a}; use one of {', '.join(KeyType)}")
    roles = tuple(dict.fromkeys(cells.get("roles", "").split())) or template.roles
    user = User(cells["name"].strip(), roles)
    return NewUser(user), GeneratedKey(KeyType(kind) if kind else template.key_type), grant


def _check(row: CsvRow, settings: Settings, taken: set[str]) -> None:
    new, _, grant = row
    check_new_user(new.user, settings)
    check_grant(grant, settings)
    name = new.user.name
    if name in taken:
        raise OperatorError(f"user {name} already exists; add --skip-existing to skip existing users")
    similar = look_alike(name, taken)
    if similar is not None:
        raise OperatorError(f"{name} is easily mistaken for {similar}; add that one separately, with --allow-similar")
