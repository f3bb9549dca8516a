"""The run's one message: by webhook and by mail, received for real, told once, in the runbook."""

import json
import re
from pathlib import Path

import pytest
from message_places import MailServer, Webhook, mail_server, webhook
from pydantic import ValidationError

from components.day import Day
from components.errors import Failed
from components.notify.message import HEADLINES, RUNS, SECTIONS, Message, slack_payload
from components.notify.sending import Mail
from components.notify.stage import Settings, outcome, run

ROOT = Path(__file__).resolve().parents[2]
DS = "2026-11-22"
PASSWORD = "a password of one test"
TO = ("oncall@shop.test", "anna@shop.test")
RUN = {"attempt": "a", "version": 7, "verdict": "PROMOTE", "reasons": [], "next": "genco approve 7"}
RUN |= {"bundle": "days/a/register_version/bundle", "page": "days/a/promotion.html"}


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch):
    with webhook() as state:
        monkeypatch.setenv("GENCO_WEBHOOK_URL", state.url)
        yield state


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GENCO_SMTP_PASSWORD", PASSWORD)
    with mail_server(tmp_path) as state:
        state.accounts["genco"] = PASSWORD
        yield state


def settings_for(server: MailServer | None, **changes) -> Settings:
    told = {"name": "shop", "webhook_env": "GENCO_WEBHOOK_URL", "pages": "https://pages.test/s/"}
    if server is not None:
        told["mail"] = mail_for(server)
    return Settings(**(told | changes))


def mail_for(server: MailServer, **changes) -> Mail:
    told = {"host": "127.0.0.1", "port": server.port, "tls": server.tls, "user": "genco"}
    told |= {"ca_file": str(server.certificate), "sender": "genco@shop.test", "to": TO}
    return Mail(**(told | changes))


@pytest.fixture
def day(tmp_path: Path) -> Day:
    """A store whose day was judged PROMOTE as version 7."""
    place = Day(ds=DS, store=str(tmp_path / "store"), work=str(tmp_path / "work"))
    storage = place.storage()
    manifest = {"ds": DS, "verdict": "FIT", "reasons": [], "run": RUN, "pages": {}}
    for path in ("manifests", "manifests/judged"):
        storage.write(f"{path}/ds={DS}.json", json.dumps(manifest).encode())
    limits = json.dumps({"limits": {"person": {"expires_hours": 48}}}).encode()
    storage.write("days/a/gate_promotion/decision.json", limits)
    return place


def test_webhook_and_mail_get_the_same_message_with_all_that_a_person_needs(
    hook: Webhook, server: MailServer, day: Day
) -> None:
    told = run(day, settings_for(server), "PROMOTE", "", "genco approve 7")
    assert told.sent
    ((to, mail),) = server.taken
    (posted,) = hook.taken
    assert posted["text"] == mail.get_content().replace("\r\n", "\n").strip() == told.message
    assert (tuple(to), server.secured) == (TO, [True])
    assert mail["Subject"] == "shop 2026-11-22: PROMOTE (awaits approval, version 7)"
    assert told.message.splitlines()[1:] == [
        "An approval holds for 48 h.",
        "Promotion page: https://pages.test/s/days/a/promotion.html",
        "Next: genco approve 7",
        "Runbook: docs/runbook.md#approve-and-promote",
    ]
    assert posted["metadata"]["event_payload"] == {
        "ds": DS,
        "status": "PROMOTE",
        "name": "shop",
        "version": 7,
    }


def test_the_same_cause_is_told_once_and_another_again(hook: Webhook, day: Day) -> None:
    settings = settings_for(None)
    causes = ["no bucket", "no bucket", "no key", "no key", "no bucket"]
    told = [run(day, settings, "FAILED", cause, "again") for cause in causes]
    assert [one.repeated for one in told] == [False, True, False, True, False]
    assert len(hook.taken) == 3
    assert run(day, settings, "UNCHANGED", "as before", "").repeated
    assert len(hook.taken) == 3


def test_a_message_that_nobody_took_is_told_by_the_next_run(hook: Webhook, day: Day) -> None:
    hook.status = 500
    with pytest.raises(Failed, match="it answered 500"):
        run(day, settings_for(None), "HOLD", "too few", "wait")
    hook.status = 200
    assert run(day, settings_for(None), "HOLD", "too few", "wait").sent
    assert len(hook.taken) == 1


def test_a_store_that_is_away_does_not_keep_the_message_back(hook: Webhook, tmp_path: Path) -> None:
    away = Day(ds=DS, store="s3://ads/genco", endpoint="http://127.0.0.1:9", work=str(tmp_path))
    assert run(away, settings_for(None), "FAILED", "cannot read s3://ads", "again").sent
    assert "cannot read s3://ads" in hook.taken[0]["text"]


def test_where_one_place_fails_the_other_still_gets_it_and_no_secret_is_told(
    hook: Webhook, server: MailServer, day: Day
) -> None:
    hook.status = 403
    with pytest.raises(Failed, match=r"webhook \(127.0.0.1\) .* answered 403") as caught:
        run(day, settings_for(server), "HOLD", "too few", "wait")
    assert "SECRET" not in str(caught.value)
    assert len(server.taken) == 1


