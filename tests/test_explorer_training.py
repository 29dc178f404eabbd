"""Through training: the weights of each kept step, the pictures made from them, and the slider."""

import json
import re

import numpy as np
import pytest

from explorer.export import collect
from explorer.page import build_page, join_modules
from stages import load_stage
from trained_models import load_model

KEPT = {  # the folders of names models with kept weights
    "02_bigram_counts": "counts",
    "03_bigram_learned": "learned",
    "04_embedding_mlp": "MLP",
    "05_microgpt": "microGPT",
    "05_microgpt/twin": "twin",
}


def result_of(out, folder):
    return json.loads((out / folder / "result.json").read_text(encoding="utf-8"))


def run_module(browser, module, script):
    """What a script gives that stands at the end of a module and can use its functions."""
    joined = join_modules(module).rstrip()
    assert joined.endswith("}")  # of the block that holds the module
    code = f"{joined[:-1]}\nglobalThis.answer = {script};\n}}"
    page = browser.new_page()
    page.set_content(f"<script type=module>{code}</script>")
    page.wait_for_function("'answer' in globalThis")
    answer = page.evaluate("answer")
    page.close()
    return answer


def choose(page, name):
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_selector(".training-panels[aria-busy=false]")


def open_model(explorer_page, name, **options):
    page = explorer_page("training/ann", **options)
    choose(page, name)
    return page


def bars(page):
    """{character: P} of what comes next."""
    rows = page.locator(".bars li").all_inner_texts()
    return {ch: float(p) for ch, p in (row.split() for row in rows)}


# --- against Python ---


def test_the_weights_of_every_kept_step_give_the_log_probs_of_python(explorer_page, explorer_out):
    page = explorer_page("training")
    for folder in KEPT:
        module, _ = load_model(explorer_out, folder)
        steps = result_of(explorer_out, folder)["kept_steps"]
        assert steps[:3] == [0, 1, 3]
        rows = page.evaluate(
            """async (folder) => {
                const entry = explorer.entries().find((entry) => entry.folder === folder);
                const out = {};
                for (const state of entry.earlier) {
                    const model = await explorer.loadModel(entry, state);
                    out[state.step] = model.rows("anna").map((row) => [...row]);
                }
                return out;
            }""",
            folder,
        )
        assert [*map(int, rows)] == steps
        for step in steps:
            model = module.load(explorer_out / folder, step)
            expected = np.array([np.asarray(row) for row in module.log_probs(model, "anna")])
            error = np.abs(np.array(rows[str(step)]) - expected).max()
            assert error < 1e-3  # earlier weights have two bytes a number


def test_principal_axes_are_those_of_numpy(browser):
    rows = np.random.default_rng(1).normal(size=(40, 7)) @ np.diag([5, 4, 3, 2, 1, 1, 1])
    found = run_module(
        browser,
        "pca.js",
        f"""(() => {{
            const {{ mean, axes, shares }} = principalAxes({rows.tolist()});
            return [[...mean], ...axes.map((axis) => [...axis]), shares];
        }})()""",
    )
    mean, first, second, shares = map(np.array, found)
    _, sizes, axes = np.linalg.svd(rows - rows.mean(axis=0))
    assert np.allclose(mean, rows.mean(axis=0))
    assert np.allclose(shares, (sizes**2 / (sizes**2).sum())[:2])
    for axis, expected in ((first, axes[0]), (second, axes[1])):
        assert np.allclose(axis * np.sign(axis @ expected), expected, atol=1e-5)
        assert axis[np.abs(axis).argmax()] > 0


@pytest.mark.parametrize("rows", [[[1, 2], [1, 2]], [[3], [5]]])
def test_vectors_without_spread_or_of_one_number_have_axes_too(browser, rows):
    shares = run_module(browser, "pca.js", f"principalAxes({rows}).shares")
    assert shares == pytest.approx([1 if len(rows[0]) == 1 else 0, 0])


def test_the_network_of_the_moons_gives_the_scores_of_python(browser, explorer_out):
    _, (model, rows) = load_model(explorer_out, "01_micrograd")
    saved = json.loads((explorer_out / "01_micrograd/model.json").read_text(encoding="utf-8"))
    points = [[0.5, -0.2], [-1.0, 0.7], [2.0, 0.1]]
    scores = run_module(
        browser,
        "moons.js",
        f"{points}.map((point) => moonScore({saved['layers']}, {rows[-1][1]}, point))",
    )
    assert scores == pytest.approx([model(point)[0].data for point in points])


