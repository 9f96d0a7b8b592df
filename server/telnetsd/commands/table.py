"""The table of commands: a command is a row, and `authorise` alone decides who may run it.

A role is a named set of commands. Four are built in: guest, user, auditor and operator. A user and an auditor have
what guests have, an operator has everything, and every command names the least of them that has it.
`[roles.NAME]` in the configuration defines further roles, or redefines a built-in one with the commands that it lists
and the roles that it includes. A role and a command may require an assurance class. A user of a lower class does not
have them, and has what guests have instead.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec import UnsetType

from telnetsd.commands.caller import Caller, Check, Completer, Handler
from telnetsd.config.settings import CommandSettings, RoleSettings
from telnetsd.errors import OperatorError, PeerError
from telnetsd.escaping import escape
from telnetsd.events.reason import CommandReason
from telnetsd.identity.outcome import GUEST_ROLE, Admitted

NAME_MAX_CHARS: Final = 40
NEEDS_KEPT: Final = 10_000
"""How many pairs of a command and roles are kept, each with the class that it needs."""
ARGUMENTS_MAX: Final = 2048
USER_ROLE: Final = "user"
AUDITOR_ROLE: Final = "auditor"
OPERATOR_ROLE: Final = "operator"
BUILT_IN_ROLES: Final = {
    GUEST_ROLE: (),
    USER_ROLE: (GUEST_ROLE,),
    AUDITOR_ROLE: (GUEST_ROLE,),
    OPERATOR_ROLE: (USER_ROLE,),
}
_OWN_ROWS: Final = {OPERATOR_ROLE: (AUDITOR_ROLE, OPERATOR_ROLE)}
"""The built-in roles that have the commands of others as their own, whatever the configuration makes of those."""


def _check_nothing(_caller: Caller, _arguments: str) -> None:
    """Accept all arguments."""


async def _complete_nothing(_caller: Caller) -> Sequence[str]:
    """Know no words for the arguments."""
    return ()


class CommandError(PeerError):
    """A command is denied, or fails; the message is for the user, `.reason` for the log.

    `.exit_status` is that of a program that the command ran, or minus the number of the signal that ended it.
    """

    def __init__(self, reason: StrEnum, message: str, *, exit_status: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.exit_status = exit_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One row of the table.

    Attributes:
        name: What is typed.
        summary: One line for `help`.
        usage: The arguments, as in `ID [N]`; empty for none.
        role: The least built-in role that has it: guest, user, auditor or operator.
        handler: The function behind it.
        arguments_min: How many words it needs at least.
        arguments_max: How many words it accepts at most.
        aliases: Other names for the same command.
        words_logged: How many words of its arguments are logged: the words after them may be a secret.
        check: Decides whether the caller may run it with these arguments, before it counts as permitted.
        completes: Returns the words that its arguments may be, for a user who asks to complete one.
        roles: The roles that have it instead of `role`; the configuration may have defined them.
    """

    name: str
    summary: str
    usage: str
    role: str
    handler: Handler
    arguments_min: int = 0
    arguments_max: int = 0
    aliases: tuple[str, ...] = ()
    words_logged: int = ARGUMENTS_MAX
    check: Check = _check_nothing
    completes: Completer = _complete_nothing
    roles: tuple[str, ...] = ()

    @property
    def synopsis(self) -> str:
        """The name with its arguments."""
        return f"{self.name} {self.usage}".rstrip()

    def shown(self, line: str) -> str:
        """Return a line with this command as the log may show it."""
        words = line.split(None, self.words_logged + 1)
        return line if len(words) <= self.words_logged + 1 else f"{' '.join(words[:-1])} …"

    def check_arguments(self, arguments: str) -> None:
        """Refuse too few or too many words.

        Raises:
            CommandError: The number is wrong; the message shows the usage.
        """
        count = len(arguments.split())
        if not self.arguments_min <= count <= self.arguments_max:
            raise CommandError(CommandReason.WRONG_USAGE, f"usage: {self.synopsis}")


