"""What is remembered is bounded in number and in time."""

from app.gateway.remembering import Remembered


def test_the_oldest_use_goes_first() -> None:
    remembered: Remembered[str, int] = Remembered(2, 10.0)
    remembered.learn("a", 1, 0.0)
    remembered.learn("b", 2, 0.0)
    assert remembered.get("a", 1.0) == 1
    remembered.learn("c", 3, 1.0)
    assert (remembered.get("a", 1.0), remembered.get("b", 1.0), remembered.get("c", 1.0)) == (1, None, 3)
    assert len(remembered) == 2


def test_use_does_not_prolong() -> None:
    remembered: Remembered[str, int] = Remembered(2, 10.0)
    remembered.learn("a", 1, 0.0)
    assert remembered.get("a", 9.9) == 1
    assert remembered.get("a", 10.0) is None
    assert len(remembered) == 0


def test_forgetting_what_is_not_there_is_nothing() -> None:
    remembered: Remembered[str, int] = Remembered(2, 10.0)
    remembered.learn("a", 1, 0.0)
    remembered.forget("a")
    remembered.forget("a")
    assert remembered.get("a", 0.0) is None
