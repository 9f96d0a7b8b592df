"""What the tests of backups share."""

from collections.abc import Iterator

import pytest

from telnetsd.administration.backup import key_box


@pytest.fixture(autouse=True, scope="package")
def a_passphrase_is_tried_quickly() -> Iterator[None]:
    """Spare most tests the time that a guess of the passphrase is meant to cost; the end-to-end tests take it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_box, "_COST", 2**10)
        yield
