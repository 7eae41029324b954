"""The table of EIP-712 messages: which contract checks each, its members in order, and how to and from its class.

The names, types and order are in the contracts' type strings: a row never changes once deployed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from app.core.consent.emergencies import Opening
from app.core.consent.terms import Action, DateSpan, Effect, Finding, TeamPart, Terms, Window
from app.core.identifiers import Address, ConsentId, EmergencyId, Grantee, PatientKey, Signer, StudyKey, UnixTime
from app.core.signing.messages import (
    Claim,
    ConsentOffer,
    ConsentOffers,
    EmergencyAccess,
    EmergencyReview,
    GuardianChange,
    Message,
    MoveAcceptance,
    MoveVeto,
    Revocation,
    TeamChange,
)

Fields = tuple[tuple[str, str], ...]
# What a member holds: an unsigned integer, bytes, bytes32 or address, bytes32[], or structs, each a tuple of values.
Value = int | bytes | tuple[Any, ...]


class Contract(Enum):
    """Who checks the signature; the value is the name in the EIP-712 domain."""

    PATIENTS = "Consentry Patients"
    CONSENTS = "Consentry Consents"
    TEAMS = "Consentry Teams"
    EMERGENCIES = "Consentry Emergency"


@dataclass(frozen=True, slots=True)
class Kind:
    """One row. ``fields`` are (name, type) and follow ``string words``; ``take`` reads their values off a message.
    ``structs`` names the members of the types that fields are arrays of.

    ``make`` builds the message from values of the right types; it raises ValueError for one that the message cannot
    hold.
    """

    primary: str
    contract: Contract
    fields: Fields
    take: Callable[[Any], tuple[Value, ...]]
    make: Callable[[tuple[Any, ...]], Message]
    structs: tuple[tuple[str, Fields], ...] = ()

    def struct_in(self, type_name: str) -> Fields | None:
        """The members of the struct that the type is an array of; None for other types."""
        return dict(self.structs).get(type_name.removesuffix("[]"))

    @property
    def members(self) -> Fields:
        return (("words", "string"), *self.fields)


_TERMS_FIELDS = (
    ("patientKey", "bytes32"),
    ("grantee", "bytes32"),
    ("effect", "uint8"),
    ("actions", "uint8"),
    ("purposes", "uint16"),
    ("validFrom", "uint48"),
    ("validUntil", "uint48"),
    ("studies", "bytes32[]"),
    ("dateFrom", "uint32"),
    ("dateTo", "uint32"),
    ("parent", "bytes32"),
    ("shareDepth", "uint8"),
    ("epoch", "uint32"),
    ("salt", "bytes32"),
)


def _take_terms(terms: Terms) -> tuple[Value, ...]:
    return (
        terms.patient,
        terms.grantee,
        terms.effect,
        terms.actions,
        terms.purposes,
        terms.window.start,
        terms.window.end,
        terms.studies,
        terms.dates.first,
        terms.dates.last,
        terms.parent,
        terms.share_depth,
        terms.epoch,
        terms.consent_nonce,
    )


def _make_terms(values: tuple[Any, ...]) -> Terms:
    patient, grantee, effect, actions, purposes, start, end, studies, first, last, parent, depth, epoch, nonce = values
    return Terms(
        patient=PatientKey(patient),
        grantee=Grantee(grantee),
        effect=Effect(effect),
        actions=Action(actions),
        purposes=purposes,
        window=Window(UnixTime(start), UnixTime(end)),
        studies=tuple(StudyKey(study) for study in studies),
        epoch=epoch,
        consent_nonce=nonce,
        dates=DateSpan(first, last),
        parent=ConsentId(parent),
        share_depth=depth,
    )


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
        fields=(*_TERMS_FIELDS, ("deadline", "uint48")),
        take=lambda m: (*_take_terms(m.terms), m.deadline),
        make=lambda v: ConsentOffer(_make_terms(v[:-1]), UnixTime(v[-1])),
    ),
    ConsentOffers: Kind(
        primary="Consents",
        contract=Contract.CONSENTS,
        fields=(("grants", "Grant[]"), ("deadline", "uint48")),
        take=lambda m: (tuple(_take_terms(terms) for terms in m.grants), m.deadline),
        make=lambda v: ConsentOffers(tuple(_make_terms(grant) for grant in v[0]), UnixTime(v[1])),
        structs=(("Grant", _TERMS_FIELDS),),
    ),
    Revocation: Kind(
        primary="Revocation",
        contract=Contract.CONSENTS,
        fields=(("patientKey", "bytes32"), ("consentId", "bytes32"), ("deadline", "uint48")),
        take=lambda m: (m.patient, m.consent, m.deadline),
        make=lambda v: Revocation(PatientKey(v[0]), ConsentId(v[1]), UnixTime(v[2])),
    ),
    TeamChange: Kind(
        primary="TeamChange",
        contract=Contract.TEAMS,
        fields=(
            ("team", "bytes32"),
            ("account", "address"),
            ("part", "uint8"),
            ("validFrom", "uint48"),
            ("validUntil", "uint48"),
            ("teamNonce", "uint32"),
            ("deadline", "uint48"),
        ),
        take=lambda m: (m.team, m.account, m.part, m.start, m.until, m.team_nonce, m.deadline),
        make=lambda v: TeamChange(
            Grantee(v[0]), Address(v[1]), TeamPart(v[2]), UnixTime(v[3]), UnixTime(v[4]), v[5], UnixTime(v[6])
        ),
    ),
    EmergencyAccess: Kind(
        primary="EmergencyAccess",
        contract=Contract.EMERGENCIES,
        fields=(
            ("patientKey", "bytes32"),
            ("reasonHash", "bytes32"),
            ("validFrom", "uint48"),
            ("validUntil", "uint48"),
            ("salt", "bytes32"),
        ),
        take=lambda m: (
            m.opening.patient,
            m.opening.reason_hash,
            m.opening.window.start,
            m.opening.window.end,
            m.opening.salt,
        ),
        make=lambda v: EmergencyAccess(Opening(PatientKey(v[0]), v[1], Window(UnixTime(v[2]), UnixTime(v[3])), v[4])),
    ),
    EmergencyReview: Kind(
        primary="EmergencyReview",
        contract=Contract.EMERGENCIES,
        fields=(
            ("emergencyId", "bytes32"),
            ("finding", "uint8"),
            ("noteHash", "bytes32"),
            ("deadline", "uint48"),
        ),
        take=lambda m: (m.emergency, m.finding, m.note_hash, m.deadline),
        make=lambda v: EmergencyReview(EmergencyId(v[0]), Finding(v[1]), v[2], UnixTime(v[3])),
    ),
}
BY_PRIMARY = {kind.primary: kind for kind in KINDS.values()}
