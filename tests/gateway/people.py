"""A small archive of three patients, each with a canary of its own, and odd identities beside them."""

from app.core.identifiers import InstanceUid, SeriesUid, StudyUid, Subject
from tests.gateway.memory_origin import MemoryOrigin, Stored

ANNA = Subject("ANNA-1", "HOSP-A")
BERT = Subject("BERT-2", "")
CARL = Subject("CARL-3", "HOSP-A")
NAMESAKE = Subject("ANNA-1", "HOSP-B")


def stored(
    subject: Subject, study: str, series: int = 1, instance: int = 1, *, date: str = "20260101", canary: str = ""
) -> Stored:
    series_uid = f"{study}.{series}"
    return Stored(
        subject,
        StudyUid(study),
        SeriesUid(series_uid),
        InstanceUid(f"{series_uid}.{instance}"),
        canary or f"canary-{subject.patient_id}-{subject.issuer}",
        date,
        instance,
    )


A1, A2, B1, C1, N1 = (StudyUid(f"1.2.{n}") for n in (1, 2, 3, 4, 5))
MIXED, BLANK = StudyUid("1.2.90"), StudyUid("1.2.91")
MISSING = StudyUid("1.2.999")


def archive() -> MemoryOrigin:
    return MemoryOrigin(
        [
            stored(ANNA, A1, 1, 1),
            stored(ANNA, A1, 1, 2),
            stored(ANNA, A1, 2, 1),
            stored(ANNA, A2, 1, 1, date="20250101"),
            stored(BERT, B1, 1, 1, date="20251231"),
            stored(CARL, C1, 1, 1, date=""),
            stored(NAMESAKE, N1, 1, 1),
            stored(ANNA, MIXED, 1, 1),
            stored(BERT, MIXED, 2, 1),
            stored(Subject("", ""), BLANK, 1, 1),
        ]
    )
