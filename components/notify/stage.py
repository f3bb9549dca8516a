"""The run's end, whatever it was -> one message: what, why, and the next command."""

import json
import os
import urllib.request

from components.day import Day, Frozen, manifest_path
from components.errors import Failed

NAME = "notify"


class Settings(Frozen):
    """The model's name, and the variable that holds the webhook's URL (a secret, so not here)."""

    name: str
    webhook_env: str


class Result(Frozen):
    """The message, and whether a webhook took it."""

    message: str
    sent: bool


def run(day: Day, settings: Settings, status: str, cause: str, next_command: str) -> Result:
    """One message about the day; sent to the webhook where one is configured."""
    message = f"{settings.name} {day.ds}: {status}. {cause} Next: {next_command}"
    url = os.environ.get(settings.webhook_env, "")
    if url:
        send(url, {"text": message, "ds": day.ds, "status": status})
    return Result(message=message, sent=bool(url))


def send(url: str, payload: dict[str, str]) -> None:
    """The payload as JSON is accepted by the webhook, or Failed."""
    body = json.dumps(payload).encode()
    request = urllib.request.Request(
        url, data=body, headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
    except OSError as error:
        raise Failed(f"the notification webhook did not take the message: {error}") from error


def outcome(day: Day, failed: bool) -> tuple[str, str, str]:
    """(status, cause, next command) of a day as its manifest tells it."""
    storage = day.storage()
    path = manifest_path(day.ds)
    again = f"genco run --ds {day.ds} --config <the same config>"
    manifest = json.loads(storage.read(path)) if storage.exists(path) else None
    if failed or manifest is None:
        return "FAILED", "The run did not finish; its log names the stage.", again
    if manifest["verdict"] == "BLOCKED":
        return "BLOCKED", " ".join(manifest["reasons"]), f"repair the data, then {again}"
    run = manifest.get("run")
    if run is None:
        return "FAILED", "The day's data is fit, but no version was judged.", again
    return run["verdict"], " ".join(run["reasons"][:1]), run["next"]
