"""The conditions that a home folder must meet before it is served."""

from pathlib import Path

import pytest

from telnetsd.errors import OperatorError
from telnetsd.files.home import Home, require_only_ours


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home folder that only the operator can write to, with a certificate below a folder and one behind a link."""
    home = Home(tmp_path / "home")
    (home.certs_folder / "trust").mkdir(parents=True, mode=0o755)
    for folder in (home.root, home.certs_folder, home.certs_folder / "trust"):
        folder.chmod(0o700)
    for name in ("server.pem", "trust/x.pem"):
        (home.certs_folder / name).write_text("a certificate", encoding="ascii")
        (home.certs_folder / name).chmod(0o644)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "elsewhere" / "y.pem").write_text("a certificate", encoding="ascii")
    (home.certs_folder / "linked").symlink_to(tmp_path / "elsewhere")
    return home


def test_a_home_writable_only_by_its_owner_is_accepted(home: Home) -> None:
    require_only_ours(home)


@pytest.mark.parametrize(
    "place", [".", "certs", "certs/server.pem", "certs/trust", "certs/trust/x.pem", "certs/linked/y.pem"]
)
@pytest.mark.parametrize("bit", [0o020, 0o002], ids=["group", "others"])
def test_a_file_or_folder_that_others_can_write_to_is_refused(home: Home, place: str, bit: int) -> None:
    path = home.root / place
    path.chmod(path.stat().st_mode | bit)
    with pytest.raises(OperatorError, match=r"is writable by others .* chmod go-w ") as refused:
        require_only_ours(home)
    assert str(path.name) in str(refused.value)
