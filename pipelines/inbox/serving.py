"""Config -> the inbox, served."""

import os
from pathlib import Path

from components.errors import WrongUse
from components.promotion import Desk
from pipelines.config import load_config
from pipelines.deciding import open_desk
from pipelines.inbox.users import Door, hashed, read_users

USERS = "GENCO_INBOX_USERS"


def serve(file: Path, users: Path | None, host: str, port: int) -> None:
    """Serves until it is stopped; on loopback unless told otherwise."""
    import uvicorn

    from pipelines.inbox.app import application

    named = users or (Path(os.environ[USERS]) if USERS in os.environ else None)
    if named is None:
        raise WrongUse(
            f"genco inbox needs --users FILE or {USERS}; `genco inbox --add-user NAME` prints an "
            "entry for it"
        )
    config = load_config(file)

    def desk_of(who: str) -> Desk:
        return open_desk(file, who, signed_in=True)

    app = application(Door(read_users(named)), desk_of, config.name)
    uvicorn.run(app, host=host, port=port, log_level="warning", server_header=False)


def entry(name: str, password: str) -> dict[str, str]:
    """A line for the users' file."""
    if len(password) < 12:
        raise WrongUse("a password needs 12 characters or more")
    return {name: hashed(password)}
