"""What programs ask for, where they send people, and the codes that people carry: as tables and properties."""

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.consent.terms import Purpose
from app.core.oauth.form import MAX_BYTES, parameters
from app.core.oauth.redirects import fits, is_acceptable, origin_of
from app.core.oauth.scopes import (
    IMAGES,
    OFFLINE,
    OPENID,
    PROFILE,
    SCOPES,
    UPLOAD,
    WHOLE,
    Asked,
    Reach,
    granted,
    reach_of,
    read,
)
from app.core.oauth.user_codes import ALPHABET
from app.core.oauth.user_codes import read as read_code
from app.core.signing.words import purpose_in_words

NOTHING = Reach(images=False, storing=False, api=False)

# Scope and purpose, and what is read of them; None: refused
ASKED = [
    (None, None, Asked(frozenset({IMAGES}), None, False)),
    ("", None, Asked(frozenset({IMAGES}), None, False)),
    ("openid", None, Asked(frozenset({OPENID}), None, False)),
    ("openid openid", None, Asked(frozenset({OPENID}), None, False)),
    ("openid email", None, Asked(frozenset({OPENID}), None, False)),
    ("email", None, Asked(frozenset(), None, False)),
    ("DICOMWEB", None, Asked(frozenset(), None, False)),
    ("dicomweb", "TREAT", Asked(frozenset({IMAGES}), Purpose.TREAT, False)),
    ("dicomweb purpose:HRESCH", None, Asked(frozenset({IMAGES}), Purpose.HRESCH, True)),
    ("dicomweb purpose:HRESCH", "HRESCH", Asked(frozenset({IMAGES}), Purpose.HRESCH, True)),
    ("purpose:TREAT", None, Asked(frozenset(), Purpose.TREAT, True)),
    ("dicomweb purpose:HRESCH", "TREAT", None),
    ("dicomweb purpose:HRESCH purpose:TREAT", None, None),
    ("dicomweb purpose:", None, None),
    ("dicomweb purpose:treat", None, None),
    ("dicomweb", "treat", None),
    ("dicomweb", "0", None),
    (" dicomweb", None, None),
    ("dicomweb ", None, None),
    ("dicomweb  openid", None, None),
    ("dicomweb\topenid", None, None),
    ("dicomweb\n", None, None),
    ('dicom"web', None, None),
    ("dicom\\web", None, None),
    ("dicömweb", None, None),
]


@pytest.mark.parametrize(("scope", "purpose", "asked"), ASKED)
def test_what_is_asked_for(scope: str | None, purpose: str | None, asked: Asked | None) -> None:
    assert read(scope, purpose) == asked


@given(
    asked=st.frozensets(st.sampled_from(SCOPES)),
    registered=st.frozensets(st.sampled_from(SCOPES)),
    may_upload=st.booleans(),
    purpose=st.sampled_from([None, *Purpose]),
    in_scope=st.booleans(),
)
def test_what_is_granted_is_no_wider_than_any_bound(
    asked: frozenset[str], registered: frozenset[str], purpose: Purpose | None, *, may_upload: bool, in_scope: bool
) -> None:
    text = granted(Asked(asked, purpose, in_scope), registered, may_upload=may_upload)
    scopes = {one for one in text.split(" ") if one and not one.startswith("purpose:")}
    assert scopes == {one for one in asked & registered if may_upload or one != UPLOAD}
    assert [one for one in text.split(" ") if one.startswith("purpose:")] == (
        [f"purpose:{purpose.name}"] if scopes and in_scope and purpose is not None else []
    )
    if text:  # and it reads as itself
        again = read(text)
        assert again is not None
        assert again.scopes == scopes
        assert granted(again, registered, may_upload=may_upload) == text
    reach = reach_of(text)
    assert (reach.images, reach.storing, reach.api) == (IMAGES in scopes, UPLOAD in scopes, False)


@pytest.mark.parametrize("scope", ["", "openid", "dicomweb.uploads", "dicomweb2", "xdicomweb", "api", OFFLINE, PROFILE])
def test_what_opens_nothing(scope: str) -> None:
    assert reach_of(scope) == NOTHING


def test_somebody_who_signed_in_themselves_may_do_what_they_may() -> None:
    assert Reach(images=True, storing=True, api=True) == WHOLE


ACCEPTABLE = [
    "https://viewer.example/callback",
    "https://viewer.example",
    "https://viewer.example:8443/a?b=c",
    "https://[2001:db8::1]/callback",
    "http://localhost:3000/callback",
    "http://127.0.0.1/callback",
    "http://[::1]:9/callback",
]
NOT_ACCEPTABLE = [
    "",
    "viewer.example/callback",
    "http://viewer.example/callback",
    "http://localhost.evil.example/",
    "http://127.0.0.1.evil.example/",
    "https:///callback",
    "https://user@viewer.example/",
    "https://localhost@evil.example/",
    "https://Viewer.example/",
    "https://viewer.example/#x",
    "https://viewer.example/ x",
    'https://viewer.example/"',
    "https://viewer.example/\\x",
    "https://viewer.example/<b>",
    "https://viewer.example/*\n",
    "https://viewer.example:0/",
    "https://viewer.example:123456/",
    "https://viewer.example:x/",
    "https://[::1/",
    "https://[v1.x]/",
    "javascript:alert(1)",
    "data:text/html,x",
    "org.example.app:/callback",
    "https://viewer.exämple/",
    "https://viewer.example/" + "a" * 2048,
]


