"""The cockpit's page in Debian's Chromium: every panel of a session, by mouse and keyboard, and the page as a file."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cockpit_session import HOSTILE, NAME, begin_session

import verbatim

CHROMIUM = Path(os.environ.get("VERBATIM_CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
WAIT_MS = 20_000
# controls of the head line and of tabs beyond the right edge, and controls anywhere that are low
SMALL_CONTROLS = """
[...document.querySelectorAll("button, select, input, textarea")]
  .map((each) => [each.textContent || each.placeholder || each.ariaLabel, each.getBoundingClientRect(), each])
  .filter(([, box, each]) => box.height && (box.height < 28 || (each.closest(".top, .tabs") && box.right > innerWidth + 1)))
  .map(([name, box]) => [name, box.width, box.height, box.right])
"""
pytestmark = pytest.mark.slow


def _lacks(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}: .ci/run installs it")
    pytest.skip(what)


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browser") / "journals"
    begin_session(root / NAME).run(15).stop()
    return root


@pytest.fixture(scope="module")
def address(journals: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the command, and yield the address that it prints."""
    pytest.importorskip("starlette", reason="the extra cockpit is not installed")
    command = [sys.executable, "-P", "-m", "verbatim", "cockpit", "--journals", str(journals), "--port", "0", "--json"]
    environment = {**os.environ, "VERBATIM_COCKPIT_CACHE": str(tmp_path_factory.mktemp("caches"))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["address"]
        server.terminate()
        assert server.wait(60) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        _lacks(f"no Chromium at {CHROMIUM}")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        _lacks("playwright is not installed")
        raise
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), headless=True, args=FLAGS)
        yield running
        running.close()


