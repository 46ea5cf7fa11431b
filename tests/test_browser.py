"""The web page in a real Chromium: ``python -m pytest -m browser``."""

import shutil
import subprocess
import sys
import urllib.parse

import pytest
from PIL import Image

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


def start_server(folder, port=0):
    """Starts the command in a process of its own."""
    command = [sys.executable, "-m", "jaxstyle", "web", "--port", str(port), "--cache", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Returns the address of the page."""
    with start_server(tmp_path_factory.mktemp("server")) as process:
        yield process.stdout.readline().strip()
        process.terminate()
        assert process.wait(20) == 143


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        # There is no sandbox for root, the user in a container.
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(server, browser):
    """Opens the page for a visitor. No request may go to another host, and no script may fail."""
    asked, failed, contexts = [], [], []

    def visit(context=None, **options):
        if context is None:
            context = browser.new_context(**options)
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        context.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        # The browser reports refused requests, too, which the page shows to its visitor.
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
    """Chooses a photograph and a painting of the gallery, and settings that take seconds."""
    page.set_input_files("#content-slot input", photo)
    page.wait_for_selector(".thumbs img")
    page.click(".wall .tile >> nth=0")
    page.wait_for_selector(".tile[aria-pressed=true]")
    change(
        page,
        encoder="random",
        iterations="8",
        content_layers="conv2_1",
        style_layers="conv1_1, conv2_1=0.5",
    )
    page.select_option("#size", "256")


def change(page, **settings):
    """Changes settings under "All settings"."""
    page.evaluate("document.getElementById('more').open = true")
    for name, value in settings.items():
        field = page.locator(f"#setting-{name}")
        if field.evaluate("e => e.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
            field.blur()


def slow(page):
    """Makes the next picture one that ends only when it is stopped."""
    change(page, iterations="100000", solver="adam")


def check_accessible(page):
    """Checks that axe-core finds nothing."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    assert not [(v["id"], [n["target"] for n in v["nodes"]]) for v in found]


def error_beside(page, selector):
    """Returns the message that is shown inside an element."""
    box = page.locator(f"{selector} #trouble")
    box.wait_for()
    return box.locator("span").text_content()


def drag(page, source, *, kind, name="photo.png", content=b"", text=""):
    """Drops or pastes a file, or the address that another page gives."""
    page.evaluate(
        """([selector, kind, name, bytes, text]) => {
          const data = new DataTransfer();
          if (text) data.setData("text/uri-list", text);
          else data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
          const Kind = kind === "paste" ? ClipboardEvent : DragEvent;
          const options = { bubbles: true, cancelable: true, dataTransfer: data };
          document.querySelector(selector).dispatchEvent(
            new Kind(kind, { ...options, clipboardData: data }));
        }""",
        [source, kind, name, list(content), text],
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_first_view(open_page, size, scheme):
    """Example, the button and the gallery can be seen without scrolling, in both schemes."""
    page = open_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    for selector in (".frame .before", ".choose.primary", ".wall .tile >> nth=0"):
        box = page.locator(selector).first.bounding_box()
        assert box["y"] < size[1]
        assert box["y"] + box["height"] / 4 > 0
    assert page.text_content("#private") == "Nothing leaves this machine."
    assert page.locator("#cards input:disabled").count() == 0
    assert page.locator("#cards img").count() == page.locator("#cards input").count() == 4
    broken = "[...document.images].filter(e => e.complete && !e.naturalWidth).map(e => e.src)"
    page.wait_for_load_state("networkidle")
    assert page.evaluate(broken) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    check_accessible(page)


def test_an_instant_picture(open_page):
    """It appears when both pictures are chosen, and changes with the strength."""
    page = open_page()
    page.click(".examples .tile >> nth=1")
    page.wait_for_selector("#photograph")
    page.click(".wall .tile >> nth=0")
    page.wait_for_selector("#instant")
    check_accessible(page)
    first = page.get_attribute("#instant", "src")
    page.locator("#style_weight").press("Home")
    page.wait_for_selector(f"#instant:not([src='{first}'])")
    sums = [page.evaluate(GREENS, s) for s in (first, page.get_attribute("#instant", "src"))]
    assert abs(sums[0] - sums[1]) > 1  # levels of 255


GREENS = """async source => {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [64, 64];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, 64, 64);
  const data = context.getImageData(0, 0, 64, 64).data;
  return [...data].filter((_, i) => i % 4 === 1).reduce((a, b) => a + b, 0) / 4096;
}"""
"""The mean green of a picture."""


def test_from_pictures_to_a_file(open_page, photo, tmp_path):
    """Choose, paint, compare, download, and read the settings from the file."""
    page = open_page()
    choose(page, photo)
    page.wait_for_selector("#estimate:has-text('for 256 × 192 pixels')")
    check_accessible(page)
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
    assert fresh.input_value("#setting-encoder") == "random"
    assert fresh.input_value("#size") == "256"
    assert "photo.png" in fresh.text_content("#status")
    fresh.set_input_files("#content-slot input", painted)
    fresh.click("text=Use its settings")


def test_previews_change_and_a_stop_keeps_the_picture(open_page, photo):
    page = open_page()
    choose(page, photo)
    slow(page)
    page.click("#paint")
    page.wait_for_selector("#developing[data-version]")
    first = page.get_attribute("#developing", "data-version")
    page.wait_for_selector(f"#developing[data-version]:not([data-version='{first}'])")
    assert " left" in page.text_content("#told")
    terms = page.locator("#terms dt").all_text_contents()
    assert terms == ["photograph", "painting", "smoothness"]
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
    assert f"strength {strength}" in page.text_content("figcaption")
    assert page.locator("#earlier-list button").count() == 2
    page.click("#earlier-list button >> nth=0")
    page.wait_for_selector("#grid button:not([disabled]) >> nth=5")
    page.click("#grid button >> nth=1")
    page.wait_for_selector("#result")
    assert page.is_hidden("#trouble")


def test_a_queue_and_a_history(open_page, photo):
    """Several runs wait; a finished one gives its settings and pictures back."""
    page = open_page()
    choose(page, photo)
    page.click("#paint")
    page.wait_for_selector("#result")
    page.click(".wall .tile >> nth=2")
    page.wait_for_selector(".tile >> nth=2")
    slow(page)
    page.click("#paint")
    page.wait_for_selector("#developing[data-version]")
    page.click("#paint")
    page.wait_for_selector("#queue-list li:has-text('Waits for one picture')")
    check_accessible(page)
    page.click("#queue-list li >> nth=1 >> button")
    page.wait_for_selector("#queue", state="hidden")
    page.click("#stop")
    page.wait_for_selector("#earlier-list button >> nth=1")
    check_accessible(page)
    page.click("#earlier-list button >> nth=0")
    page.wait_for_selector("#result")
    assert page.input_value("#setting-iterations") == "100000"
    page.click("#again")
    playwright.expect(page.locator("#setting-iterations")).to_have_value("8")
    assert "Starry Night" in page.get_attribute(".tile[aria-pressed=true]", "aria-label")


def test_several_photographs_are_a_queue(open_page, photo, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes(pictures.picture(48, 64, seed=2))
    page = open_page()
    choose(page, [photo, other])
    page.wait_for_selector(".thumbs li >> nth=1")
    page.wait_for_selector("#estimate:has-text('2 pictures')")
    assert page.is_disabled("#open-masks")
    page.click("#paint")
    page.wait_for_selector("#earlier-list button >> nth=1")
    names = [e.get_attribute("title") for e in page.locator("#earlier-list button").all()]
    assert sorted(name.split(" × ")[0] for name in names) == ["other.png", "photo.png"]


def test_settings_pictures_and_regions_survive_a_reload(open_page, photo):
    page = open_page()
    choose(page, photo)
    page.locator("#style_weight").press("ArrowRight")
    strength = page.text_content("output[for=style_weight]")
    mark_regions(page)
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.text_content("output[for=style_weight]") == strength
    assert page.input_value("#setting-iterations") == "8"
    assert page.locator(".thumbs img").count() == 1
    assert "Starry Night" in page.get_attribute(".tile[aria-pressed=true]", "aria-label")
    assert page.text_content("#mask-note") == "Regions: the rest, orange."
    page.click("#paint")
    page.wait_for_selector("#result")
    assert page.is_hidden("#trouble")


def mark_regions(page):
    page.click("#open-masks")
    for i in range(2):
        page.locator("#mask-boards canvas").nth(i).press("Space")
    page.click("#mask-done")
    page.wait_for_selector("#mask-note:has-text('Regions: the rest, orange.')")


def test_another_photograph_drops_its_regions(open_page, photo):
    page = open_page()
    choose(page, photo)
    mark_regions(page)
    page.set_input_files("#content-slot input", photo)
    page.wait_for_selector(".thumbs img")
    page.click("#open-masks")
    page.click("#mask-done")
    page.wait_for_selector("#mask-trouble:has-text('Orange is on a painting only')")


def test_errors_appear_beside_their_controls(open_page, photo, tmp_path):
    """On a desktop inside the slot or the control, on a phone as a toast at the lower edge."""
    bad = tmp_path / "letter.jpg"
    bad.write_text("Dear Sir")
    for width in (1280, 390):
        page = open_page(viewport={"width": width, "height": 844})
        page.click("#paint")
        assert error_beside(page, "#content-slot") == "Choose a photograph first."
        page.set_input_files("#content-slot input", bad)
        page.wait_for_selector("#content-slot #trouble:has-text('Letter.jpg: is not an image')")
        check_accessible(page)
        choose(page, photo)
        change(page, iterations="0.5")
        assert "terations" in error_beside(page, ".control:has(#setting-iterations)")
        box = page.locator("#trouble").bounding_box()
        assert 0 <= box["y"] <= 844 - box["height"]
        page.click("#trouble button")
        assert page.is_hidden("#trouble")


def test_too_many_paintings_are_refused_before_they_are_uploaded(open_page, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(8)]
    for i, path in enumerate(paths):
        path.write_bytes(pictures.picture(seed=i))
    page = open_page()
    sent = []
    page.on("request", lambda request: sent.append(request.method + request.url))
    page.set_input_files("#style-slot input[type=file]", paths)
    assert error_beside(page, "#style-slot") == "8 paintings are too many: choose at most 6."
    assert not [url for url in sent if "/api/pictures" in url]


def test_paint_waits_for_an_upload(open_page, photo):
    """The upload shows its progress meanwhile."""
    page = open_page()
    choose(page, photo)
    held = []
    page.route("**/api/pictures?role=content*", lambda route: held.append(route))
    page.set_input_files("#content-slot input", photo)
    page.wait_for_selector(".sending progress")
    check_accessible(page)
    page.click("#paint")
    page.wait_for_timeout(300)
    assert page.is_hidden("#progress")
    assert page.is_hidden("#trouble")
    held[0].continue_()
    page.wait_for_selector("#result")


def test_pictures_are_pasted_and_dropped(open_page, photo):
    """A link instead of a picture is explained."""
    page = open_page()
    drag(page, "body", kind="paste", content=photo.read_bytes())
    page.wait_for_selector(".thumbs img[alt='Photograph: photo.png']")
    drag(page, "#easel", kind="drop", content=pictures.picture(seed=3), name="mine.png")
    page.wait_for_selector(".tile[aria-pressed=true][aria-label='mine.png']")
    drag(page, "#style-slot", kind="drop", text="https://elsewhere.example/picture.jpg")
    assert "save the picture first" in error_beside(page, "#style-slot")


def test_settings_that_are_files_elsewhere_are_replaced(open_page, photo, tmp_path):
    """A select cannot show them; it shows the preset's value, and a sentence says so."""
    recipe = js.Recipe(encoder="narrow.h5", init="start.png", iterations=7)
    table = recipe.to_table()
    files.save_image(tmp_path / "ours.png", js.load_image(photo), metadata=table, provenance={})
    page = open_page()
    page.set_input_files("#settings-file", tmp_path / "ours.png")
    playwright.expect(page.locator("#setting-iterations")).to_have_value("7")
    assert "Network narrow.h5 is not here" in page.text_content("#status")
    assert "Start from start.png is not here" in page.text_content("#status")
    assert page.input_value("#setting-encoder") == js.Recipe().encoder
    assert page.input_value("#setting-init") == js.Recipe().init


def test_a_restart_of_the_server(browser, photo, tmp_path):
    """The page waits for it, says so, uploads its pictures again and keeps the finished picture."""
    with start_server(tmp_path) as process:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        address = process.stdout.readline().strip()
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        choose(page, photo)
        page.click("#paint")
        page.wait_for_selector("#earlier-list, #result")
        page.wait_for_selector("#result")
        slow(page)
        page.click("#paint")
        page.wait_for_selector("#developing[data-version]")
        process.kill()
    page.wait_for_selector("#status:has-text('The server does not answer')")
    with start_server(tmp_path, urllib.parse.urlsplit(address).port) as process:
        process.stdout.readline()
        page.wait_for_selector("#status:has-text('The server was restarted')")
        change(page, iterations="8", solver="lbfgs")
        page.wait_for_selector(".thumbs img")
        page.click("#paint")
        page.wait_for_selector("#result")
        page.wait_for_selector("#earlier-list button >> nth=1")
        page.click("#earlier-list button >> nth=0")
        page.wait_for_selector("#downloads:has-text('this page has a preview')")
        assert page.evaluate("document.getElementById('result').naturalWidth") == 256
        process.kill()
    page.close()


def test_two_tabs_and_two_visitors(open_page, photo):
    """Two tabs of a visitor share the queue; another visitor sees nothing of them."""
    one = open_page()
    choose(one, photo)
    slow(one)
    one.click("#paint")
    one.wait_for_selector("#developing[data-version]")
    two = open_page(one.context)
    two.wait_for_selector("#developing[data-version]")
    source = one.get_attribute("#developing", "src")
    other = open_page()
    assert other.request.get(urllib.parse.urljoin(one.url, source)).status == 404
    choose(other, photo)
    other.click("#paint")
    other.wait_for_selector("text=One picture is painted before yours")
    two.close()
    one.close()  # A visitor who leaves makes room.
    other.wait_for_selector("#result")


def test_several_paintings_and_masks(open_page, photo, tmp_path):
    page = open_page()
    choose(page, photo)
    page.check("#mix")
    page.click(".wall .tile >> nth=1")
    page.wait_for_selector("#paintings li >> nth=1")
    page.locator("#paintings input").first.press("ArrowLeft")
    page.click("#open-masks")
    page.wait_for_selector("#mask-boards canvas >> nth=2")
    check_accessible(page)
    first = page.locator("#mask-boards canvas").first

    def pixels():
        return first.evaluate("e => e.toDataURL()")

    clean = pixels()
    box = first.bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 30, box["y"] + 60, steps=5)
    page.mouse.up()
    marked = pixels()
    assert marked != clean
    page.click("#mask-undo")
    assert pixels() == clean
    regions = Image.new("RGB", (64, 48), "#1d1d24")
    regions.paste("#e0552b", (0, 0, 20, 48))
    regions.save(tmp_path / "regions.png")
    page.set_input_files("#mask-boards figure >> nth=0 >> input", tmp_path / "regions.png")
    page.click("#mask-done")
    assert "on the photograph only" in page.text_content("#mask-trouble")
    page.fill("#zoom", "3")
    assert first.bounding_box()["width"] == pytest.approx(3 * box["width"], rel=0.05)
    page.fill("#zoom", "1")
    page.check("input[aria-label=eraser]", force=True)
    before = pixels()
    page.mouse.click(box["x"] + 20, box["y"] + 20)
    assert pixels() != before
    page.check("input[aria-label=orange]", force=True)
    page.locator("#mask-boards canvas").nth(1).press("Space")  # by keyboard, too
    page.click("#mask-done")
    assert page.text_content("#mask-note") == "Regions: the rest, orange."
    page.click("#paint")
    page.wait_for_selector("#result")
    assert page.is_hidden("#trouble")


def test_on_a_phone(open_page, photo):
    """The divider follows a finger, and controls are large enough for one."""
    size = {"width": 390, "height": 844}
    page = open_page(viewport=size, color_scheme="dark", has_touch=True, is_mobile=True)
    box = page.locator(".frame .inner").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    assert int(page.input_value("#compare")) == pytest.approx(80, abs=3)
    choose(page, photo)
    page.click("#paint")
    page.wait_for_selector("#result")
    check_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate(
        "[...document.querySelectorAll('button:not(.link, .drop-one), .button, select')].filter("
        "e => e.offsetParent && e.getBoundingClientRect().height < 40).map(e => e.id)"
    )
    assert not small


def test_by_keyboard_alone(open_page):
    """From the first Tab to a finished picture, with Tab, Space, arrows and Enter."""
    page = open_page()

    def to(check, most=60):
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate(f"(e => {check})(document.activeElement)"):
                return
        raise AssertionError(check)

    to("e.title === 'Chelsea the cat'")
    page.keyboard.press("Enter")
    page.wait_for_selector(".thumbs img")
    page.focus("#content-slot input")
    to("e.ariaLabel?.startsWith('The Starry Night')")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tile[aria-pressed=true]")
    to("e.name === 'preset'")
    page.keyboard.press("ArrowDown")
    assert page.is_checked("[name=preset][value=scene]")
    page.keyboard.press("ArrowDown")
    assert page.is_checked("[name=preset][value=draft]")
    to("e.id === 'style_weight'")
    before = page.text_content("output[for=style_weight]")
    page.keyboard.press("ArrowRight")
    assert page.text_content("output[for=style_weight]") != before
    to("e.tagName === 'SUMMARY'")
    page.keyboard.press("Enter")
    to("e.id === 'setting-encoder'")
    page.keyboard.type("random")
    for name, layer in (("style_layers", "conv1_1"), ("content_layers", "conv2_1")):
        page.focus(f"#setting-{name}")
        page.keyboard.press("Control+A")
        page.keyboard.type(layer)
    to("e.id === 'paint'")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result")
    assert page.evaluate("document.activeElement.id") == "compare"
    page.keyboard.press("ArrowRight")
    assert page.input_value("#compare") == "1"