@pytest.mark.parametrize("uri", ACCEPTABLE)
def test_addresses_that_may_be_registered(uri: str) -> None:
    assert is_acceptable(uri)
    assert fits(uri, uri, native=False)
    assert uri.startswith(origin_of(uri))
    assert origin_of(uri).count("/") == 2


@pytest.mark.parametrize("uri", NOT_ACCEPTABLE)
def test_addresses_that_may_not(uri: str) -> None:
    assert not is_acceptable(uri)


# Registered, asked, whether it fits a program that is not native, whether it fits one that is
FITTING = [
    ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", False, True),
    ("http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb", False, True),
    ("http://[::1]/cb", "http://[::1]:2/cb", False, True),
    ("http://localhost:3000/cb", "http://localhost:3001/cb", False, True),
    ("http://localhost", "http://localhost:3001", False, True),
    ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb/", False, False),
    ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb?x=1", False, False),
    ("http://127.0.0.1/cb", "http://127.0.0.1:49152", False, False),
    ("http://127.0.0.1/cb", "http://localhost:49152/cb", False, False),
    ("http://127.0.0.1/cb", "https://127.0.0.1:49152/cb", False, False),
    ("http://127.0.0.1/cb", "http://127.0.0.1:49152@evil.example/cb", False, False),
    ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb", False, False),
    ("http://127.0.0.1/cb", 'http://127.0.0.1:1/cb"', False, False),
    ("https://viewer.example/cb", "https://viewer.example:444/cb", False, False),
    ("https://viewer.example/cb", "http://127.0.0.1:1/cb", False, False),
    ("https://viewer.example/cb", "https://viewer.example/CB", False, False),
]


@pytest.mark.parametrize(("registered", "asked", "plain", "native"), FITTING)
def test_only_a_native_programs_port_is_free(registered: str, asked: str, *, plain: bool, native: bool) -> None:
    assert fits(registered, asked, native=False) == plain
    assert fits(registered, asked, native=True) == native


@given(registered=st.sampled_from(ACCEPTABLE), asked=st.text(max_size=60), native=st.booleans())
def test_nothing_made_up_fits(registered: str, asked: str, *, native: bool) -> None:
    assert not fits(registered, asked, native=native)
    assert not fits(registered, registered + (asked or "/"), native=native) or asked.isdecimal()


def test_each_purpose_has_words_of_its_own() -> None:
    assert len({purpose_in_words(purpose) for purpose in Purpose}) == len(Purpose)


@given(st.text(ALPHABET, min_size=8, max_size=8))
def test_a_code_is_read_however_it_is_typed(letters: str) -> None:
    code = f"{letters[:4]}-{letters[4:]}"
    for typed in (
        code,
        letters,
        letters.lower(),
        f" {letters[:4]} {letters[4:].lower()} ",
        f"{letters[:4]}–{letters[4:]}",
    ):
        assert read_code(typed) == code


@pytest.mark.parametrize(
    "typed", ["", "BCDF", "BCDF-GHJKL", "ABCD-FGHJ", "1234-5678", "BCDF_GHJK", "B" * 40, "BCDF-GHJÉ"]
)
def test_what_is_no_code(typed: str) -> None:
    assert read_code(typed) is None


@given(st.dictionaries(st.text("abc_", min_size=1, max_size=8), st.text("a =&%+é/", max_size=8), max_size=5))
def test_parameters_are_what_was_sent(sent: dict[str, str]) -> None:
    assert parameters(urlencode(sent).encode()) == {name: value for name, value in sent.items() if value}
    for name in sent:
        assert parameters(f"{urlencode(sent)}&{quote(name)}=again".encode()) is None, "twice"


@pytest.mark.parametrize(
    "raw",
    [
        b"a=%",
        b"a=%g0",
        b"a=%ff",
        b"%ff=a",
        b"a=b c",
        "a=é".encode(),
        b"a=b\x00",
        b"a=1&a=",
        b"a&a",
        b"client_id=%22",
        b"scope=a%5cb",
        b"code=a%0a",
        b"state=%0a",
        b"nonce=%c3%a9",
        b"a=" + b"b" * MAX_BYTES,
    ],
)
def test_parameters_that_are_not_well_formed(raw: bytes) -> None:
    assert parameters(raw) is None


def test_what_others_own_is_left_to_them() -> None:
    given_ = parameters(b"&claims=%7B%22a%22%7D&state=%22&x=%c3%a9&empty=&bare&")
    assert given_ == {"claims": '{"a"}', "state": '"', "x": "é"}
