"""A message that comes back signed: read strictly, held to its words, its signature checked, tried on the chain, then
relayed.

Nothing is sent that the contract would refuse, and nothing is believed that the contract would not believe.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

from app.api.body import Strict
from app.api.hexadecimal import SignatureText
from app.api.wiring import Wiring
from app.api.wording import names_for
from app.chain.contracts import CallData, RevertError
from app.chain.wallets import stands_behind
from app.core.consent.mirror import Standing
from app.core.http.problem import Problem, ProblemError, problem
from app.core.identifiers import Address, Signer, UnixTime
from app.core.signing.messages import DatedMessage, Message
from app.core.signing.reference import RANDOM_BYTES, takes_reference, with_reference, without_reference
from app.core.signing.typed_data import Parsed, Refusal, digest, parse, payload
from app.core.signing.words import words_for

MessageT = TypeVar("MessageT", bound=DatedMessage)

# How long a message may take from being issued to landing: time to read it, and to sleep over it for an hour.
DEADLINE_S = 3600
# What the contracts say of a message that was used before.
_USED = frozenset({"ConsentIdUsed", "AlreadyRevoked", "AlreadyClaimed", "EpochNotCurrent"})


class SignedBody(Strict):
    """The document as it was issued, and the wallet's signature over it."""

    typed_data: dict[str, Any]
    signature: SignatureText


@dataclass(frozen=True, slots=True)
class Opened:
    """A document that is exactly what this gateway would issue; whether it is signed is another question."""

    message: Message
    words: str
    digest: bytes


async def issue(
    wiring: Wiring, standing: Standing, message: Message, *, speaker: Address | None = None
) -> dict[str, Any]:
    """The document to sign. ``speaker``: who is to sign it, where the words depend on what they are to the patient."""
    return document_of(wiring, message, words_for(message, await names_for(wiring, standing, message, speaker=speaker)))


def document_of(wiring: Wiring, message: Message, words: str) -> dict[str, Any]:
    """The document with these words, and with a reference after them where they say more than the chain is told."""
    if takes_reference(message):
        words = with_reference(words, wiring.random_bytes(RANDOM_BYTES))
    return payload(message, words, wiring.domains)


def read_message(wiring: Wiring, now: UnixTime, document: dict[str, Any], kind: type[MessageT]) -> tuple[MessageT, str]:
    """The message in ``document``, and the words it came with, which ``open_message`` holds to it.

    Raises 422 ``invalid-typed-data`` unless it is of that kind and in time. Nothing but the document is looked at: who
    may hand the message in is to be settled before its words are made again from what we know.
    """
    parsed = parse(document, wiring.domains)
    if isinstance(parsed, Refusal) or not isinstance(parsed.message, kind):
        raise ProblemError(problem("invalid-typed-data"))
    message = parsed.message
    if not now <= message.deadline <= now + 2 * DEADLINE_S:
        raise ProblemError(problem("invalid-typed-data"))
    return message, parsed.words


async def open_message(
    wiring: Wiring, standing: Standing, message: Message, words: str, *, speaker: Address | None = None
) -> Opened:
    """Holds the words to the message. Raises 422 ``invalid-typed-data`` unless they say what it means.

    The words hold names and what the archive says of studies, so whether some words are right is an answer that only
    those who may know them get.
    """
    made = words_for(message, await names_for(wiring, standing, message, speaker=speaker))
    return opened_with(wiring, Parsed(message, words), made)


def opened_with(wiring: Wiring, parsed: Parsed, words: str) -> Opened:
    """The same against words that were made anew. Raises 422 ``invalid-typed-data`` unless they are those."""
    said = without_reference(parsed.words) if takes_reference(parsed.message) else parsed.words
    if said != words:
        raise ProblemError(problem("invalid-typed-data"))
    return Opened(parsed.message, parsed.words, digest(parsed.message, parsed.words, wiring.domains))


async def must_be_signed(wiring: Wiring, opened: Opened, signer: Signer, signature: bytes) -> None:
    """Raises 401 ``bad-signature`` unless ``signer`` signed it, 503 (as RpcError) when a contract wallet cannot be
    asked.
    """
    if not await stands_behind(wiring.nodes, signer, opened.digest, signature, wiring.relying_party):
        raise ProblemError(problem("bad-signature"))


async def must_be_accepted(wiring: Wiring, call: CallData) -> None:
    """Raises 409 or 422 when the contract would refuse the call now."""
    try:
        await wiring.contracts.simulate(wiring.nodes, call, wiring.relayer)
    except RevertError as refused:
        raise ProblemError(_refusal(refused)) from None


def _refusal(refused: RevertError) -> Problem:
    return problem("nonce-conflict" if refused.name in _USED else "transaction-refused")
