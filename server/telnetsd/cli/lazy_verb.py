"""Verbs that are imported when they run: `--help` and completion of a verb's name import none of them."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

CONTEXT_SETTINGS: Final = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True, slots=True)
class Verb:
    """One row of the table of verbs.

    Attributes:
        name: What is typed.
        place: The function behind it, as `module:function` inside `telnetsd.cli`.
        summary: One sentence; the function's docstring begins with it.
        is_hidden: Whether only other programs use it.
    """

    name: str
    place: str
    summary: str
    is_hidden: bool = False

    def load(self) -> Callable[..., None]:
        """Import the function behind the verb."""
        module, _, function = self.place.partition(":")
        return cast("Callable[..., None]", getattr(importlib.import_module(f"telnetsd.cli.{module}"), function))


@dataclass(frozen=True, slots=True)
class Group:
    """Verbs that concern one thing."""

    name: str
    summary: str
    verbs: tuple[Verb, ...]


class VerbCommand(TyperCommand):
    """A verb whose help shows arguments as manual pages do: NAME, or [NAME] if it is optional."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401 -- typer's context is not public
        """See TyperCommand."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write the sections of arguments and of options; an argument without a description is in the usage alone."""
        parameters = self.get_params(ctx)
        options = [record for one in parameters if isinstance(record := _described_option(one, ctx), tuple)]
        arguments = [
            (one.make_metavar(ctx), help_)
            for one in parameters
            if one.param_type_name == "argument" and (help_ := getattr(one, "help", None))
        ]
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _described_option(parameter: Any, context: Any) -> tuple[str, str] | None:  # noqa: ANN401
    if parameter.param_type_name != "option":
        return None
    return cast("tuple[str, str] | None", parameter.get_help_record(context))


class LazyVerb(TyperCommand):
    """Stands for a verb in its group until the verb is used."""

    def __init__(self, verb: Verb) -> None:
        super().__init__(verb.name, help=verb.summary, hidden=verb.is_hidden, rich_markup_mode=None)
        self._verb = verb

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002 -- the whole sentence, on as many lines
        """See TyperCommand."""
        return self._verb.summary

    def loaded(self) -> TyperCommand:
        """Import the verb, and return its command."""
        only = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=CONTEXT_SETTINGS)
        only.command(self._verb.name, cls=VerbCommand, hidden=self._verb.is_hidden)(self._verb.load())
        return cast("TyperCommand", typer.main.get_command(only))

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401
        """Parse the arguments with the verb's own command."""
        return self.loaded().make_context(info_name, args, parent=parent, **extra)


class WordyGroup(TyperGroup):
    """A group whose summary is shown whole."""

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002
        """See TyperGroup."""
        return self.help or ""


def add_verbs(root: TyperGroup, verbs: tuple[Verb | Group, ...]) -> None:
    """Add the table of verbs to the root of the command line."""
    for one in verbs:
        root.add_command(LazyVerb(one) if isinstance(one, Verb) else _make_group(one))


def _make_group(group: Group) -> TyperGroup:
    return WordyGroup(
        name=group.name,
        help=group.summary,
        commands=[LazyVerb(verb) for verb in group.verbs],
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings=CONTEXT_SETTINGS,
    )
