"""The page in a real browser: Playwright drives Debian's Chromium over a file, without a network.

Skips where one of the two is absent; fails instead when NEUROZSL_REQUIRE_BROWSER=1.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NoReturn

import pytest

from neurozsl.report.schema import NetworkReport, RunReport
from neurozsl.report.show import compare_text
from neurozsl.report.show.compare import compare, compared

MAX_BYTES = 1_500_000
Scheme = Literal["light", "dark"]
KINDS = ("example", "network_example", "large_example")
REACHED = """() => {
  const all = [...document.querySelectorAll('.scroll, summary')];
  const wanted = all.filter(x => x.checkVisibility());
  return wanted.filter(x => !window.reached.has(x)).map(x => x.outerHTML.slice(0, 120));
}"""
HIDDEN_OUTLINE = """() => {
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle === 'none' || parseFloat(style.outlineWidth) === 0;
}"""
CLIPPED_TEXT = """() => {
  const found = [];
  for (const plot of document.querySelectorAll('.plot svg')) {
    const box = plot.getBoundingClientRect();
    for (const text of plot.querySelectorAll('text')) {
      const own = text.getBoundingClientRect();
      if (own.left < box.left - 2 || own.right > box.right + 2) found.push(text.textContent);
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        _absent("playwright is not installed")
    if chromium is None:
        _absent("there is no chromium on the path")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


def _absent(reason: str) -> NoReturn:
    if os.environ.get("NEUROZSL_REQUIRE_BROWSER") == "1":
        pytest.fail(f"NEUROZSL_REQUIRE_BROWSER=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(
    scope="module",
    params=[*KINDS[:2], pytest.param(KINDS[2], marks=pytest.mark.slow)],  # 100 pages of classes
)
def page_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    report: RunReport | NetworkReport = request.getfixturevalue(request.param)
    path = tmp_path_factory.mktemp("page") / "a report & more.html"
    path.write_text(request.getfixturevalue("rendered")(report), encoding="utf-8")
    assert path.stat().st_size < MAX_BYTES
    return path


class _Opened:
    """A page with what it complained about and what it asked for."""

    def __init__(self, browser: Any, file: Path, width: int, scheme: Scheme) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda x: self.complaints.append(x.text))
        self.page.on("pageerror", lambda x: self.complaints.append(str(x)))
        self.page.on("dialog", self._dismiss)
        self.page.on("request", lambda x: self.requests.append(x.url))
        self.page.goto(file.as_uri())

    def _dismiss(self, dialog: Any) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def assert_whole(self) -> None:
        """No complaint, and nothing wider than the window."""
        scroll, inner = self.page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
        assert scroll <= inner
        assert self.complaints == []

    def __enter__(self) -> "_Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_it_opens_without_errors_requests_or_overflow(
    browser: Any, page_file: Path, width: int, scheme: Scheme
) -> None:
    with _Opened(browser, page_file, width, scheme) as opened:
        page = opened.page
        page.evaluate("document.querySelectorAll('details').forEach(x => x.open = true)")
        opened.assert_whole()
        outside = [x for x in opened.requests if not x.startswith("data:image/png;base64,")]
        assert outside == [page_file.as_uri()]
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (dark != "rgb(255, 255, 255)") is (scheme == "dark")
        assert page.evaluate(CLIPPED_TEXT) == []


def test_pictures_have_a_text_and_are_decoded(browser: Any, page_file: Path) -> None:
    with _Opened(browser, page_file, 1400, "light") as opened:
        pictures = opened.page.evaluate(
            "[...document.images].map(x => [x.alt, x.complete && x.naturalWidth])"
        )
        assert len(pictures) == 3
        assert all(alt and width == 48 for alt, width in pictures)
        figures = opened.page.evaluate(
            "[...document.querySelectorAll('.plot svg')].map(x => [x.getAttribute('role'), "
            "x.querySelector('title')?.textContent, x.querySelector('desc')?.textContent])"
        )
        assert len(figures) >= 8
        assert all(role == "img" and title and told for role, title, told in figures)


@pytest.mark.parametrize("width", [400, 1400])
def test_the_tab_key_reaches_all_that_scrolls_or_opens(
    browser: Any, page_file: Path, width: int
) -> None:
    with _Opened(browser, page_file, width, "light") as opened:
        page = opened.page
        page.evaluate("window.reached = new Set()")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
        invisible = 0
        stops = page.evaluate("document.querySelectorAll('a, summary, [tabindex=\"0\"]').length")
        for _ in range(stops + 2):
            page.keyboard.press("Tab")
            page.evaluate("window.reached.add(document.activeElement)")
            invisible += page.evaluate(HIDDEN_OUTLINE)
        assert page.evaluate("window.reached.size") > 20
        assert page.evaluate(REACHED) == []
        assert invisible <= 2  # the body, after the last stop


def test_enter_opens_a_summary(browser: Any, page_file: Path) -> None:
    with _Opened(browser, page_file, 1400, "light") as opened:
        closed = opened.page.locator("details:not([open]) > summary").first
        assert closed.count() == 1
        closed.focus()
        handle = closed.element_handle()
        opened.page.keyboard.press("Enter")
        assert handle.evaluate("x => x.parentElement.open") is True


def test_it_prints_to_a_document(browser: Any, page_file: Path) -> None:
    with _Opened(browser, page_file, 1400, "dark") as opened:
        printed = opened.page.pdf(format="A4")
        assert printed.startswith(b"%PDF-") and len(printed) > 50_000
        opened.page.emulate_media(media="print")
        background = "getComputedStyle(document.body).backgroundColor"
        assert opened.page.evaluate(background) == "rgb(255, 255, 255)"
        shown = "[...document.querySelectorAll('details *')].filter(x => !x.checkVisibility())"
        assert opened.page.evaluate(f"{shown}.length") == 0
        assert opened.page.evaluate("getComputedStyle(document.querySelector('nav')).display") == (
            "none"
        )


# ---------------------------------------------------------------- several reports on one page

BROKEN_NUMBERS = """() => [...document.querySelectorAll('data')].filter(
  x => x.getClientRects().length > 1).map(x => x.textContent)"""


@pytest.fixture
def comparison_file(example: RunReport, network_example: NetworkReport, tmp_path: Path) -> Path:
    names = ("a" * 90, "<b>b</b> & /a/path/to/runs/of/ours", "c")
    path = tmp_path / "several & more.html"
    reports: tuple[RunReport | NetworkReport, ...] = (example, network_example, example)
    compare_text.write_comparison(
        compare([compared(*x) for x in zip(names, reports, strict=True)]), path
    )
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_of_several_reports_opens_whole_at_any_width(
    browser: Any, comparison_file: Path, width: int, scheme: Scheme
) -> None:
    with _Opened(browser, comparison_file, width, scheme) as opened:
        page = opened.page
        opened.assert_whole()
        assert opened.requests == [comparison_file.as_uri()]
        assert page.locator("data").count() > 20
        assert page.evaluate(BROKEN_NUMBERS) == []
        narrow = page.evaluate(
            "Math.min(...[...document.querySelectorAll('td')].map("
            "x => x.getBoundingClientRect().width))"
        )
        assert narrow > 100


def test_the_table_of_several_reports_scrolls_by_the_keyboard(
    browser: Any, comparison_file: Path
) -> None:
    with _Opened(browser, comparison_file, 400, "light") as opened:
        page = opened.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "wide"
        assert page.evaluate(HIDDEN_OUTLINE) is False
        page.keyboard.press("ArrowRight")
        page.wait_for_function("document.querySelector('.wide').scrollLeft > 0")
