"""Where a message may go: addresses as they are written, and hosts that a webhook must not lead to."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.identifiers import Address, UnixTime
from app.core.notices.kinds import Channel, NoticeKind
from app.core.notices.reaching import (
    confirmation_token,
    email_address,
    may_reach,
    token_hash,
    webhook_address,
    webhook_secret,
    webhook_signature,
)
from app.core.notices.retrying import GIVE_UP_AFTER_S, is_given_up, next_attempt
from app.core.notices.wording import LANGUAGES, confirmation, letter

ACTOR = Address(b"\x01" * 20)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("anne@example.org", "anne@example.org"),
        ("Anne.O'Neil+img@Mail.EXAMPLE.org", "Anne.O'Neil+img@mail.example.org"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("a" * 64 + "@example.org", "a" * 64 + "@example.org"),
        ("a" * 65 + "@example.org", None),
        ("a@" + "b" * 63 + ".org", "a@" + "b" * 63 + ".org"),
        ("a@" + "b" * 64 + ".org", None),
        ("a@" + ".".join(["b" * 61] * 5) + ".org", None),
        ("anne", None),
        ("anne@localhost", None),
        ("anne@10.0.0.1", None),
        ("anne@[10.0.0.1]", None),
        ("@example.org", None),
        ("a..b@example.org", None),
        (".a@example.org", None),
        ("a@-b.org", None),
        ("a@b..org", None),
        ("a@example.org\nBcc: b@example.org", None),
        ("a@example.org\r\n", None),
        ("a@example.org\n", None),
        ('"a b"@example.org', None),
        ("a,b@example.org", None),
        ("Anne <a@example.org>", None),
        ("ä@example.org", None),
        ("", None),
    ],
)
def test_how_an_email_address_is_written(text: str, read: str | None) -> None:
    assert email_address(text) == read


@pytest.mark.parametrize(
    ("ip", "public", "private"),
    [
        ("93.184.216.34", True, True),
        ("2606:4700::1111", True, True),
        ("10.1.2.3", False, True),
        ("172.16.0.1", False, True),
        ("192.168.1.1", False, True),
        ("100.64.0.1", False, False),
        ("127.0.0.1", False, True),
        ("127.255.255.254", False, True),
        ("::1", False, True),
        ("fc00::1", False, True),
        ("fec0::1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("::ffff:93.184.216.34", True, True),
        ("::ffff:169.254.169.254", False, False),
        ("169.254.169.254", False, False),
        ("fe80::1", False, False),
        ("fe80::1%eth0", False, False),
        ("64:ff9b::a00:1", False, False),
        ("64:ff9b:1::1", False, False),
        ("2002:0a00:0001::1", False, False),
        ("2001:0:53aa:64c:0:fbff:f5ff:fffe", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("ff02::1", False, False),
        ("255.255.255.255", False, False),
        ("240.0.0.1", False, False),
        ("example.org", False, False),
        ("", False, False),
    ],
)
def test_which_hosts_a_webhook_may_lead_to(ip: str, *, public: bool, private: bool) -> None:
    assert (may_reach(ip, private=False), may_reach(ip, private=True)) == (public, private)


@pytest.mark.parametrize(
    ("text", "private", "good"),
    [
        ("https://hooks.example.org/a?b=c", False, True),
        ("https://hooks.example.org:8443/", False, True),
        ("https://93.184.216.34/", False, True),
        ("https://[2606:4700::1111]/", False, True),
        ("https://10.0.0.1/", False, False),
        ("https://10.0.0.1/", True, True),
        ("https://[::1]/", False, False),
        ("https://[::1]/", True, True),
        ("https://169.254.169.254/latest/meta-data", True, False),
        ("https://[fe80::1%25eth0]/", True, False),
        ("http://hooks.example.org/", True, False),
        ("HTTPS://hooks.example.org/", False, False),
        ("ftp://hooks.example.org/", False, False),
        ("https:///path", False, False),
        ("https://user:secret@hooks.example.org/", False, False),
        ("https://user@hooks.example.org/", False, False),
        ("https://hooks.example.org/#part", False, False),
        ("https://hooks.example.org\\@10.0.0.1/", False, False),
        ("https://hooks.example.org:0/", False, False),
        ("https://hooks.example.org:99999/", False, False),
        ("https://hooks.example.org:port/", False, False),
        ("https://[::1/", False, False),
        ("https://hooks.example.org/a b", False, False),
        ("https://hooks.example.org/\r\nX: y", False, False),
        ("https://hook%73.example.org/", False, False),
        ("https://127.1/", True, False),
        ("https://2130706433/", True, False),
        ("https://0x7f000001/", True, False),
        ("https://hooks.example.org./", True, False),
        ("https://hooks_.example.org/", True, False),
        ("https://localhost/", False, True),
        ("https://hooks.exämple.org/", False, False),
        ("https://hooks.example.org/" + "a" * 1000, False, False),
        ("", False, False),
    ],
)
def test_how_a_webhook_is_written(text: str, *, private: bool, good: bool) -> None:
    assert webhook_address(text, private=private) == (text if good else None)


def test_a_token_is_of_one_address_of_one_person_and_secret_without_the_site_key() -> None:
    same = (bytes(32), ACTOR, Channel.EMAIL, "a@example.org", bytes(16))
    token = confirmation_token(*same)
    assert token == confirmation_token(*same)
    assert len(token) == 43
    others = [
        confirmation_token(b"\x01" * 32, *same[1:]),
        confirmation_token(same[0], Address(b"\x02" * 20), *same[2:]),
        confirmation_token(*same[:2], Channel.WEBHOOK, *same[3:]),
        confirmation_token(*same[:3], "b@example.org", same[4]),
        confirmation_token(*same[:4], b"\x01" * 16),
    ]
    assert len({token, *others}) == 6
    assert token_hash(token) == hashlib.sha256(token.encode()).digest()


def test_a_webhook_checks_its_messages_with_nothing_but_the_secret() -> None:
    secret = webhook_secret(bytes(32), ACTOR, "https://hooks.example.org/", bytes(16))
    assert secret != webhook_secret(bytes(32), ACTOR, "https://hooks.example.org/other", bytes(16))
    expected = hmac.new(secret, b'1700000000.{"a":1}', "sha256").hexdigest()
    assert webhook_signature(secret, 1_700_000_000, b'{"a":1}') == f"t=1700000000,v1={expected}"


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_attempts_come_at_growing_distances_and_never_more_than_an_hour_apart(failures: int, chance: float) -> None:
    now = UnixTime(1_000)
    wait = next_attempt(now, failures, chance) - now
    assert 15 <= wait <= 3_600
    assert next_attempt(now, failures + 1, chance) - now >= wait
    assert (next_attempt(now, 1, 0.0), next_attempt(now, 2, 0.0)) == (1_015, 1_030)


@pytest.mark.parametrize(("age", "over"), [(0, False), (GIVE_UP_AFTER_S - 1, False), (GIVE_UP_AFTER_S, True)])
def test_after_a_day_it_is_given_up(age: int, *, over: bool) -> None:
    assert is_given_up(UnixTime(5), UnixTime(5 + age)) is over


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_can_be_said_in_every_language(language: str) -> None:
    kinds = [kind for kind in NoticeKind if kind is not NoticeKind.CONFIRM_CONTACT]
    letters = [letter(kind, language, "https://images.example.org") for kind in kinds]
    assert len({one.body for one in letters}) == len(kinds)
    for one in letters:
        # The hospital's address as it is, with no path that could name anything
        assert one.body.split().count("https://images.example.org") == 1
        assert one.body.count("://") == 1
        assert "\n" not in one.subject
    asked = confirmation(language, "https://images.example.org/contact#token")
    assert asked.body.endswith("https://images.example.org/contact#token")


def test_the_languages_differ() -> None:
    assert LANGUAGES == ("en", "de")
    assert letter(NoticeKind.FIRST_ACCESS, "de", "x") != letter(NoticeKind.FIRST_ACCESS, "en", "x")
