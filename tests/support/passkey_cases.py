"""Signatures of one passkey over one digest: good ones, and ones with one thing wrong each."""

from collections.abc import Callable
from typing import Any

from app.core.identifiers import Address
from app.core.signing.passkey import RelyingParty
from tests.support.authenticator import (
    ATTESTED,
    BACKED_UP,
    BACKUP_ELIGIBLE,
    EXTENDED,
    ORDER,
    PRESENT,
    VERIFIED,
    Answer,
    Authenticator,
    websafe,
)

DIGEST = bytes(range(32))
DEVICE = Authenticator()
PARTY = RelyingParty("http://localhost:8080", Address(b"\xaa" * 20))
GOOD = DEVICE.sign(DIGEST)


def with_client(**members: object) -> bytes:
    return DEVICE.sign(DIGEST, client_data=DEVICE.client_data("webauthn.get", DIGEST, **members)).encoded()


def with_flags(flags: int, more: bytes = b"") -> bytes:
    return DEVICE.sign(DIGEST, authenticator_data=DEVICE.authenticator_data(flags, more)).encoded()


def _raw_client(text: bytes) -> bytes:
    return DEVICE.sign(DIGEST, client_data=text).encoded()


def _elsewhere(**where: Any) -> bytes:
    device = Authenticator(private=DEVICE.private, **where)
    return device.sign(DIGEST).encoded()


def _plain_client() -> str:
    return DEVICE.client_data("webauthn.get", DIGEST).decode()


WELL_SIGNED: dict[str, Callable[[], bytes]] = {
    "as Chromium writes it": GOOD.encoded,
    "crossOrigin left out": lambda: with_client(crossOrigin=None),
    "a member more": lambda: with_client(other_keys_can_be_added_here="see the standard"),
    "members in another order": lambda: _raw_client(
        f'{{"origin":"{DEVICE.origin}","challenge":"{websafe(DIGEST)}","type":"webauthn.get"}}'.encode()
    ),
    "a passkey that could be copied": lambda: with_flags(PRESENT | VERIFIED | BACKUP_ELIGIBLE),
    "a passkey that is copied": lambda: with_flags(PRESENT | VERIFIED | BACKUP_ELIGIBLE | BACKED_UP),
    "with extensions": lambda: with_flags(PRESENT | VERIFIED | EXTENDED, b"\xa0"),
}