@pytest.mark.parametrize("tls", ["starttls", "tls", "none"])
def test_mail_goes_by_each_kind_of_tls(tmp_path: Path, day: Day, tls: str) -> None:
    with mail_server(tmp_path, tls) as server:
        mail = mail_for(server, user=None)
        assert run(day, settings_for(None, mail=mail), "HOLD", "too few", "wait").sent
    assert server.secured == [tls != "none"]


def test_a_mail_server_that_cannot_be_trusted_or_refuses_is_one_sentence(
    server: MailServer, day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(said: str, **changes) -> None:
        with pytest.raises(Failed, match=said) as caught:
            run(day, settings_for(None, mail=mail_for(server, **changes)), "HOLD", "few", "wait")
        assert PASSWORD not in str(caught.value)

    refused("certificate verify failed", ca_file=None)
    refused("did not take the message", port=9)
    server.refuse = {TO[1]}
    refused(f"it refused {TO[1]}")
    monkeypatch.setenv("GENCO_SMTP_PASSWORD", "wrong")
    refused("wrong user or password")
    monkeypatch.delenv("GENCO_SMTP_PASSWORD")
    refused("GENCO_SMTP_PASSWORD is not set")


def test_a_password_is_never_sent_in_the_clear(server: MailServer) -> None:
    with pytest.raises(ValidationError, match="in the clear"):
        mail_for(server, tls="none")


def test_what_the_logs_say_cannot_call_a_channel_or_add_a_header(
    hook: Webhook, server: MailServer, day: Day
) -> None:
    cause = "product <!channel>\r\nBcc: thief@evil.test\n\n<https://evil.test|a & b>" + "x" * 900
    run(day, settings_for(server), "BLOCKED", cause, "repair it")
    text = hook.taken[0]["blocks"][0]["text"]["text"]
    assert "<" not in text
    assert "&lt;!channel&gt; Bcc" in text
    ((to, mail),) = server.taken
    assert (mail["Bcc"], tuple(to)) == (None, TO)
    assert len(mail.get_content().splitlines()[1]) == 600


def test_a_blocked_day_is_told_although_an_earlier_fit_one_stands(day: Day) -> None:
    storage = day.storage()
    blocked = {"verdict": "BLOCKED", "reasons": ["9 % are unfit"], "pages": {"data": "d.html"}}
    storage.write(f"manifests/judged/ds={DS}.json", json.dumps(blocked).encode())
    status, cause, _ = outcome(day, "SUCCEEDED", "")
    assert (status, cause) == ("BLOCKED", "9 % are unfit")
    message = run(day, settings_for(None), status, cause, "repair").message
    assert "Data page: https://pages.test/s/d.html" in message
    assert outcome(day, "FAILED", "")[0] == "FAILED"


@pytest.mark.parametrize("status", ["PROMOTED", "ROLLED BACK"])
def test_a_champions_change_is_told_and_a_silent_webhook_undoes_nothing(
    hook: Webhook, tmp_path: Path, status: str
) -> None:
    from pipelines import deciding

    file = tmp_path / "shop.yaml"
    file.write_text("{name: shop, logs: l, catalog: c, store: s, slots: [title]}")
    entry = {"version": 7, "at": f"{DS}T10:00:00+00:00", "by": "anna", "reason": "it earns more"}
    config = deciding.load_config(file)
    assert deciding._announce(config, status, entry, "look") == entry
    text = hook.taken[0]["text"]
    assert f"Version 7 is champion since {DS}T10:00:00+00:00, by anna: it earns more." in text
    hook.status = 500
    assert "answered 500" in deciding._announce(config, status, entry, "look")["untold"]


# ---- the runbook


def sections() -> dict[str, str]:
    """Anchor -> the text of its section."""
    text = (ROOT / "docs" / "runbook.md").read_text()
    parts = re.split(r'^<a id="([^"]+)"></a>$', text, flags=re.MULTILINE)
    anchors = parts[1::2]
    assert len(set(anchors)) == len(anchors), "an anchor is there twice"
    return dict(zip(anchors, parts[2::2], strict=True))


def test_the_runbook_has_a_section_for_exactly_the_messages_that_are_sent() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    table = dict(re.findall(r"^\| `([A-Z ]+)` \| \[[^\]]+\]\(#([a-z-]+)\) \|", text, re.MULTILINE))
    assert table == dict(SECTIONS)
    assert set(HEADLINES) == set(SECTIONS)
    assert set(SECTIONS) > RUNS
    there = sections()
    for anchor in SECTIONS.values():
        for part in ("**Says:**", "**Means:**", "**Do:**"):
            assert part in there[anchor].split("\n## ")[0], (anchor, part)


def test_every_page_of_the_runbook_that_a_sentence_names_is_there() -> None:
    there = sections()
    for package in ("components", "pipelines", "validation"):
        for file in (ROOT / package).rglob("*.py"):
            for anchor in re.findall(r"docs/runbook\.md#([a-z0-9-]+)", file.read_text()):
                assert anchor in there, f"{file.name} names #{anchor}"


def test_a_payload_names_its_page_whatever_the_status() -> None:
    for status, anchor in SECTIONS.items():
        payload = slack_payload(Message("shop", DS, status, "why", "do"))
        assert f"docs/runbook.md#{anchor}" in payload["text"]
