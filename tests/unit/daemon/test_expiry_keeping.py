"""The log says once a day that a certificate of the server or of its CA ends."""

from datetime import timedelta

from telnetsd.daemon.expiry_keeping import find_expiring
from telnetsd.files.home import Home
from telnetsd.pki.authority import utc_now


def test_a_certificate_that_ends_soon_or_has_ended_is_reported(home: Home) -> None:
    now = utc_now()
    assert list(find_expiring(home, now)) == []
    (soon,) = find_expiring(home, now + timedelta(days=365 - 20))
    assert (soon.reason.value, soon.file) == ("expires-soon", "server.pem")
    assert soon.message.startswith("certs/server.pem is valid until 20")
    late = {one.file: one.reason.value for one in find_expiring(home, now + timedelta(days=20 * 365))}
    assert late == {"server.pem": "has-expired", "ca.pem": "has-expired"}
