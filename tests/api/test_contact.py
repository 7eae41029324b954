"""A person's own contact: who may have one, what is accepted, and that nobody else's is touched."""

from typing import Any

import pytest

from app.api.wiring import Reach
from app.core.notices.kinds import ALWAYS, OPTIONAL, Channel, NoticeKind
from app.core.notices.reaching import confirmation_token, webhook_secret
from tests.api.in_process import (
    AUDITOR,
    NOW,
    PATIENT,
    PATIENT_KEY,
    PHYSICIAN,
    SITE_KEY,
    STRANGER,
    InProcess,
)

PATH = "/api/contact"
# The in-process wiring's chance is none.
NONCE = bytes(16)


async def put(api: InProcess, who: Any = PATIENT, **body: Any) -> Any:
    return await api.call(who, "PUT", PATH, body)


async def test_whoever_has_none_sees_what_there_is_to_choose(api: InProcess) -> None:
    shown = (await api.call(PATIENT, "GET", PATH)).json()
    assert (shown["email"], shown["webhook"], shown["language"]) == (None, None, "en")
    assert shown["kinds"] == shown["optional_kinds"] == [kind.value for kind in OPTIONAL]
    assert set(shown["always"]) == {kind.value for kind in ALWAYS} - {"confirm-contact"}
    assert shown["possible"] == ["email", "webhook"]
    assert set(shown["languages"]) == {"en", "de"}


async def test_a_contact_from_its_making_to_its_end(api: InProcess) -> None:
    hook = "https://hooks.example.org/x"
    made = await put(api, email="Anne@EXAMPLE.org", webhook=hook, language="de", kinds=["first-access"])
    assert made.status_code == 200
    shown = made.json()
    assert shown["email"] == {"address": "Anne@example.org", "confirmed": False}
    secret = webhook_secret(SITE_KEY, PATIENT, hook, NONCE).hex()
    assert shown["webhook"] == {"address": hook, "confirmed": False, "secret": secret}
    assert (shown["language"], shown["kinds"]) == ("de", ["first-access"])
    token = confirmation_token(SITE_KEY, PATIENT, Channel.EMAIL, "Anne@example.org", NONCE)
    assert token not in made.text
    confirmed = await api.call(None, "POST", f"{PATH}/confirmation", {"token": token})
    assert (confirmed.status_code, confirmed.body) == (204, b"")
    again = await api.call(None, "POST", f"{PATH}/confirmation", {"token": token})
    unknown = await api.call(None, "POST", f"{PATH}/confirmation", {"token": "x" * 43})
    assert (again.status_code, again.body) == (unknown.status_code, unknown.body) == (404, unknown.body)
    shown = (await api.call(PATIENT, "GET", PATH)).json()
    assert (shown["email"]["confirmed"], shown["webhook"]["confirmed"]) == (True, False)
    assert (await api.call(PHYSICIAN, "GET", PATH)).json()["email"] is None
    assert (await api.call(PATIENT, "DELETE", PATH)).status_code == 204
    assert (await api.call(PATIENT, "GET", PATH)).json()["email"] is None


async def test_the_contact_is_tied_to_those_it_is_to_be_erased_with(api: InProcess) -> None:
    await api.enrolled()
    await put(api, email="anne@example.org")
    await put(api, PHYSICIAN, email="doctor@example.org")
    await api.wiring.erasures.finish(PATIENT_KEY)
    assert (await api.call(PATIENT, "GET", PATH)).json()["email"] is None
    assert (await api.call(PHYSICIAN, "GET", PATH)).json()["email"] is not None


@pytest.mark.parametrize(("who", "status"), [(PATIENT, 200), (PHYSICIAN, 200), (AUDITOR, 200), (STRANGER, 403)])
async def test_only_whom_something_could_be_told_may_have_messages_sent(api: InProcess, who: Any, status: int) -> None:
    assert (await put(api, who, email="somebody@example.org")).status_code == status


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_nobody_in_particular_has_no_contact(api: InProcess, method: str) -> None:
    assert (await api.call(None, method, PATH, {} if method == "PUT" else None)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {"email": "not an address"},
        {"email": "a@example.org\nBcc: b@example.org"},
        {"webhook": "http://hooks.example.org/"},
        {"webhook": "https://10.0.0.1/"},
        {"webhook": "https://169.254.169.254/"},
        {"language": "fr"},
        {"kinds": ["confirm-contact"]},
        {"kinds": ["anything"]},
        {"kinds": ["first-access"] * 50},
        {"more": 1},
        {"email": 1},
    ],
)
async def test_what_cannot_be_used_is_refused_and_not_echoed(api: InProcess, body: dict[str, Any]) -> None:
    answer = await put(api, **body)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:consentry:problem:invalid-request")
    assert "example" not in answer.text


@pytest.mark.parametrize(
    ("reach", "refused"),
    [
        (Reach(mail=False, webhooks=True, private_webhooks=False), {"email": "anne@example.org"}),
        (Reach(mail=True, webhooks=False, private_webhooks=False), {"webhook": "https://hooks.example.org/"}),
    ],
)
async def test_a_way_that_is_not_open_here_cannot_be_chosen(
    api: InProcess, reach: Reach, refused: dict[str, Any]
) -> None:
    api.wiring.__dict__["reach"] = reach
    assert (await put(api, **refused)).status_code == 422
    possible = (await api.call(PATIENT, "GET", PATH)).json()["possible"]
    assert possible == ["webhook" if reach.webhooks else "email"]


async def test_inside_the_house_only_where_the_settings_say_so(api: InProcess) -> None:
    api.wiring.__dict__["reach"] = Reach(mail=True, webhooks=True, private_webhooks=True)
    assert (await put(api, webhook="https://10.0.0.1/")).status_code == 200
    assert (await put(api, PHYSICIAN, webhook="https://169.254.169.254/")).status_code == 422


async def test_no_mailbox_is_filled_by_asking_again_and_again(api: InProcess) -> None:
    await put(api, email="one@example.org")
    answer = await put(api, email="two@example.org")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    api.now = type(NOW)(NOW + 60)
    assert (await put(api, email="two@example.org")).status_code == 200


async def test_what_is_told_always_can_be_named_and_not_left_out(api: InProcess) -> None:
    shown = (await put(api, email="a@example.org", kinds=["recovery-started"])).json()
    assert shown["kinds"] == []
    assert "recovery-started" in shown["always"]
    assert NoticeKind.RECOVERY_STARTED in ALWAYS
