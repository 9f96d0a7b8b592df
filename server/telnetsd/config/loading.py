"""Reading `telnetsd.toml`: an error in the file is reported with its position."""

import difflib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from telnetsd.config.contradictions import contradictions
from telnetsd.config.key import section_of
from telnetsd.config.position import Position, SourceText
from telnetsd.config.settings import Settings
from telnetsd.config.wording import describe_wrong_value
from telnetsd.errors import OperatorError


def load_settings(path: Path) -> Settings:
    """Read the configuration; if the file is missing, every key has its default.

    Raises:
        OperatorError: The file cannot be read, is not TOML, or holds an unknown key or a wrong value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"cannot read {path.name}: {error}; check its mode and that it is UTF-8") from error
    return parse_settings(text, path.name)


def parse_settings(text: str, file_name: str) -> Settings:
    """Parse the configuration's text; error messages name the file as `file_name`.

    Raises:
        OperatorError: Not TOML, an unknown key, or a value outside its range.
    """
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise OperatorError(f"not valid TOML: {file_name}: {error}") from error
    source = SourceText(text, file_name)
    _refuse_unknown_keys(tree, Settings, (), source)
    try:
        # Keys of a TOML table are text: `strict` would refuse those of [classes.1].
        settings = msgspec.convert(tree, Settings, str_keys=True)
    except msgspec.ValidationError as error:
        raise OperatorError(describe_wrong_value(str(error), source)) from error
    for problem in contradictions(settings):
        raise OperatorError(f"wrong value in {file_name}: {problem}")
    return settings


def _refuse_unknown_keys(
    tree: dict[str, Any], section: type[msgspec.Struct], path: Position, source: SourceText
) -> None:
    known = {field.encode_name: field.type for field in msgspec.structs.fields(section)}
    for key, value in tree.items():
        here = (*path, key)
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            raise OperatorError(f"unknown key {key!r} in {source.place_of(here)}; {meant}")
        inner, form = section_of(known[key])
        if inner is not None:
            for below, one in _tables_in(value, is_alone=form == "[{}]"):
                _refuse_unknown_keys(one, inner, (*here, *below), source)


def _tables_in(value: object, *, is_alone: bool) -> Iterator[tuple[Position, dict[str, Any]]]:
    """Yield the tables in a value that stand for sections; a value that is not a table is refused later."""
    if isinstance(value, dict) and is_alone:
        yield (), value
    elif isinstance(value, dict):
        yield from (((key,), one) for key, one in value.items() if isinstance(one, dict))
    elif isinstance(value, list):
        yield from (((index,), one) for index, one in enumerate(value) if isinstance(one, dict))
