"""The Debian package: built, judged by lintian, and installed in a new Debian 12 with nothing else in it.

No systemd runs in that root. What its units would do is done from their own lines: folder, user, command.
"""

import os
import subprocess
from pathlib import Path

import pytest

from support.machine import DEADLINE_S
from telnetsd import __version__

pytestmark = [pytest.mark.long, pytest.mark.unmeasured]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = "python3,procps,systemd-standalone-sysusers,openssl,bash-completion,libstdc++6"
START = r"""
unit() { sed -n "s/^$2=//p" "/lib/systemd/system/$1.service" | sed 's/%H/console/'; }
as_unit() { # what systemd does for User=, StateDirectory= and AmbientCapabilities=
    install -d -o "$(unit "$1" User)" -g "$(unit "$1" Group)" -m "$(unit "$1" StateDirectoryMode)" \
        "/var/lib/$(unit "$1" StateDirectory)"
    capabilities=$(unit "$1" AmbientCapabilities | sed 's/^CAP_/+/' | tr A-Z a-z)
    setpriv --reuid "$(unit "$1" User)" --regid "$(unit "$1" Group)" --clear-groups --no-new-privs \
        ${capabilities:+--inh-caps -all,$capabilities --ambient-caps -all,$capabilities} $(unit "$1" ExecStart)
}
start() {
    [ -e /var/lib/telnetsd/certs/ca.pem ] || as_unit telnetsd-init
    as_unit telnetsd 2>/var/log/telnetsd.log &
    until grep -q ^listening /var/log/telnetsd.log; do kill -0 $!; sleep 0.1; done
}
stop() { pkill -INT -x telnetsd; wait; }
"""
INSTALL = r"""
apt-get install -y -q ./telnetsd.deb
[ ! -e /var/lib/telnetsd ] # no CA is made before the first start
id telnetsd
telnetsd --version
start
grep -q 'listening on \[::\]:992' /var/log/telnetsd.log
telnetsd-admin user add alice --role operator
telnetsd-admin run localhost --user alice -- whoami
telnetsd-admin check
"""
READ = r"""
install -m 600 /dev/null /root/bob.csr
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=bob -keyout /root/bob.key >/root/bob.csr
[ "$(stat -c %a /root)" = 700 ]
cd /root; telnetsd-admin user add bob --csr ./bob.csr; telnetsd-admin user explain /root/bob.csr && exit 1; cd /
[ -z "$(ls /var/tmp)" ]
find /var/lib/telnetsd ! -user telnetsd | grep . && exit 1
telnetsd-admin audit verify
"""
COMPLETE = r"""
bash -c '. /usr/share/bash-completion/bash_completion
    _completion_loader telnetsd; complete -p telnetsd
    COMP_WORDS=(telnetsd aud); COMP_CWORD=1; _telnetsd_completion telnetsd; echo "completed ${COMPREPLY[*]}"'
test -e /usr/share/man/man8/telnetsd.8.gz -a -e /usr/share/man/man8/telnetsd-admin.8.gz
"""
PURGE = r"""
stop
apt-get install -y -q --reinstall ./telnetsd.deb
start
telnetsd-admin run localhost --user alice -- whoami
stop
apt-get purge -y -q telnetsd 2>&1
id telnetsd
[ -e /var/lib/telnetsd/certs/ca.key ]
[ ! -e /usr/lib/telnetsd ]
"""


@pytest.fixture(scope="module")
def package() -> Path:
    built = subprocess.run(
        [ROOT / "scripts" / "make-deb"], capture_output=True, text=True, timeout=10 * DEADLINE_S, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return Path(built.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def debian(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("debian") / "root"
    words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)]
    subprocess.run(words, check=True, timeout=10 * DEADLINE_S, capture_output=True)
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (root / "telnetsd.deb").write_bytes(package.read_bytes())
    return root


def run(root: Path, script: str) -> str:
    """Run a script in a root, on a network of its own, as the only process there."""
    inside = f"export PATH=/usr/sbin:/usr/bin:/sbin:/bin; set -eux; cd /; {START}\n{script}"
    (root / "script").write_text(inside)
    outside = f'ip link set lo up; mount -t proc proc "{root}/proc"; exec chroot "{root}" /bin/bash /script'
    finished = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", outside],
        env={"PATH": os.environ["PATH"], "DEBIAN_FRONTEND": "noninteractive", "TERM": "dumb"},
        capture_output=True,
        text=True,
        timeout=10 * DEADLINE_S,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-4000:]
    return finished.stdout


def test_the_package_leads_to_a_named_login_and_its_purge_keeps_users_and_log(debian: Path) -> None:
    output = run(debian, INSTALL + READ + COMPLETE + PURGE)
    assert f"telnetsd {__version__}" in output
    assert output.count("user         alice\n") == 2
    assert "intact\n" in output
    assert "completed audit" in output
    kept = "/var/lib/telnetsd (CA, users, audit log) and the user telnetsd stay; remove them yourself"
    assert f"telnetsd: {kept}" in output


def test_the_package_has_no_configuration_file_of_dpkg_and_no_key(package: Path) -> None:
    def dpkg(*words: str) -> str:
        return subprocess.run(["dpkg-deb", *words], capture_output=True, text=True, check=True).stdout

    assert "conffiles" not in dpkg("-I", str(package))
    listed = dpkg("-c", str(package))
    assert not any(word in listed for word in (".key", "ca.pem", "/etc/", "telnetsd.toml\n", "/tests/"))
    needed = dpkg("-f", str(package), "Depends")
    assert all(word in needed for word in ("procps", "python3 (>= 3.11)", "python3 (<< 3.12)"))
