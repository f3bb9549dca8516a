"""Both pages in a real browser: they fit, load nothing, complain of nothing, and say it at once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from day_view import blocked_day, calendar_day, empty_day, fit_day
from good_evidence import GOOD, poisoned

from validation.gate.evidence import Evidence
from validation.gate.limits import Limits
from validation.gate.verdict import judge
from validation.pages.data import render_data
from validation.pages.promotion import render_promotion

BROWSER = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")
WIDE, NARROW, HEIGHT = 1280, 400, 800
LONG = "a-name-without-any-break-" * 12

pytestmark = pytest.mark.skipif(
    not (BROWSER.exists() and DRIVER.exists()),
    reason=f"needs {BROWSER} and {DRIVER} (Debian: chromium, chromium-driver)",
)


def promotion_view(tree: dict[str, Any]) -> dict[str, Any]:
    evidence, limits = Evidence.from_dict(tree), Limits()
    card = {
        "elements": [{"slot": "title", "element_id": "t", "text": "Boots", "contribution": 0.2}],
        "probability": 0.4,
        "predicted": 0.03,
    }
    pair = {"product_id": "p0", "context": {"device": "phone"}, "disagreement": 0.5}
    return {
        "name": "shop",
        "version": "143",
        "ds": "2026-11-23",
        "made_at": "2026-11-24T05:12:09Z",
        "judgement": judge(evidence, limits).to_dict(),
        "evidence": evidence.to_dict(),
        "limits": limits.to_dict(),
        "cards": [{**pair, "challenger": card, "incumbent": card}],
    }


def unwieldy_day() -> dict[str, Any]:
    """Names as long as a log may hold, and a window of 90 days."""
    view = blocked_day(
        reasons=[LONG, f"file {LONG} is cut off"], quarantine_path=LONG, attempt=LONG
    )
    view["losses"][0]["product_id"] = view["policies"][0]["policy"] = LONG
    view["files"][0]["file"] = view["files"][2]["unreadable"] = LONG
    view["quarantine"][0]["samples"][0] |= {"raw": f'{{"propensity": "{LONG}"}}', "message": LONG}
    months = {1: 31, 2: 28, 3: 31}
    dates = [f"2026-{m:02d}-{d:02d}" for m, days in months.items() for d in range(1, days + 1)]
    view["calendar"] = [
        calendar_day(ds, "FIT", 10**9, 10**6, data=LONG, failed={LONG: 10**9}) for ds in dates
    ]
    return view


FIRST = {
    "incumbent": {"kind": "logging policy"},
    "reward_model__difference": None,
    "reward_model__champion": None,
}


def many_slices(count: int) -> list[dict[str, Any]]:
    """So many slices, the worst of which is named `worst`."""
    one = GOOD["slices"][0]
    gaps = [0.004 - 0.00005 * number for number in range(count)]
    return [
        {
            **one,
            "name": "segment",
            "value": "worst" if number == count - 1 else f"s{number}",
            "difference": {"value": gap, "low": gap - 0.001, "high": gap + 0.001},
        }
        for number, gap in enumerate(gaps)
    ]


PAGES = {
    "data-blocked": lambda: render_data(blocked_day()),
    "data-fit": lambda: render_data(fit_day()),
    "data-empty": lambda: render_data(empty_day()),
    "data-unwieldy": lambda: render_data(unwieldy_day()),
    "promotion": lambda: render_promotion(promotion_view(GOOD)),
    "promotion-held": lambda: render_promotion(promotion_view(poisoned(slices=[]))),
    "promotion-first": lambda: render_promotion(promotion_view(poisoned(**FIRST))),
    "promotion-many": lambda: render_promotion(promotion_view(poisoned(slices=many_slices(200)))),
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture(params=list(PAGES))
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    file = tmp_path / f"{request.param}.html"
    file.write_text(PAGES[request.param](), encoding="utf-8")
    return file.as_uri()


def visit(browser: Any, address: str, width: int, dark: bool = False) -> None:
    size = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(address)


def requested(browser: Any) -> list[str]:
    """Addresses that the browser asked for since it was last asked."""
    events = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
    return [event["params"]["request"]["url"] for event in sent]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("unfolded", [False, True])
def test_no_page_scrolls_sideways(browser, address, width, unfolded):
    visit(browser, address, width)
    if unfolded:
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    wide, inner = browser.execute_script(
        "return [document.documentElement.scrollWidth, window.innerWidth]"
    )
    assert inner == width
    assert wide <= width


def test_no_page_complains_or_asks_for_anything_else(browser, address):
    browser.get_log("browser")
    requested(browser)
    visit(browser, address, WIDE)
    assert browser.get_log("browser") == []
    assert requested(browser) == [address]


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_verdict_and_its_sentence_stand_on_the_first_screen(browser, address, width):
    visit(browser, address, width)
    for part in (".verdict .word", ".verdict .sentence"):
        text, top, bottom = browser.execute_script(
            "const e = document.querySelector(arguments[0]), r = e.getBoundingClientRect();"
            "return [e.textContent.trim(), r.top, r.bottom]",
            part,
        )
        assert text
        assert 0 <= top < bottom <= HEIGHT


def test_first_screen_of_a_blocked_day_holds_counts_reasons_and_commands(browser, tmp_path):
    file = tmp_path / "data.html"
    file.write_text(PAGES["data-blocked"](), encoding="utf-8")
    visit(browser, file.as_uri(), WIDE)
    for part in (".facts", ".causes", ".again pre"):
        assert (
            browser.execute_script(
                "return document.querySelector(arguments[0]).getBoundingClientRect().bottom", part
            )
            <= HEIGHT
        )


def test_first_tab_stop_skips_to_the_evidence_and_can_be_seen(browser, address):
    from selenium.webdriver.common.keys import Keys

    visit(browser, address, WIDE)
    browser.find_element("tag name", "body").send_keys(Keys.TAB)
    name, left = browser.execute_script(
        "const e = document.activeElement; return [e.className, e.getBoundingClientRect().left]"
    )
    assert name == "skip"
    assert left >= 0


def test_of_200_slices_the_worst_is_seen_and_the_rest_unfolds_by_keyboard(browser, tmp_path):
    from selenium.webdriver.common.keys import Keys

    file = tmp_path / "many.html"
    file.write_text(PAGES["promotion-many"](), encoding="utf-8")
    visit(browser, file.as_uri(), NARROW)
    rows_of = "[...document.querySelectorAll('#slices li.row:not(.axis)')]"
    shown = f"return {rows_of}.filter(row => row.checkVisibility())"
    rows = browser.execute_script(f"{shown}.map(r => r.textContent)")
    assert "worst" in rows[0]
    assert len(rows) < 30
    for _ in range(200):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.execute_script("return document.activeElement.matches('#slices summary')"):
            break
    assert browser.execute_script("return document.activeElement.matches('#slices summary')")
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert len(browser.execute_script(f"{shown}.map(r => 1)")) == 200


def test_the_tab_key_reaches_every_link_and_fold(browser, address):
    from selenium.webdriver.common.keys import Keys

    visit(browser, address, WIDE)
    controls = "[...document.querySelectorAll('a[href], summary, [tabindex=\"0\"]')]"
    count = browser.execute_script(
        f"window.found = {controls}.filter(e => e.checkVisibility()); return found.length"
    )
    reached = set()
    browser.find_element("tag name", "body").send_keys(Keys.TAB)
    for _ in range(count):
        reached.add(browser.execute_script("return found.indexOf(document.activeElement)"))
        browser.switch_to.active_element.send_keys(Keys.TAB)
    assert set(range(count)) <= reached


_CONTRAST = """
const rgb = c => c.match(/[\\d.]+/g).map(Number);
const lum = c => { const [r, g, b] = rgb(c).slice(0, 3).map(v => { v /= 255;
  return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b };
const ground = e => { for (; e; e = e.parentElement) {
  const c = getComputedStyle(e).backgroundColor, a = rgb(c)[3];
  if (a === undefined || a > 0) return c } return 'rgb(255,255,255)' };
return [...document.querySelectorAll('main *')]
  .filter(e => !e.closest('svg') && [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()))
  .map(e => { const a = lum(getComputedStyle(e).color), b = lum(ground(e));
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 120)] })
  .filter(([ratio]) => ratio < 4.5);
"""


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground_by_light_and_by_dark(browser, address, dark):
    """WCAG 2.2, 1.4.3: a contrast of at least 4.5 to 1."""
    visit(browser, address, WIDE, dark)
    assert browser.execute_script(_CONTRAST) == []


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_picture_of_the_page_is_not_blank(browser, address, width, tmp_path):
    visit(browser, address, width)
    picture = tmp_path / f"{width}.png"
    assert browser.save_screenshot(str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")
    blank = tmp_path / "blank.png"
    visit(browser, "about:blank", width)
    browser.save_screenshot(str(blank))
    assert picture.stat().st_size > 2 * blank.stat().st_size
