"""The explorer's view "Inside microGPT": a forward pass in numbers, and what each part costs."""

import copy
import math
import re
import shutil

import pytest

from explorer.export import collect
from explorer.page import build_page
from stages import ROOT, load_stage
from trained_models import load_model

MAIN = (ROOT / "05_microgpt/main.py").read_text(encoding="utf-8").split("\n")
ORDER = (
    "token position sum rmsnorm|rmsnorm query,q key,k value,v scores attention,weights "
    "weighted,mean,of,values attn_wo residual|rmsnorm mlp_fc1 relu mlp_fc2 residual|"
    "logits probabilities"
)
NAME = "anna"
COUNT = 200


@pytest.fixture(scope="module")
def page(browser, explorer_file):
    """The view with NAME in it."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{explorer_file.as_uri()}#inside/{NAME}")
    page.wait_for_selector("html[data-ready]")
    yield page
    page.close()


def press(page, group, name):
    page.get_by_role("group", name=group).get_by_role("button", name=name, exact=True).first.click()


def open_step(page, number):
    page.locator(".inside-steps button").nth(number - 1).click()
    return page.locator(".inside-detail")


def strip_numbers(strip):
    """What a strip answers to the arrow keys, number by number."""
    return strip.evaluate("""(strip) => {
      const press = (key) => strip.dispatchEvent(new KeyboardEvent("keydown", { key }));
      const last = Number(strip.getAttribute("aria-valuemax"));
      press("Home");
      const out = [];
      for (let i = 0; i <= last; i++) {
        out.push(Number(strip.getAttribute("aria-valuetext").split(": ")[1].replace("−", "-")));
        press("ArrowRight");
      }
      return out;
    }""")


def table_numbers(locator):
    rows = locator.locator("tbody tr").all()
    numbers = [row.locator("td").all_inner_texts() for row in rows]
    return [[float(text.replace("−", "-")) for text in row] for row in numbers]


def forward(module, model, tokens, layer):
    """The vectors of the last token in a layer, computed with the functions of main.py."""
    weights, config = model.weights, model.config
    linear, rmsnorm, add = module.linear, module.rmsnorm, module.add
    cache = module.empty_cache(config)
    size = config.n_embd // config.n_head
    for position, token in enumerate(tokens):
        x = rmsnorm(add(list(weights["wte"][token]), list(weights["wpe"][position])))
        for i, (keys, values) in enumerate(cache):
            get = {name: weights[f"layer{i}.{name}"] for name in parts_of_layer()}
            residual, x = x, rmsnorm(x)
            q, k, v = (linear(x, get[f"attn_w{name}"]) for name in "qkv")
            keys.append(k)
            values.append(v)
            scores, att, mixed = [], [], []
            for start in range(0, config.n_embd, size):
                head = slice(start, start + size)
                scores.append([module.dot(q[head], key[head]) * size**-0.5 for key in keys])
                x_h, att_h = module.attention(
                    q[head], [key[head] for key in keys], [value[head] for value in values]
                )
                att.append(att_h)
                mixed += x_h
            after = add(linear(mixed, get["attn_wo"]), residual)
            hidden = linear(rmsnorm(after), get["mlp_fc1"])
            x = add(linear(module.relu(hidden), get["mlp_fc2"]), after)
            if i == layer:
                found = {
                    "q": q, "k": k, "v": v, "scores": scores, "att": att, "mixed": mixed,
                    "after attention": after, "hidden": hidden, "after mlp": x,
                }  # fmt: skip
    return found | {"logits": linear(x, weights["lm_head"])}


def parts_of_layer():
    return ("attn_wq", "attn_wk", "attn_wv", "attn_wo", "mlp_fc1", "mlp_fc2")


# --- the steps ---


def test_the_steps_follow_the_lines_of_main_py_and_quote_them(page):
    steps = page.locator(".inside-steps li").all()
    titles = [step.locator("button > span").nth(1).inner_text() for step in steps]
    expected = [step.replace(",", " ") for step in re.split(r"[ |]", ORDER)]
    assert titles == expected
    starts = [step.locator(".inside-group").count() for step in steps]
    lengths = [len(group.split()) for group in ORDER.split("|")]
    assert starts == [int(i == 0) for n in lengths for i in range(n)]
    numbers = []
    open_step(page, 1)
    for i in range(len(steps)):
        line = page.locator(".inside-line")
        number = int(re.search(r"line (\d+)", line.inner_text())[1])
        assert line.locator("code").inner_text() == MAIN[number - 1].strip()
        numbers.append(number)
        if i + 1 < len(steps):
            page.get_by_role("button", name="Next step").click()
    gpt = next(i for i, line in enumerate(MAIN, 1) if line.startswith("def gpt("))
    inside = [number for number in numbers if number > gpt][:-1]  # the last one is in sample()
    assert inside == sorted(inside) and len(set(inside)) == 13
    attention = [number for number in numbers if number < gpt]
    assert attention == sorted(attention) and len(attention) == 3


@pytest.mark.parametrize(
    ("folder", "title"), [("05_microgpt", "microGPT"), ("05_microgpt/best", "best")]
)
def test_the_numbers_are_those_of_python(page, explorer_out, folder, title):
    module, model = load_model(explorer_out, folder)
    layer = model.config.n_layer - 1
    press(page, "Model", title)
    press(page, "Position", "n")
    if layer:
        press(page, "Layer", str(layer))
    module_05 = load_stage("05_microgpt")
    weights = {
        name: [[float(x) for x in row] for row in matrix] for name, matrix in model.weights.items()
    }
    plain = module_05.Model(model.config, weights, model.tokenizer)
    expected = forward(module_05, plain, model.tokenizer.encode("an")[:-1], layer)
    for step, name in ((6, "q"), (7, "k"), (8, "v")):
        strip = open_step(page, step).get_by_role("slider").last
        assert strip_numbers(strip) == pytest.approx(expected[name], abs=2e-4)
    for step, name in ((9, "scores"), (10, "att")):
        shown = table_numbers(open_step(page, step))
        for row, numbers in zip(shown, expected[name], strict=True):
            assert row == pytest.approx(numbers, abs=0.006)
    named = {11: "mixed", 13: "after attention", 15: "hidden", 18: "after mlp", 19: "logits"}
    for step, name in named.items():
        strip = open_step(page, step).get_by_role("slider").last
        assert strip_numbers(strip) == pytest.approx(expected[name], abs=3e-4)


def test_the_last_step_shows_the_letter_that_follows_and_its_cost(page, explorer_out):
    module, model = load_model(explorer_out, "05_microgpt")
    press(page, "Model", "microGPT")
    press(page, "Position", "a")
    cost = -module.log_probs(model, NAME)[1][model.tokenizer.stoi["n"]]
    detail = open_step(page, 20)
    assert "the letter that follows" in detail.locator(".inside-true").get_attribute("aria-label")
    assert f"= {cost:.2f} nats" in detail.inner_text()


def test_the_arrow_keys_move_through_the_steps_and_layers(explorer_page):
    page = explorer_page(f"inside/{NAME}")
    press(page, "Model", "best")
    page.locator(".inside-steps button").nth(17).click()  # the last step of layer 0
    page.keyboard.press("ArrowDown")
    assert page.locator(":focus").inner_text().startswith("5")
    assert page.locator(".inside-detail h3").inner_text().startswith("5. rmsnorm, layer 1")
    page.keyboard.press("ArrowUp")
    assert page.locator(".inside-detail h3").inner_text().startswith("18. residual, layer 0")
    assert page.locator("#announcer").inner_text().startswith("residual. ")
    assert page.locator(".inside-steps button[tabindex='0']").count() == 1


def test_a_head_is_framed_in_the_query(page):
    press(page, "Model", "microGPT")
    detail = open_step(page, 6)
    press(page, "Head", "2")
    assert "the part of head 2, numbers 4 to 5." in detail.inner_text()  # 8 numbers, 4 heads
    press(page, "Head", "0")


# --- switches ---


def without(model, part):
    """The model with a part's weights set to 0, which takes away all that it adds."""
    weights = {name: copy.deepcopy(matrix) for name, matrix in model.weights.items()}
    size = model.config.n_embd // model.config.n_head
    if part == "positions":
        weights["wpe"] = [[0.0] * len(row) for row in weights["wpe"]]
    elif part == "MLP":
        weights["layer0.mlp_fc2"] = [[0.0] * len(row) for row in weights["layer0.mlp_fc2"]]
    else:
        head = int(part.split()[1])
        for row in weights["layer0.attn_wo"]:
            row[head * size : (head + 1) * size] = [0.0] * size
    return type(model)(model.config, weights, model.tokenizer)


