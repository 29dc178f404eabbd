"""The view "Next letter": bars, drawing, and predicting before the answers show."""

import math
import re

import pytest

from stages import load_stage
from trained_models import load_model

FOLDERS = ("02_bigram_counts", "04_embedding_mlp", "05_microgpt", "05_microgpt/twin")


def card(page, folder):
    """The card of a model, found by the folder that it names."""
    exact = page.locator(".next-folder").filter(has_text=re.compile(f"^{re.escape(folder)}$"))
    return page.locator("article").filter(has=exact)


def set_slider(page, label, value):
    page.get_by_label(label, exact=False).first.evaluate(
        "(e, value) => { e.value = value; e.dispatchEvent(new Event('input')); }", value
    )


def type_beginning(page, text):
    page.get_by_label("The beginning of a name").fill(text)
    page.wait_for_timeout(150)  # longer than the view waits for the next key


def bars_of(card):
    """{character: P as written} of a card, "end" for the end of a name."""
    rows = card.locator(".bars-list li:not(.bars-others) button").all_inner_texts()
    pairs = [row.split() for row in rows]
    return {ch: p for ch, p in pairs}


def shape(log_probs, temperature, top_k):
    """The probabilities after temperature and top-k."""
    least = sorted(log_probs, reverse=True)[top_k - 1]
    weights = [math.exp(lp / temperature) if lp >= least else 0.0 for lp in log_probs]
    return [w / sum(weights) for w in weights]


def read_splits(explorer_out):
    names = load_stage("02_bigram_counts", "names")
    return names.load_splits(explorer_out.parent / "names.txt")


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, 4), (2.0, None)])
def test_bars_are_the_models_probabilities(explorer_page, explorer_out, temperature, top_k):
    page = explorer_page("next/ka")
    set_slider(page, "Temperature", math.log10(temperature))
    if top_k:
        set_slider(page, "Top-k", top_k)
    for folder in FOLDERS:
        module, model = load_model(explorer_out, folder)
        row = list(module.log_probs(model, "ka")[-1])
        probs = shape(row, temperature, top_k or len(row))
        chars = [*model.tokenizer.chars, "end"]
        shown = bars_of(card(page, folder))
        assert len(shown) == 10
        for ch, p in shown.items():
            assert abs(float(p) - probs[chars.index(ch)]) < 0.0006
        rest = card(page, folder).locator(".bars-others .p").inner_text()
        assert abs(float(rest) + sum(map(float, shown.values())) - 1) < 0.006
        assert "sum 1.000" in card(page, folder).inner_text()


def test_a_click_on_a_bar_adds_its_letter_and_the_end_completes_the_name(explorer_page):
    page = explorer_page("next/k")
    place = card(page, "05_microgpt")
    row = place.locator(".bars-list button").filter(has_not_text="end").first
    letter = row.inner_text().split()[0]
    row.click()
    assert page.get_by_label("The beginning of a name").input_value() == f"k{letter}"
    page.get_by_label("in the order of the alphabet").check()
    place.get_by_role("button", name="end of the name").click()
    place.get_by_text("The name is").wait_for()
    assert page.get_by_label("The beginning of a name").input_value() == f"k{letter}"
    place.get_by_role("button", name="Start a new name").click()
    assert page.get_by_label("The beginning of a name").input_value() == ""


def test_the_order_of_the_alphabet_shows_every_letter(explorer_page, explorer_out):
    page = explorer_page("next/ka")
    page.get_by_label("in the order of the alphabet").check()
    _, model = load_model(explorer_out, "05_microgpt")
    assert list(bars_of(card(page, "05_microgpt"))) == [*model.tokenizer.chars, "end"]


def test_the_same_seed_draws_the_same_letters(explorer_page):
    page = explorer_page("next/k")
    drawn = []
    for seed in ("7", "7", "8"):
        type_beginning(page, "k")
        page.get_by_label("Seed").fill(seed)
        for _ in range(8):
            card(page, "04_embedding_mlp").get_by_role("button", name="Draw a letter").click()
        drawn.append(page.get_by_label("The beginning of a name").input_value())
    assert drawn[0] == drawn[1] != drawn[2]


def test_names_are_marked_as_python_marks_them(explorer_page, explorer_out):
    page = explorer_page("next")
    type_beginning(page, "")
    set_slider(page, "Temperature", -0.6)
    splits = read_splits(explorer_out)
    known = {name: split for split in ("test", "val", "train") for name in splits[split]}
    runs = []
    for _ in range(2):
        page.get_by_role("button", name="Draw 10 names").click()
        page.get_by_role("button", name="Draw 10 names").wait_for()
        lines = page.locator(".next-names li").all()
        runs.append([line.inner_text() for line in lines])
        progress = page.locator(".next-run .note").first.inner_text()
    assert runs[0] == runs[1] and len(runs[0]) == 70
    origins = [line.split(" ") for line in runs[0]]
    for name, origin in origins:
        assert origin == known.get(name, "new")
    new = sum(origin == "new" for _, origin in origins)
    assert progress == f"70 names, {new} of them new"


