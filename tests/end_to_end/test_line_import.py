"""An operator who comes from conserver or ser2net has lines that `check` accepts."""

from pathlib import Path

import pytest

from support.command_line import telnetsd
from telnetsd.config.loading import load_settings
from telnetsd.files.home import Home

CONSERVER = """
group ops { users ann, bob; }
default * { logfile /var/log/conserver/&; rw ops; master localhost; }
default ts1 { type host; host ts1.example; portbase 7000; }
console web1 { include ts1; port 1; }
console Web1 { include ts1; port 2; rw ann; }
console ttya { type device; device /dev/ttyS0; baud 115200; parity none; options !ixon; }
console shell { type exec; exec "ssh root@web1"; }
"""
SER2NET = """%YAML 1.1
---
connection: &con1
    accepter: telnet(rfc2217),tcp,localhost,2001
    enable: on
    options:
      kickolduser: true
    connector: serialdev,
              /dev/ttyS0,
              115200n81,local
"""


@pytest.mark.parametrize(
    ("name", "text", "count", "shells"), [("conserver.cf", CONSERVER, 3, 1), ("ser2net.yaml", SER2NET, 1, 0)]
)
def test_check_accepts_what_was_imported(
    home: Home, tmp_path: Path, name: str, text: str, count: int, shells: int
) -> None:
    file = tmp_path / name
    file.write_text(text)

    imported = telnetsd(home, "line", "import", file)

    assert imported.returncode == 0
    home.config_file.write_text(imported.stdout)
    checked = telnetsd(home, "check")
    assert checked.returncode == 0, checked.stdout
    assert len(load_settings(home.config_file).line) == count
    assert imported.stderr.startswith(f"{count + shells} lines; ")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("conserver.cf", "console {", "error: conserver.cf, row 1: the block '' has no end"),
        ("ser2net.yaml", "a: [", "error: ser2net.yaml is not valid: "),
    ],
)
def test_a_file_that_is_not_valid_is_refused_in_one_line(
    home: Home, tmp_path: Path, name: str, text: str, message: str
) -> None:
    file = tmp_path / name
    file.write_text(text)

    refused = telnetsd(home, "line", "import", file)

    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith(message)
    assert refused.stderr.count("\n") == 1