def test_the_loss_computed_here_is_that_of_the_run(explorer_page, explorer_out):
    """The val split has fewer than 200 names, so both measure all of it."""
    page = open_model(explorer_page, "MLP")
    result = result_of(explorer_out, "04_embedding_mlp")
    steps = [*result["kept_steps"], result["steps"]]
    titles = page.locator(".chart title", has_text="computed here")
    titles.nth(len(steps) - 1).wait_for(state="attached")
    losses = [float(text.split()[-1]) for text in titles.all_text_contents()]
    assert losses[0] == pytest.approx(result["curve"][0][2], abs=6e-4)
    assert losses[-1] == pytest.approx(result["loss"]["val"], abs=6e-4)


# --- the slider ---


@pytest.mark.parametrize("name", KEPT.values())
def test_the_bars_go_from_the_untrained_to_the_trained_model(explorer_page, explorer_out, name):
    page = open_model(explorer_page, name)
    slider = page.get_by_role("slider")
    folder = next(folder for folder, title in KEPT.items() if title == name)
    module, model = load_model(explorer_out, folder)
    last = f"{result_of(explorer_out, folder)['steps']:,}"
    for key, step, text in (("Home", 0, "0"), ("End", None, last)):
        slider.press(key)
        assert slider.get_attribute("aria-valuetext") == f"step {text} of {last}"
        state = module.load(explorer_out / folder, step)
        row = np.exp(np.asarray(module.log_probs(state, "ann")[-1], dtype=float))
        shown = bars(page)
        assert sum(shown.values()) == pytest.approx(1, abs=0.01)
        symbols = [*model.tokenizer.chars, "end"]
        for ch, p in shown.items():
            if ch != "rest":
                assert p == pytest.approx(row[symbols.index(ch)], abs=6e-4)
    goals = page.locator(".bars li").all()
    for bar in goals:  # at the end, each bar has reached its thin line
        now, trained = re.findall(r"[\d.]+ percent", bar.get_attribute("aria-label"))
        assert now == trained


def test_arrow_keys_move_by_one_kept_step(explorer_page):
    page = open_model(explorer_page, "twin")
    slider = page.get_by_role("slider")
    slider.press("Home")
    texts = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        slider.press(key)
        texts.append(page.locator(".training-slider output").inner_text())
    assert texts == ["step 1 of 40", "step 3 of 40", "step 1 of 40"]


def test_a_step_draws_the_same_names_every_time(explorer_page):
    page = open_model(explorer_page, "twin")
    slider, names = page.get_by_role("slider"), page.locator(".training-names")

    def drawn(key):
        slider.press(key)
        page.wait_for_timeout(300)
        return names.inner_text()

    untrained, trained = drawn("Home"), drawn("End")
    assert len(untrained.splitlines()) == 5 and untrained != trained
    choose(page, "learned")
    choose(page, "twin")
    assert (drawn("Home"), drawn("End")) == (untrained, trained)


def test_play_goes_to_the_end_and_stops(explorer_page):
    page = open_model(explorer_page, "MLP", is_new=True)  # a clock stays in its context
    page.clock.install(time=0)
    page.clock.pause_at(1)  # else it goes on while the clicks wait for a busy machine
    page.get_by_role("button", name="Play").click()
    output = page.locator(".training-slider output")
    assert output.inner_text() == "step 1 of 40"
    page.clock.run_for(20_000)
    assert output.inner_text() == "step 40 of 40"
    page.get_by_role("button", name="Play").click()  # and from the beginning again
    assert output.inner_text() == "step 0 of 40"
    page.get_by_role("button", name="Stop").click()
    page.clock.run_for(5000)
    assert output.inner_text() == "step 0 of 40"


def test_the_chosen_step_stays_when_the_model_changes(explorer_page):
    page = open_model(explorer_page, "twin")
    page.get_by_role("slider").press("Home")
    page.get_by_role("slider").press("ArrowRight")
    choose(page, "MLP")
    assert page.locator(".training-slider output").inner_text() == "step 1 of 40"


# --- the panels ---


@pytest.mark.slow
def test_points_of_the_map_move_smoothly_unless_the_reader_wants_no_motion(explorer_page):
    page = open_model(explorer_page, "MLP")
    assert page.locator(".map-point").count() == page.locator(".map-point text").count() > 20
    place = "getComputedStyle(document.querySelector('.map-point')).transform"
    page.get_by_role("slider").press("Home")
    page.wait_for_timeout(700)
    before = page.evaluate(place)
    page.get_by_role("slider").press("End")
    page.wait_for_timeout(700)
    assert page.evaluate(place) != before
    still = open_model(explorer_page, "MLP", reduced_motion="reduce")
    duration = "getComputedStyle(document.querySelector('.map-point')).transitionDuration"
    assert (page.evaluate(duration), still.evaluate(duration)) == ("0.5s", "0s")


