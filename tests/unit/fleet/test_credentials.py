"""Who may use the engine: tokens in the form that NATS defines, with permissions that name no other node."""

import base64
import json
import time
from typing import Any

import nkeys
import pytest

from telnetsd.errors import OperatorError
from telnetsd.fleet.credentials import (
    Signer,
    Token,
    engine_file,
    founder_token,
    is_user_key,
    make_authority_keys,
    make_user_seed,
    nodes_account,
    public_key_of,
    sign_node_token,
)
from telnetsd.fleet.joining import Code, parse_code, require_node_name
from telnetsd.fleet.server_program import parse_version
from telnetsd.fleet.subjects import Subjects, permissions
from telnetsd.state.fleet import EVERY_CAPABILITY, Capability

KEYS = make_authority_keys()


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    header, claims, signature = token.split(".")

    def decode(text: str) -> bytes:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    return json.loads(decode(header)), json.loads(decode(claims)), decode(signature), f"{header}.{claims}".encode()


def require_signed_by(token: str, seed: str) -> dict[str, Any]:
    header, claims, signature, signed = parts_of(token)
    assert header == {"typ": "JWT", "alg": "ed25519-nkey"}
    assert claims["iss"] == public_key_of(seed)
    assert nkeys.from_seed(bytearray(seed.encode())).verify(signed, signature)
    return claims


def test_the_token_of_a_node_is_signed_by_the_key_of_what_it_may_do_and_names_the_node() -> None:
    seed = make_user_seed()
    for capabilities, signer in ((EVERY_CAPABILITY, KEYS.giver), ((Capability.AUDIT,), KEYS.edge), ((), KEYS.edge)):
        claims = require_signed_by(sign_node_token(KEYS, "site-7", public_key_of(seed), capabilities), signer)
        assert (claims["name"], claims["sub"]) == ("site-7", public_key_of(seed))
        assert claims["nats"]["issuer_account"] == public_key_of(KEYS.nodes)
        # What it allows is written in the account: a token of a scoped key must not say anything of its own.
        assert set(claims["nats"]) == {"issuer_account", "type", "version"}


def test_the_account_gives_each_key_the_subjects_of_the_node_in_the_token_alone() -> None:
    claims = require_signed_by(nodes_account(KEYS, "acme", ["UREVOKED"]), KEYS.operator)
    giver, edge = claims["nats"]["signing_keys"]
    assert claims["nats"]["revocations"]["UREVOKED"] > time.time() + 10**9
    assert (giver["key"], edge["key"]) == (public_key_of(KEYS.giver), public_key_of(KEYS.edge))
    publish = {role["role"]: set(role["template"]["pub"]["allow"]) for role in (giver, edge)}
    assert publish["giver"] - publish["edge"] == {"acme.give.{{name()}}"}
    own = {one for one in publish["edge"] if not one.startswith("acme.js.")}
    assert own == {
        *(f"acme.{word}.{{{{name()}}}}" for word in ("take", "request", "node", "urgent")),
        "acme.lease",
        "acme.news",
        "acme.ask.>",
    }
    questions = {one.removeprefix("acme.js.") for one in publish["giver"] if one.startswith("acme.js.")}
    assert {one.rpartition(".")[0] for one in questions} == {"STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET"}
    reached = {one["subject"] for one in claims["nats"]["imports"]}
    assert not any(word in one for one in reached for word in ("DELETE", "PURGE", "CREATE", "UPDATE"))
    assert not any(one.endswith(">") for one in reached)
    assert all("_INBOX_{{name()}}" in one or one.startswith("acme.") for one in edge["template"]["sub"]["allow"])


def test_a_server_of_the_engine_knows_no_secret_key_of_the_fleet() -> None:
    known = engine_file(KEYS, "acme")
    text = json.dumps([known.operator, known.accounts, known.system_account])
    for seed in (KEYS.operator, KEYS.system, KEYS.streams, KEYS.nodes, KEYS.giver, KEYS.edge):
        assert seed not in text
    for token in (known.operator, *known.accounts.values()):
        require_signed_by(token, KEYS.operator)
    require_signed_by(founder_token(KEYS).jwt, KEYS.streams)


def test_a_challenge_is_signed_with_the_seed_of_the_token() -> None:
    seed = make_user_seed()
    signer = Signer(Token(seed=seed, jwt="a.b.c"))
    for nonce in ("nonce", b"nonce"):
        assert nkeys.from_seed(bytearray(seed.encode())).verify(b"nonce", base64.b64decode(signer.sign(nonce)))
    assert signer.jwt() == b"a.b.c"


def test_only_the_public_key_of_a_token_is_taken_for_one() -> None:
    assert is_user_key(public_key_of(make_user_seed()))
    for text in ("", "U", "!", public_key_of(KEYS.nodes), make_user_seed(), "A" * 56):
        assert not is_user_key(text)


def test_a_subject_of_a_change_names_its_kind_and_its_node() -> None:
    subjects = Subjects("acme")
    assert subjects.parse_change(subjects.change("give", "hq-1")) == ("give", "hq-1")
    for subject in ("other.give.hq-1", "acme.give.a.b", "acme", ""):
        assert subjects.parse_change(subject)[1] == ""
    assert "{{name()}}" in str(permissions("acme", ()))


@pytest.mark.parametrize("words", ["nats-server: v2.12.0", "nats-server: v2.15.1\n", "nats-server: v3.0.0-beta.1"])
def test_a_version_of_the_engine_that_is_new_enough_is_accepted(words: str) -> None:
    assert parse_version(words) >= (2, 12)


@pytest.mark.parametrize("words", ["nats-server: v2.9.10", "nats-server: v2.11.99", "", "no version"])
def test_an_older_engine_is_refused_with_the_version_that_is_needed(words: str) -> None:
    with pytest.raises(OperatorError, match=r"version 2\.12 or later"):
        parse_version(words)


def test_a_code_is_read_as_it_was_printed_and_what_was_cut_off_is_refused() -> None:
    code = Code("site-7", "abcde-fghij-klmno-pqrst-uvwxy-z", "0" * 64)
    assert parse_code(f" {str(code).upper()}\n") == code
    for text in ("", "site-7", str(code)[:-1], f"7{code}", f"{code}0", str(code).replace(".", "-", 1)):
        with pytest.raises(OperatorError, match="no code of an invitation"):
            parse_code(text)


@pytest.mark.parametrize("name", ["", "7a", "a.b", "A", "a" * 33, "a b", "a*", "a>", "a\n"])
def test_a_name_that_is_no_part_of_a_subject_is_refused(name: str) -> None:
    with pytest.raises(OperatorError, match="not a name"):
        require_node_name(name)
