"""The explorer's view "A word": what each letter costs every model, and why."""

import json
import math
import re

import pytest

import ngrams
from explorer.export import TITLES
from trained_models import load_model

NAMES_MODELS = [folder for folder in TITLES if folder[:2] != "06"]
WORD = "anna"


@pytest.fixture(scope="module")
def page(browser, explorer_file):
    """The view with WORD in it, for tests that do not type."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{explorer_file.as_uri()}#word/{WORD}")
    page.wait_for_selector("html[data-ready]")
    yield page
    page.close()


def losses_in_python(out, folder, text):
    """-log P of each letter and of the end, as the stage computes it."""
    module, model = load_model(out, folder)
    targets = model.tokenizer.encode(text)[1:]
    return [-row[y] for row, y in zip(module.log_probs(model, text), targets, strict=True)]


def row_of(page, title, table=0):
    """The cells of a model's row."""
    heading = page.get_by_role("rowheader", name=title, exact=True)
    return page.locator(".word-table").nth(table).get_by_role("row").filter(has=heading)


def choose(page, title, i):
    """Press the cell of a model and a letter. Returns the box with the reasons."""
    row_of(page, title).get_by_role("button").nth(i).click()
    return page.locator(".word-why").first


def table_numbers(locator):
    """The numbers of a table's body: [[...], ...]."""
    rows = locator.locator("tbody tr").all()
    return [[float(text) for text in row.locator("td").all_inner_texts()] for row in rows]


# --- the table ---


@pytest.mark.parametrize("folder", NAMES_MODELS)
def test_every_cell_is_what_the_letter_costs_in_python(page, explorer_out, folder):
    expected = losses_in_python(explorer_out, folder, WORD)
    cells = row_of(page, TITLES[folder]).get_by_role("button").all()
    labels = [cell.get_attribute("aria-label") for cell in cells]
    shown = [float(re.search(r": ([\d.]+) nats", label)[1]) for label in labels]
    assert shown == pytest.approx(expected, abs=0.001)
    total, mean = row_of(page, TITLES[folder]).locator(".word-sum").all_inner_texts()
    assert float(total) == pytest.approx(sum(expected), abs=0.006)
    assert float(mean) == pytest.approx(sum(expected) / len(expected), abs=0.001)


def test_the_least_surprised_model_is_framed_and_the_largest_gap_named(page, explorer_out):
    titles = [TITLES[folder] for folder in NAMES_MODELS] + ["4-gram"]
    losses = [losses_in_python(explorer_out, folder, WORD) for folder in NAMES_MODELS]
    rows = ngrams.log_probs(ngrams.load(explorer_out / "02_bigram_counts/ngram/names-4"), WORD)
    alphabet = load_model(explorer_out, NAMES_MODELS[0])[1].tokenizer
    losses.append([-row[y] for row, y in zip(rows, alphabet.encode(WORD)[1:], strict=True)])
    gaps = []
    for i, column in enumerate(zip(*losses, strict=True)):
        best = titles[column.index(min(column))]
        framed = [t for t in titles if is_framed(row_of(page, t).get_by_role("button").nth(i))]
        assert framed == [best]
        worst = titles[column.index(max(column))]
        gaps.append((max(column) - min(column), i, min(column), best, max(column), worst))
    _, i, low, best, high, worst = max(gaps)
    place = [f"the {nth} letter" for nth in ("1st", "2nd", "3rd", "4th")] + ["the end of the name"]
    sentence = page.locator(".word-gap").first.inner_text()
    assert place[i] in sentence
    assert f"{low:.2f} nats under {best}, {high:.2f} nats under {worst}." in sentence


def is_framed(button):
    return "word-best" in button.get_attribute("class").split()


def test_the_lines_end_at_the_sums(page, explorer_out):
    title = page.locator(".word-chart svg.chart").get_attribute("aria-label")
    for folder in NAMES_MODELS:
        total = sum(losses_in_python(explorer_out, folder, WORD))
        assert f"{TITLES[folder]} {total:.2f}" in title
    lines = page.locator(".word-chart .series polyline").all()
    dashes = {
        (line.evaluate("e => getComputedStyle(e).stroke"), line.get_attribute("stroke-dasharray"))
        for line in lines
    }
    assert len(dashes) == len(lines) == len(NAMES_MODELS) + 1  # colour alone tells no two apart


def test_the_arrow_keys_move_in_the_table_and_enter_chooses(explorer_page):
    page = explorer_page(f"word/{WORD}")
    first = row_of(page, "counts").get_by_role("button").first
    first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    focused = page.locator(":focus").get_attribute("aria-label")
    assert focused.startswith("4-gram, n: ")
    assert page.locator(".word-look").first.inner_text() == focused
    assert page.locator(".word-table [tabindex='0']").count() == 2  # one for names, one for a text
    page.keyboard.press("Enter")
    assert "“n” as the 2nd letter" in page.locator(".word-why h3").first.inner_text()
    assert "“n” as the 2nd letter" in page.locator("#announcer").inner_text()


