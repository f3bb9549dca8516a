"""The inbox as its own process: over HTTP, and in a browser."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from own_ports import free_port
from small_shop import DS, write_config, write_shop

from components.promotion import decision_path
from pipelines import deciding, running
from pipelines.inbox.users import hashed

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A running inbox over a store whose only version is a PROMOTE by decree."""
    root = tmp_path_factory.mktemp("inbox")
    write_shop(root, days=2, impressions=900, products=4)
    config = write_config(root, str(root / "store"))
    running.run(config, DS, None, "local")
    desk = deciding.open_desk(config, "anna")
    path = decision_path(desk.registry.get(1).bundle)
    decision = json.loads(desk.storage.read(path)) | {"verdict": "PROMOTE", "author": "scheduler"}
    desk.storage.write(path, json.dumps(decision).encode())
    users = root / "users.json"
    users.write_text(json.dumps({"anna": hashed(PASSWORD), "scheduler": hashed(PASSWORD)}))
    port = free_port()
    command = [str(Path(sys.executable).parent / "genco"), "inbox", "--config", str(config)]
    process = subprocess.Popen([*command, "--users", str(users), "--port", str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield SimpleNamespace(url=url, desk=desk, path=path)
    finally:
        process.terminate()
        process.wait(20)


def _wait(url: str, process: subprocess.Popen) -> None:
    for _ in range(600):
        assert process.poll() is None, "the inbox ended by itself"
        try:
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError("the inbox did not come up")


@contextmanager
def signed_in(url: str, who: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, follow_redirects=True) as client:
        data = {"who": who, "password": PASSWORD}
        assert client.post("/sign-in", data=data).status_code == 200
        yield client


def form(client: httpx.Client) -> dict[str, str]:
    text = client.get("/versions/1").text
    return dict(re.findall(r'name="(token|evidence)" value="([^"]+)"', text))


def test_without_a_session_every_page_leads_to_the_sign_in(place) -> None:
    for path in ("/", "/versions/1", "/versions/1/page"):
        answer = httpx.get(place.url + path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    data = {"token": "x", "action": "approve", "reason": "y", "evidence": "z"}
    assert httpx.post(f"{place.url}/versions/1", data=data).status_code == 303
    assert not [e for e in place.desk.entries() if e["kind"] == "approved"]


def test_a_wrong_password_is_told_and_lets_nobody_in(place) -> None:
    answer = httpx.post(f"{place.url}/sign-in", data={"who": "anna", "password": "wrong"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "do not fit" in answer.text


def test_pages_carry_the_headers_that_keep_others_out(place) -> None:
    answer = httpx.get(f"{place.url}/sign-in")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe-inline" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    cookie = httpx.post(f"{place.url}/sign-in", data={"who": "anna", "password": PASSWORD})
    assert "httponly" in cookie.headers["set-cookie"].lower()
    assert "samesite=strict" in cookie.headers["set-cookie"].lower()


def test_a_forged_form_decides_nothing(place) -> None:
    with signed_in(place.url, "anna") as client:
        data = {**form(client), "action": "approve", "reason": "forged", "token": "other"}
        assert client.post("/versions/1", data=data).status_code == 403
    assert not [e for e in place.desk.entries() if e.get("reason") == "forged"]


@pytest.mark.parametrize(
    ("change", "status"),
    [({"action": "publish"}, 422), ({"reason": ""}, 400), ({"evidence": "0" * 64}, 409)],
)
def test_a_wrong_form_is_told_in_a_sentence(place, change: dict[str, str], status: int) -> None:
    with signed_in(place.url, "anna") as client:
        data = {**form(client), "action": "approve", "reason": "why not", **change}
        assert client.post("/versions/1", data=data).status_code == status
    assert not [e for e in place.desk.entries() if e["kind"] == "approved"]


def test_unknown_versions_and_large_bodies_are_refused(place) -> None:
    with signed_in(place.url, "anna") as client:
        assert client.get("/versions/99").status_code == 404
        assert client.get("/versions/none").status_code == 422
        data = {**form(client), "action": "reject", "reason": "x" * 10_000_000}
        assert client.post("/versions/1", data=data).status_code == 413


def test_whoever_started_the_run_is_refused_as_on_the_command_line(place) -> None:
    with signed_in(place.url, "scheduler") as client:
        data = {**form(client), "action": "approve", "reason": "my own run"}
        answer = client.post("/versions/1", data=data)
    assert answer.status_code == 409
    assert "another person must approve" in answer.text
    assert place.desk.entries()[-1]["kind"] == "refused"


def test_an_approval_by_browser_is_in_the_ledger_with_who_and_why(place, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or shutil.which("chromedriver") is None:
        pytest.skip("chromium and chromedriver are not installed")
    from selenium import webdriver
    from selenium.common import exceptions
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    between = (exceptions.WebDriverException,)  # two pages: no element yet, a stale one, no node

    def awaited(text: str) -> None:
        """The page that a key has led to says this."""
        WebDriverWait(browser, 20, ignored_exceptions=between).until(
            lambda seen: text in seen.find_element(By.TAG_NAME, "main").text
        )

    shots = Path(os.environ.get("GENCO_SCREENSHOTS", tmp_path))
    try:
        browser.get(place.url)
        browser.find_element(By.ID, "who").send_keys("anna")
        browser.find_element(By.ID, "password").send_keys(PASSWORD)
        browser.find_element(By.CSS_SELECTOR, "button").send_keys(Keys.ENTER)
        awaited("Versions without a decision")
        for width in (1280, 400):
            browser.set_window_size(width, 900)
            assert browser.execute_script(
                "return document.documentElement.scrollWidth <= window.innerWidth"
            )
            browser.save_screenshot(str(shots / f"inbox_{width}.png"))
        browser.find_element(By.PARTIAL_LINK_TEXT, "Version 1").send_keys(Keys.ENTER)
        awaited("Your reason, for the ledger")
        browser.save_screenshot(str(shots / "inbox_version_400.png"))
        assert browser.execute_script(
            "return document.documentElement.scrollWidth <= window.innerWidth"
        )
        browser.find_element(By.ID, "reason").send_keys("better <b>where</b> it matters")
        browser.find_element(By.CSS_SELECTOR, "button[value=approve]").send_keys(Keys.ENTER)
        awaited("Approved by anna")
    finally:
        browser.quit()
    entry = place.desk.entries()[-1]
    told = (entry["kind"], entry["by"], entry["identity"], entry["reason"])
    assert told == ("approved", "anna", "inbox", "better <b>where</b> it matters")


def test_a_rejection_takes_the_version_out_of_the_inbox(place) -> None:
    with signed_in(place.url, "anna") as client:
        assert "Version 1" in client.get("/").text
        data = {**form(client), "action": "reject", "reason": "on second thought"}
        assert client.post("/versions/1", data=data).status_code == 200
        assert "Version 1" not in client.get("/").text
