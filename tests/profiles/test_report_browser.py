"""The page in a real browser: nothing fetched, usable by keyboard, legible in light and in dark."""

import json
import time
from dataclasses import replace
from shutil import which

import pytest
from known_folder import add, filled

from edgevit.profiles.report import html
from edgevit.profiles.report.contents import Contents, read
from edgevit.profiles.report.scatter import Point

pytestmark = pytest.mark.needs("selenium", "axe_core_python", "chromium", "chromedriver")

# Letters in SVG are for axe a picture. Their contrast with the page by WCAG 2.2's formula.
CONTRASTS = """
const light = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const paper = getComputedStyle(document.body).backgroundColor;
return [...document.querySelectorAll("svg text, svg .dot, svg .interval, svg .bar")].map((mark) => {
  const style = getComputedStyle(mark);
  const dot = mark.parentElement.querySelector(".dot");
  const behind = mark.matches(".number") ? getComputedStyle(dot).fill : paper;
  const ink = mark.matches(".bar, .interval") ? style.stroke : style.fill;
  const [a, b] = [light(ink), light(behind)];
  return [mark.tagName, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
});
"""


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.ChromeService(which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        yield driver


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = filled(tmp_path_factory.mktemp("made"))
    add(folder, "long_name_of_a_model.onnx", seconds=0.02)
    (folder / "notes.txt").write_text("notes")
    points = [Point("MobileNetV2×1.0", 3.8, 1.9, 1.8, 2.0), Point("DeiT-T", 7.6, 9.5, 7.6, 11.4)]
    contents = read(folder, top1_pct={"net": 71.8})
    return html.write(
        folder / "report.html", contents=contents, title="Report", against_paper=points
    )


@pytest.fixture
def page(browser, made):
    browser.get(made.as_uri())
    return browser


def shown(page):
    """Names in the main table, in order."""
    rows = page.find_elements("css selector", ".sortable tbody tr:not([hidden]) th")
    return [row.text for row in rows]


def wide(page, width):
    settings = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", settings)


def test_it_fetches_nothing_and_says_nothing_to_the_console(browser, made):
    browser.get("about:blank")
    browser.get_log("performance")
    browser.get(made.as_uri())
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert sent == [made.as_uri()]
    assert browser.get_log("browser") == []


def test_headings_sort_by_keyboard(page):
    from selenium.webdriver.common.keys import Keys

    first = shown(page)
    heads = page.find_elements("css selector", ".sortable thead th")
    (median,) = (head for head in heads if head.text == "median ms")
    button = median.find_element("tag name", "button")
    page.find_element("id", "filter").send_keys(Keys.TAB)
    for _ in range(len(heads) + 1):  # past the table's own scrolling
        focused = page.switch_to.active_element
        if focused == button:
            break
        focused.send_keys(Keys.TAB)
    assert page.switch_to.active_element == button
    button.send_keys(Keys.ENTER)
    assert median.get_attribute("aria-sort") == "ascending"
    rising = shown(page)
    assert rising == [
        "c.tflite",
        "b.pte",
        "a.onnx",
        "long_name_of_a_model.onnx",
        "d.onnx",
    ]
    button.send_keys(Keys.SPACE)
    assert median.get_attribute("aria-sort") == "descending"
    assert shown(page) == [*rising[3::-1], "d.onnx"]  # what is not known stays last
    heads[0].find_element("tag name", "button").send_keys(Keys.ENTER)
    assert shown(page) == first
    assert median.get_attribute("aria-sort") is None


def test_the_field_filters_by_keyboard_and_says_how_many(page):
    field = page.find_element("id", "filter")
    assert field.is_displayed()
    field.send_keys("ONNX 2 partitions")
    assert shown(page) == ["a.onnx", "d.onnx", "long_name_of_a_model.onnx"]
    count = page.find_element("css selector", "[role=status]")
    assert count.text == "3 of 5 shown"
    field.clear()
    field.send_keys("no such thing")
    assert shown(page) == []


def test_without_script_it_is_a_plain_table(browser, made):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(made.as_uri())
    try:
        assert not browser.find_element("id", "filter").is_displayed()
        assert not browser.find_elements("css selector", "th button")
        assert len(shown(browser)) == 5
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_contrasts_suffice(browser, made, scheme, width):
    from axe_core_python.selenium import Axe

    wide(browser, width)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(made.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    found = Axe().run(browser)
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]] == []
    passed = {rule["id"] for rule in found["passes"]}
    assert passed >= {"color-contrast", "heading-order", "label", "svg-img-alt", "html-has-lang"}
    contrasts = browser.execute_script(CONTRASTS)
    assert {tag for tag, _ in contrasts} == {"text", "circle", "line", "rect"}
    for tag, contrast in contrasts:
        assert contrast >= (4.5 if tag == "text" else 3), (tag, scheme)
    across = browser.execute_script("return document.documentElement.scrollWidth")
    assert across <= width  # only tables scroll sideways


def test_what_has_the_focus_is_marked(page):
    from selenium.webdriver.common.keys import Keys

    page.find_element("tag name", "body").send_keys(Keys.TAB)
    focused = page.switch_to.active_element
    assert focused.tag_name == "a"
    assert focused.value_of_css_property("outline-style") == "solid"


def test_nothing_moves(page):
    moving = "return document.getAnimations().length"
    page.find_element("css selector", ".sortable button").click()
    assert page.execute_script(moving) == 0


def test_five_hundred_artifacts_open_soon(browser, made):
    """In three times the two seconds it should need at most."""
    few = read(made.parent)
    many = [
        replace(entry, row={**entry.row, "artifact": f"{i}-{entry.row['artifact']}"})
        for i in range(100)
        for entry in few.entries
    ]
    sessions = [replace(session, rows=session.rows * 100) for session in few.sessions]
    contents = Contents(many, sessions, few.left_out)
    file = html.write(made.parent / "many.html", contents=contents, title="Many")
    began = time.monotonic()
    browser.get(file.as_uri())
    field = browser.find_element("id", "filter")
    took_s = time.monotonic() - began
    assert took_s < 6, f"{file.stat().st_size / 1e6:.1f} MB"
    field.send_keys("77-")
    assert browser.find_element("id", "count").text == "5 of 500 shown"
