"""How sending can fail. Texts name the kind of failure: an address, and what the other side said, stay out of logs."""


class PostError(Exception):
    """It could not be sent, and may be tried again."""


class PostRefusedError(PostError):
    """The other side will never take it: there is no use in trying again."""
