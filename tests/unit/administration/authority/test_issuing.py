"""Issuing: what the change itself refuses, even if it was checked before."""

import pytest

from support.homes import add
from telnetsd.administration.authority.authorities import load_issuer
from telnetsd.administration.authority.issuing import Grant, certify
from telnetsd.administration.authority.rotation import rotate
from telnetsd.administration.installation.change import changing
from telnetsd.config.settings import Settings
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home
from telnetsd.pki.keys import KeyType, generate_key


def test_a_ca_that_was_replaced_after_it_was_loaded_issues_nothing(home: Home) -> None:
    stale = load_issuer(home)
    rotate(home)
    key = generate_key(KeyType.EC).public_key()
    with (
        pytest.raises(OperatorError, match="the CA was changed by another process in the meantime"),
        changing(home, {}) as change,
    ):
        certify(change, stale, Settings(), "bob", key, Grant())
    add(home, "nina")
