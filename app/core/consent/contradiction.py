"""When an event cannot follow from a state."""

from app.core.consent.events import Event


class ContradictionError(Exception):
    """An event cannot follow from the state. The text names the event's kind and the rule, and no key."""

    def __init__(self, event: Event, rule: str) -> None:
        super().__init__(f"{type(event).__name__}: {rule}")
