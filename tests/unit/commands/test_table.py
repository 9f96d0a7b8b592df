"""The table of commands and its one `authorise`."""

from datetime import UTC, datetime
from typing import cast

import pytest

from telnetsd.commands.caller import Caller
from telnetsd.commands.loading import load_commands
from telnetsd.commands.table import Command, CommandError, CommandTable, command
from telnetsd.config.settings import CommandSettings, RoleSettings
from telnetsd.errors import OperatorError
from telnetsd.events.reason import CommandReason
from telnetsd.identity.outcome import NamedUser
from telnetsd.pki.facts import CertificateFacts


def make(name: str, role: str = "user", **options: object) -> Command:
    @command(name, summary="a test", role=role, **options)  # type: ignore[arg-type]
    async def handler(caller: Caller, arguments: str) -> None:
        caller.say(arguments)

    return handler


def user_with(*roles: str, assurance_class: int = 0) -> NamedUser:
    return NamedUser(
        name="alice",
        roles=roles,
        rule_id="test",
        certificate=CertificateFacts(sha256=""),
        valid_until=datetime.now(UTC),
        assurance_class=assurance_class,
    )


def table(**roles: RoleSettings) -> CommandTable:
    return CommandTable([make("help", "guest"), make("date"), make("kick", "operator")], roles)


def names(commands: CommandTable, *roles: str) -> list[str]:
    return [one.name for one in commands.permitted(user_with(*roles))]


def test_each_built_in_role_includes_the_previous_one() -> None:
    assert names(table(), "guest") == ["help"]
    assert names(table(), "user") == ["date", "help"]
    assert names(table(), "operator") == ["date", "help", "kick"]


@pytest.mark.parametrize("auditor", [None, RoleSettings(min_class=2), RoleSettings(commands=("date",), min_class=2)])
def test_an_operator_has_what_a_built_in_auditor_has_whatever_the_configuration_makes_of_that(
    auditor: RoleSettings | None,
) -> None:
    made = [make("help", "guest"), make("date"), make("kick", "operator"), make("audit", "auditor")]
    commands = CommandTable(made, {"auditor": auditor} if auditor is not None else {})
    assert names(commands, "operator") == ["audit", "date", "help", "kick"]
    assert "auditor" not in commands.roles_of(user_with("operator"))
    assert "auditor" not in commands.roles_of(user_with("auditor")) or auditor is None


@pytest.mark.parametrize("auditor", [RoleSettings(min_class=1), RoleSettings(includes=("user",))])
def test_an_auditor_of_the_configuration_has_no_command_that_it_does_not_list(auditor: RoleSettings) -> None:
    made = [make("help", "guest"), make("date"), make("audit", "auditor")]
    commands = CommandTable(made, {"auditor": auditor})
    found = [one.name for one in commands.permitted(user_with("auditor", assurance_class=1))]
    assert "audit" not in found


def test_several_roles_combine_and_an_unknown_role_grants_nothing() -> None:
    assert names(table(), "guest", "operator") == ["date", "help", "kick"]
    assert names(table(), "gone") == []
    assert names(table()) == []


@pytest.mark.parametrize(
    ("name", "roles", "reason", "words"),
    [
        (
            "kick",
            ("user",),
            CommandReason.ROLE_MISSING,
            "permission denied: `kick` requires the role operator; you have the role user: ask the operator",
        ),
        (
            "date",
            ("guest",),
            CommandReason.ROLE_MISSING,
            "permission denied: `date` requires the role user or operator; you are a guest: connect",
        ),
        ("date", (), CommandReason.ROLE_MISSING, "you have no role"),
        ("dat", ("user",), CommandReason.UNKNOWN_COMMAND, "no command dat; did you mean date?"),
        ("dat", ("guest",), CommandReason.UNKNOWN_COMMAND, "no command dat; try help"),
        ("\x1b[2J", ("guest",), CommandReason.UNKNOWN_COMMAND, r"no command \x1b[2J; try help"),
        ("x" * 5000, ("guest",), CommandReason.UNKNOWN_COMMAND, "no command " + "x" * 39 + "…; try help"),
    ],
)
def test_authorise_denies_with_a_message(
    name: str, roles: tuple[str, ...], reason: CommandReason, words: str
) -> None:
    with pytest.raises(CommandError) as caught:
        table().authorise(name, user_with(*roles))
    assert caught.value.reason is reason
    assert words in str(caught.value)


def test_authorise_finds_a_command_by_its_name_and_by_an_alias() -> None:
    commands = CommandTable([make("quit", "guest", aliases=("exit",))], {})
    assert commands.authorise("exit", user_with("guest")) is commands.authorise("quit", user_with("guest"))


def test_a_configured_role_grants_what_it_lists_and_includes() -> None:
    commands = table(
        auditor=RoleSettings(includes=("guest",), commands=("kick",)),
        user=RoleSettings(commands=("help",)),
        chief=RoleSettings(includes=("auditor", "operator")),
    )
    assert names(commands, "auditor") == ["help", "kick"]
    assert names(commands, "user") == ["help"]
    assert names(commands, "operator") == ["help", "kick"]
    assert names(commands, "chief") == ["help", "kick"]


