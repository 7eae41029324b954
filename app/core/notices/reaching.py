"""Where a message may be sent: how an address is written, and which hosts a webhook may lead to.

A webhook's address is typed by anybody who may have a contact, and the gateway stands inside a hospital: it must not
become their way to machines that only the inside can reach.
"""

import hashlib
import hmac
import ipaddress
import re
from base64 import urlsafe_b64encode
from urllib.parse import urlsplit

from app.core.identifiers import Address
from app.core.notices.kinds import Channel

LONGEST_WEBHOOK = 1024
_LONGEST_EMAIL, _LONGEST_LOCAL = 254, 64
# RFC 5321 §4.1.2: a dot-string; of domains those that letters, digits and hyphens can write (RFC 1035 §2.3.1).
_EMAIL = re.compile(
    r"(?P<local>[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)"
    r"@(?P<domain>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9])"
)
_WEBHOOK = re.compile(r"https://[!-~]+")
# A name whose last part is a number is one of the older ways to write an IPv4 address.
_HOST_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Ways to write an IPv4 address inside an IPv6 one lead to where that one leads.
_TRANSLATED = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))
_OLD_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")

_TOKEN_DOMAIN = b"consentry.contact.token.v1"
_SECRET_DOMAIN = b"consentry.contact.webhook.v1"


def email_address(text: str) -> str | None:
    """The address with its domain in lower case, or None where it is not one."""
    read = _EMAIL.fullmatch(text)
    if read is None or len(text) > _LONGEST_EMAIL or len(read["local"]) > _LONGEST_LOCAL:
        return None
    return f"{read['local']}@{read['domain'].lower()}"


def webhook_address(text: str, *, private: bool) -> str | None:
    """The https address, or None where it is not one that may be called. A host's name is judged when it is looked
    up.
    """
    if len(text) > LONGEST_WEBHOOK or not _WEBHOOK.fullmatch(text) or "\\" in text or "#" in text:
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or port == 0 or "@" in parts.netloc or "%" in parts.netloc:
        return None
    allowed = may_reach(host, private=private) if _is_literal(host) else _HOST_NAME.fullmatch(host)
    return text if allowed else None


def may_reach(ip: str, *, private: bool) -> bool:
    """Whether a webhook may lead to this IP address. ``private``: also inside the house, and to this machine.

    Never link-local addresses (clouds keep their machines' credentials there), nor what is no single machine's.
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif any(address in network for network in _TRANSLATED):
            return False
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    if address.version == 4 and address.is_reserved:  # of IPv6 the loopback address is among those
        return False
    if address.is_loopback or address.is_private or address in _OLD_SITE_LOCAL:
        return private
    return address.is_global and not address.is_reserved


def confirmation_token(site_key: bytes, actor: Address, channel: Channel, target: str, nonce: bytes) -> str:
    """What a one-time link carries. It is made again from the site key whenever it is needed, so that no database holds
    it.
    """
    made = _derived(site_key, _TOKEN_DOMAIN, actor, channel.encode(), target.encode(), nonce)
    return urlsafe_b64encode(made).rstrip(b"=").decode()


def token_hash(token: str) -> bytes:
    """What the database knows of a token."""
    return hashlib.sha256(token.encode()).digest()


def webhook_secret(site_key: bytes, actor: Address, target: str, nonce: bytes) -> bytes:
    """The key that this webhook's messages are signed with."""
    return _derived(site_key, _SECRET_DOMAIN, actor, target.encode(), nonce)


def webhook_signature(secret: bytes, at: int, body: bytes) -> str:
    """The value of ``Consentry-Signature``: the time (Unix seconds), and HMAC-SHA-256 over ``time.body`` in hex digits.

    The time is signed, so that a receiver can refuse what somebody recorded and sends again later.
    """
    return f"t={at},v1={hmac.digest(secret, str(at).encode() + b'.' + body, hashlib.sha256).hex()}"


def _derived(site_key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(site_key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), hashlib.sha256)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