def test_a_drawn_name_leads_to_what_it_shares_with_train(explorer_page):
    page = explorer_page("copied")
    page.get_by_role("link", name="Next letter").click()
    page.get_by_role("button", name="Draw 10 names").click()
    page.wait_for_selector("text=of them new")
    link = page.locator(".next-names a").first
    name = link.inner_text()
    link.click()
    page.wait_for_function(
        "name => document.querySelector('.copied-verdict')?.textContent.startsWith(name)", arg=name
    )


def test_a_letter_is_marked_in_all_models(explorer_page):
    page = explorer_page("next/ka")
    page.get_by_label("in the order of the alphabet").check()
    row = card(page, "05_microgpt").locator(".bars-list button").nth(4)
    row.hover()
    marked = page.locator(".bars-same .char").all_inner_texts()
    assert marked == [row.inner_text().split()[0]] * page.locator(".next-models article").count()
    compared = card(page, "04_embedding_mlp").locator(".next-compared").inner_text()
    p = bars_of(card(page, "04_embedding_mlp"))[marked[0]]
    assert re.fullmatch(rf"{marked[0]} {p}, rank \d+ of \d+", compared)


def test_arrow_keys_move_along_the_bars(explorer_page):
    page = explorer_page("next/ka")
    rows = card(page, "05_microgpt").locator(".bars-list li:not(.bars-others) button")
    rows.first.focus()
    for key, place in (("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("End", 9), ("Home", 0)):
        page.keyboard.press(key)
        assert rows.nth(place).evaluate("e => e === document.activeElement && e.tabIndex === 0")
    assert rows.evaluate_all("all => all.filter((e) => e.tabIndex === 0).length") == 1
    letter = rows.first.inner_text().split()[0]
    page.keyboard.press("Enter")
    if letter != "end":
        assert page.get_by_label("The beginning of a name").input_value() == f"ka{letter}"
    assert rows.first.evaluate("e => e === document.activeElement")


def test_an_unknown_character_is_one_line_with_a_way_out(explorer_page):
    page = explorer_page("next")
    type_beginning(page, "Ka")
    place = card(page, "05_microgpt")
    assert place.locator(".problem").inner_text().startswith("This model has never seen")
    assert not place.locator(".bars-list").is_visible()
    place.get_by_role("button", name="Use k").click()
    assert page.get_by_label("The beginning of a name").input_value() == "ka"
    assert place.locator(".bars-list").is_visible()
    type_beginning(page, "ka9")
    assert place.get_by_role("button", name="Use").count() == 0


# --- predict first ---


def test_answers_are_hidden_until_the_reader_has_committed(explorer_page, explorer_out):
    page = explorer_page("next")
    splits = read_splits(explorer_out)
    beginning = splits["val"][0][:1]
    type_beginning(page, beginning)
    page.get_by_role("button", name="Predict first: off").click()
    page.wait_for_selector(".predict-board")
    assert not page.locator(".bars-list").first.is_visible()
    following = {name[1:2] or "end" for name in splits["val"] if name.startswith(beginning)}
    chosen = sorted(following)[0]
    spoken = "end of the name" if chosen == "end" else chosen
    page.get_by_role("button", name=f"{spoken}: 0 chips").click()
    page.get_by_role("button", name=f"{spoken}: 1 chip", exact=True).click()
    page.get_by_role("button", name="Show the answers").click()
    page.wait_for_selector(".predict-table")
    assert page.locator(".next-models .bars-list").first.is_visible()
    text = page.locator(".predict-box p").first.inner_text()
    name, letter = re.search(
        r"The name is (\S+) \(val\): after \S+ comes (the end|\S)\.", text
    ).groups()
    assert name in splits["val"] and name.startswith(beginning)
    assert letter == (name[1:2] or "the end")

    _, model = load_model(explorer_out, "05_microgpt")
    symbols = len(model.tokenizer.chars) + 1
    mine = 0.8 / symbols + (0.2 if letter.removeprefix("the ") == chosen else 0)
    rows = page.locator(".predict-table tbody tr").all()
    losses = {row.locator("th").inner_text().split()[0]: row.locator("td") for row in rows}
    assert abs(float(losses["you"].nth(1).inner_text()) + math.log(mine)) < 0.006
    for folder, label in (("02_bigram_counts", "counts"), ("05_microgpt", "microGPT")):
        module, model = load_model(explorer_out, folder)
        row = module.log_probs(model, beginning)[-1]
        target = -1 if letter == "the end" else model.tokenizer.chars.index(letter)
        assert abs(float(losses[label].nth(1).inner_text()) + row[target]) < 0.006


def test_the_score_and_the_switch_are_kept(explorer_page):
    page = explorer_page("next/k")
    page.get_by_role("button", name="Predict first: off").click()
    for rounds in (1, 2):
        page.get_by_role("button", name="Show the answers").click()
        page.wait_for_selector(".predict-table")
        caption = page.locator(".predict-table caption").inner_text()
        assert caption == f"Rounds so far: {rounds}"
        page.get_by_role("button", name="Next name").click()
        page.wait_for_selector(".predict-board")
        assert not page.locator(".next-models").is_visible()
    page.reload()
    page.wait_for_selector(".predict-board")
    assert page.get_by_role("button", name="Predict first: on").is_visible()
    page.get_by_role("button", name="Show the answers").click()
    page.wait_for_selector(".predict-table")
    page.get_by_role("button", name="Forget the score").click()
    you = page.locator(".predict-table tbody tr").first.locator("td").all_inner_texts()
    assert you[-1] == "–"
    assert page.locator(".predict-table caption").inner_text() == "Rounds so far: 0"
    page.get_by_role("button", name="Predict first: on").click()
    assert page.locator(".next-models").is_visible()
    assert not page.locator(".predict-box").is_visible()


def test_chips_can_be_taken_back_and_run_out(explorer_page):
    page = explorer_page("next/k")
    page.get_by_role("button", name="Predict first: off").click()
    page.wait_for_selector(".predict-board")
    letter = page.locator(".predict-cell button").first
    for _ in range(12):
        letter.click()
    assert page.get_by_text("0 chips left").is_visible()
    assert letter.get_attribute("aria-label").endswith(": 9 chips")
    for _ in range(9):
        page.get_by_role("button", name="Take back").click()
    assert page.get_by_text("9 chips left").is_visible()
    assert page.get_by_role("button", name="Take back").is_disabled()


def test_a_word_asks_which_letter_surprises_most(explorer_page, explorer_out):
    page = explorer_page("word/kazia")
    page.get_by_role("button", name="Predict first: off").first.click()
    group = page.get_by_role("group", name="The letter that surprises most")
    group.wait_for()
    assert not page.locator(".word-table").first.is_visible()
    assert group.get_by_role("button").all_inner_texts() == [*"kazia", "end"]
    losses = page.evaluate(
        "() => explorer.models().then((all) => all.map((model) => model.losses('kazia')))"
    )
    assert len(losses) == 7
    means = [sum(column) / len(losses) for column in zip(*losses, strict=True)]
    worst = means.index(max(means))
    group.get_by_role("button").nth(worst).click()
    answer = page.locator(".predict-box").first
    assert f"Yes: {'the end' if worst == 5 else 'letter'}" in answer.inner_text()
    assert f"{means[worst]:.2f} nats" in answer.inner_text()
    assert "Right in 1 of 1 rounds." in answer.inner_text()
    assert page.locator(".word-table").first.is_visible()
    page.get_by_role("button", name="Another name").click()
    group.wait_for()
    name = page.get_by_role("textbox", name="A word").input_value()
    assert name in read_splits(explorer_out)["val"]
    group.get_by_role("button").nth((worst + 1) % 3).click()
    answer.get_by_text("of 2 rounds.").wait_for()


# --- other pages ---


def test_a_page_without_names_draws_and_predicts_too(counts_page):
    page = counts_page("next/k")
    page.get_by_role("button", name="Draw 10 names").click()
    page.wait_for_selector("text=make explore")
    page.wait_for_selector("text=20 names")
    page.get_by_role("button", name="Predict first: off").click()
    page.get_by_role("button", name="Show the answers").click()
    assert "drawn by 4-gram" in page.locator(".predict-box").inner_text()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_page(explorer_page, width):
    page = explorer_page("next/k", viewport={"width": width, "height": 800})
    page.get_by_role("button", name="Predict first: off").click()
    page.get_by_role("button", name="Show the answers").click()
    page.wait_for_selector(".predict-table")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_every_card_says_what_its_model_is(explorer_page):
    page = explorer_page("next")
    says = page.locator(".next-about").all_inner_texts()
    assert len(set(says)) == len(says) == page.locator(".next-models article").count()
    assert "02_bigram_counts: counts which letter follows which" in says
    assert "04_embedding_mlp: reads the last 3 letters as vectors" in says
    assert not any("undefined" in text or "NaN" in text for text in says)