def command(
    name: str,
    *,
    summary: str,
    role: str,
    usage: str = "",
    arguments: tuple[int, int] = (0, 0),
    aliases: tuple[str, ...] = (),
    words_logged: int = ARGUMENTS_MAX,
    check: Check = _check_nothing,
    completes: Completer = _complete_nothing,
) -> Callable[[Handler], Command]:
    """Turn a coroutine function into a row of the table; `arguments` is the least and the most words it accepts."""

    def make(handler: Handler) -> Command:
        return Command(
            name=name,
            summary=summary,
            usage=usage,
            role=role,
            handler=handler,
            arguments_min=arguments[0],
            arguments_max=arguments[1],
            aliases=aliases,
            words_logged=words_logged,
            check=check,
            completes=completes,
        )

    return make


class CommandTable:
    """Every command of this server, and which role has which commands at which assurance class.

    Raises:
        OperatorError: Two commands have the same name, or a role includes or lists something that does not exist.
    """

    def __init__(
        self,
        commands: Iterable[Command],
        roles: Mapping[str, RoleSettings],
        demands: Mapping[str, CommandSettings] | None = None,
    ) -> None:
        self._configured = roles
        self._commands: dict[str, Command] = {}
        self._names: dict[str, Command] = {}
        for one in commands:
            self._add(one)
        self._demands = self._demands_of(demands or {})
        self._roles = {role: self._commands_of(role, roles) for role in (*BUILT_IN_ROLES, *roles)}
        self._needs: dict[tuple[str, tuple[str, ...]], int | None] = {}
        self._least_class = {role: min(needed.values(), default=0) for role, needed in self._roles.items()}

    @property
    def roles(self) -> frozenset[str]:
        """The names of the roles."""
        return frozenset(self._roles)

    def permitted(self, identity: Admitted) -> list[Command]:
        """Return the commands that `identity` may run, by name."""
        roles = self._counting_roles(identity)
        needed = {name: self._class_needed(name, roles) for name in sorted(self._commands)}
        mine = (name for name, least in needed.items() if least is not None and least <= identity.assurance_class)
        return [self._commands[name] for name in mine]

    def authorise(self, name: str, identity: Admitted) -> Command:
        """Return the command of that name, if one of the roles of `identity` has it and its class is high enough.

        Raises:
            CommandError: There is no such command, or it requires a role or a class that `identity` does not have.
        """
        found = self._names.get(name)
        if found is None:
            raise CommandError(CommandReason.UNKNOWN_COMMAND, self._unknown(name, identity))
        needed = self._class_needed(found.name, self._counting_roles(identity))
        if needed is None:
            raise CommandError(CommandReason.ROLE_MISSING, self._missing(found, identity.roles))
        if needed > identity.assurance_class:
            raise CommandError(
                CommandReason.CLASS_TOO_LOW,
                f"permission denied: `{found.name}` requires class {needed}; you have class"
                f" {identity.assurance_class}: ask the operator for a certificate of that class",
            )
        return found

    def _counting_roles(self, identity: Admitted) -> tuple[str, ...]:
        """Return the roles of `identity`; with the guest role, if its class is too low for one of them."""
        is_too_low = any(self._least_class.get(role, 0) > identity.assurance_class for role in identity.roles)
        return (*identity.roles, GUEST_ROLE) if is_too_low else identity.roles

    def _class_needed(self, name: str, roles: tuple[str, ...]) -> int | None:
        """Return the least class with which one of these roles has a command, or None if none has it."""
        known = name, roles
        if known not in self._needs:
            if len(self._needs) >= NEEDS_KEPT:
                self._needs.clear()
            having = [self._roles[role][name] for role in roles if name in self._roles.get(role, {})]
            self._needs[known] = max(min(having), self._demands.get(name, 0)) if having else None
        return self._needs[known]

    def roles_of(self, identity: Admitted) -> frozenset[str]:
        """Return the effective roles of `identity`, with those that they include, where its class is high enough."""
        found: set[str] = set()
        waiting = list(self._counting_roles(identity))
        while waiting:
            role = waiting.pop()
            settings = self._configured.get(role, RoleSettings())
            if role not in found and settings.min_class <= identity.assurance_class:
                found.add(role)
                waiting.extend(_included(role, settings))
        return frozenset(found)

    def shown(self, line: str) -> str:
        """Return a line as the log may show it, whether its command is permitted or not."""
        found = self._names.get(next(iter(line.split(None, 1)), ""))
        return line if found is None else found.shown(line)

    def _add(self, one: Command) -> None:
        for name in (one.name, *one.aliases):
            if name in self._names:
                raise OperatorError(f"two commands are named {name!r}; uninstall the package that adds the second")
            self._names[name] = one
        if one.role not in BUILT_IN_ROLES and not one.roles:
            raise OperatorError(f"command {one.name!r} names the role {one.role!r}, which is not built in")
        self._commands[one.name] = one

    def _demands_of(self, demands: Mapping[str, CommandSettings]) -> dict[str, int]:
        for name in demands:
            if name not in self._names:
                raise OperatorError(f"[commands.{name}] in telnetsd.toml: {self._near(name, self._names)}")
        return {self._names[name].name: one.min_class for name, one in demands.items()}

    def _commands_of(self, role: str, configured: Mapping[str, RoleSettings]) -> dict[str, int]:
        """Collect the commands of a role and of the roles that it includes, each with the least class it requires."""
        needed: dict[str, int] = {}
        best: dict[str, int] = {}
        waiting = [(role, 0)]
        while waiting:
            current, demanded = waiting.pop()
            settings = configured.get(current, RoleSettings())
            demanded = max(demanded, settings.min_class)
            if best.get(current, demanded + 1) <= demanded:
                continue
            best[current] = demanded
            if current not in configured and current not in BUILT_IN_ROLES:
                raise OperatorError(f"role {role!r} in telnetsd.toml includes {current!r}; define [roles.{current}]")
            for name in self._own_commands(current, settings):
                needed[name] = min(needed.get(name, demanded), demanded)
            waiting.extend((included, demanded) for included in _included(current, settings))
        return needed

    def _own_commands(self, role: str, settings: RoleSettings) -> Iterable[str]:
        given = [one.name for one in self._commands.values() if role in one.roles]
        if _is_as_built_in(role, settings):
            rows = _OWN_ROWS.get(role, (role,))
            return [*given, *(one.name for one in self._commands.values() if one.role in rows)]
        return given if isinstance(settings.commands, UnsetType) else [*given, *self._listed(role, settings.commands)]

    def _listed(self, role: str, commands: Iterable[str]) -> Iterable[str]:
        for name in commands:
            if name not in self._names:
                raise OperatorError(f"role {role!r} in telnetsd.toml lists {name!r}; {self._near(name, self._names)}")
            yield self._names[name].name

    def _unknown(self, name: str, identity: Admitted) -> str:
        mine = [alias for one in self.permitted(identity) for alias in (one.name, *one.aliases)]
        return f"no command {escape(name, NAME_MAX_CHARS)!s}; {self._near(name, mine)}"

    def _missing(self, found: Command, roles: tuple[str, ...]) -> str:
        having = [role for role, names in self._roles.items() if found.name in names]
        demand = f"requires the role {' or '.join(having)}" if having else "is granted by no role"
        return f"permission denied: `{found.name}` {demand}; {_standing(roles)}"

    @staticmethod
    def _near(name: str, known: Iterable[str]) -> str:
        near = difflib.get_close_matches(name[:NAME_MAX_CHARS].lower(), list(known), n=1)
        return f"did you mean {near[0]}?" if near else "try help"


def _is_as_built_in(role: str, settings: RoleSettings) -> bool:
    """Tell whether a role has its default commands: the configuration lists and includes nothing for it.

    A configured auditor never has them: before there was a built-in one, it may have been made to have no commands.
    """
    if role == AUDITOR_ROLE and settings != RoleSettings():
        return False
    is_left = isinstance(settings.commands, UnsetType) and isinstance(settings.includes, UnsetType)
    return role in BUILT_IN_ROLES and is_left


def _included(role: str, settings: RoleSettings) -> tuple[str, ...]:
    if _is_as_built_in(role, settings):
        return BUILT_IN_ROLES[role]
    return () if isinstance(settings.includes, UnsetType) else settings.includes


def _standing(roles: tuple[str, ...]) -> str:
    """Say what a user is, and what to do when that is not enough."""
    if roles == (GUEST_ROLE,):
        return "you are a guest: connect with a certificate"
    mine = "no role" if not roles else f"the {'role' if len(roles) == 1 else 'roles'} {', '.join(roles)}"
    return f"you have {mine}: ask the operator"
