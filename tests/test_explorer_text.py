"""The view "Shakespeare": what comes next, what surprised the model, and what it writes."""

import math
import re

import pytest

from trained_models import load_model

STAGE = "06_shakespeare_gpt"
LONG = "First Citizen:\nSpeak, speak.\n\nAll:\nBefore we proceed, hear me"  # above block_size


@pytest.fixture(scope="module")
def stage06(explorer_out):
    return load_model(explorer_out, STAGE)


def type_text(page, text):
    page.locator("textarea").fill(text)
    page.wait_for_timeout(250)  # longer than the view waits, and reads


def articles(page, title):
    return page.locator("article").filter(has=page.get_by_role("heading", name=title))


def bars_of(page):
    rows = articles(page, "The next character").locator(".bars-list li:not(.bars-others) button")
    return [
        (row.locator(".char").inner_text(), row.locator(".p").inner_text()) for row in rows.all()
    ]


def mark(ch):
    return {" ": "␣", "\n": "↵"}.get(ch, ch)


@pytest.mark.parametrize("text", ["All:\n", "S", LONG])
def test_bars_are_those_of_log_probs_also_beyond_the_window(explorer_page, stage06, text):
    module, model = stage06
    assert len(LONG) > model.block_size + 20
    page = explorer_page("text")
    type_text(page, text)
    row = module.log_probs(model, text)[-1]
    chars = [mark(ch) for ch in model.tokenizer.chars]
    bars = bars_of(page)
    assert len(bars) == 12
    for ch, p in bars:
        assert abs(float(p) - math.exp(row[chars.index(ch)])) < 0.0006
    assert max(row) <= math.log(float(bars[0][1]) + 0.001)


def test_every_character_shows_its_surprise(explorer_page, stage06):
    module, model = stage06
    text = "All:\nSpeak."
    page = explorer_page("text")
    type_text(page, text)
    rows = module.log_probs(model, text)
    losses = [-rows[i][model.tokenizer.stoi[ch]] for i, ch in enumerate(text[1:])]
    summary = articles(page, "What surprised the model").inner_text()
    shown = float(re.search(r"Mean surprise: ([\d.]+) nats", summary)[1])
    assert abs(shown - sum(losses) / len(losses)) < 0.001
    page.locator(".text-surprise").focus()
    page.keyboard.press("End")
    assert f"{losses[-1]:.2f} nats" in page.locator(".text-surprise + .text-says").inner_text()
    page.keyboard.press("ArrowLeft")
    assert f"{losses[-2]:.2f} nats" in page.locator(".text-surprise + .text-says").inner_text()
    widths = page.locator(".text-char").evaluate_all(
        "all => all.map((e) => parseInt(getComputedStyle(e).borderBottomWidth))"
    )
    assert widths == [min(4, int(loss)) for loss in losses]


def test_what_is_before_the_window_is_marked(explorer_page, stage06):
    _, model = stage06
    page = explorer_page("text")
    type_text(page, LONG)
    T = model.block_size
    outside = page.locator(".text-surprise .text-outside").inner_text().replace("↵", "")
    assert outside.strip() == LONG[:-T].strip()
    assert page.locator(".text-window > span").count() == T
    assert f"sees the last {T} characters" in page.locator("main").inner_text()
    type_text(page, LONG[-T:])
    assert page.locator(".text-outside").count() == 0


def test_typing_and_deleting_gives_the_same_as_a_fresh_start(explorer_page):
    page = explorer_page("text")
    type_text(page, "All:\nSpeak")
    fresh = bars_of(page)
    for detour in (LONG, "All:\nSpeak, speak", "All:\n", ""):
        type_text(page, detour)
        type_text(page, "All:\nSpeak")
        assert bars_of(page) == fresh


@pytest.mark.slow
def test_a_run_writes_300_characters_and_the_same_ones_for_the_same_seed(explorer_page):
    page = explorer_page("text")
    type_text(page, "All:\n")
    written = []
    for _ in range(2):
        page.get_by_role("button", name="Write 300 characters").click()
        page.get_by_role("button", name="Write 300 characters").wait_for()
        assert page.get_by_text("300 of 300 characters").count() == 2
        written.append(page.locator(".text-written").all_text_contents())
    assert written[0] == written[1]
    assert [len(text) for text in written[0]] == [305, 305]
    assert written[0][0] != written[0][1]  # another temperature
    page.get_by_role("button", name="Continue from this text").first.click()
    assert page.locator("textarea").input_value() == written[0][0]


def test_writing_can_be_stopped(explorer_page):
    page = explorer_page("text")
    page.get_by_role("button", name="Write 300 characters").click()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Write 300 characters").wait_for()
    progress = page.locator(".text-pair .note").first.inner_text()
    assert int(progress.split()[0]) < 300


def test_a_letter_is_drawn_and_an_empty_text_is_no_error(explorer_page):
    page = explorer_page("text")
    type_text(page, "All:\n")
    page.get_by_role("button", name="Draw a character").click()
    assert len(page.locator("textarea").input_value()) == 6
    type_text(page, "")
    assert page.get_by_role("button", name="Draw a character").is_disabled()
    page.get_by_role("button", name="Write 300 characters").click()
    assert page.get_by_text("Type at least one character.").count() == 2


def test_an_unknown_character_offers_the_lower_case_form(explorer_page, stage06):
    _, model = stage06
    assert "X" not in model.tokenizer.chars and "k" in model.tokenizer.chars
    page = explorer_page("text")
    type_text(page, "speaK")
    assert "never seen" in page.locator(".text-problem").inner_text()
    page.get_by_role("button", name="Use k").click()
    assert page.locator("textarea").input_value() == "speak"
    page.wait_for_function("() => !document.querySelector('.text-problem').textContent")


def test_a_page_without_the_stage_says_how_to_get_it(counts_page):
    page = counts_page("text")
    assert "make stage 6" in page.locator("main").inner_text()


@pytest.mark.parametrize("width", [360, 1280])
def test_no_text_is_wider_than_the_page(explorer_page, width):
    page = explorer_page("text", viewport={"width": width, "height": 800})
    type_text(page, "Speak" * 40)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