def test_vowels_are_marked(explorer_page):
    page = open_model(explorer_page, "twin")
    assert sorted(page.locator(".map-vowel text").all_text_contents()) == [*"aeiou"]


def test_every_row_of_attention_adds_up_to_1(explorer_page):
    page = open_model(explorer_page, "twin")
    heads = page.locator(".training-heads figure")
    assert heads.count() == 4
    titles = heads.first.locator("rect title").all_text_contents()
    rows = {}
    for title in titles:
        token, weight = title.split(" looks at ")[0], float(title.split(": ")[-1])
        rows.setdefault(token, []).append(weight)
    assert len(titles) == 4 * 5 / 2  # start, a, n, n
    assert sum(rows["start"]) == 1 and sum(rows["a"]) == pytest.approx(1, abs=0.002)


def test_the_table_of_counts_shows_the_counts_of_its_step(explorer_page, explorer_out):
    page = open_model(explorer_page, "counts")
    saved = json.loads((explorer_out / "02_bigram_counts/model.json").read_text(encoding="utf-8"))
    first = np.argmax(saved["counts"][-1])
    slider, readout = page.get_by_role("slider"), page.locator(".training-readout")
    for step in (3, 100):
        slider.press("Home")
        for _ in range([step for step, _ in saved["earlier"]].index(step)):
            slider.press("ArrowRight")
        count = int(dict(saved["earlier"])[step][-1][first])
        assert f"At the beginning comes {saved['chars'][first]}: P" in readout.inner_text()
        assert f"counted {count} times so far" in readout.inner_text()


def test_the_line_between_the_moons_bends(explorer_page, explorer_out):
    page = open_model(explorer_page, "two moons")
    assert page.get_by_label("The beginning of a name").count() == 0
    line = page.locator(".moons-line")
    page.get_by_role("slider").press("Home")
    before = line.get_attribute("d")
    page.get_by_role("slider").press("End")
    assert line.get_attribute("d") not in ("", before)
    result = result_of(explorer_out, "01_micrograd")
    right = round(result["accuracy"]["train"] * 20)
    assert f"{right} of 20 train points" in page.locator(".training-panels").inner_text()
    assert page.locator(".moons-point").count() == 20


def test_a_character_that_the_model_has_never_seen_is_one_line(explorer_page):
    page = open_model(explorer_page, "twin")
    box = page.get_by_label("The beginning of a name")
    box.fill("aN")
    problem = page.locator(".problem")
    problem.get_by_text('never seen the character "N"').wait_for()
    page.get_by_role("button", name="Use small letters").click()
    assert box.input_value() == "an" and problem.inner_text() == ""
    assert page.locator(".training-panels h3").first.inner_text() == "After “an”"
    box.fill("a1")
    problem.get_by_text("never seen").wait_for()
    assert page.get_by_role("button", name="Use small letters").count() == 0


def test_a_run_without_kept_weights_says_what_to_do(explorer_page, explorer_out, tmp_path):
    header, blobs = collect(explorer_out, None, None)
    for entry in header["runs"][0]["models"]:
        entry["earlier"] = []
    header["runs"][0]["moons"] = None
    path = tmp_path / "explorer.html"
    path.write_bytes(build_page(header, blobs)[0])
    page = explorer_page("training", path)
    assert "make stages" in page.locator("main").inner_text()


def test_it_works_without_the_names(explorer_page, explorer_out, tmp_path):
    path = tmp_path / "explorer.html"
    path.write_bytes(build_page(*collect(explorer_out, None, None))[0])
    page = explorer_page("training", path)
    choose(page, "MLP")
    page.get_by_role("slider").press("End")
    page.wait_for_timeout(300)
    assert "computed here" not in page.locator(".training-panels").inner_text()
    assert bars(page)


def test_points_of_another_run_are_not_shown(explorer_out, tmp_path):
    from explorer.export import read_moons

    place = explorer_out / "01_micrograd"
    assert len(read_moons(place)) == 20
    main = load_stage("01_micrograd")
    points = main.parse_points(main.read_lines(place / "moons.txt")[:20], place)
    assert [([x, y], label) for x, y, label in read_moons(place)] == [
        ([*xy], label) for xy, label in points
    ]
    for name in ("result.json", "moons.txt"):
        (tmp_path / name).write_bytes((place / name).read_bytes())
    (tmp_path / "moons.txt").write_text("1 2 1\n", encoding="utf-8")
    assert read_moons(tmp_path) == []
