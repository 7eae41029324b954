"""What a notice says, in the languages there are: the kind of thing that happened, and where to sign in.

Nothing here takes a name, a number or an identifier: what is not handed over cannot be said.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.notices.kinds import NoticeKind

DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Letter:
    """Plain text."""

    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class _Texts:
    subject: str
    sign_in: str
    confirm_subject: str
    confirm: str
    closing: str
    happened: Mapping[NoticeKind, str]


_ENGLISH = _Texts(
    subject="There is something for you to look at",
    sign_in="Sign in here to see what it is about:",
    confirm_subject="Please confirm that you may be reached here",
    confirm=(
        "Somebody asked that news about access to medical images be sent to this address. If that was you, open this "
        "link within a day and confirm. If not, do nothing: nothing will be sent."
    ),
    closing=(
        "For your protection this message says nothing more. It is sent by itself; answers are not read. You choose "
        "what you are told of, and where, once you have signed in."
    ),
    happened={
        NoticeKind.ACCESS_REQUESTED: "Somebody has asked for access to medical images that you decide on.",
        NoticeKind.REQUEST_ANSWERED: "A request of yours for access to medical images has been answered.",
        NoticeKind.CONSENT_GRANTED: "A consent or a denial that concerns you has come into force.",
        NoticeKind.CONSENT_REVOKED: "A consent or a denial that concerns you has been taken back.",
        NoticeKind.RECOVERY_STARTED: (
            "Control over a patient's record is about to move to another wallet or passkey. If you act for that "
            "patient and did not expect this, sign in and stop it before the waiting time is over."
        ),
        NoticeKind.RECOVERY_VETOED: "The move of control over a patient's record has been stopped.",
        NoticeKind.RECOVERY_FINISHED: "Control over a patient's record has moved to another wallet or passkey.",
        NoticeKind.GUARDIAN_NAMED: "A guardian of a patient has been named, changed or removed.",
        NoticeKind.FIRST_ACCESS: "Somebody who never did so before has accessed medical images that you decide on.",
        NoticeKind.BREAK_GLASS: (
            "Emergency access to medical images, without the patient's consent, has been opened. It is written down, "
            "and somebody else will review it."
        ),
        NoticeKind.REVIEW_DUE: "An emergency access to medical images is over and waits for its review.",
    },
)

_GERMAN = _Texts(
    subject="Es gibt etwas Neues für Sie",
    sign_in="Melden Sie sich hier an, um zu sehen, worum es geht:",
    confirm_subject="Bitte bestätigen Sie, dass Sie hier zu erreichen sind",
    confirm=(
        "Jemand hat darum gebeten, dass Nachrichten über Zugriffe auf medizinische Bilder an diese Adresse gehen. "
        "Wenn Sie das waren, öffnen Sie innerhalb eines Tages diesen Link und bestätigen Sie. Wenn nicht, tun Sie "
        "nichts: Dann wird nichts gesendet."
    ),
    closing=(
        "Zu Ihrem Schutz sagt diese Nachricht nicht mehr. Sie wird von selbst versandt; Antworten liest niemand. "
        "Wovon und wo Sie erfahren, bestimmen Sie nach dem Anmelden."
    ),
    happened={
        NoticeKind.ACCESS_REQUESTED: "Jemand bittet um Zugriff auf medizinische Bilder, über die Sie entscheiden.",
        NoticeKind.REQUEST_ANSWERED: "Eine Anfrage von Ihnen nach medizinischen Bildern ist beantwortet.",
        NoticeKind.CONSENT_GRANTED: "Eine Einwilligung oder ein Verbot, das Sie betrifft, gilt jetzt.",
        NoticeKind.CONSENT_REVOKED: "Eine Einwilligung oder ein Verbot, das Sie betrifft, ist zurückgenommen.",
        NoticeKind.RECOVERY_STARTED: (
            "Die Verfügung über die Akte einer Patientin oder eines Patienten soll auf eine andere Wallet oder einen "
            "anderen Passkey übergehen. Wenn Sie für diese Person handeln und das nicht erwartet haben, melden Sie "
            "sich an und halten Sie es auf, bevor die Wartezeit endet."
        ),
        NoticeKind.RECOVERY_VETOED: "Der Übergang der Verfügung über eine Akte ist aufgehalten worden.",
        NoticeKind.RECOVERY_FINISHED: (
            "Die Verfügung über eine Akte ist auf eine andere Wallet oder einen anderen Passkey übergegangen."
        ),
        NoticeKind.GUARDIAN_NAMED: (
            "Eine Vertretung für eine Patientin oder einen Patienten ist benannt, geändert oder abberufen worden."
        ),
        NoticeKind.FIRST_ACCESS: (
            "Jemand, der das noch nie getan hat, hat auf medizinische Bilder zugegriffen, über die Sie entscheiden."
        ),
        NoticeKind.BREAK_GLASS: (
            "Ein Notfallzugriff auf medizinische Bilder ohne Einwilligung ist eröffnet worden. Er ist festgehalten und "
            "wird von jemand anderem geprüft."
        ),
        NoticeKind.REVIEW_DUE: "Ein Notfallzugriff auf medizinische Bilder ist vorbei und wartet auf seine Prüfung.",
    },
)

_LANGUAGES = {"en": _ENGLISH, "de": _GERMAN}
LANGUAGES = tuple(_LANGUAGES)


def letter(kind: NoticeKind, language: str, origin_url: str) -> Letter:
    """A notice of this kind. Raises KeyError for CONFIRM_CONTACT and for a language that is not known."""
    texts = _LANGUAGES[language]
    return Letter(texts.subject, "\n\n".join((texts.happened[kind], f"{texts.sign_in}\n{origin_url}", texts.closing)))


def confirmation(language: str, link: str) -> Letter:
    """The letter with the one-time link."""
    texts = _LANGUAGES[language]
    return Letter(texts.confirm_subject, f"{texts.confirm}\n\n{link}")
