"""The words of reports, in the languages there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.core.consent.terms import Purpose

Language = Literal["en", "de"]


@dataclass(frozen=True, slots=True)
class ReportWords:
    """``done``: what was done, by the API's word for it; ``allowed``: what may be; ``own``: bases that are no
    consent.
    """

    who_looked: str
    who_may: str
    made: str
    patient: str
    period: str
    nothing: str
    more: str
    looked_head: tuple[str, ...]
    may_head: tuple[str, ...]
    done: Mapping[str, str]
    allowed: Mapping[str, str]
    own: Mapping[str, str]
    purposes: Mapping[Purpose, str]
    consent: str
    consent_of_team: str
    consent_unknown: str
    not_on_chain: str
    unnamed: str
    team: str
    effects: Mapping[str, str]
    states: Mapping[str, str]
    everything: str
    studies: str
    from_day: str
    to_day: str


_ENGLISH = ReportWords(
    who_looked="Who looked",
    who_may="Who may look",
    made="Made {now} from {origin}. All times are UTC.",
    patient="Patient key on the chain: {key}",
    period="{count} accesses from {first} to {last}, the newest first.",
    nothing="There is nothing to show.",
    more="There are older ones: ask for the next part with cursor={cursor}.",
    looked_head=("Time (UTC)", "Who", "What", "Purpose", "Basis", "Transaction on the chain"),
    may_head=("Who", "Says", "What", "Purposes", "Images", "From (UTC)", "Until (UTC)", "State"),
    done={"search": "found", "view": "viewed", "retrieve": "downloaded", "share": "shared on", "stored": "stored"},
    allowed={"search": "find", "view": "view", "retrieve": "download", "share": "share on"},
    own={
        "self": "the patient themselves",
        "guardian": "the patient's guardian",
        "uploader": "a device or person who may store images",
    },
    purposes={
        Purpose.TREAT: "treatment",
        Purpose.ETREAT: "emergency treatment",
        Purpose.HPAYMT: "payment for care",
        Purpose.HOPERAT: "running the hospital",
        Purpose.HRESCH: "research",
        Purpose.PATRQT: "request of the patient",
        Purpose.FAMRQT: "request of the family",
        Purpose.PWATRNY: "power of attorney",
        Purpose.PUBHLTH: "public health",
        Purpose.COC: "coordination of care",
        Purpose.CAREMGT: "management of care",
        Purpose.HQUALIMP: "quality of care",
    },
    consent="consent to this person until {until}",
    consent_of_team="consent to a care team until {until}",
    consent_unknown="consent {id}",
    not_on_chain="not on the chain yet",
    unnamed="not in the directory: {account}",
    team="care team {account}",
    effects={"permit": "may", "deny": "must not"},
    states={
        "submitted": "on its way",
        "mined": "not final yet",
        "active": "in force",
        "revoked": "taken back",
        "expired": "over",
        "failed": "failed",
    },
    everything="everything",
    studies="named studies: {count}",
    from_day="studies from {day}",
    to_day="studies up to {day}",
)

_GERMAN = ReportWords(
    who_looked="Wer hineingesehen hat",
    who_may="Wer hineinsehen darf",
    made="Erstellt {now} von {origin}. Alle Zeiten sind UTC.",
    patient="Schlüssel der Patientin oder des Patienten auf der Kette: {key}",
    period="{count} Zugriffe von {first} bis {last}, die neuesten zuerst.",
    nothing="Es gibt nichts zu zeigen.",
    more="Es gibt ältere: Den nächsten Teil gibt es mit cursor={cursor}.",
    looked_head=("Zeit (UTC)", "Wer", "Was", "Zweck", "Grundlage", "Transaktion auf der Kette"),
    may_head=("Wer", "Sagt", "Was", "Zwecke", "Bilder", "Von (UTC)", "Bis (UTC)", "Stand"),
    done={
        "search": "gefunden",
        "view": "angesehen",
        "retrieve": "heruntergeladen",
        "share": "weitergegeben",
        "stored": "abgelegt",
    },
    allowed={"search": "finden", "view": "ansehen", "retrieve": "herunterladen", "share": "weitergeben"},
    own={
        "self": "die Patientin oder der Patient selbst",
        "guardian": "die Vertretung",
        "uploader": "ein Gerät oder eine Person, die Bilder ablegen darf",
    },
    purposes={
        Purpose.TREAT: "Behandlung",
        Purpose.ETREAT: "Notfallbehandlung",
        Purpose.HPAYMT: "Abrechnung",
        Purpose.HOPERAT: "Betrieb des Krankenhauses",
        Purpose.HRESCH: "Forschung",
        Purpose.PATRQT: "Wunsch der Patientin oder des Patienten",
        Purpose.FAMRQT: "Wunsch der Familie",
        Purpose.PWATRNY: "Vollmacht",
        Purpose.PUBHLTH: "öffentliche Gesundheit",
        Purpose.COC: "Abstimmung der Behandlung",
        Purpose.CAREMGT: "Organisation der Behandlung",
        Purpose.HQUALIMP: "Qualität der Behandlung",
    },
    consent="Einwilligung für diese Person bis {until}",
    consent_of_team="Einwilligung für ein Behandlungsteam bis {until}",
    consent_unknown="Einwilligung {id}",
    not_on_chain="noch nicht auf der Kette",
    unnamed="nicht im Verzeichnis: {account}",
    team="Behandlungsteam {account}",
    effects={"permit": "darf", "deny": "darf nicht"},
    states={
        "submitted": "unterwegs",
        "mined": "noch nicht endgültig",
        "active": "in Kraft",
        "revoked": "zurückgenommen",
        "expired": "abgelaufen",
        "failed": "gescheitert",
    },
    everything="alles",
    studies="benannte Studien: {count}",
    from_day="Studien ab {day}",
    to_day="Studien bis {day}",
)

_LANGUAGES: Mapping[Language, ReportWords] = {"en": _ENGLISH, "de": _GERMAN}


def report_words(language: Language) -> ReportWords:
    """The words in that language."""
    return _LANGUAGES[language]
