"""The run's end, whatever it was -> one message: what, why, and the next command.

It goes to every place that is configured, once: the same day with the same status, version and
cause is not told again. That a place did not take it is Failed, after the others were tried.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from components.adapters.storage import Storage
from components.day import Day, Frozen, to_json
from components.errors import Failed, GencoError
from components.manifests import BLOCKED, read_judged, read_manifest
from components.notify.message import RUNS, Message, one_line
from components.notify.sending import Mail, send_mail, send_webhook
from components.promotion import decision_path
from components.step import Word, read_word

NAME = "notify"
QUIET = "UNCHANGED"  # nothing new came of the run: its message was sent before
JUDGED = ("HOLD", "PROMOTE", "REJECT")


class Settings(Frozen):
    """The model's name, the variable that holds the webhook's URL (a secret), and a mail server.

    pages: the URL under which people open what lies in the store; None links to the store itself.
    """

    name: str
    webhook_env: str
    mail: Mail | None = None
    pages: str | None = None


class Result(Frozen):
    """The message, whether a place took it, and whether it was told before."""

    message: str
    sent: bool
    repeated: bool = False


def run(day: Day, settings: Settings, status: str, cause: str, next_command: str) -> Result:
    """One message about the day; sent wherever a webhook or a mail server is configured."""
    if status == QUIET:
        return Result(message=f"{settings.name} {day.ds}: {status}", sent=False, repeated=True)
    message = compose(day, settings, status, cause, next_command)
    if status in RUNS and _last(day, settings.name) == message.digest():
        return Result(message=message.text(), sent=False, repeated=True)
    sent = send(settings, message)
    if sent and status in RUNS:
        with suppress(GencoError):  # without the store the worst is that it is told once more
            noted = {"digest": message.digest(), "status": status}
            day.storage().write(_notice(day, settings.name), to_json(noted))
    return Result(message=message.text(), sent=sent)


def send(settings: Settings, message: Message) -> bool:
    """Whether there was a place to send it to; Failed names every place that did not take it."""
    url, mail = os.environ.get(settings.webhook_env, ""), settings.mail
    ways: list[Callable[[], None]] = []
    if url:
        ways.append(lambda: send_webhook(url, message))
    if mail is not None:
        ways.append(lambda: send_mail(mail, message))
    faults = []
    for way in ways:
        try:
            way()
        except Failed as error:
            faults.append(str(error))
    if faults:
        raise Failed("; ".join(faults))
    return bool(ways)


def compose(day: Day, settings: Settings, status: str, cause: str, next_command: str) -> Message:
    """The message with the version, pages and approval's term that the store knows of the day."""
    version, links = None, ()
    with suppress(GencoError, ValueError, KeyError):
        version, links, cause = _details(day.storage(), day.ds, settings.pages, status, cause)
    told = (settings.name, day.ds, status, one_line(cause), next_command)
    return Message(*told, version=version, links=links)


def _details(
    storage: Storage, ds: str, pages: str | None, status: str, cause: str
) -> tuple[int | None, tuple[tuple[str, str], ...], str]:
    """(version, links, cause) of a run's end; nothing for what is no run's end."""
    if status == BLOCKED:
        judged = read_judged(storage, ds)
        place = (judged or {}).get("pages", {}).get("data")
        return None, _links(storage, pages, [("Data page", place)]), cause
    run = (read_manifest(storage, ds) or {}).get("run")
    if status not in JUDGED or run is None:
        return None, (), cause
    if status == "PROMOTE":
        hours = json.loads(storage.read(decision_path(run["bundle"])))["limits"]["person"]
        cause = f"{cause} An approval holds for {hours['expires_hours']} h.".strip()
    wanted = [("Promotion page", run["page"])]
    return run["version"], _links(storage, pages, wanted), cause


def _links(
    storage: Storage, pages: str | None, wanted: list[tuple[str, str | None]]
) -> tuple[tuple[str, str], ...]:
    def link(path: str) -> str:
        return storage.locate(path) if pages is None else f"{pages.rstrip('/')}/{path}"

    return tuple((label, link(path)) for label, path in wanted if path)


def _notice(day: Day, name: str) -> str:
    return f"notices/{name}/ds={day.ds}.json"


def _last(day: Day, name: str) -> str | None:
    """The digest of the day's message that was sent last, None where none was or none is known."""
    with suppress(GencoError, ValueError):
        storage = day.storage()
        path = _notice(day, name)
        return json.loads(storage.read(path))["digest"] if storage.exists(path) else None
    return None


def outcome(day: Day, state: str, said: str) -> tuple[str, str, str]:
    """(status, cause, next command) of a day that ended so: its run's state, and its error.

    What stopped a step is read where the step left word of it; a pod that was ended could not.
    """
    again = f"genco run --ds {day.ds} --config <the same config>"
    word = read_word(day)
    if word is not None and word.blocks(state):
        return BLOCKED, word.said, f"repair what it names, then {again}"
    if state != "SUCCEEDED":
        return _unfinished(word, state, said, again)
    storage = day.storage()
    judged: dict[str, Any] | None = read_judged(storage, day.ds)
    if judged is not None and judged["verdict"] == BLOCKED:
        return "BLOCKED", " ".join(judged["reasons"]), f"repair the data, then {again}"
    run = (read_manifest(storage, day.ds) or {}).get("run")
    if run is None:
        return "FAILED", "No version was judged.", again
    return run["verdict"], " ".join(run["reasons"][:1]), run["next"]


def _unfinished(word: Word | None, state: str, said: str, again: str) -> tuple[str, str, str]:
    if word is not None:
        return "FAILED", f"{word.stage}: {word.said}", again
    cause = (
        f"The run ended {state} and no step could say why: {said or 'the platform gives no cause'}."
    )
    ended = "A pod was ended (its timeout, its memory, a lost node) or the run was cancelled."
    return "FAILED", f"{cause} {ended}", again
