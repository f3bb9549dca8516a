"""Who may sign in: a file of names and scrypt hashes, kept outside the repository.

`genco inbox --add-user NAME` prints a line for it. Hashes are salted; a name that is not known
costs as long as a wrong password.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.errors import WrongUse

COST = {"n": 2**14, "r": 8, "p": 1}
SALT_BYTES = 16
WRONG_SIGN_INS = 5  # of one name within the minutes below, after which it has to wait
WAIT_SECONDS = 300.0


def hashed(password: str, salt: bytes | None = None) -> str:
    """salt$hash in hexadecimal (scrypt, Percival 2009)."""
    salt = salt or secrets.token_bytes(SALT_BYTES)
    return f"{salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, **COST).hex()}"


def read_users(file: Path) -> dict[str, str]:
    """Name -> hash; WrongUse where the file is not such a JSON object."""
    try:
        users = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise WrongUse(
            f"the inbox's users {file} cannot be read ({error}); expected a JSON object of names "
            "and hashes: `genco inbox --add-user NAME` prints an entry (docs/runbook.md#inbox)"
        ) from error
    fit = isinstance(users, dict) and all(
        isinstance(name, str) and isinstance(kept, str) and kept.count("$") == 1
        for name, kept in users.items()
    )
    if not fit or not users:
        raise WrongUse(f"{file} holds no users, expected a JSON object of names and salt$hash")
    return users


@dataclass
class Door:
    """Lets people in by name and password; too many wrong tries of a name close it for a while."""

    users: Mapping[str, str]
    tries: dict[str, list[float]] = field(default_factory=dict)

    def opens(self, name: str, password: str, now: float) -> bool:
        """Whether the password is the name's; `now` in seconds of any steady clock."""
        self._forget(now)
        recent = self.tries.get(name, [])
        if len(recent) >= WRONG_SIGN_INS:
            return False
        kept = self.users.get(name) or f"{'00' * SALT_BYTES}$"
        given = hashed(password, bytes.fromhex(kept.split("$")[0]))
        if name in self.users and hmac.compare_digest(given, kept):
            self.tries.pop(name, None)
            return True
        self.tries[name] = [*recent, now]
        return False

    def _forget(self, now: float) -> None:
        """Drops tries that no longer count, so that made-up names don't fill the memory."""
        fresh = {n: [at for at in ats if now - at < WAIT_SECONDS] for n, ats in self.tries.items()}
        self.tries = {name: ats for name, ats in fresh.items() if ats}
