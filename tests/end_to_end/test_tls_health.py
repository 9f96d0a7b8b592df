"""What a scanner and a list of known weaknesses find in our TLS: nothing below RFC 9325."""

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from support.machine import DEADLINE_S
from support.server import RunningServer

SSLYZE = Path(__file__).parents[2] / ".venv-sslyze" / "bin" / "python"
STRONGER = {"X448", "secp521r1"}
"""Groups that Mozilla's list omits for speed; they are stronger than those on it."""


@pytest.fixture(scope="module")
def scan(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    report = tmp_path_factory.mktemp("sslyze") / "report.json"
    # Its exit status is its verdict on Mozilla's configuration, which a test below looks at.
    command = [str(SSLYZE), "-m", "sslyze", f"--json_out={report}", f"127.0.0.1:{server.port}"]
    subprocess.run(command, check=False, capture_output=True)
    (result,) = json.loads(report.read_text())["server_scan_results"]
    assert result["scan_status"] == "COMPLETED"
    found: dict[str, Any] = {name: one["result"] for name, one in result["scan_result"].items()}
    return found


def accepted(suites: dict[str, Any]) -> set[str]:
    return {one["cipher_suite"]["name"] for one in suites["accepted_cipher_suites"]}


@pytest.mark.parametrize("version", ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"])
def test_versions_before_tls_1_2_are_refused(version: str, scan: dict[str, Any]) -> None:
    assert accepted(scan[f"{version}_cipher_suites"]) == set()


def test_only_authenticated_ciphers_with_forward_secrecy_are_accepted(scan: dict[str, Any]) -> None:
    assert accepted(scan["tls_1_3_cipher_suites"]) == {
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
    }  # fmt: skip
    older = accepted(scan["tls_1_2_cipher_suites"])
    assert older
    assert all(name.startswith("TLS_ECDHE_ECDSA_") and name.endswith(("_SHA256", "_SHA384")) for name in older)
    assert not any("CBC" in name for name in older)


def test_no_known_weakness_is_found(scan: dict[str, Any]) -> None:
    assert not scan["heartbleed"]["is_vulnerable_to_heartbleed"]
    assert not scan["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"]
    assert "NOT_VULNERABLE" in scan["robot"]["robot_result"]
    assert not scan["tls_compression"]["supports_compression"]
    assert not scan["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"]
    assert scan["session_renegotiation"]["supports_secure_renegotiation"]
    assert scan["tls_fallback_scsv"]["supports_fallback_scsv"]
    assert scan["tls_extended_master_secret"]["supports_ems_extension"]


def test_only_strong_groups_are_accepted(scan: dict[str, Any]) -> None:
    groups = {one["name"] for one in scan["elliptic_curves"]["supported_curves"]}
    assert groups == {"X25519", "secp256r1", "secp384r1"} | STRONGER


def test_mozillas_intermediate_profile_is_met_except_for_stronger_groups(server: RunningServer) -> None:
    command = [str(SSLYZE), "-m", "sslyze", "--mozilla_config=intermediate", f"127.0.0.1:{server.port}"]
    words = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    _, _, verdict = words.partition("COMPLIANCE AGAINST TLS CONFIGURATION")
    problems = [line.strip() for line in verdict.splitlines() if line.strip().startswith("*")]
    # The certificate's CA is our own: no root store has it, and the scanner is not asked to trust it.
    ours = [one for one in problems if not one.startswith("* certificate_path_validation")]
    assert len(ours) == 1
    assert ours[0].startswith("* tls_curves")
    assert {name for name in ("X448", "secp521r1") if name in ours[0]} == STRONGER
    assert ours[0].count("'") == 2 * len(STRONGER)


def test_the_post_quantum_group_is_preferred_when_it_is_offered(server: RunningServer) -> None:
    # Debian's tools do not know the group yet; the OpenSSL that comes with pyOpenSSL does, and offers it by default.
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as raw:
        raw.settimeout(None)
        connection = SSL.Connection(context, raw)
        connection.set_connect_state()
        connection.do_handshake()
        port = raw.getsockname()[1]
        connection.shutdown()
    assert server.session_from(port)["tls"]["curve"] == "X25519MLKEM768"
