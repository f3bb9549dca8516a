"""The promotion page: ten sections in order, self-contained, escaped, whole without JavaScript."""

import json
import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from good_evidence import BY_SLOTS, GOOD, evidence, interval, poisoned

from validation.gate.evidence import Evidence
from validation.gate.limits import Limits
from validation.gate.verdict import judge
from validation.pages import svg
from validation.pages.promotion import render_promotion, verdict_sentence
from validation.pages.rendering import embed, number, percent, when

CLICK = "policy_value__outcomes__click"
SECTIONS = [
    "verdict", "differences", "trust", "slices", "cards", "gates", "changes", "days", "rollback",
    "history",
]  # fmt: skip
VOID = {"meta", "br", "link", "img", "input", "hr"}
NASTY = '</script><script>alert("x")</script>&<b>'


class Page(HTMLParser):
    """Ids in order, scripts, attributes and text of a page; raises on a tag that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.attributes += [(key, value or "") for key, value in attrs]
        if "id" in named:
            self.ids.append(named["id"])
        if tag == "script":
            self.scripts.append((named, ""))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(key, value or "") for key, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            named, said = self.scripts[-1]
            self.scripts[-1] = (named, said + data)
        elif self.open and self.open[-1] != "style":
            self.text += data


def card(text: str, contribution: float | None) -> dict[str, Any]:
    element = {"slot": "title", "element_id": "t1", "text": text, "contribution": contribution}
    return {"elements": [element], "probability": 0.4, "predicted": 0.031}


def view(tree: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    evidence, limits = Evidence.from_dict(tree or GOOD), Limits()
    whole = {
        "name": "shop",
        "version": "143",
        "ds": "2026-11-23",
        "made_at": "2026-11-24T05:12:09Z",
        "expires_at": "2026-11-26T05:12:09Z",
        "judgement": judge(evidence, limits).to_dict(),
        "evidence": evidence.to_dict(),
        "limits": limits.to_dict(),
        "cards": [
            {"product_id": "p-small", "context": {"placement": "top"}, "disagreement": 0.1,
             "challenger": card("Boots", 0.3), "incumbent": card("Boots", -0.1)},
            {"product_id": "p-large", "context": {}, "disagreement": 0.9,
             "challenger": card("Shoes", None), "incumbent": None},
        ],
        "changes": [{"what": "code", "before": "3f0a11c", "after": "4f2a9c1"}],
        "days": [{"ds": "2026-11-22", "verdict": "FIT", "displays": 101_200.0,
                  "quarantined_share": 0.004, "note": None}],
        "rollback": {"target": "v141", "command": "genco rollback --to previous", "tested_at": None},
        "history": [{"version": "141", "decision": "approved", "by": "m.keller",
                     "at": "2026-11-12T08:31:00Z", "reason": "clear of 0",
                     "predicted": interval(0.0018, 0.0012), "observed": None}],
        "looks": 3,
    }  # fmt: skip
    return whole | fields


def bare(tree: dict[str, Any] | None = None) -> dict[str, Any]:
    """The view with nothing beyond what is required."""
    kept = ("name", "version", "ds", "made_at", "judgement", "evidence")
    return {key: value for key, value in view(tree).items() if key in kept}


NO_CHAMPION = {
    "incumbent": {"kind": "logging policy"},
    "reward_model__difference": None,
    "reward_model__champion": None,
}
BLIND = NO_CHAMPION | {
    "policy_value__outcomes__click__estimates": {},
    "policy_value__outcomes__click__health": {"known_share": 0.0, "displays": 100.0},
    "slices": [],
}
VIEWS = {
    "whole": view(),
    "bare": bare(),
    "first": view(poisoned(**NO_CHAMPION), version="1", rollback=None, history=[], changes=[]),
    "blind": bare(poisoned(**BLIND)),
    "empty": bare({"ds": "2026-11-23"}),
    "unregistered": view(version=None),
}


@pytest.mark.parametrize("kind", VIEWS)
def test_every_page_has_the_ten_sections_in_order_and_closes_what_it_opens(kind):
    page = Page(render_promotion(VIEWS[kind]))
    assert [one for one in page.ids if one in SECTIONS] == SECTIONS
    assert page.ids[-1] == "evidence"


def test_the_headline_speaks_by_the_estimators_that_decide():
    lost = interval(-0.02, 0.001)
    whole = f"{CLICK}__estimates"
    tree = evidence(
        **BY_SLOTS
        | {f"{whole}__{name}__difference": lost for name in ("dr", "snips")}
        | {f"{whole}__pi__difference": interval(0.004, 0.001)}
        | {f"{whole}__pi_dr__difference": interval(0.003, 0.0015)}
    ).to_dict()
    shown = view(tree)
    assert shown["judgement"]["verdict"] == "PROMOTE"
    assert "it earns 3 more clicks per 1,000 displays (1.5 to 4.5)" in verdict_sentence(shown)
    assert "slot by slot" in Page(render_promotion(shown)).text
    assert "slot by slot" not in Page(render_promotion(view())).text


@pytest.mark.parametrize("kind", VIEWS)
def test_a_page_needs_nothing_from_elsewhere_and_runs_no_script(kind):
    text = render_promotion(VIEWS[kind])
    page = Page(text)
    assert [named.get("type") for named, _ in page.scripts] == ["application/json"]
    links = [value for key, value in page.attributes if key in ("href", "src", "data", "action")]
    assert all(link.startswith("#") for link in links)
    assert "http://" not in text.replace("http-equiv", "")
    assert "https://" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert not [key for key, _ in page.attributes if key.startswith("on")]


def test_contents_lead_to_sections_that_exist():
    page = Page(render_promotion(view()))
    targets = {value[1:] for key, value in page.attributes if key == "href"}
    assert targets <= set(page.ids)


def test_the_evidence_travels_with_the_page():
    tree = poisoned(data__quarantined_share=math.nan)
    page = Page(render_promotion(view(tree)))
    carried = json.loads(page.scripts[0][1])
    assert Evidence.from_dict(carried["evidence"]).digest() == Evidence.from_dict(tree).digest()
    assert carried["judgement"]["verdict"] == "REJECT"


def test_text_of_logs_and_people_is_escaped_everywhere():
    poison = poisoned(slices=[GOOD["slices"][0] | {"value": NASTY}])
    poison["policy_value"]["outcomes"]["click"]["unit"] = NASTY
    poison["policy_value"]["holdout"] = NASTY
    nasty = view(poison, name=NASTY, changes=[{"what": NASTY, "before": NASTY, "after": NASTY}])
    nasty["cards"][0] |= {"product_id": NASTY, "context": {NASTY: NASTY}}
    nasty["cards"][0]["challenger"] = card(NASTY, 0.2)
    nasty["history"][0] |= {"reason": NASTY, "by": NASTY}
    nasty["days"][0]["note"] = NASTY
    text = render_promotion(nasty)
    page = Page(text)
    assert "<script>" not in text
    assert "<b>" not in text
    assert len(page.scripts) == 1
    assert page.text.count(NASTY) >= 8
    assert json.loads(page.scripts[0][1])["evidence"]["slices"][0]["value"] == NASTY


@pytest.mark.parametrize(
    ("poison", "begins"),
    [
        ({}, "v143 should replace v141: it earns 2.4 more clicks per 1,000 displays (0.8 to 4)."),
        ({"provenance__dirty": True}, "Not enough evidence that v143 should replace v141: prov"),
        ({"safety__illegal": 2}, "v143 should not replace v141: policy safety: illegal"),
        (BLIND, "Not enough evidence that v143 should replace the logging policy: policy value"),
    ],
)
def test_the_verdict_is_one_sentence(poison, begins):
    assert verdict_sentence(view(poisoned(**poison))).startswith(begins)


def test_the_commands_name_the_version_and_are_absent_without_one():
    said = Page(render_promotion(view())).text
    assert 'genco approve 143 --config FILE --reason "..."' in said
    assert 'genco reject 143 --config FILE --reason "..."' in said
    assert "genco approve" not in Page(render_promotion(view(version=None))).text


def test_the_page_says_that_an_approval_against_the_gates_is_refused():
    assert "approval is refused" not in Page(render_promotion(view())).text
    held = view(poisoned(provenance__dirty=True))
    assert "approval is refused" in Page(render_promotion(held)).text


def test_every_reason_and_every_finding_is_on_the_page():
    tree = poisoned(provenance__dirty=True, data__mature_share=0.1, safety__illegal=4)
    whole = view(tree)
    said = Page(render_promotion(whole)).text
    assert all(reason in said for reason in whole["judgement"]["reasons"])
    findings = [f for d in whole["judgement"]["decisions"] for f in d["findings"]]
    assert all(finding["sentence"] in said for finding in findings)


def test_what_is_not_known_is_said_in_a_sentence():
    said = Page(render_promotion(VIEWS["blind"])).text
    for sentence in (
        "There is no champion yet", "No estimator could say anything", "No slices were compared",
        "No cards were sampled", "No earlier version is known", "Nothing is recorded",
        "no earlier champion to go back to", "No decision was taken before",
    ):  # fmt: skip
        assert sentence in said, sentence


def test_cards_come_by_largest_disagreement():
    said = Page(render_promotion(view())).text
    assert said.index("p-large") < said.index("p-small")


def test_two_hundred_slices_are_listed_worst_first_and_folded():
    many = [
        GOOD["slices"][0] | {"value": f"s{k}", "difference": interval(0.001 * k, 0.002)}
        for k in range(200)
    ]
    text = render_promotion(view(poisoned(slices=many)))
    said = Page(text).text
    assert said.index("placement = s0 ") < said.index("placement = s1 ")
    assert "188 more slices" in said
    assert len(text) < 1_000_000


def test_numbers_that_are_missing_are_dashes_never_nan():
    tree = poisoned(data__quarantined_share=math.nan, safety__kl=math.nan)
    tree["policy_value"]["outcomes"]["click"]["estimates"]["ips"] = {"difference": {"value": 0.1}}
    said = Page(render_promotion(view(tree))).text
    assert not re.search(r"\bnan\b", said)
    assert "no bounds" in said


@pytest.mark.parametrize(
    ("change", "said"), [({"card": []}, "unknown \\['card'\\]"), ({"name": None}, "missing")]
)
def test_a_view_with_other_fields_is_refused(change, said):
    wrong = {k: v for k, v in (view() | change).items() if v is not None}
    with pytest.raises(ValueError, match=said):
        render_promotion(wrong)


def test_the_style_serves_paper_dark_and_narrow():
    text = render_promotion(view())
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 640px"):
        assert rule in text
    assert 'name="viewport"' in text


def test_a_scale_is_round_and_holds_zero_and_every_value():
    scale = svg.scale_over([0.8, 3.7, None, math.inf])
    assert (scale.low, scale.high, scale.step) == (0.0, 4.0, 1.0)
    assert svg.scale_over([]).ticks()[0] == 0
    assert svg.scale_over([-0.0031]).low == pytest.approx(-0.004)
    assert scale.at(-5) == "3.00%"
    assert scale.at(4.0) == "97.00%"


def test_plots_say_in_words_what_they_show():
    scale = svg.scale_over([-1, 2])
    drawn = svg.strip((0.5, -0.2, 1.2), scale, says='SNIPS: "0.5"', margin=0.3, wide=(-1.0, 2.0))
    assert 'aria-label="SNIPS: &#34;0.5&#34;"' in drawn
    assert drawn.count("<line") == 4
    assert "<circle" not in svg.strip((None, None, None), scale, says="nothing")
    assert 'class="down"' in svg.two_sided_bar(-0.2, 0.4, "down")
    assert "25.00%" in svg.bar(1, 4, "a quarter")


def test_numbers_are_written_for_people():
    assert [number(x) for x in (1234567.0, 0.00012345, None, "text")] == [
        "1,234,567", "0.0001234", "–", "text",
    ]  # fmt: skip
    assert (percent(0.123456), percent(None)) == ("12.3\N{NO-BREAK SPACE}%", "–")
    assert when("2026-11-24T05:12:09Z") == "2026-11-24 05:12 UTC"
    assert embed({"a": math.inf, "b": "</script>"}) == '{"a": null, "b": "\\u003c/script\\u003e"}'
