"""Webhooks: one signed HTTPS POST to an address that somebody typed, which must not lead inside the house."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from app.core.notices.reaching import may_reach, webhook_address, webhook_signature
from app.post.outcome import PostError, PostRefusedError

_TIMEOUT_S: Final = 10.0
_LARGEST_ANSWER_BYTES: Final = 4096
_GONE: Final = 410


class UnreachableError(OSError):
    """The host's name leads to an address that may not be called."""


class _Resolver(AbstractResolver):
    """Looks a name up once and gives only addresses that may be called: the connection is made to what was judged, so
    that a name cannot lead elsewhere a moment later.
    """

    def __init__(self, *, private: bool) -> None:
        self._private = private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        allowed = [
            ResolveResult(hostname=host, host=str(to[0]), port=port, family=kind, proto=proto, flags=0)
            for kind, _, proto, _, to in found
            if may_reach(str(to[0]), private=self._private)
        ]
        # One that may not be called among others is no mistake of an honest owner
        if not allowed or len(allowed) < len(found):
            raise UnreachableError("the name leads where no webhook may")
        return allowed

    async def close(self) -> None:
        return None


class Webhooks:
    """``private``: hosts inside the house and on this machine may be called too. ``trust``: whom to trust instead of
    the authorities that the system does.
    """

    def __init__(self, *, private: bool, trust: ssl.SSLContext | None = None) -> None:
        self._private = private
        self._trust = trust or ssl.create_default_context()

    async def send(self, url: str, body: bytes, secret: bytes, at: int) -> None:
        """Posts the body. A redirect is not followed and is a failure, as is everything but 2xx; of the answer no more
        is read than its first bytes.

        Raises PostRefusedError where it may not or will never be taken (410), PostError for everything else.
        """
        if webhook_address(url, private=self._private) is None:
            raise PostRefusedError("the webhook's address may not be called")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "consentry",
            "Consentry-Signature": webhook_signature(secret, at, body),
        }
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                status = await self._post(url, body, headers)
        except TimeoutError:
            raise PostError("the webhook did not answer in time") from None
        except UnreachableError:
            raise PostRefusedError("the webhook's name leads where none may") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error.__cause__, UnreachableError):  # as aiohttp hands on what its resolver raises
                raise PostRefusedError("the webhook's name leads where none may") from None
            raise PostError(f"the webhook cannot be called ({type(error).__name__})") from None
        if status == _GONE:
            raise PostRefusedError("the webhook is gone")
        if not 200 <= status < 300:
            raise PostError(f"the webhook answered {status}")

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        options: dict[str, Any] = {"allow_redirects": False, "ssl": self._trust}
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(private=self._private), use_dns_cache=False, force_close=True, limit=1
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            ) as session,
            session.post(url, data=body, headers=headers, **options) as answer,
        ):
            await answer.content.read(_LARGEST_ANSWER_BYTES)
            return answer.status