def spread(names):
    return [names[i * len(names) // COUNT] for i in range(COUNT)] if len(names) > COUNT else names


@pytest.mark.parametrize("part", ["positions", "head 1", "MLP"])
def test_a_part_costs_what_it_costs_in_python(explorer_page, explorer_out, part):
    module, model = load_model(explorer_out, "05_microgpt")
    names = load_stage("02_bigram_counts", "names")
    val = spread(names.load_splits(explorer_out.parent / "names.txt")["val"])
    page = explorer_page(f"inside/{NAME}")
    page.get_by_role("checkbox", name=part, exact=True).check()
    row = page.locator(".inside-cost").get_by_role("row").nth(1)
    row.get_by_text("→").nth(1).wait_for()
    one, many = row.locator("td").all_inner_texts()
    less = without(model, part)

    def cost(model, name):
        targets = model.tokenizer.encode(name)[1:]
        return [-row[y] for row, y in zip(module.log_probs(model, name), targets, strict=True)]

    shown = [float(text) for text in one.split(" → ")]
    assert shown == pytest.approx([sum(cost(m, NAME)) for m in (model, less)], abs=0.006)
    shown = [float(text) for text in many.split(" → ")]
    expected = [module.evaluate(m, val) for m in (model, less)]
    assert shown == pytest.approx(expected, abs=0.006)
    assert page.locator(".inside-cost th").nth(2).inner_text().startswith(f"{len(val)} val names")
    bars = page.locator(".inside-both tbody tr").all()
    for bar in bars:
        ch = bar.locator("th").inner_text()
        y = model.tokenizer.BOS if ch == "end" else model.tokenizer.stoi[ch]
        texts = bar.locator("td:not(.inside-bar)").all_inner_texts()
        expected = [math.e ** module.log_probs(m, NAME)[2][y] for m in (model, less)]
        assert [float(text) for text in texts] == pytest.approx(expected, abs=0.001)


def test_without_val_names_the_cost_is_that_of_this_name_only(
    explorer_page, explorer_out, tmp_path
):
    shutil.copytree(explorer_out / "05_microgpt", tmp_path / "out/05_microgpt")
    path = tmp_path / "explorer.html"
    path.write_bytes(build_page(*collect(tmp_path / "out", None, None))[0])
    page = explorer_page(f"inside/{NAME}", path)
    page.get_by_role("checkbox", name="positions").check()
    page.get_by_text("This page does not have the val names.").wait_for()
    rows = page.locator(".inside-cost tbody tr")
    assert all(re.search(r"\d → \d", text) for text in rows.all_inner_texts())
    assert page.locator(".inside-cost thead th").count() == 2


# --- what the reader types, and what is missing ---


def test_a_capital_is_answered_in_one_line_that_offers_the_small_letter(explorer_page):
    page = explorer_page("inside/Anna")
    problem = page.get_by_role("alert")
    assert problem.inner_text().startswith("microGPT has never seen the character A.")
    assert not page.locator(".inside-pass").is_visible()
    problem.get_by_role("button", name="Use anna").click()
    assert page.get_by_role("alert").count() == 0
    assert page.locator(".inside-steps button").count() == 20
    assert page.locator(".inside-pass").is_visible()


def test_a_name_longer_than_the_window_is_read_in_pieces(explorer_page, explorer_out):
    _, model = load_model(explorer_out, "05_microgpt")
    T = model.config.block_size
    page = explorer_page("inside/" + "na" * (T // 2 + 1))
    page.get_by_role("group", name="Position").get_by_role("button").nth(T + 1).click()
    heads = open_step(page, 10).locator("thead th").all_inner_texts()
    assert heads == ["head", "a", "n"]


def test_without_a_microgpt_the_view_says_how_to_train_one(explorer_page, explorer_out, tmp_path):
    shutil.copytree(explorer_out / "02_bigram_counts", tmp_path / "02_bigram_counts")
    path = tmp_path / "explorer.html"
    path.write_bytes(build_page(*collect(tmp_path, None, None))[0])
    assert "make stage 5" in explorer_page("inside", path).locator("main").inner_text()


@pytest.mark.parametrize("width", [360, 2560])
def test_the_page_does_not_scroll_sideways(explorer_page, width):
    page = explorer_page("inside/isabella", viewport={"width": width, "height": 800})
    for number in (1, 9, 11, 15, 20):
        open_step(page, number)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
