"""telnetsd fleet: many servers as one."""

from contextlib import closing, suppress
from typing import Annotated, Final

import typer

from telnetsd.administration.installation.operator import by_operator
from telnetsd.administration.replication.agent_link import FleetRefusedError, OutcomeUnknownError, linked
from telnetsd.administration.replication.agent_messages import CatchUp, DescribeFleet, FleetState, NodeStatus
from telnetsd.cli.common import HomeOption, JsonOption, home_of, print_json, print_table
from telnetsd.config.loading import load_settings
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home
from telnetsd.state.fleet import Capability
from telnetsd.state.opening import open_store

_COLUMNS: Final = ("node", "version", "may", "last seen (UTC)", "changes")

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="The name of the node.")]
EngineOption = Annotated[
    list[str] | None,
    typer.Option(
        "--engine", metavar="HOST", help="It runs a server of the engine, at this name or address; may be repeated."
    ),
]


def init(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the fleet.")],
    node: Annotated[str, typer.Option(metavar="NODE", help="The name of this server in it.")],
    engine: EngineOption = None,
    home: HomeOption = None,
) -> None:
    """Found a fleet: what this server has becomes the fleet's state."""
    from telnetsd.fleet.founding import found_fleet
    from telnetsd.fleet.joining import require_node_name

    where = home_of(context, home)
    require_node_name(name)
    require_node_name(node)
    found_fleet(where, name, node, tuple(engine or ()), by_operator())
    typer.echo(f"the fleet {name} has its first node: {node}")
    typer.echo("  certs/fleet/ca.key          the key of the fleet's CA: keep a backup, and keep it secret")
    typer.echo("  certs/fleet/authority.keys  who may use the engine: likewise")
    if not load_settings(where.config_file).fleet.name:
        typer.echo("next: write this into telnetsd.toml, with the addresses of the engine's servers:")
        typer.echo(f'\n[fleet]\nname = "{name}"\nnode = "{node}"\nservers = ["tls://HOST:4222"]')
        if engine:
            typer.echo('\n[fleet.engine]\nlisten = "0.0.0.0:4222"\ncluster = "0.0.0.0:6222"')


def engine(context: typer.Context, home: HomeOption = None) -> None:
    """Run the engine's server of this machine, in the foreground."""
    from telnetsd.fleet.server_program import run_program, write_engine_configuration

    where = home_of(context, home)
    run_program(write_engine_configuration(where, load_settings(where.config_file).fleet))


def invite(
    context: typer.Context,
    node: NodeArgument,
    can: Annotated[
        list[Capability] | None,
        typer.Option("--can", metavar="CAPABILITY", help="What it may do: give, issue, audit, offer-lines, vouch."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="A host name or address that its users use; may be repeated."),
    ] = None,
    engine: EngineOption = None,
    home: HomeOption = None,
) -> None:
    """Invite a machine to be a node: print the code with which it joins, once, within a day."""
    from telnetsd.fleet.joining import INVITATION_HOURS, Invited
    from telnetsd.fleet.joining import invite as make

    capabilities = tuple(dict.fromkeys(can or ()))
    invited = Invited(node=node, capabilities=capabilities, names=tuple(name or ()), addresses=tuple(engine or ()))
    code = make(home_of(context, home), invited, by_operator())
    typer.echo(str(code))
    words = ", ".join(capabilities) or "nothing but take access away"
    typer.echo(f"{node} may: {words}; within {INVITATION_HOURS} hours, on that machine:", err=True)
    typer.echo("  telnetsd --home DIR fleet join HOST:PORT CODE", err=True)


def join(
    context: typer.Context,
    server: Annotated[
        str, typer.Argument(metavar="HOST[:PORT]", help="Where the node that has the fleet's keys listens.")
    ],
    code: Annotated[str, typer.Argument(metavar="CODE", help="What `telnetsd fleet invite` printed.")],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The address to listen on, as in [::]:992, for telnetsd.toml.")
    ] = "",
    home: HomeOption = None,
) -> None:
    """Make this machine a node of a fleet, with an empty home folder."""
    from telnetsd.cli.joining import ask_to_join
    from telnetsd.cli.target import parse_host
    from telnetsd.fleet.joining import accept, make_applicant, parse_code, require_bare

    where, wanted, applicant = home_of(context, home), parse_code(code), make_applicant()
    require_bare(where)
    answer = ask_to_join(parse_host(server), wanted.ca_sha256, applicant.request(wanted))
    accept(where, wanted.node, applicant, answer, listen)
    typer.echo(f"{wanted.node} is a node of the fleet {answer.fleet}; made {where.root}")
    if answer.engine is not None:
        typer.echo("next: write [fleet.engine] into telnetsd.toml, and run: telnetsd fleet engine")
    typer.echo("then: telnetsd fleet status, which fetches the state; and telnetsd serve")


def revoke(context: typer.Context, node: NodeArgument, home: HomeOption = None) -> None:
    """Take a node out of the fleet: what it signs counts no longer, and the engine lets it in no longer."""
    from telnetsd.fleet.nodes import revoke_node

    spread = revoke_node(home_of(context, home), node, by_operator())
    typer.echo(f"the node {node} is revoked; its sessions go on until that machine is stopped")
    if spread:
        typer.echo(spread)


def status(context: typer.Context, json: JsonOption = False, home: HomeOption = None) -> None:
    """Show the engine, the changes and the nodes of the fleet, as this node sees them."""
    where = home_of(context, home)
    _require_member(where)
    with linked(where) as link:
        if not _has_state(where):
            with suppress(FleetRefusedError, OutcomeUnknownError):
                link.ask(CatchUp())
        state = link.ask(DescribeFleet())
    if json:
        print_json(state)
    else:
        _print_state(state)
    if not state.is_current:
        raise typer.Exit(1)


def _print_state(state: FleetState) -> None:
    typer.echo(f"engine   {state.server or 'cannot be reached'}")
    typer.echo(f"changes  {_changes_words(state)}")
    if state.problem:
        typer.echo(f"problem  {state.problem}")
    if state.waiting:
        typer.echo(f"waiting  {state.waiting} of this node are not in the stream yet; they count here already")
    typer.echo()
    print_table(_COLUMNS, [_cells_of(node) for node in state.nodes])


def _changes_words(state: FleetState) -> str:
    if state.last is None:
        return f"{state.position} here; the engine does not say how many there are"
    if state.position >= state.last:
        return f"{state.position}, all of them" + ("" if state.is_current else "; the engine's majority is away")
    return f"{state.position} of {state.last}"


def _cells_of(node: NodeStatus) -> tuple[str, ...]:
    if not node.seen_at:
        changes = "not seen yet"
    elif node.lag is None:
        changes = "away"
    else:
        changes = f"{node.lag} behind" if node.lag else "current"
    seen = node.seen_at[:19].replace("T", " ") or "-"
    return node.name, node.version or "-", ", ".join(node.capabilities) or "-", seen, changes


def agent(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Serve one process, on standard input.")] = False,
    home: HomeOption = None,
) -> None:
    """Talk to the engine for the processes of this node; only for use by telnetsd itself."""
    from telnetsd.fleet.agent import run_agent

    run_agent(home_of(context, home), is_once=once)


def _has_state(home: Home) -> bool:
    with closing(open_store(home)) as state:
        return state.fleet.require_membership().sequence > 0


def _require_member(home: Home) -> None:
    if not home.fleet_node_certificate.exists():
        raise OperatorError("this home folder is of no fleet; to found one: telnetsd fleet init NAME --node NODE")
