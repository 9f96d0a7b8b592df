"""Every message between the processes of a server, by direction; and every request on the control socket.

Workers and sessions on lines connect to one socket of the supervisor. The first message on a channel says which of
the two it is: `Hello` or `ReservePlace`. All others are allowed once that message is answered. A query without a
handler is refused with an error message, so that processes of two versions do not wait for each other forever.
"""

from datetime import datetime
from enum import Enum
from typing import Final, Generic, TypeVar

import msgspec

from telnetsd.config.settings import Settings
from telnetsd.events.part import Fields
from telnetsd.events.reason import LineReason
from telnetsd.listener.endpoint import Endpoint
from telnetsd.listener.penalties import Fine, Penalty
from telnetsd.rpc.message import News, Query, Vocabulary
from telnetsd.telnet.terminal import Terminal


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One open session, as others see it; `user` is the name, or `guest`; times are aware, UTC.

    If a worker does not answer, the idle time of its sessions is not known: `idle_s` is None.
    """

    id: str
    user: str
    roles: tuple[str, ...]
    source: str
    certificate_status: str
    certificate_sha256: str
    tls: str
    started_at: datetime
    idle_s: int | None
    line: str = ""
    """The line that it is connected to; empty for none."""


class LineState(Enum):
    """The state of a line: a kept-open one is up or down; any other is free, being connected, in use or down."""

    UP = "up"
    DOWN = "down"
    FREE = "free"
    CONNECTING = "connecting"
    IN_USE = "in-use"


class LineRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line, as others see it; times are aware, UTC.

    Attributes:
        state: Whether it is connected, or in use.
        why: Why it is down; empty if it is not.
        since: Since when a kept-open line is up or down.
        writer: The user who writes; empty if there is none.
        watchers: The users who watch.
        is_kept_open: Whether its upstream is connected while the server runs.
        is_recorded: Whether it is being recorded now.
        unrecorded: Why it is not, although it has to be; empty if it is.
        shown_bytes: How much it has shown since it was opened.
        backlog_bytes: How much of that is in its backlog.
        last_output_at: When the newest of that was shown; None if there is no backlog.
    """

    name: str
    kind: str
    description: str
    state: LineState
    why: str
    since: datetime | None
    writer: str
    watchers: list[str]
    is_kept_open: bool
    is_recorded: bool
    unrecorded: str
    shown_bytes: int
    backlog_bytes: int
    last_output_at: datetime | None


class Join(Enum):
    """How a session wants to join a line."""

    WRITE = "write"
    WATCH = "watch"
    FORCE = "force"
    RECLAIM = "reclaim"
    """Take over from another session of the same user, and from no other."""


# From a worker to the supervisor.


class Welcome(msgspec.Struct, frozen=True):
    """The answer to `Hello`: how many times the server has reloaded, and its settings; the worker may be behind."""

    reloads: int
    settings: Settings


class Hello(Query[Welcome]):
    """The first message of a worker: it has started."""

    pid: int
    batch: int


class Ready(News):
    """The worker accepts connections; sent once."""


class Alive(News):
    """A sign of life from the worker; sent several times per second."""


class EventRaised(News, kw_only=True):
    """An event to be written; `EventsWritten` confirms that it was. The parts are those of `audit.chain.Draft`."""

    number: int
    session_id: str
    action: str
    head: bytes
    body: bytes
    tail: bytes


class ScreenShown(News):
    """The output of a watched session; empty data means that no more will come."""

    watch: int
    data: bytes


class LimitsChanged(News):
    """Changed counts, and additions to penalties; sent both ways. `penalties` has all penalties, for a new worker."""

    counts: dict[str, int]
    fines: list[Fine]
    penalties: list[Penalty] = msgspec.field(default_factory=list)


class ListEverySession(Query[list[SessionRow]]):
    """Return the sessions of all workers."""


class KickAnywhere(Query[None]):
    """End a session of any worker; refused with AuditUnavailableError if that cannot be recorded."""

    session_id: str
    by: str


class NotifyOthers(Query[int]):
    """Show a message to every session but one, and return how many; the supervisor also sends it to a worker."""

    session_id: str
    text: str


class ListLines(Query[list[LineRow]]):
    """Return the state of each line; refused with a LineReason."""

    names: list[str]


class RequireFreeLine(Query[None]):
    """Check whether `ReservePlace` would succeed now; refused with a LineReason if it would not."""

    name: str
    join: Join


# From the supervisor to a worker.


class EventsWritten(News):
    """The number and error of each event; if the error is empty, the event is on disk, otherwise it is lost."""

    written: list[tuple[int, str]]


class ListSessions(Query[list[SessionRow]]):
    """Return the sessions of this worker."""


class KickSession(Query[bool]):
    """End a session, if this worker has it; refused with AuditUnavailableError if that cannot be recorded."""

    session_id: str
    by: str


class WatchSession(Query[bool]):
    """Start to show a session, if this worker has it; `ScreenShown` follows, with the same `watch` number."""

    session_id: str
    by: str
    watch: int


class StopWatching(News):
    """Stop sending `ScreenShown` with this `watch` number."""

    watch: int


class Reload(Query[None]):
    """Use these settings, load everything else again, and serve with the result."""

    settings: Settings


class Announce(News):
    """Show a message to every session, or to every operator's; a lasting message also to each later session."""

    text: str
    is_lasting: bool = False
    is_for_operators: bool = False


class Retire(News):
    """Accept no more connections, and exit after the last session."""


