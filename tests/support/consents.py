"""Patients and consents on a test's chain, by plain transactions of the development accounts."""

import random
from dataclasses import dataclass

from coincurve import PrivateKey

from app.chain.anvil import DEVELOPMENT_KEYS
from app.chain.sender import Receipt
from app.core.consent.basis import person
from app.core.consent.consent_id import consent_id
from app.core.consent.terms import Action, Effect, Purpose, Terms, Window
from app.core.identifiers import Address, ConsentId, PatientKey, Signer, StudyKey, UnixTime
from app.core.keccak import keccak256
from app.core.signing.messages import Claim
from app.core.signing.typed_data import Domains, digest, words_hash
from tests.support.chain import CAST, Chain, signer

EVERYTHING: tuple[StudyKey, ...] = ()
LOOKING = Action.SEARCH | Action.VIEW | Action.RETRIEVE
_WORDS = "These words are read by nobody."


@dataclass(frozen=True, slots=True)
class ChainPatient:
    """A claimed patient key, controlled by the development account of that name."""

    key: PatientKey
    account: str

    @property
    def actor(self) -> Address:
        return signer(self.account).address


def domains(chain: Chain) -> Domains:
    return Domains(
        chain.deployment.chain_id,
        chain.deployment.address("PatientRegistry"),
        chain.deployment.address("ConsentRegistry"),
        chain.deployment.address("CareTeams"),
        chain.deployment.address("EmergencyAccess"),
    )


async def claimed(chain: Chain, key: PatientKey, account: str = "patient1") -> ChainPatient:
    """Enrols the key and lets the account claim it: two transactions."""
    claim_key = keccak256(b"claim key of " + key)
    claimer = Address(keccak256(PrivateKey(claim_key).public_key.format(compressed=False)[1:])[12:])
    until = UnixTime(await chain.time() + 86_400)
    await chain.send(signer("registrar"), chain.contracts.patients.enrol(key, claimer, until))
    controller = Signer(bytes(signer(account).address))
    message = digest(Claim(key, controller, until), _WORDS, domains(chain))
    by_claim_key = signed(message, claim_key)
    by_controller = signed(message, DEVELOPMENT_KEYS[CAST.index(account)])
    await chain.send(
        signer("relayer"),
        chain.contracts.patients.claim(key, controller, by_claim_key, by_controller, until, words_hash(_WORDS)),
    )
    return ChainPatient(key, account)


def signed(message_digest: bytes, key: bytes) -> bytes:
    """The signature (r ‖ s ‖ v) of a 32-byte digest."""
    signature = PrivateKey(key).sign_recoverable(message_digest, hasher=None)
    return signature[:64] + bytes([signature[64] + 27])


def terms(
    patient: ChainPatient,
    grantee: str,
    chance: random.Random,
    *,
    effect: Effect = Effect.PERMIT,
    actions: Action = LOOKING,
    studies: tuple[StudyKey, ...] = EVERYTHING,
    epoch: int = 0,
) -> Terms:
    """Terms for an account of CAST, for treatment, valid for a very long time."""
    return Terms(
        patient=patient.key,
        grantee=person(signer(grantee).address),
        effect=effect,
        actions=actions,
        purposes=1 << Purpose.TREAT,
        window=Window(UnixTime(0), UnixTime(4_102_444_800)),
        studies=tuple(sorted(studies)),
        epoch=epoch,
        consent_nonce=chance.randbytes(32),
    )


async def grant(chain: Chain, patient: ChainPatient, wanted: Terms) -> ConsentId:
    """The patient's own transaction; the consent's id."""
    await chain.send(signer(patient.account), chain.contracts.consents.grant(wanted))
    return consent_id(wanted, chain.deployment.chain_id, chain.deployment.address("ConsentRegistry"))


async def revoke(chain: Chain, patient: ChainPatient, consent: ConsentId) -> Receipt:
    return await chain.send(signer(patient.account), chain.contracts.consents.revoke(patient.key, consent))
