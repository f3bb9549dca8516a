"""A full disk is told in one sentence, whichever library met it first."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from components.errors import Failed, GencoError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
SAID = ("No space left on device", "disk is full", "File too large", "Disk quota exceeded")


def is_full(error: BaseException | None) -> bool:
    """Whether the error, or one that it came from, is a disk (or quota) without room."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if any(words in str(error) for words in SAID):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def told_when_full(work: str) -> Iterator[None]:
    """What DuckDB, SQLite, Arrow and others raise on a full disk is Failed in the block."""
    try:
        yield
    except GencoError:
        raise
    except Exception as error:
        if not is_full(error):
            raise
        said = " ".join(str(error).split())[:160]
        raise Failed(
            f"a disk is full ({said}); make room in the work folder {work}, the temporary folder "
            "or the store, then run again: nothing half written is read"
        ) from error