class Stop(News):
    """End every session, and then the worker."""


# From a session on a line to the process that has the line.


class ReservedPlace(msgspec.Struct, frozen=True):
    """The place that was found on a line: how the session is connected, and which other user writes."""

    reason: LineReason
    writer: str


class ReservePlace(Query[ReservedPlace], kw_only=True):
    """Find a place on a line, and open the line if necessary; the first message. Refused with a LineReason."""

    line: str
    join: Join
    name: str
    terminal: Terminal
    session_id: str
    wants_past: bool
    fields: Fields


class TakePlace(Query[str]):
    """Take the reserved place once that is in the log; return the message to show. Refused with a LineReason."""


class BeginShowing(News):
    """Start to show the line's output: the session has been notified that it is connected."""


class TypeKeys(Query[bool]):
    """Send what was typed, and return whether this session may write."""

    keys: bytes


class ScreenTaken(News):
    """The client has read this many bytes of the output."""

    count: int


class Resize(News):
    """The terminal has a new size."""

    terminal: Terminal


class AskComPort(News):
    """A question about the serial port (RFC 2217); answered by `ComPortSaid`."""

    question: bytes


class SendBreak(News):
    """Send BREAK."""


class EndInput(News):
    """The client has ended its input; what the line still says is shown."""


class ShowPast(News):
    """Show more of what the line showed before, or all of it that is kept."""

    is_all: bool


class AskWho(News):
    """Tell the session who is connected."""


class AskToWrite(Query[None]):
    """Ask for the writer role."""


class HandOver(Query[None]):
    """Give the writer role to the participant that asked for it."""


class Leave(News):
    """Give up the place; the last message."""


# From the process that has a line to a session on it.


class Show(News):
    """Output of the line."""

    data: bytes


class Say(News):
    """A message from the line to its participant."""

    sentence: str


class Dismiss(News):
    """The session is no longer connected to the line."""

    reason: LineReason
    sentence: str


class ComPortSaid(News):
    """An answer or a notification about the serial port (RFC 2217)."""

    said: bytes


FROM_WORKER: Final = (
    Hello, Ready, Alive, EventRaised, ScreenShown, LimitsChanged, ListEverySession, KickAnywhere, NotifyOthers,
    ListLines, RequireFreeLine,
)  # fmt: skip
FROM_PARTICIPANT: Final = (
    ReservePlace, TakePlace, BeginShowing, TypeKeys, ScreenTaken, Resize, AskComPort, SendBreak, EndInput, ShowPast,
    AskWho, AskToWrite, HandOver, Leave,
)  # fmt: skip
FROM_SUPERVISOR: Final = (
    EventsWritten, LimitsChanged, NotifyOthers, ListSessions, KickSession, WatchSession, StopWatching, Reload,
    Announce, Retire, Stop,
)  # fmt: skip
FROM_LINE: Final = (Show, Say, Dismiss, ComPortSaid)
DIRECTIONS: Final = (
    ("from a worker to the supervisor", FROM_WORKER),
    ("from the supervisor to a worker", FROM_SUPERVISOR),
    ("from a session on a line to the supervisor, which has the line", FROM_PARTICIPANT),
    ("from the supervisor to a session on a line", FROM_LINE),
)
TO_SUPERVISOR: Final = Vocabulary(*FROM_WORKER, *FROM_PARTICIPANT)
TO_WORKER: Final = Vocabulary(*FROM_SUPERVISOR)
TO_PARTICIPANT: Final = Vocabulary(*FROM_LINE)


# From the supervisor to the forker, on its command line.


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The workers that a forker has to start; `listeners` are inherited descriptors, each with its endpoint.

    `reloads` is how many times the server had already reloaded: what the forker loads is not older than that.
    """

    home: str
    hub: str
    listeners: list[tuple[int, Endpoint]]
    count: int
    batch: int
    reloads: int


# On the control socket: one JSON object a line each way, {"verb": …} and {"ok": …} or {"error": …}.

REQUEST_MAX_BYTES: Final = 65536
TIMEOUT_S: Final = 60.0
"""How long an answer on the control socket may take."""
A_co = TypeVar("A_co", covariant=True)


class Ok(msgspec.Struct, frozen=True):
    """The answer to a request."""

    ok: object


class Failed(msgspec.Struct, frozen=True):
    """Why a request is refused."""

    error: str


class Request(msgspec.Struct, Generic[A_co], forbid_unknown_fields=True, tag_field="verb"):
    """A command-line verb's request to the running server; the answer is a value of the type in brackets."""


class ListSessionsRequest(Request[list[SessionRow]], tag="session-list"):
    """Return every open session."""


class WatchSessionRequest(Request[SessionRow], tag="session-watch"):
    """Return the session whose id ends with `id`, and show it until it ends; its bytes follow the answer."""

    id: str = ""


class KickSessionRequest(Request[SessionRow], tag="session-kick"):
    """End the session whose id ends with `id`, and return it."""

    id: str = ""


class ListLinesRequest(Request[list[LineRow]], tag="line-list"):
    """Return every line."""


class CountsRequest(Request[dict[str, float]], tag="counts"):
    """Return how many events of each kind there were since the server started."""


class ReloadRequest(Request[str], tag="reload"):
    """Reload the installation, and return a line that says what is in use now."""


AnyRequest = (
    ListSessionsRequest | WatchSessionRequest | KickSessionRequest | ListLinesRequest | CountsRequest | ReloadRequest
)
