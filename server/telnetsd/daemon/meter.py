"""The counts of a running server, with Prometheus names: they come from the events that are on the log.

The supervisor writes every event of every worker, so nothing has to be counted anywhere else.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from telnetsd.administration.installation.generation import Generation
from telnetsd.audit.chain import Draft
from telnetsd.audit.sink import GroupCommit
from telnetsd.events.of_sessions import ConnectionRefused, LineDisconnected, SessionEnded, SessionStarted
from telnetsd.files.freshness import Freshness

_REASON: Final = re.compile(rb'"reason":"([a-z0-9-]+)"')
_HANDSHAKE_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_COMMIT_BUCKETS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)


class Meter:
    """The counts of a server; `audit.sink.GroupCommit` reports events to it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter(
            "telnetsd_events", "Events on the audit log.", ("action", "reason"), registry=self.registry
        )
        self._sessions = Gauge("telnetsd_sessions", "Open sessions.", registry=self.registry)
        self._refused = Counter(
            "telnetsd_connections_refused",
            "Connections rejected before their handshake: by a limit, or without a PROXY header.",
            ("reason",),
            registry=self.registry,
        )
        self._handshakes = Histogram(
            "telnetsd_handshake_seconds",
            "Time from the connection to the end of the handshake, of admitted clients.",
            buckets=_HANDSHAKE_BUCKETS_S,
            registry=self.registry,
        )
        self._commits = Histogram(
            "telnetsd_audit_commit_seconds",
            "How long it took to write events to the log, and to the disk where durability is commit.",
            buckets=_COMMIT_BUCKETS_S,
            registry=self.registry,
        )
        self._line_sessions = Counter(
            "telnetsd_line_sessions", "Sessions that were connected to a line.", ("line",), registry=self.registry
        )
        self._line_seconds = Counter(
            "telnetsd_line_seconds",
            "How long sessions were connected to a line.",
            ("line",),
            registry=self.registry,
        )
        self._line_bytes = Counter(
            "telnetsd_line_bytes", "Bytes of a line, by direction.", ("line", "direction"), registry=self.registry
        )
        ProcessCollector(namespace="telnetsd", registry=self.registry)

    def committed(self, events: Sequence[Draft], seconds: float) -> None:
        """Count events that are on the log, and how long it took to write them."""
        self._commits.observe(seconds)
        for event in events:
            reason = _REASON.search(event.body)
            self._events.labels(event.action, reason[1].decode() if reason else "").inc()
            look = _LOOKS.get(event.action)
            if look is not None:
                look(self, event)

    def counts(self) -> dict[str, float]:
        """Return how many events there were so far, by ACTION and by ACTION/REASON."""
        found: dict[str, float] = {}
        for sample in next(iter(self._events.collect())).samples:
            if sample.name.endswith("_total"):
                action, reason = sample.labels["action"], sample.labels["reason"]
                found[action] = found.get(action, 0) + sample.value
                found[f"{action}/{reason}"] = sample.value
        return found

    def _look_at_start(self, event: Draft) -> None:
        self._sessions.inc()
        self._handshakes.observe(_fields(event).get("handshake_s", 0.0))

    def _look_at_end(self, _: Draft) -> None:
        self._sessions.dec()

    def _look_at_refused(self, event: Draft) -> None:
        reason = _REASON.search(event.body)
        self._refused.labels(reason[1].decode() if reason else "").inc(_fields(event)["connections"])

    def _look_at_line(self, event: Draft) -> None:
        line = _fields(event)["line"]
        name = line["name"]
        self._line_sessions.labels(name).inc()
        self._line_seconds.labels(name).inc(line.get("duration_s", 0))
        self._line_bytes.labels(name, "received").inc(line.get("bytes_received", 0))
        self._line_bytes.labels(name, "sent").inc(line.get("bytes_sent", 0))


_LOOKS: Final[dict[str, Callable[[Meter, Draft], None]]] = {
    SessionStarted.action: Meter._look_at_start,  # noqa: SLF001 -- this table is the class's own
    SessionEnded.action: Meter._look_at_end,  # noqa: SLF001
    ConnectionRefused.action: Meter._look_at_refused,  # noqa: SLF001
    LineDisconnected.action: Meter._look_at_line,  # noqa: SLF001
}


class GenerationCollector(Collector):
    """What is known of certificates and CRLs at the time of the request.

    Args:
        generation: Returns the generation that serves.
        sink: Where events go.
        freshness: When this node of a fleet was last current; None: this server is in no fleet.
    """

    def __init__(
        self, generation: Callable[[], Generation], sink: GroupCommit, freshness: Freshness | None = None
    ) -> None:
        self._generation = generation
        self._sink = sink
        self._freshness = freshness

    def collect(self) -> list[Metric]:
        """Return the current figures."""
        generation, now = self._generation(), datetime.now(UTC)
        expiry = GaugeMetricFamily(
            "telnetsd_certificate_expiry_seconds", "Seconds until a certificate expires.", labels=["certificate"]
        )
        server = generation.server_chain[0].not_valid_after_utc
        expiry.add_metric(["server"], (server - now).total_seconds())
        for number, anchor in enumerate(generation.trust.certificates, 1):
            expiry.add_metric([f"trust anchor {number}"], (anchor.not_valid_after_utc - now).total_seconds())
        age = GaugeMetricFamily("telnetsd_crl_age_seconds", "Seconds since a CRL was signed.", labels=["crl"])
        left = GaugeMetricFamily("telnetsd_crl_left_seconds", "Seconds until a CRL expires.", labels=["crl"])
        for crl in generation.trust.crls.lists:
            age.add_metric([crl.source], (now - crl.this_update).total_seconds())
            if crl.next_update is not None:
                left.add_metric([crl.source], (crl.next_update - now).total_seconds())
        return [
            self._age(now),
            expiry,
            age,
            left,
            GaugeMetricFamily(
                "telnetsd_audit_queue_events", "Events waiting to be written.", value=self._sink.queued
            ),
            GaugeMetricFamily(
                "telnetsd_audit_writable", "Whether the audit log can be written.", value=self._sink.is_writable
            ),
        ]

    def _age(self, now: datetime) -> Metric:
        """Return how long ago this node of a fleet was current; without a value if it is in none, or never was."""
        age = GaugeMetricFamily(
            "telnetsd_fleet_age_seconds", "Seconds since this node of a fleet last had every change.", labels=[]
        )
        last = self._freshness.last() if self._freshness is not None else None
        if last is not None:
            age.add_metric([], (now - last).total_seconds())
        return age


def _fields(event: Draft) -> Any:  # noqa: ANN401 -- an event's JSON
    """Return the fields of an event below `telnetsd`."""
    return msgspec.json.decode(b"{" + event.tail + b"}")
