"""What the tests of the explorer share: models that trained for a second, and a browser."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from explorer.export import collect
from explorer.page import build_page
from stages import ROOT, load_stage
from trained_models import MODELS

NAMES = (ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()[:400]
SPEECH = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak.\n\n"
FLAGS = {  # folder in out/: flags of a run of a second or less
    "01_micrograd": ["--steps=20", "--points=20", "--n-hidden=4"],
    "02_bigram_counts": [],
    "03_bigram_learned": ["--steps=40", "--batch-size=256"],
    "04_embedding_mlp": ["--steps=40", "--batch-size=64", "--n-embd=6", "--n-hidden=16"],
    "05_microgpt": ["--steps=12", "--n-embd=8"],
    "05_microgpt/twin": ["--steps=40", "--batch-size=32"],
    "05_microgpt/best": [
        "--preset=best", "--steps=30", "--batch-size=32", "--n-embd=16", "--n-layer=2",
    ],
    "06_shakespeare_gpt": [
        "--steps=30", "--batch-size=8", "--block-size=16", "--n-embd=16", "--n-layer=2",
        "--device=cpu", "--dtype=float32",  # the precision of log_probs
    ],
}  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")


def train(stage, module, flags):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["main.py", *flags])
        load_stage(stage, module).main()


@pytest.fixture(scope="session")
def explorer_out(tmp_path_factory):
    """A folder like out/, with a short run of every stage and a 4-gram, and names.txt beside it."""
    out = tmp_path_factory.mktemp("explorer") / "out"
    names, text = out.parent / "names.txt", out.parent / "speech.txt"
    names.write_text("\n".join(NAMES), encoding="utf-8")
    text.write_text(SPEECH * 6, encoding="utf-8")
    for folder, flags in FLAGS.items():
        stage = folder.split("/")[0]
        data = {"01": [], "06": [f"--data={text}"]}.get(stage[:2], [f"--data={names}"])
        train(stage, MODELS[folder][0], [*flags, *data, f"--out={out / folder}"])
    import ngrams

    with pytest.MonkeyPatch.context() as patch:
        ngram = out / "02_bigram_counts/ngram"
        patch.setattr(sys, "argv", ["ngrams.py", "--n=4", f"--data={names}", f"--out={ngram}"])
        ngrams.main()
    return out


@pytest.fixture(scope="session")
def explorer_file(explorer_out):
    """The page of these models."""
    page, _ = build_page(*collect(explorer_out, None, explorer_out.parent / "names.txt"))
    path = explorer_out / "explorer.html"
    path.write_bytes(page)
    return path


def find_browser():
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium. In continuous integration, it must be there."""
    path = find_browser()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium was found, which these tests need")
        pytest.skip("no Chromium was found on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium does not run as root inside its own sandbox.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Problems(list):
    """What must not happen on a page: errors in the console, dialogs, and requests to anywhere."""

    def watch(self, page):
        page.on("pageerror", lambda error: self.append(f"error: {error}"))
        page.on("console", self.check_message)
        page.on("dialog", self.refuse_dialog)
        page.on("request", self.check_request)

    def check_message(self, message):
        if message.type in ("error", "warning"):
            self.append(message.text)

    def refuse_dialog(self, dialog):
        self.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def check_request(self, request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.append(f"request: {request.url}")


WINDOW = {"viewport": {"width": 1280, "height": 900}}


class Tab:
    """A page that serves one test after the other: a new one costs more than loading the file.

    If a test leaves it hanging, clear() fails, and the later tests open pages of their own.
    """

    def __init__(self, browser):
        self.page = browser.new_context(**WINDOW).new_page()
        self.session = self.page.context.new_cdp_session(self.page)
        self.problems, self.is_free = Problems(), True
        self.problems.watch(self.page)

    def clear(self):
        """Leave the document, what it stored, and the place of the mouse."""
        self.page.mouse.move(0, 0)
        self.page.goto("about:blank")
        stored = {"origin": "file://", "storageTypes": "local_storage"}
        self.session.send("Storage.clearDataForOrigin", stored)
        self.is_free = True


@pytest.fixture(scope="session")
def tab(browser):
    return Tab(browser)


@pytest.fixture
def explorer_page(browser, tab, explorer_file):
    """explorer_page("word/emma") loads the file, opens a view and returns Playwright's page.

    path: another file. The first page of a test is the shared tab, unless the test needs one of its
    own: is_new, or options as for browser.new_context, such as viewport and color_scheme. The test
    fails if there was an error in the console, a dialog or a request to the outside.
    """
    contexts, problems = [], Problems()
    uses_tab = False

    def open_page(view="", path=explorer_file, is_new=False, **options):
        nonlocal uses_tab
        if tab.is_free and not is_new and not options:
            uses_tab, tab.is_free = True, False
            page = tab.page
        else:
            contexts.append(browser.new_context(**{**WINDOW, **options}))
            page = contexts[-1].new_page()
            problems.watch(page)
        page.goto(f"{Path(path).as_uri()}#{view}")
        page.wait_for_selector("html[data-ready]", timeout=20_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    if uses_tab:
        tab.clear()
        problems += tab.problems
        tab.problems.clear()
    assert not problems


@pytest.fixture
def counts_page(explorer_page, explorer_out, tmp_path):
    """counts_page("text") opens a view of a page that has stage 02's models and no names."""

    def open_page(view):
        shutil.copytree(explorer_out / "02_bigram_counts", tmp_path / "02_bigram_counts")
        path = tmp_path / "explorer.html"
        path.write_bytes(build_page(*collect(tmp_path, None, None))[0])
        return explorer_page(view, path)

    return open_page
