"""A dataclass kept as one JSON file."""

import json
from pathlib import Path
from typing import TypeVar

from components.errors import Failed

T = TypeVar("T")


def read_record(file: Path, kind: type[T], fault: str, remedy: str) -> T | None:
    """What the file holds, None where there is no file; Failed, as "FILE fault; remedy", where it
    holds something else."""
    try:
        return kind(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise Failed(f"{file} {fault} ({type(error).__name__}); {remedy}") from error
