"""Every SIWE row of PROMISES: what is malformed, meant for another place, or out of its time."""

import re
from datetime import UTC, datetime

import pytest
from eth_utils.address import to_checksum_address

from app.api.siwe_message import MAX_BYTES, Claimed, Place, compose, read
from app.core.http.problem import Problem
from app.core.identifiers import Address, UnixTime
from app.core.signing.signature import eip191_digest

PLACE = Place("http://localhost:8080", 31337)
ADDRESS = Address(bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266"))
NOW = UnixTime(1_790_000_000)
NONCE = "0123456789abcdef0123456789abcdef"
GOOD = compose(PLACE, ADDRESS, NONCE, NOW)


def stamp(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def changed(pattern: str, replacement: str) -> str:
    text, count = re.subn(pattern, replacement, GOOD)
    assert count == 1, "the test changes nothing"
    return text


def test_what_is_composed_is_read_back() -> None:
    assert read(GOOD, PLACE, NOW) == Claimed(ADDRESS, NONCE, eip191_digest(GOOD))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        GOOD + " " * MAX_BYTES,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("Sign in", "Sign\tin"),
        GOOD.replace("Sign in", "Sïgn in"),
        GOOD + "\n",
        GOOD.replace("Chain ID: 31337", "Chain ID: 031337"),
        GOOD.replace("Version: 1", "Version: 2"),
        GOOD.replace(to_checksum_address(ADDRESS), "0x" + ADDRESS.hex()),
        GOOD.replace("Nonce: " + NONCE, "Nonce: short"),
        re.sub("Issued At: .*", "Issued At: yesterday", GOOD),
        "a" * MAX_BYTES,
    ],
)
def test_malformed(text: str) -> None:
    found = read(text, PLACE, NOW)
    assert isinstance(found, Problem)
    assert (found.name, found.status) == ("siwe-malformed", 400)


@pytest.mark.parametrize(
    "text",
    [
        changed("localhost:8080 wants", "localhost wants"),
        changed("localhost:8080 wants", "evil.example wants"),
        changed("localhost:8080 wants", "https://localhost:8080 wants"),
        changed("URI: http://localhost:8080", "URI: http://localhost:8081"),
        changed("URI: http://localhost:8080", "URI: https://localhost:8080"),
        changed("URI: http://localhost:8080", "URI: http://localhost:8080/other"),
        changed("Chain ID: 31337", "Chain ID: 1"),
    ],
)
def test_meant_for_another_place(text: str) -> None:
    found = read(text, PLACE, NOW)
    assert isinstance(found, Problem)
    assert (found.name, found.status) == ("siwe-mismatch", 401)


@pytest.mark.parametrize(
    ("issued", "expires"),
    [
        (NOW - 301, NOW + 60),
        (NOW + 31, NOW + 60),
        (NOW, NOW),
        (NOW, NOW - 1),
        (NOW, NOW + 601),
        (NOW, None),
    ],
)
def test_out_of_its_time(issued: int, expires: int | None) -> None:
    text = changed("Issued At: .*", f"Issued At: {stamp(issued)}")
    ending = "" if expires is None else f"\nExpiration Time: {stamp(expires)}"
    found = read(re.sub("\nExpiration Time: .*", ending, text), PLACE, NOW)
    assert isinstance(found, Problem)
    assert (found.name, found.status) == ("siwe-expired", 401)


@pytest.mark.parametrize(("issued", "expires"), [(NOW - 300, NOW + 1), (NOW + 30, NOW + 600)])
def test_the_edges_of_its_time(issued: int, expires: int) -> None:
    text = changed("Issued At: .*", f"Issued At: {stamp(issued)}")
    text = re.sub("Expiration Time: .*", f"Expiration Time: {stamp(expires)}", text)
    assert isinstance(read(text, PLACE, NOW), Claimed)


def test_not_before_counts() -> None:
    early = GOOD + f"\nNot Before: {stamp(NOW + 60)}"
    found = read(early, PLACE, NOW)
    assert isinstance(found, Problem)
    assert found.name == "siwe-expired"


@pytest.mark.parametrize("offset", ["", "+01:00"])
def test_a_stamp_without_a_zone_is_no_time(offset: str) -> None:
    local = stamp(NOW).replace("Z", offset)
    found = read(changed("Issued At: .*", f"Issued At: {local}"), PLACE, NOW)
    if offset:  # one hour ahead of UTC: an hour ago
        assert isinstance(found, Problem)
        assert found.name == "siwe-expired"
    else:
        assert isinstance(found, Problem)
        assert found.name in {"siwe-malformed", "siwe-expired"}
