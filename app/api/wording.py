"""Names for the words that people sign and read: people from the directory, studies from the archive.

Words are made twice, when a message is issued and when it comes back signed; both times from here, so that they can be
compared.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.api.hexadecimal import checksum
from app.api.wiring import Wiring
from app.core.consent.basis import ADDRESS_BYTES, actor_of, directory_account, person, person_of
from app.core.consent.events import NO_WARD
from app.core.consent.mirror import Standing
from app.core.consent.recovering import frees_the_ward
from app.core.consent.state import Revoked
from app.core.consent.terms import NO_PARENT, Terms
from app.core.dicom.dicomjson import identity
from app.core.dicom.dicomweb import Level, Matching, Search
from app.core.directory import entry_hash
from app.core.identifiers import Address, ConsentId, Grantee, PatientKey, Signer, StudyKey, StudyUid
from app.core.pseudonym import study_key
from app.core.signing.messages import (
    Claim,
    ConsentOffer,
    ConsentOffers,
    GuardianChange,
    Message,
    MoveAcceptance,
    Revocation,
    TeamChange,
)
from app.core.signing.words import Names, moment
from app.pacs.origin import DicomJson
from app.store.directory import DirectoryEntry
from app.store.patients import EnrolledPatient

_STUDY_UID, _STUDY_DATE, _STUDY_DESCRIPTION, _MODALITIES = "0020000D", "00080020", "00081030", "00080061"


@dataclass(frozen=True, slots=True)
class KnownStudy:
    """One of the patient's studies as the archive describes it."""

    uid: StudyUid
    key: StudyKey
    label: str


async def studies_of(wiring: Wiring, patient: EnrolledPatient) -> list[KnownStudy]:
    """Every study the archive holds of this patient, those included that somebody said are theirs. Raises what the
    archive raises.
    """
    desk = wiring.identities
    rulings = desk.resolutions.rulings
    found: dict[StudyUid, KnownStudy] = {}
    for subject in (patient.subject, *rulings.aliases_of.get(patient.key, ())):
        for dataset in await _described(wiring, Matching(("00100020",), subject.patient_id)):
            if identity(dataset) == subject:
                uid = StudyUid(_text(dataset, _STUDY_UID))
                found.setdefault(uid, KnownStudy(uid, key_of(wiring, patient, uid), _label(dataset)))
    for uid in rulings.studies_of.get(patient.key, ()):
        accepted = (await wiring.origin.subjects_of(uid)).accepted
        owner = None if accepted is None else desk.ownership.of_study(uid, accepted)
        if owner is not None and owner.key == patient.key:
            for dataset in await _described(wiring, Matching((_STUDY_UID,), uid)):
                if _text(dataset, _STUDY_UID) == uid:
                    found.setdefault(uid, KnownStudy(uid, key_of(wiring, patient, uid), _label(dataset)))
    return list(found.values())


async def _described(wiring: Wiring, key: Matching) -> list[DicomJson]:
    include = ((_STUDY_DESCRIPTION,), (_STUDY_DATE,), (_MODALITIES,))
    return await wiring.origin.search(Search(level=Level.STUDY, matching=(key,), include=include))


def key_of(wiring: Wiring, patient: EnrolledPatient, uid: StudyUid) -> StudyKey:
    """The study's salted key on the chain."""
    contract = wiring.deployment.address("PatientRegistry")
    return study_key(wiring.site_key, patient.salt, uid, wiring.place.chain_id, contract)


async def names_for(wiring: Wiring, standing: Standing, message: Message, *, speaker: Address | None = None) -> Names:
    """What to call everybody and everything that the message names. ``speaker`` is who says it, where that matters."""
    if isinstance(message, ConsentOffer | ConsentOffers):
        names = await _granting(wiring, standing, _grants_in(message))
        return replace(names, patient=_spoken_for(standing, _grants_in(message), speaker))
    if isinstance(message, TeamChange):
        named = [message.team, person(message.account)]
        return Names(grantees=await _grantees(wiring, standing, named))
    if isinstance(message, Revocation):
        return Names(consents=await _consents(wiring, standing, message.patient, message.consent))
    if isinstance(message, Claim | MoveAcceptance):
        return _taking_over(wiring, standing, message)
    if isinstance(message, GuardianChange) and message.guardian:
        return Names(signers={message.guardian: await _guardian(wiring, standing, message.guardian)})
    return Names()


def _taking_over(wiring: Wiring, standing: Standing, message: Claim | MoveAcceptance) -> Names:
    """A ward's guardian takes over as guardian; a ward who has come of age, for themselves."""
    patient = standing.head.patient(message.patient)
    ward_until = NO_WARD if patient is None else patient.ward_until
    is_move = isinstance(message, MoveAcceptance)
    if patient is not None and is_move and frees_the_ward(patient, standing.timestamp, wiring.move_delay_s):
        ward_until = NO_WARD
    return Names(signers={message.controller: _wallet(message.controller)}, ward_until=ward_until)