class Page:
    """A page that fails the test on any error in its console, and on any request to another host."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        size = {"width": 1440, "height": 900}
        self.context = browser.new_context(**{"viewport": size, "color_scheme": "dark"} | options)
        self.context.set_default_timeout(WAIT_MS)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda m: self.problems.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("request", lambda r: self.problems.append(r.url) if not r.url.startswith(self.own) else None)
        self.own = (address.partition("/?")[0], "data:")
        self.page.goto(address)

    def see(self, text: str, where: str = "body") -> None:
        self.page.locator(where).get_by_text(re.compile(text)).first.wait_for(state="visible")

    def cursor(self, seq: int) -> None:
        """Wait until the cursor is at a record."""
        found = "seq => document.querySelector('.seq')?.textContent.replaceAll(',', '').startsWith(seq + ' /')"
        self.page.wait_for_function(found, arg=str(seq))

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).click()

    def close(self) -> None:
        assert self.page.evaluate("window.hit") is None, "a text of the strategy ran as code"
        assert not self.page.locator("img").count(), "a text of the strategy became an element"
        self.context.close()
        assert self.problems == []


def test_every_panel_shows_the_session(browser: Any, address: str, journals: Path) -> None:
    session = verbatim.open(journals / NAME)
    fills = session.fills.rows()
    shown = Page(browser, address)
    page = shown.page
    page.get_by_role("grid", name="sessions").get_by_text("aaaaaaaa").click()
    page.wait_for_url("**/#/s/aaaaaaaa*")
    page.get_by_role("img", name=re.compile("time rail")).wait_for()
    assert page.locator(".seq").inner_text().replace(",", "").endswith(f"/ {session.journal.last_seq}")

    # G, and E by a click on an order
    page.locator('[aria-label="orders"] tbody tr.pick').first.click()
    page.get_by_role("list", name=re.compile("chain of causes")).get_by_text("INTENT").wait_for()
    page.get_by_role("button", name="bytes").last.click()
    shown.see('"stream":|"data":|"s":', ".chain pre")

    # keys: the first fill, then the one after it
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("g")
    page.keyboard.type("23:54:20")
    page.keyboard.press("Enter")
    page.get_by_text("23:54:20.000000000").wait_for()
    page.keyboard.press("g")
    page.keyboard.type("0")
    page.keyboard.press("Enter")
    shown.cursor(0)
    for fill in fills[:2]:
        page.keyboard.press("f")
        shown.cursor(fill["seq"])
    page.keyboard.press("r")
    shown.see("refused", ".chain")
    shown.see("position max", ".chain")
    shown.see(re.escape(HOSTILE[:20]), ".chain")

    shown.close()


def test_every_side_panel_and_table(browser: Any, address: str, journals: Path) -> None:
    fills = verbatim.open(journals / NAME).fills.rows()
    shown = Page(browser, address)
    page = shown.page
    page.goto(f"{shown.own[0]}/#/s/aaaaaaaa")
    page.get_by_role("img", name=re.compile("time rail")).wait_for()

    # the side panels: D, I, F
    shown.tab("Book")
    shown.see("spread", ".ladder")
    shown.tab("Risk")
    shown.see("order size max|position max", ".limits")
    shown.see("The session has ended")
    shown.tab("Strategy")
    page.get_by_role("button", name="writer.spread").click()
    page.get_by_role("img", name="values of strategies").wait_for()
    shown.see("placed", ".strategy")

    # the tables: K, SQL, H, J, M, L
    page.keyboard.press("2")
    page.get_by_role("button", name="INTENT", exact=True).click()
    page.get_by_role("grid", name="records about the cursor").get_by_text("decides to").first.click()
    shown.see("decided on", ".record")
    page.keyboard.press("3")
    page.get_by_label("SQL query").fill("SELECT count(*) AS fills_counted FROM fills")
    page.get_by_role("button", name="run", exact=True).click()
    page.get_by_role("grid", name="result").get_by_text(str(len(fills)), exact=True).wait_for()
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    for key, text in (
        ("4", "balances"),
        ("5", "decision to wire"),
        ("6", "maker share"),
        ("7", "first difference of each kind"),
    ):
        page.keyboard.press(key)
        shown.see(text, ".dock")

    # C, zoom, and the address: a link shows the same
    page.keyboard.press("+")
    shown.tab("Book heat map")
    page.get_by_text("folding the book").wait_for(state="hidden")
    page.wait_for_timeout(400)
    again = page.url
    place = page.locator(".seq").inner_text()
    page.goto("about:blank")
    page.goto(again)
    page.wait_for_function("place => document.querySelector('.seq')?.innerText === place", arg=place)
    page.get_by_role("img", name="order book over time").wait_for()
    shown.close()


@pytest.mark.parametrize("width", [1024, 390])
def test_no_width_cuts_the_page(browser: Any, address: str, width: int) -> None:
    shown = Page(browser, address)
    shown.page.set_viewport_size({"width": width, "height": 844})
    shown.page.goto(f"{shown.own[0]}/#/s/aaaaaaaa")
    shown.see("Price and own acts")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    shown.close()


def test_on_a_phone_every_control_can_be_touched(browser: Any, address: str) -> None:
    """None is lower than 28 pixels or beyond the edge, and the chain of an order is two touches away."""
    size = {"width": 390, "height": 844}
    shown = Page(browser, address, viewport=size, is_mobile=True, has_touch=True, color_scheme="light")
    page = shown.page
    page.goto(f"{shown.own[0]}/#/s/aaaaaaaa")
    shown.see("ended, was running", ".top")
    assert "mode-running" not in page.locator(".top .pill").get_attribute("class")
    page.get_by_role("button", name="the last fill").wait_for()
    for tab in ("Why", "Book", "Risk", "Strategy", "Records", "SQL", "P&L", "Health", "Summary", "Compare", "Orders"):
        shown.tab(tab)
        small = page.evaluate(SMALL_CONTROLS)
        assert small == [], tab
    shown.tab("Why")
    page.get_by_role("button", name="the last fill").tap()
    page.get_by_role("list", name=re.compile("chain of causes")).get_by_text("INTENT").wait_for()
    shown.close()


def test_the_report_works_from_a_file(browser: Any, journals: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    command = [sys.executable, "-P", "-m", "verbatim", "report", "aaaaaaaa", str(path), "--journals", str(journals)]
    environment = {**os.environ, "VERBATIM_COCKPIT_CACHE": str(tmp_path / "caches")}
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=120)
    shown = Page(browser, path.as_uri())
    page = shown.page
    page.locator('[aria-label="orders"] tbody tr.pick').first.click()
    page.get_by_role("list", name=re.compile("chain of causes")).get_by_text("INTENT").wait_for()
    page.keyboard.press("Shift+R")
    shown.see("refused", ".chain")
    shown.tab("Book")
    shown.see("spread", ".ladder")
    shown.tab("SQL")
    page.get_by_role("button", name="run", exact=True).click()
    shown.see("this page is a file", ".sql")
    shown.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_a_tear_sheet_fits_its_window_and_loads_nothing(
    browser: Any, journals: Path, tmp_path: Path, scheme: str, width: int
) -> None:
    verbatim.open(journals / NAME).tear_sheet().write(tmp_path / "sheet.html")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, problems = context.new_page(), []
    page.on("console", lambda message: problems.append(message.text))
    page.on("request", lambda request: problems.append(request.url) if not request.url.startswith("file:") else None)
    page.goto(f"file://{tmp_path / 'sheet.html'}")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("circle").count() > 0
    assert page.evaluate("window.hit") is None, "a text of the strategy ran"
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(12, 16, 20)") is (scheme == "dark")
    context.close()
    assert problems == []
