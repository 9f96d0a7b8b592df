"""Settings that are valid individually, but contradict each other."""

import ipaddress
import urllib.parse
from collections.abc import Iterator

from telnetsd.config.address import exclude_each_other, is_address, is_loopback, unix_path
from telnetsd.config.settings import FleetSettings, LineSettings, NotifySettings, Settings, ShippingSettings


def contradictions(settings: Settings) -> Iterator[str]:
    """Yield a message for each contradiction between values."""
    if settings.session.idle_warning_s >= settings.session.idle_timeout_s:
        yield "idle_warning_s of [session] must be less than idle_timeout_s"
    if 0 in settings.classes:
        yield "class 0 is for pins and for users without a known class: number [classes] from 1"
    oids = [one.oid for one in settings.classes.values()]
    if not all(map(_is_oid, oids)):
        yield "an oid under [classes] cannot be encoded in a certificate"
    if len(set(oids)) < len(oids):
        yield "two [classes] have the same oid; give each its own"
    ids = [one.id for one in settings.cert_to_name]
    if len(set(ids)) < len(ids):
        yield "two [[cert_to_name]] entries have the same id; give each its own"
    yield from _shipping_contradictions(settings.audit.shipping)
    yield from _notify_contradictions(settings.notify)
    yield from _listener_contradictions(settings)
    yield from _line_contradictions(settings.line)
    yield from _fleet_contradictions(settings.fleet)
    if any(one.max_class < one.assurance_class for one in settings.trust_anchor if one.max_class):
        yield "max_class of a [[trust_anchor]] is less than its class"


def _fleet_contradictions(fleet: FleetSettings) -> Iterator[str]:
    if len({bool(fleet.name), bool(fleet.node), bool(fleet.servers)}) > 1:
        yield "name, node and servers of [fleet] belong together: set all of them, or none"
    if bool(fleet.engine.listen) != bool(fleet.engine.cluster):
        yield "listen and cluster of [fleet.engine] belong together: set both, or none"


def _line_contradictions(lines: tuple[LineSettings, ...]) -> Iterator[str]:
    for line in lines:
        if line.on_leave and not line.keep_open:
            yield f"on_leave of [[line]] {line.name!r} requires keep_open = true"


def _listener_contradictions(settings: Settings) -> Iterator[str]:
    listener, limits = settings.listener, settings.limits
    if listener.user and any(line.run_as for line in settings.line):
        yield "a [[line]] has run_as, which requires root, but user of [listener] gives up root"
    if settings.metrics.listen and not is_loopback(settings.metrics.listen):
        yield "listen of [metrics] is not a loopback address; write 127.0.0.1:PORT"
    if listener.user and any(unix_path(listen) is not None for _, listen in listen_settings(settings)):
        yield "user of [listener] cannot be combined with a unix:PATH address; start the server as that user instead"
    if limits.handshakes_begin >= limits.handshakes_full:
        yield "handshakes_begin of [limits] must be less than handshakes_full"
    if 0 < limits.penalty_max_s < limits.penalty_threshold_s:
        yield "penalty_max_s of [limits] must be no less than penalty_threshold_s, or 0 for no penalties"
    yield from _address_contradictions(settings)
    yield from _network_contradictions(settings)


def _address_contradictions(settings: Settings) -> Iterator[str]:
    taken: dict[str, str] = {}
    for section, listen in listen_settings(settings):
        if not is_address(listen):
            yield f"listen of {section} is {listen!r}, which is not an address: write HOST:PORT, or unix:PATH"
            continue
        for other, its_section in taken.items():
            if exclude_each_other(listen, other):
                yield f"listen of {section}, {listen}, conflicts with that of {its_section}, {other}; change one"
        taken[listen] = section


def _network_contradictions(settings: Settings) -> Iterator[str]:
    for one in settings.listener.endpoints:
        if one.proxies and unix_path(one.listen) is not None:
            yield f"proxies cannot be combined with {one.listen}: its clients have no address to list"
    networks = [("exempt of [limits]", settings.limits.exempt), ("proxies of [listener]", settings.listener.proxies)]
    networks += [("proxies of [[listener.also]]", also.proxies) for also in settings.listener.also]
    for key, texts in networks:
        yield from (f"{key}: {problem}" for problem in map(_problem_of_network, texts) if problem)


def listen_settings(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield every section that names an address to listen on, with that address."""
    yield "[listener]", settings.listener.listen
    yield from (("[[listener.also]]", also.listen) for also in settings.listener.also)
    yield from ((f"[[line]] {line.name!r}", line.listen) for line in settings.line if line.listen)
    if settings.metrics.listen:
        yield "[metrics]", settings.metrics.listen


def _problem_of_network(text: str) -> str:
    """Say what is wrong with an address or a network; an empty string if it is valid."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return f"{text!r} is not a network: write an address, or one as in 192.0.2.0/24"
    address = ipaddress.ip_address(text.partition("/")[0])
    return "" if network.network_address == address else f"{text!r} is an address in a network: write {network}"


def _shipping_contradictions(collectors: tuple[ShippingSettings, ...]) -> Iterator[str]:
    if len({one.name for one in collectors}) < len(collectors):
        yield "two [[audit.shipping]] entries have the same name; give each its own"
    for one in collectors:
        if bool(one.certificate) != bool(one.key):
            yield f"[[audit.shipping]] {one.name!r} has a certificate without a key, or a key without one"
        if (one.ca or one.certificate) and not one.to.startswith("syslog+tls:"):
            yield f"[[audit.shipping]] {one.name!r} has a ca or a certificate, but is not syslog+tls"


def _notify_contradictions(entries: tuple[NotifySettings, ...]) -> Iterator[str]:
    if len({one.name for one in entries}) < len(entries):
        yield "two [[notify]] entries have the same name; give each its own"
    for one in entries:
        where = f"[[notify]] {one.name!r}"
        if bool(one.program) == bool(one.url):
            yield f"{where} needs either a program or a url"
        # The address may have a secret in it: it is in no message.
        if one.url and not _is_https(one.url):
            yield f"the url of {where} is not an https:// address"
        if (one.secret_file or one.ca) and not one.url:
            yield f"{where} has a secret_file or a ca, but no url"


def _is_https(url: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
        is_plain = url.isascii() and url.isprintable() and " " not in url and parts.username is None
    except ValueError:
        return False
    return parts.scheme == "https" and host != "" and port != 0 and is_plain


def _is_oid(text: str) -> bool:
    """Tell whether an OID can be written in DER."""
    from cryptography import x509

    try:
        policy = x509.PolicyInformation(x509.ObjectIdentifier(text), None)
        x509.CertificatePolicies([policy]).public_bytes()
    except ValueError:
        return False
    return True
