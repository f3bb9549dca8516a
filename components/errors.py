"""What may go wrong, as exit codes a scheduler can rely on (CONTRACT 6)."""


class GencoError(Exception):
    """One clear sentence for a person: found, expected, where, what next."""

    exit_code = 1


class Failed(GencoError):
    """The work could not be done: a service, a bucket, a file or a secret is not as it should be."""


class WrongUse(GencoError):
    """The caller asked for something that cannot be: a bad day, config or argument."""

    exit_code = 2


class Refused(GencoError):
    """The request was understood and refused by a rule: bad data, a gate, a missing approval."""

    exit_code = 4


class Conflict(Refused):
    """Another writer was first: the object changed between reading and writing."""
