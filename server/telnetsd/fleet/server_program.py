"""A server of the engine on this machine: its configuration, and the vendor's program that runs it.

It lets in who has a certificate of the fleet's CA and a token of the fleet's account. Its disk is full before the
file system is: it refuses then, in words, where a full file system would make it stop.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from telnetsd.config.settings import FleetSettings
from telnetsd.errors import OperatorError
from telnetsd.files.atomic import make_secret_folder, write_secret
from telnetsd.files.home import Home, require_secret
from telnetsd.fleet.connection import VERSION_MIN
from telnetsd.fleet.credentials import EngineFile

PROGRAM: Final = "nats-server"
_CLUSTER_USER: Final = "engine"
_MEMORY_MAX_BYTES: Final = 256 * 2**20
_FIND_IT: Final = "install the vendor's nats-server, version 2.12 or later (Debian's is too old)"


def write_engine_configuration(home: Home, fleet: FleetSettings) -> Path:
    """Write what the program reads, and return its path.

    Raises:
        OperatorError: This machine is no engine machine, or something is missing.
    """
    engine = fleet.engine
    if not engine.listen:
        raise OperatorError("no engine on this machine: set listen and cluster of [fleet.engine] in telnetsd.toml")
    require_secret(home, home.fleet_engine_file, "join as an engine machine: telnetsd fleet invite --engine ADDRESS")
    try:
        known = msgspec.json.decode(home.fleet_engine_file.read_bytes(), type=EngineFile)
    except (OSError, msgspec.MsgspecError) as error:
        raise OperatorError(f"cannot read {home.shown(home.fleet_engine_file)}: {error}; restore a backup") from error
    folder = home.root / engine.store
    make_secret_folder(folder)
    accounts = folder / "accounts"
    make_secret_folder(accounts)
    for public_key, token in known.accounts.items():
        # What the engine was told since then is newer.
        if not (accounts / f"{public_key}.jwt").exists():
            write_secret(accounts / f"{public_key}.jwt", token.encode())
    path = folder / "nats-server.conf"
    write_secret(path, _configuration(home, fleet, known, folder).encode())
    return path


def find_program() -> str:
    """Return the path of the program.

    Raises:
        OperatorError: It is not installed.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        raise OperatorError(f"{PROGRAM} was not found; {_FIND_IT}")
    return found


def parse_version(text: str) -> tuple[int, ...]:
    """Return the version that the program says it has, as in `nats-server: v2.15.1`.

    Raises:
        OperatorError: It says something else, or it is too old.
    """
    words = text.strip().rpartition("v")[2].split("-")[0].split(".")
    if not all(word.isdecimal() for word in words):
        raise OperatorError(f"{PROGRAM} does not say which version it is: {text.strip()!a}; {_FIND_IT}")
    version = tuple(map(int, words))
    if version < VERSION_MIN:
        raise OperatorError(f"{PROGRAM} is version {'.'.join(words)}; {_FIND_IT}")
    return version


def run_program(configuration: Path) -> None:
    """Become the program; does not return.

    Raises:
        OperatorError: It cannot be run.
    """
    program = find_program()
    try:
        told = subprocess.run((program, "--version"), capture_output=True, text=True, check=False)  # noqa: S603
        parse_version(told.stdout or told.stderr)
        os.execv(program, (program, "-c", str(configuration)))  # noqa: S606 -- the operator's own program
    except OSError as error:
        raise OperatorError(f"cannot run {program}: {error.strerror}; {_FIND_IT}") from error


def _configuration(home: Home, fleet: FleetSettings, known: EngineFile, folder: Path) -> str:
    """Return the program's configuration: it reads JSON as well as its own language."""
    engine = fleet.engine
    tls = {
        "cert_file": str(home.fleet_node_certificate),
        "key_file": str(home.fleet_node_key),
        "ca_file": str(home.fleet_ca_certificate),
        "verify": True,
        "timeout": 5,
    }
    configuration = {
        "server_name": fleet.node,
        "listen": engine.listen,
        "max_payload": 2**20,
        "ping_interval": "5s",
        "ping_max": 2,
        "write_deadline": "5s",
        "tls": tls,
        "operator": known.operator,
        "system_account": known.system_account,
        "resolver": {"type": "full", "dir": str(folder / "accounts"), "allow_delete": False, "interval": "2m"},
        "jetstream": {
            "store_dir": str(folder),
            "max_mem": _MEMORY_MAX_BYTES,
            "max_file": engine.max_bytes,
            "sync_interval": "always",
        },
        "cluster": {
            "name": fleet.name,
            "listen": engine.cluster,
            "authorization": {"user": _CLUSTER_USER, "password": known.cluster_password, "timeout": 5},
            "routes": [f"nats-route://{_CLUSTER_USER}:{known.cluster_password}@{one}" for one in _routes(fleet)],
            "tls": tls,
        },
    }
    if len(_routes(fleet)) < 2:
        del configuration["cluster"]
    return json.dumps(configuration, indent=2)


def _routes(fleet: FleetSettings) -> tuple[str, ...]:
    """Return where the engine's servers reach each other."""
    if fleet.engine.routes:
        return fleet.engine.routes
    port = fleet.engine.cluster.rpartition(":")[2]
    hosts = (one.removeprefix("tls://").rpartition(":")[0] for one in fleet.servers)
    return tuple(f"{host}:{port}" for host in hosts)