# One thing wrong in each.
BADLY_SIGNED: dict[str, Callable[[], bytes]] = {
    "another challenge": lambda: DEVICE.sign(bytes(32)).encoded(),
    "made at registration": lambda: with_client(type="webauthn.create"),
    "no type": lambda: with_client(type=None),
    "no challenge": lambda: with_client(challenge=None),
    "a padded challenge": lambda: with_client(challenge=websafe(DIGEST) + "="),
    "no origin": lambda: with_client(origin=None),
    "another port": lambda: _elsewhere(origin="http://localhost:8081"),
    "another scheme": lambda: _elsewhere(origin="https://localhost:8080"),
    "another page": lambda: _elsewhere(origin="http://localhost:8080.example.org"),
    "a trailing slash": lambda: _elsewhere(origin="http://localhost:8080/"),
    "in a frame": lambda: with_client(crossOrigin=True),
    "crossOrigin in words": lambda: with_client(crossOrigin="false"),
    "crossOrigin as a number": lambda: with_client(crossOrigin=0),
    "in a frame of another page": lambda: with_client(topOrigin="https://example.org"),
    "for another host": lambda: _elsewhere(rp_id="localhost.example.org"),
    "nobody present": lambda: with_flags(VERIFIED),
    "nobody verified": lambda: with_flags(PRESENT),
    "no flags": lambda: with_flags(0),
    "copied though it cannot be": lambda: with_flags(PRESENT | VERIFIED | BACKED_UP),
    "credential data announced": lambda: with_flags(PRESENT | VERIFIED | ATTESTED),
    "extensions announced and none there": lambda: with_flags(PRESENT | VERIFIED | EXTENDED),
    "bytes that nobody announced": lambda: with_flags(PRESENT | VERIFIED, b"\xa0"),
    "authenticator data cut": lambda: DEVICE.sign(
        DIGEST, authenticator_data=DEVICE.authenticator_data()[:-1]
    ).encoded(),
    "authenticator data too long": lambda: with_flags(PRESENT | VERIFIED | EXTENDED, bytes(512 - 36)),
    "client data too long": lambda: with_client(more="x" * 1024),
    "a member twice": lambda: _raw_client(_plain_client().replace("{", '{"origin":"https://a.b",').encode()),
    "no JSON": lambda: _raw_client(_plain_client()[:-1].encode()),
    "JSON of another kind": lambda: _raw_client(f"[{_plain_client()}]".encode()),
    "the right words inside a string": lambda: _raw_client(
        _plain_client().replace('"type":"webauthn.get"', '"x":{"type":"webauthn.get"}').encode()
    ),
    "the right challenge inside of something else": lambda: _raw_client(
        _plain_client()
        .replace('"challenge"', f'"x":{{"challenge":"{websafe(DIGEST)}"}},"challenge"')
        .replace(f'{websafe(DIGEST)}","origin"', f'{websafe(bytes(32))}","origin"')
        .encode()
    ),
    "no UTF-8": lambda: _raw_client(_plain_client().replace("{", '{"x":"\xff",').encode("latin-1")),
    "spaces that the contract does not expect": lambda: _raw_client(_plain_client().replace(":", ": ", 1).encode()),
    "type elsewhere": lambda: GOOD.encoded(type_index=GOOD.client_data.find(b'"type"') + 1),
    "type out of bounds": lambda: GOOD.encoded(type_index=2**256 - 1),
    "challenge elsewhere": lambda: GOOD.encoded(challenge_index=GOOD.client_data.find(b'"challenge"') - 1),
    "challenge out of bounds": lambda: GOOD.encoded(challenge_index=2**64),
    "high s": lambda: GOOD.encoded(s=max(GOOD.s, ORDER - GOOD.s)),
    "s zero": lambda: GOOD.encoded(s=0),
    "r zero": lambda: GOOD.encoded(r=0),
    "r out of range": lambda: GOOD.encoded(r=ORDER),
    "another r": lambda: GOOD.encoded(r=GOOD.r ^ 1),
    "another s": lambda: GOOD.encoded(s=min(GOOD.s, ORDER - GOOD.s) ^ 1),
    "another passkey": lambda: Authenticator().sign(DIGEST).encoded(),
    "authenticator data of another assertion": lambda: GOOD.encoded(
        authenticator_data=Authenticator(count=7).authenticator_data()
    ),
    "client data of another assertion": lambda: GOOD.encoded(client_data=GOOD.client_data[:-1] + b',"x":1}'),
    "a wallet's signature": lambda: bytes(64) + b"\x1b",
    "nothing": lambda: b"",
    "the word in front": lambda: (32).to_bytes(32) + GOOD.encoded(),
    "a byte more": lambda: GOOD.encoded() + b"\0",
    "a byte less": lambda: GOOD.encoded()[:-1],
    "a gap": lambda: _with_a_gap(GOOD),
    "both parts at one place": lambda: _heads(GOOD, 192, 192) + GOOD.encoded()[192:],
    "a part far outside": lambda: _heads(GOOD, 2**255, 288) + GOOD.encoded()[192:],
    "padding that is not zero": lambda: GOOD.encoded()[:-1] + b"\x01",
}


def _heads(answer: Answer, data_at: int, client_at: int) -> bytes:
    return answer.encoded()[:128] + data_at.to_bytes(32) + client_at.to_bytes(32)


def _with_a_gap(answer: Answer) -> bytes:
    return _heads(answer, 224, 320) + bytes(32) + answer.encoded()[192:]
