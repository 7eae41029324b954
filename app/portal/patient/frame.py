"""What every page of a patient's record is given."""

from fastapi import Request
from fastapi.responses import HTMLResponse

from app.portal.patient.acting import Acting
from app.portal.patient.studies import Study
from app.portal.site import language_of
from app.portal.templating import page


def record_page(
    request: Request, acting: Acting, template: str, policy: str | None = None, **values: object
) -> HTMLResponse:
    """A page of the record, which says whose it is and carries that along in its links."""
    return page(
        request, f"patient/{template}", status=200, policy=policy, acting=acting, carried=acting.carried, **values
    )


def titles_of(request: Request, acting: Acting) -> dict[str, str]:
    """What to call each study, by its UID."""
    return {study.uid: title_of(request, study) for study in acting.studies or ()}


def title_of(request: Request, study: Study) -> str:
    language = language_of(request)
    title = study.title or language.say("images")
    if study.day is None:
        return title
    return language.say("%(title)s of %(day)s", title=title, day=language.day(study.day))