# --- why ---


def test_counts_show_their_row_with_the_pair_marked(page, explorer_out):
    saved = json.loads((explorer_out / "02_bigram_counts/model.json").read_text("utf-8"))
    a, n = saved["chars"].index("a"), saved["chars"].index("n")
    row = [int(times) for times in saved["counts"][a]]
    why = choose(page, "counts", 1)
    cells = why.locator(".word-cells li")
    assert [int(text.split()[-1].replace(",", "")) for text in cells.all_inner_texts()] == row
    assert why.locator("[aria-current]").get_attribute("aria-label") == f"n: {row[n]}"
    assert f"followed “a” {row[n]} times out of {sum(row)}" in why.inner_text()


def test_the_learned_row_stands_beside_the_counted_one(page, explorer_out):
    module, model = load_model(explorer_out, "03_bigram_learned")
    _, counted = load_model(explorer_out, "02_bigram_counts")
    a = model.tokenizer.stoi["a"]
    cells = choose(page, "learned", 1).locator(".word-cells li").all_inner_texts()
    shown = [[float(x.replace("−", "-")) for x in cell.split("\n")[1:]] for cell in cells]
    logits, learned, counts = zip(*shown, strict=True)
    assert logits == pytest.approx(model.W[a].tolist(), abs=0.006)
    assert learned == pytest.approx(model.W[a].softmax(dim=0).tolist(), abs=0.001)
    assert counts == pytest.approx(counted.P[a].tolist(), abs=0.001)


def test_the_ngram_shows_each_length_and_the_parts_add_up_to_p(page, explorer_out):
    model = ngrams.load(explorer_out / "02_bigram_counts/ngram/names-4")
    train = [name for name in names_of_train(page) if name]
    why = choose(page, "4-gram", 3)
    shown = []
    for row in why.locator(".word-lengths tbody tr").all():
        context = row.locator("th").inner_text().replace(" ", "")
        times, followed, _, adds = row.locator("td").all_inner_texts()
        shown.append([context, *(int(n.replace(",", "")) for n in (times, followed)), float(adds)])
    assert [context for context, *_ in shown] == ["ann", "nn", "n", "none"]
    for context, times, followed, _ in shown[:3]:
        text = "".join(f"{name}\n" for name in train)
        assert times == sum(text.startswith(context, i) for i in range(len(text)))
        assert followed == sum(text.startswith(f"{context}a", i) for i in range(len(text)))
    alphabet = load_model(explorer_out, "02_bigram_counts")[1].tokenizer
    P = math.exp(ngrams.log_probs(model, WORD)[3][alphabet.stoi["a"]])
    assert sum(adds for *_, adds in shown) == pytest.approx(P, abs=0.005)
    decides = max(shown, key=lambda row: row[3])[0]
    assert why.locator("tr.word-best th").inner_text().replace(" ", "") == decides


def names_of_train(page):
    return page.evaluate("""async () => {
      const element = document.querySelector('script[data-blob="names"]');
      const bytes = Uint8Array.from(atob(element.textContent), (ch) => ch.charCodeAt(0));
      const unpack = new DecompressionStream("deflate");
      return (await new Response(new Blob([bytes]).stream().pipeThrough(unpack)).json()).train;
    }""")


def test_the_mlp_shows_its_embeddings_and_which_letters_are_alike(page, explorer_out):
    import torch

    _, model = load_model(explorer_out, "04_embedding_mlp")
    stoi, T = model.tokenizer.stoi, model.block_size
    why = choose(page, "MLP", 3)
    assert why.locator(".vector").count() == T + 1
    strip = why.get_by_role("slider").nth(T - 1)  # the last letter read, n
    strip.focus()
    page.keyboard.press("End")
    value = strip.get_attribute("aria-valuetext").split()[-1].replace("−", "-")
    assert float(value) == pytest.approx(model.wte[stoi["n"], -1].item(), abs=1e-4)
    rows = model.mlp_fc1.detach().view(T, -1, model.mlp_fc1.shape[1])[T - 1]
    effects = model.wte.detach() @ rows
    effects = torch.nn.functional.normalize(effects - effects.mean(dim=0), dim=1)
    likeness, ids = (effects @ effects[stoi["n"]]).sort(descending=True)
    nearest = [[*model.tokenizer.chars, "start"][i] for i in ids[1:4]]
    expected = ", ".join(
        f"{ch} {x:.2f}".replace("-", "−") for ch, x in zip(nearest, likeness[1:4], strict=True)
    )
    assert expected in why.locator(".word-context").nth(T - 1).inner_text()


@pytest.mark.parametrize("folder", ["05_microgpt", "05_microgpt/best"])
def test_a_gpt_shows_the_attention_of_each_head(page, explorer_out, folder):
    module, model = load_model(explorer_out, folder)
    att = module.attention_weights(model, "ann")
    expected = [head[3] for layer in att for head in layer]
    table = choose(page, TITLES[folder], 3).locator(".word-attention")
    assert table.locator("thead th").all_inner_texts()[1:] == ["start", "a", "n", "n"]
    shown = table_numbers(table)
    assert len(shown) == len(expected)
    for row, weights in zip(shown, expected, strict=True):
        assert row == pytest.approx(weights, abs=0.006)


