"""The web page in a real Chromium: ``python -m pytest -m browser``."""

import shutil
import subprocess
import sys
import urllib.parse

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
playwright = pytest.importorskip("playwright.sync_api")

import jaxstyle as js  # noqa: E402
import page as pictures  # noqa: E402
from jaxstyle import files  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium"),
    pytest.mark.filterwarnings("ignore"),  # of the tools
]
PATIENCE = 90_000


def start_server(folder):
    """The command, in a process of its own."""
    command = [sys.executable, "-m", "jaxstyle", "web", "--port", "0", "--cache", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Where the page is."""
    with start_server(tmp_path_factory.mktemp("server")) as process:
        yield process.stdout.readline().strip()
        process.terminate()
        assert process.wait(20) == 143


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        # Whoever tests in a container is root, for whom there is no sandbox.
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(server, browser):
    """Opens the page for a visitor; no request may go elsewhere, and no script may fail."""
    asked, failed, contexts = [], [], []

    def visit(context=None, **options):
        if context is None:
            context = browser.new_context(**options)
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        # A refusal that the page tells its visitor is no fault of the page's.
        page.on(
            "console",
            lambda m: failed.append(m.text) if "Content Security Policy" in m.text else None,
        )
        page.goto(server)
        page.wait_for_selector("html[data-ready]")
        return page

    yield visit
    for context in contexts:
        context.close()
    hosts = {urllib.parse.urlsplit(url).netloc for url in asked if not url.startswith("blob:")}
    assert hosts <= {urllib.parse.urlsplit(server).netloc, ""}
    assert not failed


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(pictures.picture(64, 48))
    return path


def choose(page, photo):
    """Hands in a photograph, takes an example as the painting, and makes it a matter of seconds."""
    page.set_input_files("#content-slot input", photo)
    page.wait_for_selector("#content-slot .full")
    page.click("#examples-list button >> nth=1")
    page.wait_for_selector("#style-slot .full")
    page.click("#more summary")
    page.select_option("#encoder", "random")
    page.fill("#setting-iterations", "8")
    page.fill("#setting-content_layers", "conv2_1")
    page.fill("#setting-style_layers", "conv1_1, conv2_1=0.5")
    page.select_option("#size", "256")
    page.click("#more summary")


def check_accessible(page):
    """No serious finding of axe-core's."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    told = [(v["id"], [n["target"] for n in v["nodes"]]) for v in serious]
    assert not told


def test_from_pictures_to_a_file(open_page, photo, tmp_path):
    """Hand in, watch, compare, download, settings back."""
    page = open_page()
    check_accessible(page)
    choose(page, photo)
    page.click("#paint")
    page.wait_for_selector("#result")
    assert "Done" in page.text_content("#status")
    check_accessible(page)
    page.focus("#compare")
    page.keyboard.press("End")
    clip = page.eval_on_selector(".before", "e => getComputedStyle(e).clipPath")
    assert clip.startswith("inset(0")
    assert "100%" not in clip
    with page.expect_download() as loading:
        page.click("#downloads a >> nth=0")
    painted = tmp_path / loading.value.suggested_filename
    loading.value.save_as(painted)
    assert painted.name == "photo-painted.png"
    settings = files.load_metadata(painted).settings
    assert (settings["iterations"], settings["size"]) == (8, 256)
    assert settings["style_layers"] == {"conv1_1": 1.0, "conv2_1": 0.5}

    fresh = open_page()
    fresh.set_input_files("#settings-file", painted)
    playwright.expect(fresh.locator("#setting-iterations")).to_have_value("8")
    assert fresh.input_value("#encoder") == "random"
    assert fresh.input_value("#size") == "256"
    assert "photo.png" in fresh.text_content("#status")
    fresh.set_input_files("#content-slot input", painted)
    fresh.click("text=Take them over")


def test_previews_change_and_a_stop_keeps_the_picture(open_page, photo):
    page = open_page()
    choose(page, photo)
    page.click("#more summary")
    page.fill("#setting-iterations", "100000")
    page.select_option("#setting-solver", "adam")
    page.click("#paint")
    page.wait_for_selector("#developing[data-version]")
    first = page.get_attribute("#developing", "data-version")
    page.wait_for_selector(f"#developing[data-version]:not([data-version='{first}'])")
    assert " left" in page.text_content("#told")
    assert page.locator("#terms dt").all_text_contents() == ["content", "style", "smoothness"]
    assert page.evaluate("document.activeElement.id") == "stop"
    check_accessible(page)
    page.click("#stop")
    page.wait_for_selector("#result")
    assert "kept" in page.text_content("#status")
    assert page.locator("#downloads a").count() == 3


def test_a_sheet_and_the_one_chosen(open_page, photo):
    page = open_page()
    choose(page, photo)
    page.click("#sheet")
    page.wait_for_selector("#grid button:not([disabled]) >> nth=5")
    check_accessible(page)
    chosen = page.get_attribute("#grid button >> nth=4", "aria-label")
    strength = chosen.split()[1].rstrip(":")
    page.click("#grid button >> nth=4")
    page.wait_for_selector("#result")
    assert page.text_content("output[for=style_weight]") == strength
    assert f"strength {strength}" in page.text_content("figcaption")
    assert page.locator("#earlier-list button").count() == 2
    page.reload()
    page.wait_for_selector("#result")
    assert page.locator(".slot .full img").count() == 2
    page.click("#earlier-list button >> nth=0")
    page.click("#grid button >> nth=1")
    page.wait_for_selector("#result")
    assert page.text_content("#trouble") == ""


def test_bad_files_are_told(open_page, tmp_path):
    page = open_page()
    bad = tmp_path / "letter.jpg"
    bad.write_text("Dear Sir")
    page.set_input_files("#content-slot input", bad)
    page.wait_for_selector("#trouble:not(:empty)")
    assert "Letter.jpg: is not an image" in page.text_content("#trouble")
    check_accessible(page)
    page.click("#paint")
    assert "photograph" in page.text_content("#trouble")


def test_settings_that_are_files_elsewhere_are_told(open_page, photo, tmp_path):
    """A select cannot show them; the recipe's own stand there, and a sentence says so."""
    recipe = js.Recipe(encoder="narrow.h5", init="start.png", iterations=7)
    table = recipe.to_table()
    files.save_image(tmp_path / "ours.png", js.load_image(photo), metadata=table, provenance={})
    page = open_page()
    page.set_input_files("#settings-file", tmp_path / "ours.png")
    playwright.expect(page.locator("#setting-iterations")).to_have_value("7")
    assert "Encoder narrow.h5 is not here" in page.text_content("#status")
    assert "Init start.png is not here" in page.text_content("#status")
    assert page.input_value("#encoder") == js.Recipe().encoder
    assert page.input_value("#setting-init") == js.Recipe().init


def test_a_server_that_ends_is_told(browser, photo, tmp_path):
    with start_server(tmp_path) as process:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(process.stdout.readline().strip())
        choose(page, photo)
        page.click("#more summary")
        page.fill("#setting-iterations", "100000")
        page.select_option("#setting-solver", "adam")
        page.click("#paint")
        page.wait_for_selector("#developing[data-version]")
        process.kill()
    page.wait_for_selector("#trouble:has-text('The server is gone')")
    assert page.is_enabled("#paint")
    assert page.text_content("#status") == ""
    page.close()


def test_two_tabs_and_two_visitors(open_page, photo):
    """Two tabs of a visitor wait for each other; another visitor sees nothing of them."""
    one = open_page()
    two = open_page(one.context)
    for page in (one, two):
        choose(page, photo)
    one.click("#more summary")
    one.fill("#setting-iterations", "100000")
    one.select_option("#setting-solver", "adam")
    one.click("#paint")
    one.wait_for_selector("#developing[data-version]")
    two.click("#paint")
    two.wait_for_selector("text=One picture before yours")
    source = one.get_attribute("#developing", "src")
    assert open_page().request.get(urllib.parse.urljoin(one.url, source)).status == 404
    one.close()  # A visitor who leaves makes room.
    two.wait_for_selector("#result")


def test_several_paintings_and_masks(open_page, photo):
    page = open_page()
    choose(page, photo)
    page.click("#examples-list button >> nth=2")
    page.wait_for_selector("#paintings li >> nth=1")
    page.locator("#paintings input").first.press("ArrowLeft")
    page.click("#open-masks")
    page.wait_for_selector("#mask-boards canvas >> nth=2")
    check_accessible(page)
    box = page.locator("#mask-boards canvas").first.bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 30, box["y"] + 60, steps=5)
    page.mouse.up()
    page.click("#mask-done")
    assert "on the photograph only" in page.text_content("#mask-trouble")
    page.locator("#mask-boards canvas").nth(1).press("Space")  # by keyboard, too
    page.click("#mask-done")
    assert page.text_content("#mask-note") == "Regions: the rest, orange."
    page.click("#paint")
    page.wait_for_selector("#result")
    assert page.text_content("#trouble") == ""


