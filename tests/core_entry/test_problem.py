"""Error answers: one document for each kind, with nothing of the input in it (RFC 9457)."""

import json

import pytest

from app.core.http.problem import KINDS, ProblemError, problem


@pytest.mark.parametrize("name", sorted(KINDS))
def test_each_kind_is_a_problem_document(name: str) -> None:
    found = problem(name)
    document = json.loads(found.body())
    status, title = KINDS[name]
    assert document == {"type": f"urn:consentry:problem:{name}", "title": title, "status": status}
    assert 400 <= status < 600
    assert ("WWW-Authenticate" in dict(found.headers)) == (
        status == 401 or name == "insufficient-scope"  # RFC 6750 §3
    )


def test_a_header_is_added_and_the_body_stays() -> None:
    plain = problem("method-not-allowed")
    with_allow = plain.with_header("Allow", "GET")
    assert dict(with_allow.headers) == {"Allow": "GET"}
    assert with_allow.body() == plain.body()
    assert plain.headers == ()


def test_an_error_says_its_name_and_nothing_else() -> None:
    assert str(ProblemError(problem("not-found"))) == "not-found"


def test_an_unknown_name_is_a_fault_of_ours() -> None:
    with pytest.raises(KeyError):
        problem("no-such-kind")
