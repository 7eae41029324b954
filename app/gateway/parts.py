"""interim"""
from app.core.dicomweb import Retrieve
from app.core.identifiers import Subject
from app.core.negotiation import Chosen
from app.gateway.ports import Wiring
from app.pacs.origin import OriginAnswer, OriginBody


async def passed(asked: Retrieve, chosen: Chosen, subject: Subject, opened: OriginAnswer, wiring: Wiring) -> tuple[str, int | None, OriginBody]:
    return opened.content_type, opened.content_length, opened.body