def test_a_name_longer_than_the_window_shows_the_piece_that_is_read(explorer_page, explorer_out):
    module, model = load_model(explorer_out, "05_microgpt")
    T = model.config.block_size
    assert T % 4 == 0
    page = explorer_page("word/" + "anna" * (T // 4 + 1))
    why = choose(page, "microGPT", T + 1)
    table = why.locator(".word-attention")
    assert table.locator("thead th").all_inner_texts()[1:] == ["a", "a"]  # characters T and T + 1
    cache, a = module.empty_cache(model.config), model.tokenizer.stoi["a"]
    module.gpt(model, a, 0, cache)
    expected = []
    module.gpt(model, a, 1, cache, expected)
    for row, weights in zip(table_numbers(table), expected[0], strict=True):
        assert row == pytest.approx(weights, abs=0.006)


# --- scrambled ---


def test_scrambling_keeps_the_letters_and_shows_both_sums(explorer_page, explorer_out):
    page = explorer_page(f"word/{WORD}")
    page.get_by_role("button", name="Scramble the letters").click()
    table = page.locator(".word-sums")
    heads = table.locator("thead th").all_inner_texts()
    assert heads[1] == WORD
    assert heads[2] != WORD and sorted(heads[2]) == sorted(WORD)
    for folder in NAMES_MODELS:
        row = table.get_by_role("row", name=re.compile(rf"^{TITLES[folder]} \d"))
        cells = row.locator("td").all_inner_texts()
        real, mixed, change = (float(text.replace("−", "-")) for text in cells)
        assert real == pytest.approx(sum(losses_in_python(explorer_out, folder, WORD)), abs=0.006)
        assert mixed == pytest.approx(
            sum(losses_in_python(explorer_out, folder, heads[2])), abs=0.006
        )
        assert change == pytest.approx(mixed - real, abs=0.011)
    page.get_by_role("textbox", name="A word").fill("aaa")
    table.wait_for(state="detached")
    page.get_by_role("button", name="Scramble the letters").click()
    assert page.get_by_text("These letters have no other order.").is_visible()


# --- what the reader types ---


def test_a_capital_is_answered_in_one_line_that_offers_the_small_letter(explorer_page):
    page = explorer_page("word/Anna")
    problem = page.get_by_role("alert")
    assert problem.inner_text().startswith("No model has ever seen the character A.")
    assert page.locator(".word-box").first.locator(".word-table").count() == 0
    problem.get_by_role("button", name="Use anna").click()
    assert page.get_by_role("textbox", name="A word").input_value() == "anna"
    assert page.get_by_role("alert").count() == 0
    assert row_of(page, "counts").get_by_role("button").count() == 5


def test_an_empty_word_has_only_an_end(explorer_page):
    page = explorer_page("word/anna")
    page.get_by_role("textbox", name="A word").fill("")
    cells = row_of(page, "counts").get_by_role("button")
    cells.nth(1).wait_for(state="detached")
    assert cells.get_attribute("aria-label").startswith("counts, end of the name: ")


def test_a_running_text_costs_what_it_costs_in_python(explorer_page, explorer_out):
    module, model = load_model(explorer_out, "06_shakespeare_gpt")
    page = explorer_page("word")
    text = "hear me speak.\n"[:14]
    page.get_by_label("A line").fill(text)
    expected = [
        -row[model.tokenizer.stoi[ch]] for row, ch in zip(module.log_probs(model, text), text[1:])
    ]
    first = f"Shakespeare GPT, e: {expected[0]:.3f} nats"
    page.locator(f".word-cell[aria-label^='{first}']").first.wait_for()
    cells = row_of(page, "Shakespeare GPT", table=1).get_by_role("button").all_inner_texts()
    assert [float(cell) for cell in cells] == pytest.approx(expected, abs=0.006)


def test_the_answers_stay_hidden_until_the_reader_has_guessed(explorer_page):
    page = explorer_page(f"word/{WORD}")
    table = page.locator(".word-table").first
    assert table.is_visible()
    page.get_by_role("button", name="Predict first").click()
    assert not table.is_visible() and not page.locator(".word-gap").first.is_visible()
    question = page.get_by_role("region", name="Predict first")
    question.get_by_role("button", name="letter 2, n").click()
    assert table.is_visible()
    page.get_by_role("textbox", name="A word").fill("emma")
    question.get_by_role("button", name="letter 1, e").wait_for()
    assert not table.is_visible()


@pytest.mark.parametrize("width", [360, 2560])
def test_the_page_does_not_scroll_sideways(explorer_page, width):
    page = explorer_page("word/isabella", viewport={"width": width, "height": 800})
    for title in ("counts", "learned", "4-gram", "MLP", "best"):
        choose(page, title, 3)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
