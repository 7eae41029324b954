"""The sign-in message (EIP-4361): made here, and checked field by field when it comes back signed.

``siwe`` parses; what it leaves unchecked (round trip, URI, chain, version, times, low s) is checked here, in the order
of PROMISES.
"""

import re
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime

from eth_utils.address import to_checksum_address
from pydantic import ValidationError

from app.core.http.problem import Problem, problem
from app.core.identifiers import Address, UnixTime
from app.core.signing.signature import eip191_digest

with warnings.catch_warnings():
    # siwe's grammar defines core rules that abnf defines too: the same rules, said loudly at import.
    warnings.simplefilter("ignore")
    from siwe import SiweMessage
    from siwe.siwe import ISO8601Datetime

MAX_BYTES = 1024
LIFETIME_S = 5 * 60
MAX_AGE_S = 5 * 60
MAX_AHEAD_S = 30
MAX_EXPIRY_S = 10 * 60
_PRINTABLE = re.compile(r"[\x20-\x7e\n]+\Z")
# The fixed start of every message: what lacks it is not worth the parser's time.
_START = re.compile(r"[^\n]{1,300} wants you to sign in with your Ethereum account:\n0x[0-9a-fA-F]{40}\n\n")
_STATEMENT = "Sign in to Consentry. This costs nothing and gives nobody access to your images."


@dataclass(frozen=True, slots=True)
class Place:
    """Where sign-in messages must be meant for: the public origin (scheme://host[:port]) and the chain."""

    origin_url: str
    chain_id: int

    @property
    def domain(self) -> str:
        return self.origin_url.split("://", 1)[1]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that is well formed, for this place and in its time. Whether its signature holds is another
    question.
    """

    address: Address
    siwe_nonce: str
    digest: bytes


def compose(place: Place, address: Address, siwe_nonce: str, now: UnixTime) -> str:
    """The text to sign. ``now`` Unix seconds."""
    issued = datetime.fromtimestamp(now, UTC)
    expires = datetime.fromtimestamp(now + LIFETIME_S, UTC)
    message = SiweMessage(
        domain=place.domain,
        address=to_checksum_address(address),
        statement=_STATEMENT,
        uri=place.origin_url,
        version="1",
        chain_id=place.chain_id,
        nonce=siwe_nonce,
        issued_at=ISO8601Datetime.from_datetime(issued, "seconds"),
        expiration_time=ISO8601Datetime.from_datetime(expires, "seconds"),
    )
    return str(message.prepare_message())


def read(text: str, place: Place, now: UnixTime) -> Claimed | Problem:
    """Check everything about a message but its signature and its nonce's freshness. ``now`` Unix seconds."""
    # The limit comes before the parser: its grammar takes minutes on a few KB of crafted text.
    if len(text) > MAX_BYTES or not _PRINTABLE.match(text) or not _START.match(text):
        return problem("siwe-malformed")
    try:
        message = SiweMessage.from_message(text)
        same = message.prepare_message() == text
    except (ValueError, ValidationError):
        return problem("siwe-malformed")
    if not same:  # e.g. "Chain ID: 01", which the parser reads as 1
        return problem("siwe-malformed")
    if (
        message.scheme not in (None, place.origin_url.split("://", 1)[0])
        or message.domain != place.domain
        or message.uri.rstrip("/") != place.origin_url
        or message.chain_id != place.chain_id
        or str(message.version) != "1"
    ):
        return problem("siwe-mismatch")
    if not _in_time(message, now):
        return problem("siwe-expired")
    return Claimed(Address(bytes.fromhex(message.address[2:])), message.nonce, eip191_digest(text))


def _in_time(message: SiweMessage, now: UnixTime) -> bool:
    issued = _seconds(message.issued_at)
    if issued is None or not now - MAX_AGE_S <= issued <= now + MAX_AHEAD_S:
        return False
    if message.expiration_time is None or (
        message.not_before is not None and (_seconds(message.not_before) or 0) > now
    ):
        return False
    expires = _seconds(message.expiration_time)
    return expires is not None and now < expires <= now + MAX_EXPIRY_S


def _seconds(stamp: ISO8601Datetime) -> float | None:
    moment = stamp._datetime  # noqa: SLF001 - siwe's own parse of the stamp it has validated
    if moment.tzinfo is None:
        return None
    return float(moment.timestamp())
