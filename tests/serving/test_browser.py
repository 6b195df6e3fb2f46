"""The page in a headless Chromium: what a user sees and does; skipped where no browser is installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.conftest import LABELS, TOKEN
from tests.serving.process import ServedProcess

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the path"),
]


@pytest.fixture
def served(folder: Path) -> Iterator[ServedProcess]:
    with ServedProcess(folder, "--max-text", "300", token=TOKEN) as process:
        yield process


@pytest.fixture
def page(served: ServedProcess) -> Iterator[Any]:
    """The page as opened; at the end it has asked nobody but its server, and nothing was blocked."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page()
        page.set_default_timeout(20_000)
        asked: list[str] = []
        faults: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: "Security" in message.text and faults.append(message.text))
        page.goto(served.address)
        page.wait_for_selector("#about:not([hidden])", state="attached")
        yield page
        assert not faults
        assert all(url.startswith((served.address, "data:")) for url in asked)
        browser.close()


def expect(locator: Any) -> Any:
    """Waits; predicates in JavaScript are evaluated from text, which the page's policy forbids."""
    from playwright.sync_api import expect

    return expect(locator)


def names(page: Any) -> list[str]:
    page.wait_for_selector(".label")
    found: list[str] = page.locator(".label .name").all_inner_texts()
    return found


def test_a_search_by_keyboard(page: Any, folder: Path) -> None:
    assert page.inner_text("#index") == folder.parent.name and page.inner_text("#size") == "5 labels"
    assert "labels that fit it best" in page.inner_text("#note")
    page.locator("body").click()
    page.keyboard.press("/")
    page.keyboard.type("green tree")
    page.keyboard.press("Enter")
    assert names(page)[0] == "green tree" and len(names(page)) == 5
    assert page.inner_text("#status").startswith("5 labels in ") and "q=green+tree" in page.url
    assert page.locator(".label .score").first.inner_text() == "0.500"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert page.locator(".label").first.get_attribute("aria-expanded") == "true"
    assert page.inner_text(".acts code") == "g"
    page.keyboard.press("Escape")
    assert page.locator(".acts").count() == 0
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.press("Escape")
    page.wait_for_selector(".keys")
    assert page.input_value("#text") == "" and page.locator(".label").count() == 0 and "q=" not in page.url
    page.goto(page.url + "?q=blue river")
    assert names(page)[0] == "blue river"


def test_typing_searches_and_a_label_can_be_searched_with(page: Any) -> None:
    page.locator("#text").press_sequentially("small red", delay=20)
    assert {"red house", "small stone"} == set(names(page)[:2])
    page.locator(".label", has_text="red house").click()
    page.click("text=Labels like this")
    expect(page.locator(".label .name").first).to_have_text("red house")
    assert page.input_value("#text") == "red house"
    page.click("summary")
    facts = page.inner_text("#facts")
    assert "Flat, exact scores" in facts and "words" in facts and "with the token" in facts


def test_how_probable_a_label_is_stands_above_its_score(page: Any) -> None:
    known = (("a", 0.75, 0.917), ("b", 0.5, 0.001), ("c", 0.25, 0.999), ("d", 0.125, None))
    labels = [dict(uid=uid, text=uid, score=score, probability=chance) for uid, score, chance in known]
    told = {"results": [{"labels": labels}], "generation": 0, "approximate": False, "milliseconds": 1.0}
    page.route("**/search", lambda route: route.fulfill(json=told))
    page.fill("#text", "red")
    assert len(names(page)) == 4
    shown = page.locator(".label .score").all_inner_texts()
    assert [text.split() for text in shown] == [
        ["92", "%", "0.750"],
        ["<1", "%", "0.500"],
        ["99", "%", "0.250"],
        ["0.125"],
    ]


def test_a_text_that_is_too_long_is_told_and_not_sent(page: Any) -> None:
    page.fill("#text", "red " * 100)
    page.wait_for_selector("#count.over")
    assert page.inner_text("#count") == "400 of 300 characters"
    expect(page.locator("#note")).to_contain_text("Shorten it")
    page.fill("#text", "red")
    assert names(page)[0] == "red house" and page.inner_text("#count") == ""


def test_labels_with_markup_are_shown_as_text(page: Any, served: ServedProcess, folder: Path) -> None:
    text = "<img src=x onerror=document.title='gone'> house"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    body = {"labels": [{"uid": "<b>bold</b>", "text": text}]}
    assert httpx.post(f"{served.address}/labels", json=body, headers=headers).status_code == 200
    page.fill("#text", "house")
    expect(page.locator(".label")).to_have_count(6)
    assert text in names(page) and page.locator("#labels img").count() == 0
    assert page.title() == f"{folder.parent.name} · xmc" and page.inner_text("#size") == "6 labels"


def test_no_label_and_faults_of_the_server_are_told(page: Any, served: ServedProcess) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    httpx.post(
        f"{served.address}/labels/remove", json={"uids": list(LABELS)}, headers=headers
    ).raise_for_status()
    page.fill("#text", "red")
    expect(page.locator("#note")).to_contain_text("no labels in this index")
    told = {"code": "busy", "expected": "few", "got": "many", "mend": "wait"}
    page.route("**/search", lambda route: route.fulfill(status=503, json=told))
    page.keyboard.press("Enter")
    page.wait_for_selector(".fault")
    assert page.inner_text(".fault h2") == "The server is busy" and "wait" in page.inner_text(".fault")
    page.unroute("**/search")
    served.process.kill()
    served.process.wait()
    page.click("text=Try again")
    expect(page.locator(".fault h2")).to_have_text("No answer from the server")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read(served: ServedProcess, scheme: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(
            viewport={"width": 320, "height": 600}, color_scheme=scheme, has_touch=True, is_mobile=True
        )
        page.goto(f"{served.address}/?q=red%20house")
        assert names(page)[0] == "red house"
        page.tap(".label")
        page.wait_for_selector(".acts")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        ground, ink = page.evaluate(
            "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
        )
        light, dark = (sum(map(int, colour[4:-1].split(","))) for colour in (ground, ink))
        assert (light > dark) == (scheme == "light") and abs(light - dark) > 400
        buttons = [button.bounding_box() for button in page.locator(".plain:visible").all()]
        assert len(buttons) == 2 and all(box["height"] >= 34 for box in buttons)
        browser.close()
