"""The report in Chromium: plots, the width of a phone, dark colours, print, keyboard, players."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from report_pages import add_audio, embedded, report

from svmixer.cli.main import run_program
from svmixer.lists import write_table

pytestmark = pytest.mark.slow

PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    reason = "playwright is not installed: pip install '.[browser]'"
    sync_api = pytest.importorskip("playwright.sync_api", reason=reason)
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH (apt-get install chromium)")
    # Chromium's sandbox does not work for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture
def show(browser, make_run, eval_set) -> Iterator[Callable]:
    """``show(**context)``: the report of an experiment with recordings, drawn; ``several=True``: of two.

    Fails if the page complains or asks for anything but itself.
    """
    add_audio(eval_set)
    write_table(eval_set / "spk2gender", {f"s{n}": "fm"[n % 2] for n in range(8)})
    folders = [make_run("exp/toy"), make_run("exp/other", spread=1.2, seed=3)]
    faults, contexts = [], []

    def show(several: bool = False, **context):
        if several:
            run_program("report", list(map(str, folders)))
        else:
            report(folders[0])
        path = Path("comparison.html" if several else folders[0] / "report.html").resolve()
        contexts.append(browser.new_context(**context))
        page = contexts[-1].new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url) if request.url[:5] not in (
            "file:", "data:", "blob:") else None)  # fmt: skip
        page.goto(path.as_uri())
        page.wait_for_function("document.documentElement.dataset.drawn === 'true'", timeout=60_000)
        return page

    yield show
    for context in contexts:
        context.close()
    assert faults == []


def sizes(page) -> dict[str, list[float]]:
    """Plot → width and height of its drawing, and how many marks it has."""
    return page.evaluate("""() => {
        const size = (figure) => {
            const box = figure.querySelector("svg.main-svg").getBoundingClientRect();
            return [figure.id, [box.width, box.height, figure.querySelectorAll(".plot .trace").length]];
        };
        return Object.fromEntries(Array.from(document.querySelectorAll("figure"), size));
    }""")


def width_of(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth")


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_plots_are_drawn_and_nothing_overflows(show, viewport, several):
    page = show(several, viewport=viewport)
    found = sizes(page)
    assert set(found) == {"det", "scores", "reliability", "conditions", "groups", "training"}
    for name, (width, height, marks) in found.items():
        assert 250 < width <= viewport["width"] and height > 150 and marks > 0, name
    assert width_of(page) <= viewport["width"]
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert width_of(page) <= viewport["width"]
    # Nor has a table a scroll bar of its own.
    grids = "[...document.querySelectorAll('.grid')]"
    wide = f"{grids}.filter((one) => one.scrollWidth > one.clientWidth + 1).length"
    assert viewport is DESKTOP or page.evaluate(wide) == 0


def test_what_is_drawn_is_what_the_file_says(show):
    page = show(viewport=DESKTOP)
    text = Path("exp/toy/report.html").read_text()
    views = embedded(text, "figures")["scores"]
    choice = page.locator("#scores select")
    for number in (0, len(views) - 1):
        choice.select_option(str(number))
        drawn = page.evaluate("document.querySelector('#scores .plot').data.map((t) => [t.x, t.y])")
        assert drawn == [[trace["x"], trace["y"]] for trace in views[number]["traces"]]
    bars = page.evaluate("[...document.querySelectorAll('#scores .bars .point path')]"
                         ".filter((one) => one.getBBox().height > 0).length")  # fmt: skip
    assert bars == sum(value > 0 for trace in views[-1]["traces"][:2] for value in trace["y"])


def luminance(page, element: str, what: str) -> float:
    """Relative luminance (WCAG) of a colour of the first such element."""
    colour = page.evaluate(f"(name) => getComputedStyle(document.querySelector(name)).{what}", element)
    parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: float, second: float) -> float:
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)


def test_dark_and_light_follow_the_system(show):
    page = show(viewport=DESKTOP, color_scheme="dark")
    for scheme in ("dark", "light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(300)
        paper = luminance(page, "body", "backgroundColor")
        assert paper < 0.05 if scheme == "dark" else paper > 0.9
        for element, what, least in (
            ("h1", "color", 7), ("summary", "color", 4.5), ("#det .xtick text", "fill", 7),
            ("#det .scatterlayer .trace:nth-child(2) path.js-line", "stroke", 3),
            ("#scores .legend button", "color", 7),
        ):  # fmt: skip
            assert contrast(luminance(page, element, what), paper) >= least, (scheme, element)


def test_print(show, tmp_path):
    """On paper the colours are light, what is folded away for reading is open, and controls are gone."""
    page = show(viewport=PHONE, color_scheme="dark")
    page.evaluate("""addEventListener("beforeprint", () => {
        window.seen = [
            getComputedStyle(document.body).backgroundColor, document.querySelector("details.print").open,
            document.querySelector("#det svg.main-svg").getBoundingClientRect().width,
        ];
    })""")
    page.pdf(path=str(tmp_path / "page.pdf"), format="A4")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert page.evaluate("window.seen") == ["rgb(255, 255, 255)", True, 400]
    # Then it is as it was.
    assert luminance(page, "body", "backgroundColor") < 0.05
    assert not page.evaluate("document.querySelector('details.print').open")
    assert sizes(page)["det"][0] < 360
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible() and not page.locator("audio").first.is_visible()


def test_keyboard(show):
    """Every control comes with the TAB key; a line is switched off and on, a view chosen, details opened."""
    page = show(viewport=DESKTOP)
    controls = "a[href], button, select, summary, audio, [tabindex='0']"
    page.evaluate(f"window.left = new Set([...document.querySelectorAll(\"{controls}\")].filter("
                  "(one) => one.checkVisibility() && !one.closest('.modebar')))")  # fmt: skip
    total = page.evaluate("window.left.size")
    for _ in range(6 * total):
        page.keyboard.press("Tab")
        page.evaluate("window.left.delete(document.activeElement)")
        if not page.evaluate("window.left.size"):
            break
    assert total > 20 and page.evaluate("[...window.left].map((one) => one.outerHTML.slice(0, 80))") == []
    button = page.locator("#det .legend > button").first
    for pressed, visible in (("false", "legendonly"), ("true", True)):
        button.focus()
        page.keyboard.press("Enter")
        assert button.get_attribute("aria-pressed") == pressed
        assert page.evaluate("document.querySelector('#det .plot').data[1].visible") == visible
        assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == pressed
    page.locator("#det .legend summary").focus()
    page.keyboard.press("Enter")
    more = page.locator("#det .legend .legend button").first
    more.focus()
    page.keyboard.press("Space")
    assert more.get_attribute("aria-pressed") == "true" and more.is_visible()
    page.locator("#training select").focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.querySelector('#training .plot').data.length") == 5


def test_players_play(show):
    page = show(viewport=PHONE)
    seconds = page.evaluate("""async () => {
        const player = document.querySelector("audio[data-clip]");
        player.muted = true;
        await player.play();
        return player.duration;
    }""")
    assert seconds == pytest.approx(1.0, abs=0.1)
