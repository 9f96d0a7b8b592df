"""Every message between the processes of a server, by direction; and every request on the control socket.

Workers and sessions on lines connect to one socket of the supervisor. The first message on a channel says which of
the two it is: `Hello` or `ReservePlace`. All others are allowed once that is answered. What a channel was not told to
answer is refused in words, so that processes of two versions do not hang on each other.
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
from telnetsd.rpc.message import News, Question, Vocabulary
from telnetsd.telnet.terminal import Terminal


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One open session, as others see it; `user` is the name, or `guest`; times are aware, UTC.

    Of a worker that does not answer it is not known how long its sessions are idle: `idle_s` is None.
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


class Join(Enum):
    """How a session wants to come to a line."""

    WRITE = "write"
    WATCH = "watch"
    FORCE = "force"


# From a worker to the supervisor.


class Welcome(msgspec.Struct, frozen=True):
    """What a worker is answered: how often the server has reloaded, and with which settings; it may be late."""

    reloads: int
    settings: Settings


class Hello(Question[Welcome]):
    """A worker is there; its first message."""

    pid: int
    batch: int


class Ready(News):
    """The worker accepts connections; once."""


class Alive(News):
    """The worker is not hung; several times a second."""


class EventRaised(News, kw_only=True):
    """An event is to be written; `EventsWritten` says that it was. The parts are those of `audit.chain.Draft`."""

    number: int
    session_id: str
    action: str
    head: bytes
    body: bytes
    tail: bytes


class ScreenShown(News):
    """A watched session was shown something; nothing, when there is nothing more to come."""

    watch: int
    data: bytes


class LimitsChanged(News):
    """Counts have changed, and sources were fined; both ways. `penalties` is for a worker that joins."""

    counts: dict[str, int]
    fines: list[Fine]
    penalties: list[Penalty] = msgspec.field(default_factory=list)


class ListEverySession(Question[list[SessionRow]]):
    """Return the sessions of all workers."""


class KickAnywhere(Question[None]):
    """End a session of any worker; refused with AuditUnavailableError where that cannot be recorded."""

    session_id: str
    by: str


class NotifyOthers(Question[int]):
    """Show a line to every session but one, and return to how many; also from the supervisor to a worker."""

    session_id: str
    text: str


class ListLineStates(Question[list[str]]):
    """Return the state of each line; refused with a LineReason."""

    names: list[str]


class RequireFreeLine(Question[None]):
    """Refuse early what `ReservePlace` would refuse now, with a LineReason."""

    name: str
    join: Join


# From the supervisor to a worker.


class EventsWritten(News):
    """Events are on disk (an empty text), or could not be written: number and error of each."""

    written: list[tuple[int, str]]


class ListSessions(Question[list[SessionRow]]):
    """Return the sessions of this worker."""


class KickSession(Question[bool]):
    """End a session, if it is here; refused with AuditUnavailableError where that cannot be recorded."""

    session_id: str
    by: str


class WatchSession(Question[bool]):
    """Begin to show a session, if it is here: `ScreenShown` follows, with this number."""

    session_id: str
    by: str
    watch: int


class StopWatching(News):
    """Show no more for this number."""

    watch: int


class Reload(Question[None]):
    """Load everything but the settings anew, and serve with it."""

    settings: Settings


class Announce(News):
    """Show a line to every session; a lasting one also to each that comes."""

    text: str
    is_lasting: bool


class Retire(News):
    """Accept no more connections, and end with the last session."""


class Stop(News):
    """End every session, and then the worker."""


# From a session on a line to the process that has the line.


class ReservedPlace(msgspec.Struct, frozen=True):
    """A place on a line that was found: how the session is connected, and who else writes."""

    reason: LineReason
    writer: str


class ReservePlace(Question[ReservedPlace], kw_only=True):
    """Find a place on a line, which is opened if it is not; the first message. Refused with a LineReason."""

    line: str
    join: Join
    name: str
    terminal: Terminal
    environment: dict[str, str]
    recording: str
    fields: Fields


class TakePlace(Question[str]):
    """Take the place, once that is on the log, and return what to say of it. Refused with a LineReason."""


class BeginShowing(News):
    """Show what the line shows: the session was told that it is connected."""


class TypeKeys(Question[bool]):
    """Send what was typed, and return whether this session may write."""

    keys: bytes


class ScreenTaken(News):
    """The client has taken so many bytes of what was shown."""

    count: int


class Resize(News):
    """The terminal has another size."""

    terminal: Terminal


class AskComPort(News):
    """A question about the serial port (RFC 2217); answered by `ComPortSaid`, in order."""

    question: bytes


class SendBreak(News):
    """Send BREAK."""


class AskWho(News):
    """Tell the session who is connected."""


class AskToWrite(Question[None]):
    """Ask for the writer's place."""


class HandOver(Question[None]):
    """Give the writer's place to the participant that asked for it."""


class Leave(News):
    """Give the place up; the last message."""


# From the process that has a line to a session on it.


class Show(News):
    """The line shows bytes."""

    data: bytes


class Say(News):
    """The line tells its participant something."""

    sentence: str


class Dismiss(News):
    """The session's part in the line is over."""

    reason: LineReason
    sentence: str


class ComPortSaid(News):
    """The answer to the oldest question about the serial port; may be empty."""

    answer: bytes


FROM_WORKER: Final = (
    Hello, Ready, Alive, EventRaised, ScreenShown, LimitsChanged, ListEverySession, KickAnywhere, NotifyOthers,
    ListLineStates, RequireFreeLine,
)  # fmt: skip
FROM_PARTICIPANT: Final = (
    ReservePlace, TakePlace, BeginShowing, TypeKeys, ScreenTaken, Resize, AskComPort, SendBreak, AskWho, AskToWrite,
    HandOver, Leave,
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
    """Which workers a forker is to start; `listeners` are inherited descriptors, each with its endpoint.

    `reloads` is how often the server had reloaded before: what the forker loads is not older than that.
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
    """What a command-line verb asks the running server for; it is answered with a value of the type in brackets."""


class ListSessionsRequest(Request[list[SessionRow]], tag="session-list"):
    """Return every open session."""


class WatchSessionRequest(Request[SessionRow], tag="session-watch"):
    """Return the session whose id ends so, and show it until it is over: bytes follow the answer."""

    id: str = ""


class KickSessionRequest(Request[SessionRow], tag="session-kick"):
    """End the session whose id ends so, and return it."""

    id: str = ""


class CountsRequest(Request[dict[str, float]], tag="counts"):
    """Return how many events of each kind there were since the server started."""


class ReloadRequest(Request[str], tag="reload"):
    """Load the installation anew, and return a line that says what serves now."""


AnyRequest = ListSessionsRequest | WatchSessionRequest | KickSessionRequest | CountsRequest | ReloadRequest
