"""The table of EIP-712 messages: which contract checks each, its members in order, and how to and from its class.

The names, types and order are in the contracts' type strings: a row never changes once deployed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from app.core.identifiers import ConsentId, Grantee, PatientKey, Signer, StudyKey, UnixTime
from app.core.messages import Claim, ConsentOffer, GuardianChange, Message, MoveAcceptance, MoveVeto, Revocation
from app.core.terms import Action, Effect, Terms, Window

# What a member holds: an unsigned integer, bytes or bytes32, bytes32[].
Value = int | bytes | tuple[bytes, ...]


class Contract(Enum):
    """Who checks the signature; the value is the name in the EIP-712 domain."""

    PATIENTS = "Consentry Patients"
    CONSENTS = "Consentry Consents"


@dataclass(frozen=True, slots=True)
class Kind:
    """One row. ``fields`` are (name, type) and follow ``string words``; ``take`` reads their values off a message.

    ``make`` builds the message from values of the right types; it raises ValueError for one that the message cannot
    hold.
    """

    primary: str
    contract: Contract
    fields: tuple[tuple[str, str], ...]
    take: Callable[[Any], tuple[Value, ...]]
    make: Callable[[tuple[Any, ...]], Message]

    @property
    def members(self) -> tuple[tuple[str, str], ...]:
        return (("words", "string"), *self.fields)


def _take_terms(offer: ConsentOffer) -> tuple[Value, ...]:
    terms = offer.terms
    return (
        terms.patient,
        terms.grantee,
        terms.effect,
        terms.actions,
        terms.purposes,
        terms.window.start,
        terms.window.end,
        terms.studies,
        terms.epoch,
        terms.consent_nonce,
        offer.deadline,
    )


def _make_offer(values: tuple[Any, ...]) -> ConsentOffer:
    patient, grantee, effect, actions, purposes, start, end, studies, epoch, consent_nonce, deadline = values
    terms = Terms(
        patient=PatientKey(patient),
        grantee=Grantee(grantee),
        effect=Effect(effect),
        actions=Action(actions),
        purposes=purposes,
        window=Window(UnixTime(start), UnixTime(end)),
        studies=tuple(StudyKey(study) for study in studies),
        epoch=epoch,
        consent_nonce=consent_nonce,
    )
    return ConsentOffer(terms, UnixTime(deadline))


KINDS: dict[type[Message], Kind] = {
    Claim: Kind(
        primary="Claim",
        contract=Contract.PATIENTS,
        fields=(("patientKey", "bytes32"), ("controller", "bytes"), ("deadline", "uint48")),
        take=lambda m: (m.patient, m.controller, m.deadline),
        make=lambda v: Claim(PatientKey(v[0]), Signer(v[1]), UnixTime(v[2])),
    ),
    MoveVeto: Kind(
        primary="MoveVeto",
        contract=Contract.PATIENTS,
        fields=(("patientKey", "bytes32"), ("moveNonce", "uint32"), ("deadline", "uint48")),
        take=lambda m: (m.patient, m.move_nonce, m.deadline),
        make=lambda v: MoveVeto(PatientKey(v[0]), v[1], UnixTime(v[2])),
    ),
    MoveAcceptance: Kind(
        primary="MoveAcceptance",
        contract=Contract.PATIENTS,
        fields=(
            ("patientKey", "bytes32"),
            ("controller", "bytes"),
            ("moveNonce", "uint32"),
            ("deadline", "uint48"),
        ),
        take=lambda m: (m.patient, m.controller, m.move_nonce, m.deadline),
        make=lambda v: MoveAcceptance(PatientKey(v[0]), Signer(v[1]), v[2], UnixTime(v[3])),
    ),
    GuardianChange: Kind(
        primary="GuardianChange",
        contract=Contract.PATIENTS,
        fields=(
            ("patientKey", "bytes32"),
            ("guardian", "bytes"),
            ("validUntil", "uint48"),
            ("guardianNonce", "uint32"),
            ("deadline", "uint48"),
        ),
        take=lambda m: (m.patient, m.guardian, m.until, m.guardian_nonce, m.deadline),
        make=lambda v: GuardianChange(PatientKey(v[0]), Signer(v[1]), UnixTime(v[2]), v[3], UnixTime(v[4])),
    ),
    ConsentOffer: Kind(
        primary="Consent",
        contract=Contract.CONSENTS,
        fields=(
            ("patientKey", "bytes32"),
            ("grantee", "bytes32"),
            ("effect", "uint8"),
            ("actions", "uint8"),
            ("purposes", "uint16"),
            ("validFrom", "uint48"),
            ("validUntil", "uint48"),
            ("studies", "bytes32[]"),
            ("epoch", "uint32"),
            ("salt", "bytes32"),
            ("deadline", "uint48"),
        ),
        take=_take_terms,
        make=_make_offer,
    ),
    Revocation: Kind(
        primary="Revocation",
        contract=Contract.CONSENTS,
        fields=(("patientKey", "bytes32"), ("consentId", "bytes32"), ("deadline", "uint48")),
        take=lambda m: (m.patient, m.consent, m.deadline),
        make=lambda v: Revocation(PatientKey(v[0]), ConsentId(v[1]), UnixTime(v[2])),
    ),
}
BY_PRIMARY = {kind.primary: kind for kind in KINDS.values()}