def test_roles_that_include_each_other_do_not_cause_a_loop() -> None:
    commands = table(a=RoleSettings(includes=("b",)), b=RoleSettings(includes=("a",), commands=("date",)))
    assert names(commands, "a") == names(commands, "b") == ["date"]


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ({"a": RoleSettings(commands=("dat",))}, "role 'a' in telnetsd.toml lists 'dat'; did you mean date?"),
        ({"a": RoleSettings(includes=("b",))}, "role 'a' in telnetsd.toml includes 'b'; define [roles.b]"),
    ],
)
def test_a_role_with_an_unknown_command_or_role_is_refused(roles: dict[str, RoleSettings], words: str) -> None:
    with pytest.raises(OperatorError, match=words.replace("[", r"\[").replace("?", r"\?")):
        table(**roles)


def test_two_commands_of_one_name_are_refused() -> None:
    with pytest.raises(OperatorError, match="two commands are named 'a'"):
        CommandTable([make("a"), make("b", aliases=("a",))], {})


def test_a_command_without_a_built_in_role_is_refused() -> None:
    with pytest.raises(OperatorError, match="names the role 'boss', which is not built in"):
        CommandTable([make("a", "boss")], {})


def test_the_number_of_arguments_is_checked() -> None:
    one = make("a", usage="X [Y]", arguments=(1, 2))
    one.check_arguments("x")
    one.check_arguments(" x  y ")
    for wrong in ("", "x y z"):
        with pytest.raises(CommandError, match=r"usage: a X \[Y\]"):
            one.check_arguments(wrong)


def test_every_built_in_command_has_a_summary_of_one_short_line() -> None:
    for one in load_commands():
        assert one.summary
        assert len(one.synopsis) + len(one.summary) < 76


def test_a_role_and_a_command_can_require_a_class() -> None:
    roles = {"operator": RoleSettings(min_class=2), "chief": RoleSettings(includes=("operator",), commands=("date",))}
    commands = CommandTable(
        [make("help", "guest"), make("date"), make("kick", "operator")], roles, {"help": CommandSettings(min_class=1)}
    )
    assert [one.name for one in commands.permitted(user_with("operator"))] == [], "help needs class 1 here"
    assert [one.name for one in commands.permitted(user_with("operator", assurance_class=2))] == [
        "date",
        "help",
        "kick",
    ]
    assert [one.name for one in commands.permitted(user_with("chief", assurance_class=1))] == ["date"]
    assert [one.name for one in commands.permitted(user_with("user"))] == ["date"]
    assert [one.name for one in commands.permitted(user_with("user", assurance_class=1))] == ["date", "help"]
    with pytest.raises(CommandError, match="`kick` requires class 2; you have class 1: ask the operator") as caught:
        commands.authorise("kick", user_with("operator", assurance_class=1))
    assert caught.value.reason is CommandReason.CLASS_TOO_LOW


def test_of_two_ways_to_a_command_the_less_demanding_one_counts() -> None:
    roles = {
        "a": RoleSettings(commands=("kick",), min_class=3),
        "b": RoleSettings(includes=("a",)),
        "c": RoleSettings(includes=("b", "d")),
        "d": RoleSettings(commands=("kick",), min_class=1),
    }
    commands = table(**roles)
    assert names(commands, "a", "c") == ["help"], "what guests have"
    assert [one.name for one in commands.permitted(user_with("c", assurance_class=1))] == ["kick"]
    assert [one.name for one in commands.permitted(user_with("b", assurance_class=2))] == ["help"]


def test_a_requirement_for_an_unknown_command_is_refused() -> None:
    with pytest.raises(OperatorError, match=r"\[commands\.dat\] in telnetsd\.toml: did you mean date\?"):
        CommandTable([make("date")], {}, {"dat": CommandSettings(min_class=1)})


def test_a_user_below_the_class_of_a_role_has_the_commands_of_a_guest() -> None:
    commands = table(operator=RoleSettings(min_class=2))
    assert names(commands, "operator") == ["help"]
    assert [one.name for one in commands.permitted(user_with("operator", assurance_class=2))] == [
        "date",
        "help",
        "kick",
    ]
    with pytest.raises(CommandError, match="`date` requires class 2"):
        commands.authorise("date", user_with("operator", assurance_class=1))


def test_the_memory_of_what_roles_need_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telnetsd.commands.table.NEEDS_KEPT", 1)
    commands = table()
    for _ in range(2):
        assert commands.authorise("date", user_with("user")).name == "date"
        assert commands.authorise("kick", user_with("operator")).name == "kick"


def test_a_role_that_two_roles_include_counts_once() -> None:
    commands = table(left=RoleSettings(includes=("user",)), right=RoleSettings(includes=("user",)))
    assert commands.roles_of(user_with("left", "right")) == {"left", "right", "user", "guest"}


async def test_a_command_knows_no_words_for_its_arguments_unless_it_says_so() -> None:
    assert await make("uptime").completes(cast("Caller", None)) == ()
