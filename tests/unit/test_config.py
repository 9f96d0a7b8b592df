"""Settings: defaults, and what is wrong in words that say where."""

from pathlib import Path

import pytest

from telnetsd.administration.initialise import CONFIGURATION
from telnetsd.config.address import parse_address
from telnetsd.config.loading import load_settings, parse_settings
from telnetsd.config.settings import Settings
from telnetsd.errors import OperatorError


def test_no_file_means_every_default(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "telnetsd.toml") == Settings()


def test_the_file_that_init_writes_says_the_defaults() -> None:
    stages, _ = CONFIGURATION.split("# A role is", 1)
    uncommented = [line.removeprefix("# ") for line in stages.splitlines() if " = " in line or line[:1] == "["]
    settings = parse_settings("\n".join(uncommented), "telnetsd.toml")
    assert settings == Settings()
    assert parse_settings(CONFIGURATION, "telnetsd.toml") == Settings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[listener]\n\nlistne = 'x'\n", "unknown key 'listne' in telnetsd.toml line 3; did you mean 'listen'?"),
        ("[lisener]\n", "unknown key 'lisener' in telnetsd.toml line 1; did you mean 'listener'?"),
        ("[tls]\nzzz = 1\n", "unknown key 'zzz' in telnetsd.toml line 2; known here: handshake_timeout_s"),
        ("[roles.a]\ncomands = []\n", "unknown key 'comands' in telnetsd.toml line 2; did you mean 'commands'?"),
        ("[session\n", "not valid TOML: telnetsd.toml: "),
        (
            "[session]\nidle_timeout_s = -1\n",
            "wrong value in telnetsd.toml: Expected `float` > 0.0 - at `$.session.idle",
        ),
        ("[session]\nmotd = 7\n", "wrong value in telnetsd.toml: Expected `str`, got `int` - at `$.session.motd`"),
        ("[session]\nline_max_bytes = 10\n", "wrong value in telnetsd.toml: "),
        ("[session]\nidle_timeout_s = 5\n", "idle_warning_s must be less than idle_timeout_s"),
        ("session = 5\n", "wrong value in telnetsd.toml: "),
        ("[roles]\na = 5\n", "wrong value in telnetsd.toml: "),
        ("[limits]\nhandshakes_begin = 9\nhandshakes_full = 9\n", "handshakes_begin must be less"),
        ("[limits]\nexempt = ['192.0.2.1/24']\n", "'192.0.2.1/24' is not a network"),
        ("[[listener.also]]\nlisten = '[::]:1'\nproxies = ['1.2.3.4.5']\n", "'1.2.3.4.5' is not a network"),
        ("[[listener.also]]\nline = 'x'\n", "unknown key 'line'"),
        ("[[listener.also]]\nlisten = 'localhost'\n", "'localhost' is not an address"),
        ("[metrics]\nlisten = '0.0.0.0:1'\n", "not an address of this machine alone"),
        ("[listener]\nuser='a'\n[[line]]\nname='x'\ntarget='exec:x'\nrun_as='b'\n", "gives root up"),
        ("[roles.'A b']\n", "wrong value in telnetsd.toml: "),
    ],
)
def test_what_is_wrong_is_told_in_one_line(text: str, words: str) -> None:
    with pytest.raises(OperatorError) as caught:
        parse_settings(text, "telnetsd.toml")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "telnetsd.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(OperatorError, match="cannot read telnetsd.toml: "):
        load_settings(path)


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:992", ("127.0.0.1", 992)), ("[::1]:0", ("::1", 0)), ("host.example:65535", ("host.example", 65535))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", ":992", "host:x", "host:65536", "host:-1", "host:²"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(OperatorError):
        parse_address(text)
