"""Request bodies of the JSON API: the media type, then strict JSON, then a strict model. Each failure has its one
answer.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from app.core.http.problem import Problem, ProblemError, problem
from app.core.http.strict_json import MAX_BYTES, parse

ModelT = TypeVar("ModelT", bound=BaseModel)


class Strict(BaseModel):
    """A body's model: no extra keys, no coercion (a string is not a number), immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def body_of(model: type[ModelT]) -> Callable[[Request], Awaitable[ModelT]]:
    """A FastAPI dependency that gives the request's body as ``model``, or raises 400, 413, 415 or 422."""

    async def read(request: Request) -> ModelT:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise ProblemError(problem("unsupported-media-type"))
        document = parse(await _bounded(request))
        if isinstance(document, Problem):
            raise ProblemError(document)
        try:
            return model.model_validate(document)
        except ValidationError:  # its text quotes the input, so nothing of it is kept
            raise ProblemError(problem("invalid-request")) from None

    return read


def documented(model: type[BaseModel]) -> dict[str, Any]:
    """``openapi_extra`` for a route whose body comes through ``body_of``."""
    schema = model.model_json_schema()
    schema = _whole(schema, schema.pop("$defs", {}))
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _whole(part: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON is any of its own types
    """The schema with each definition where it is referred to: FastAPI does not know of it. None refers to itself."""
    if isinstance(part, list):
        return [_whole(one, definitions) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _whole(definitions[part["$ref"].removeprefix("#/$defs/")], definitions)
    return {name: _whole(value, definitions) for name, value in part.items()}


async def _bounded(request: Request) -> bytes:
    """The body, read no further than one byte past the limit."""
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_BYTES:
            raise ProblemError(problem("payload-too-large"))
    return bytes(received)
