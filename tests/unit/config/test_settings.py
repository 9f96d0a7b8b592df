"""Settings: defaults, and errors that say where they are."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.config.address import exclude_each_other, parse_address
from telnetsd.config.documents import template
from telnetsd.config.key import fixed_values, keys_of
from telnetsd.config.loading import load_settings, parse_settings
from telnetsd.config.settings import Settings
from telnetsd.errors import OperatorError


def test_without_a_file_every_setting_has_its_default(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "telnetsd.toml") == Settings()


def test_the_file_that_init_writes_states_the_defaults() -> None:
    stages, _ = template().split("# A role is", 1)
    uncommented = [line.removeprefix("# ") for line in stages.splitlines() if " = " in line or line[:1] == "["]
    settings = parse_settings("\n".join(uncommented), "telnetsd.toml")
    assert settings == Settings()
    assert parse_settings(template(), "telnetsd.toml") == Settings()


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
            "wrong value of idle_timeout_s in telnetsd.toml line 2: expected a number > 0.0; see telnetsd.toml(5)",
        ),
        ("[session]\nmotd = 7\n", "wrong value of motd in telnetsd.toml line 2: expected text, got a whole number"),
        ("[session]\nline_max_bytes = 10\n", "line_max_bytes in telnetsd.toml line 2: expected a whole number >= 80"),
        ("[session]\nidle_timeout_s = 5\n", "idle_warning_s of [session] must be less than idle_timeout_s"),
        ("session = 5\n", "wrong value of session in telnetsd.toml line 1: expected a table, got a whole number"),
        ("[roles]\na = 5\n", "wrong value of roles in telnetsd.toml line 2: expected a table"),
        (
            "[listener]\nuser='a'\n[[line]]\nname='x'\ntarget='tcp://a:1'\nlisten='unix:/x'\n",
            "user of [listener] cannot be combined with a unix:PATH address",
        ),
        ("[listener]\nlisten='unix:/x'\nproxies=['192.0.2.1']\n", "proxies cannot be combined with unix:/x"),
        ("[limits]\npenalty_max_s = 10\n", "penalty_max_s of [limits] must be no less than penalty_threshold_s"),
        ("[limits]\nhandshakes_begin = 9\nhandshakes_full = 9\n", "handshakes_begin of [limits] must be less"),
        (
            "[limits]\nexempt = ['192.0.2.1/24']\n",
            "exempt of [limits]: '192.0.2.1/24' is an address in a network: write 192.0.2.0/24",
        ),
        (
            "[[listener.also]]\nlisten = '[::]:1'\nproxies = ['1.2.3.4.5']\n",
            "proxies of [[listener.also]]: '1.2.3.4.5'",
        ),
        (
            "[listener]\nproxies = [\n'192.0.2.1', 'x.example']\n",
            "proxies in telnetsd.toml line 2: expected an address or",
        ),
        ("[[listener.also]]\nline = 'x'\n", "unknown key 'line'"),
        ("[[listener.also]]\nlisten = 'localhost'\n", "listen of [[listener.also]] is 'localhost', which is not"),
        ("[metrics]\nlisten = '0.0.0.0:1'\n", "not a loopback address"),
        ("[listener]\nuser='a'\n[[line]]\nname='x'\ntarget='exec:x'\nrun_as='b'\n", "gives up root"),
        ("[roles.'A b']\n", "wrong value of a name under roles in telnetsd.toml: expected a name of up to 32"),
        (
            "[[line]]\nname = 'a'\ntarget = 'exec:x'\n\n[[line]]\nname = 'b'\n",
            "missing target in telnetsd.toml line 5; add it",
        ),
        (
            "[[line]]\nname='a'\ntarget='tcp://a:1'\n[[line]]\nlisen='x'\n",
            "unknown key 'lisen' in telnetsd.toml line 5;",
        ),
        (
            "[listener]\nlisten = 'localhost'\n",
            "listen of [listener] is 'localhost', which is not an address: write HOST:PORT",
        ),
        (
            "[metrics]\nlisten = '127.0.0.1:9992'\n",
            "listen of [metrics], 127.0.0.1:9992, conflicts with that of [listener],",
        ),
        (
            "[[listener.also]]\nlisten = 'unix:/x'\n" * 2,
            "listen of [[listener.also]], unix:/x, conflicts with that of [[lis",
        ),
        (
            "[[line]]\nname='a'\ntarget='tcp://a:1'\nlisten='[::]:9992'\n",
            "listen of [[line]] 'a', [::]:9992, conflicts with",
        ),
    ],
)
def test_an_invalid_setting_is_reported_in_one_line(text: str, words: str) -> None:
    with pytest.raises(OperatorError) as caught:
        parse_settings(text, "telnetsd.toml")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "are_exclusive"),
    [
        ("127.0.0.1:1", "127.0.0.1:1", True),
        ("127.0.0.1:1", "127.0.0.1:2", False),
        ("127.0.0.1:1", "127.0.0.2:1", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("0.0.0.0:1", "127.0.0.1:1", True),
        ("0.0.0.0:1", "[::1]:1", False),
        ("[::]:1", "0.0.0.0:1", True),
        ("[::1]:1", "127.0.0.1:1", False),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
        ("unix:/a:1", "127.0.0.1:1", False),
    ],
)
def test_two_addresses_that_exclude_each_other_are_detected(one: str, other: str, *, are_exclusive: bool) -> None:
    assert exclude_each_other(one, other) is are_exclusive
    assert exclude_each_other(other, one) is are_exclusive


def test_metrics_may_listen_on_any_loopback_address() -> None:
    for listen in ("localhost:9993", "127.0.0.2:9993", "[::1]:9993"):
        assert parse_settings(f"[metrics]\nlisten = '{listen}'\n", "telnetsd.toml").metrics.listen == listen


@given(st.text(alphabet="[]=.\"'ab \n#0", max_size=60))
def test_any_text_is_valid_settings_or_an_error_of_one_line(text: str) -> None:
    try:
        parse_settings(text, "telnetsd.toml")
    except OperatorError as error:
        assert str(error).splitlines() == [str(error)]


def test_a_file_that_is_not_text_is_an_error_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "telnetsd.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(OperatorError, match="cannot read telnetsd.toml: "):
        load_settings(path)


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:992", ("127.0.0.1", 992)), ("[::1]:0", ("::1", 0)), ("host.example:65535", ("host.example", 65535))],
)
def test_an_address_is_parsed_into_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", ":992", "host:x", "host:65536", "host:-1", "host:²"])
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(OperatorError):
        parse_address(text)


def test_an_undeclared_key_is_detected() -> None:
    class Undeclared(msgspec.Struct):
        port: int = 0

    with pytest.raises(LookupError, match=r"Undeclared\.port has no meaning"):
        list(keys_of(Undeclared))


def test_a_line_that_has_an_address_cannot_be_renamed_without_a_restart() -> None:
    settings = [
        parse_settings(f"[[line]]\nname = '{name}'\ntarget = 'tcp://a:1'\nlisten = '127.0.0.1:1'\n", "telnetsd.toml")
        for name in ("old", "new")
    ]
    before, after = (dict(fixed_values(one)) for one in settings)
    assert before["[[line]]"] != after["[[line]]"]


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ("", set()),
        ("[listener]\nmax_connections = 5\n[session]\nmotd = 'x'\n", set()),
        ("[listener]\nworkers = 2\n", {"[listener]"}),
        ("[[audit.shipping]]\nname = 'x'\nto = 'stdout'\n", {"[audit]"}),
        ("[metrics]\nlisten = '127.0.0.1:1'\n", {"[metrics]"}),
        ("[[line]]\nname = 'x'\ntarget = 'tcp://a:1'\n", set()),
        ("[[line]]\nname = 'x'\ntarget = 'tcp://a:1'\nlisten = '127.0.0.1:1'\n", {"[[line]]"}),
    ],
)
def test_settings_that_wait_for_a_restart_are_known_from_the_declarations(text: str, waits: set[str]) -> None:
    before, after = dict(fixed_values(Settings())), dict(fixed_values(parse_settings(text, "telnetsd.toml")))
    assert {name for name in after if after[name] != before[name]} == waits