async def _guardian(wiring: Wiring, standing: Standing, guardian: Signer) -> str:
    """The account with, where the directory has one, the name. Never what the patient calls them: the hash of these
    words is on the chain, and a name can be guessed.
    """
    account = actor_of(guardian)
    known = await grantee_name(wiring, standing, person(account))
    shown = checksum(account) if len(guardian) == ADDRESS_BYTES else f"passkey {checksum(account)}"
    return shown if known is None else f"{known} ({shown})"


def _spoken_for(standing: Standing, grants: Sequence[Terms], speaker: Address | None) -> str:
    """What a guardian calls the patient whose images they speak of. No name: the hash of the words is on the chain."""
    patients = [standing.head.patient(terms.patient) for terms in grants if terms.parent == NO_PARENT]
    acts_as = [patient.may_act_as(speaker, standing.timestamp) for patient in patients if patient and speaker]
    as_guardian = [one.as_guardian and not one.as_self for one in acts_as]
    return "the person I act for" if as_guardian and all(as_guardian) else ""


def _grants_in(message: ConsentOffer | ConsentOffers) -> tuple[Terms, ...]:
    return (message.terms,) if isinstance(message, ConsentOffer) else message.grants


async def _granting(wiring: Wiring, standing: Standing, grants: Sequence[Terms]) -> Names:
    """Studies are described to those who act for the patient; to whoever shares on, they are their keys."""
    studies: dict[StudyKey, str] = {}
    consents: dict[ConsentId, str] = {}
    for patient in sorted({terms.patient for terms in grants if terms.studies and terms.parent == NO_PARENT}):
        enrolled = wiring.patients.by_key(patient)
        known = [] if enrolled is None else await studies_of(wiring, enrolled)
        studies.update({study.key: study.label for study in known})
    for terms in grants:
        if terms.parent != NO_PARENT:
            consents.update(await _consents(wiring, standing, terms.patient, terms.parent))
    grantees = await _grantees(wiring, standing, [terms.grantee for terms in grants])
    return Names(grantees=grantees, studies=studies, consents=consents)


async def grantee_name(wiring: Wiring, standing: Standing, grantee: Grantee) -> str | None:
    """Name and organisation of a person or team as the directory has them and the chain vouches for, or None.

    Patients decide by this name: whoever can write our database must not be able to put another one before them.
    """
    entry = await vouched_entry(wiring, standing, directory_account(grantee))
    if entry is None:
        return None
    return f"{entry.name}, {entry.organisation}" if entry.organisation else entry.name


async def vouched_entry(wiring: Wiring, standing: Standing, account: Address) -> DirectoryEntry | None:
    """The directory's entry of the account, where it is just what the chain vouches for; else None."""
    return (await vouched_entries(wiring, standing, [account])).get(account)


async def vouched_entries(
    wiring: Wiring, standing: Standing, accounts: Iterable[Address]
) -> dict[Address, DirectoryEntry]:
    """The same of many, looked for at once; who has none is left out."""
    on_chain = standing.head.directory
    found = await wiring.directory.find(accounts, on_chain)
    return {account: entry for account, entry in found.items() if on_chain.get(account) == _hash(entry)}


def _hash(entry: DirectoryEntry) -> bytes:
    return entry_hash(entry.salt, entry.name, entry.organisation, entry.registration)


async def _grantees(wiring: Wiring, standing: Standing, grantees: Iterable[Grantee]) -> dict[Grantee, str]:
    named = {grantee: await grantee_name(wiring, standing, grantee) for grantee in grantees}
    return {grantee: name for grantee, name in named.items() if name is not None}


async def _consents(
    wiring: Wiring, standing: Standing, patient: PatientKey, consent_id: ConsentId
) -> dict[ConsentId, str]:
    known = standing.head.patient(patient)
    consent = None if known is None else known.consent(consent_id)
    if isinstance(consent, Revoked):
        consent = consent.consent
    if consent is None:
        return {}
    who = await grantee_name(wiring, standing, consent.grantee)
    person = person_of(consent.grantee)
    if who is None:
        who = "a care team" if person is None else checksum(person)
    return {consent_id: f"for {who} until {moment(consent.window.end)}"}


def _wallet(signer: Signer) -> str:
    return checksum(Address(signer)) if len(signer) == 20 else "passkey"


def _label(dataset: DicomJson) -> str:
    parts = [_text(dataset, _STUDY_DESCRIPTION) or ", ".join(_texts(dataset, _MODALITIES)) or "images"]
    date = _text(dataset, _STUDY_DATE)
    if len(date) == 8 and date.isdigit():
        parts.append(f"{date[:4]}-{date[4:6]}-{date[6:]}")
    return " of ".join(parts)


def _text(dataset: DicomJson, tag: str) -> str:
    return next(iter(_texts(dataset, tag)), "")


def _texts(dataset: DicomJson, tag: str) -> list[str]:
    return [value for value in dataset.get(tag, {}).get("Value", []) if isinstance(value, str)]