def test_on_a_phone(open_page, photo):
    page = open_page(viewport={"width": 360, "height": 740}, color_scheme="dark")
    choose(page, photo)
    page.click("#paint")
    page.wait_for_selector("#result")
    check_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    small = page.evaluate(
        "[...document.querySelectorAll('button:not(.link), .button, select')].filter(e => "
        "e.offsetParent && e.getBoundingClientRect().height < 40).map(e => e.id)"
    )
    assert not small


def test_by_keyboard_alone(open_page, photo):
    """From the address bar to a finished picture, with Tab, Space, arrows and Enter."""
    page = open_page()

    def to(check, most=60):
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate(f"(e => {check})(document.activeElement)"):
                return
        raise AssertionError(check)

    to("e.title === 'harbour.jpg'")
    page.keyboard.press("Enter")
    page.wait_for_selector("#content-slot .full")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#style-slot .full")
    to("e.id === 'preset'")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#preset-note:has-text('preview')")
    to("e.id === 'style_weight'")
    before = page.text_content("output[for=style_weight]")
    page.keyboard.press("ArrowRight")
    assert page.text_content("output[for=style_weight]") != before
    to("e.tagName === 'SUMMARY'")
    page.keyboard.press("Enter")
    to("e.id === 'encoder'")
    page.keyboard.type("random")
    to("e.id === 'setting-style_layers'")
    page.keyboard.press("Control+A")
    page.keyboard.type("conv1_1")
    to("e.id === 'setting-content_layers'")
    page.keyboard.press("Control+A")
    page.keyboard.type("conv2_1")
    to("e.id === 'paint'")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result")
    assert page.evaluate("document.activeElement.id") == "compare"
    page.keyboard.press("ArrowRight")
    assert page.input_value("#compare") == "1"
