"""Who may see what: two callers, and patients who let in one, the other, or nobody, each in a way of their own."""

from dataclasses import dataclass, field
from pathlib import Path

from app.core.consent.terms import Action, Effect
from app.core.identifiers import Address, PatientKey, Subject
from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.archive.workers import Workers
from tests.gateway.conftest import MakeWorld
from tests.gateway.mutations.canaries import CanaryStudy, Found, Kind, patient_id
from tests.gateway.world import PHYSICIAN, READ, STRANGER, World

ANNA, NAMESAKE = Subject(patient_id("ANNA"), "HOSP-A"), Subject(patient_id("ANNA"), "HOSP-B")
BERT, CARL, DORA, ELLA, FINN, GRET = (
    Subject(patient_id(code), "HOSP-A") for code in ("BERT", "CARL", "DORA", "ELLA", "FINN", "GRET")
)
_STUDIES = (
    ("ANNB", ANNA), ("ANNC", ANNA), ("NAMB", NAMESAKE), ("BERB", BERT), ("CARB", CARL), ("DORB", DORA),
    ("ELLB", ELLA), ("FINB", FINN), ("FINC", FINN), ("GREB", GRET), ("GREC", GRET),
)  # fmt: skip
STUDIES = {code: CanaryStudy(code, subject, 101 + n) for n, (code, subject) in enumerate(_STUDIES)}
BY_NUMBER = {one.number: one.code for one in STUDIES.values()}

_ALL = frozenset(Kind)
_FOUND_ONLY = frozenset({Kind.IDENTITY, Kind.TEXT, Kind.UID})
_VIEWED_ONLY = frozenset({Kind.UID})


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a token, and which canaries they may receive."""

    actor: Address
    token: bytes
    may: dict[str, frozenset[Kind]]

    def allowed(self, found: Found) -> bool:
        return found.kind in self.may.get(found.code, ())


@dataclass(slots=True)
class House:
    """The gateway, its callers and its patients."""

    world: World
    physician: Caller
    stranger: Caller
    patients: dict[PatientKey, Subject] = field(default_factory=dict)

    @property
    def callers(self) -> tuple[Caller, Caller]:
        return self.physician, self.stranger


async def furnish(make_world: MakeWorld, folder: Path) -> House:
    """A gateway over an archive of their files."""
    files = folder / "files"
    files.mkdir()
    for study in STUDIES.values():
        study.write(files)
    origin = ArchiveOrigin(files, folder / "index.sqlite", Workers(1))
    report = await origin.reindex()
    assert not await origin.refused(), report
    world = await make_world(origin)
    enrolled = {subject: await world.enrol(subject) for subject in (ANNA, NAMESAKE, BERT, CARL, DORA, ELLA, FINN, GRET)}
    world.grant(enrolled[ANNA])
    world.grant(enrolled[BERT], grantee=STRANGER)
    world.grant(enrolled[DORA], Action.VIEW)
    world.grant(enrolled[ELLA], Action.SEARCH)
    world.grant(enrolled[FINN], READ, STUDIES["FINB"].study)
    world.grant(enrolled[GRET])
    world.grant(enrolled[GRET], READ, STUDIES["GREC"].study, effect=Effect.DENY)
    physician = {
        "ANNA": _ALL, "ANNB": _ALL, "ANNC": _ALL, "DORB": _VIEWED_ONLY, "ELLA": _ALL, "ELLB": _FOUND_ONLY,
        "FINN": _ALL, "FINB": _ALL, "GRET": _ALL, "GREB": _ALL,
    }  # fmt: skip
    return House(
        world,
        Caller(PHYSICIAN, (await world.token()).encode(), physician),
        Caller(STRANGER, (await world.token(STRANGER)).encode(), {"BERT": _ALL, "BERB": _ALL}),
        {patient.key: subject for subject, patient in enrolled.items()},
    )
