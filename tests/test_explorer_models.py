"""The explorer's JavaScript computes what the stages compute."""

import random

import pytest

import ngrams
from explorer.export import TITLES
from stages import ROOT
from trained_models import load_model

LOG_PROBS = """async ([folder, texts]) => {
  const all = [...explorer.entries(), ...explorer.entries(true)];
  const model = await explorer.loadModel(all.find((entry) => entry.folder === folder));
  return texts.map((text) => model.rows(text).map((row) => [...row]));
}"""
LONGEST = "wolfeschlegelsteinhausen"  # longer than block_size


def prefixes(count):
    """Beginnings of names, some of them whole names and some empty."""
    rng = random.Random(1)
    names = (ROOT / "data/names.txt").read_text(encoding="utf-8").split()
    return [name[: rng.randint(0, len(name))] for name in rng.sample(names, count)]


def largest_difference(page, folder, texts, log_probs):
    """Between the page's rows and Python's, over all rows of all texts."""
    answers = page.evaluate(LOG_PROBS, [folder, texts])
    pairs = [
        pair
        for text, rows in zip(texts, answers, strict=True)
        for row, expected in zip(rows, log_probs(text), strict=True)
        for pair in zip(row, expected, strict=True)
    ]
    assert len(pairs) > 20 * len(texts)
    return max(abs(got - expected) for got, expected in pairs)


@pytest.fixture(scope="module")
def page(browser, explorer_file):
    page = browser.new_page()
    page.goto(explorer_file.as_uri())
    page.wait_for_selector("html[data-ready]")
    yield page
    page.close()


@pytest.mark.parametrize("folder", [folder for folder in TITLES if folder[:2] != "06"])
def test_names_models_agree_with_python_on_100_prefixes(page, explorer_out, folder):
    module, model = load_model(explorer_out, folder)
    texts = [*prefixes(99), LONGEST]
    known = set(model.tokenizer.chars)
    texts = ["".join(ch for ch in text if ch in known) for text in texts]
    assert largest_difference(page, folder, texts, lambda t: module.log_probs(model, t)) < 1e-4


def test_the_ngram_agrees_with_python_on_100_prefixes(page, explorer_out):
    folder = "02_bigram_counts/ngram/names-4"
    model = ngrams.load(explorer_out / folder)
    texts = prefixes(100)
    assert largest_difference(page, folder, texts, lambda t: ngrams.log_probs(model, t)) < 1e-9


def test_stage_06_agrees_with_python_also_beyond_its_window(page, explorer_out):
    folder = "06_shakespeare_gpt"
    module, model = load_model(explorer_out, folder)
    speech = "First Citizen:\nBefore we proceed any further, hear me speak.\n"
    texts = [speech[start : start + 8] for start in range(40)] + [speech]
    assert len(speech) > 2 * model.block_size
    assert largest_difference(page, folder, texts, lambda t: module.log_probs(model, t)) < 1e-4


def test_typing_and_deleting_gives_the_same_as_a_fresh_start(page):
    """The rows of the last text are kept for the next one, which must not change them."""
    worst = page.evaluate("""async () => {
      const entry = explorer.entries().find((entry) => entry.folder === "05_microgpt/twin");
      const model = await explorer.loadModel(entry);
      const typed = ["", "e", "em", "emm", "emma", "emm", "emmi", "a", "annabel", "ann"];
      const fresh = (text) => model.rowsWithout(text, new Set());
      let worst = 0;
      for (const text of typed) {
        model.rows(text).forEach((row, i) =>
          row.forEach((logP, j) => (worst = Math.max(worst, Math.abs(logP - fresh(text)[i][j])))),
        );
      }
      return worst;
    }""")
    assert worst < 1e-12


def test_attention_agrees_with_python(page, explorer_out):
    module, model = load_model(explorer_out, "05_microgpt/best")
    rows = page.evaluate("""async () => {
      const entry = explorer.entries().find((entry) => entry.folder === "05_microgpt/best");
      const model = await explorer.loadModel(entry);
      return model.attention("emma").map((heads) => heads.map((rows) => rows.map((r) => [...r])));
    }""")
    for layer, heads in enumerate(module.attention_weights(model, "emma")):
        for head, expected in enumerate(heads):
            for t, row in enumerate(expected):
                assert rows[layer][head][t] == pytest.approx(row[: t + 1], abs=1e-5)
                assert sum(rows[layer][head][t]) == pytest.approx(1)


def test_samples_follow_the_probabilities(page):
    """Of 4,000 first letters, each comes as often as the model says, within chance."""
    counts, probs = page.evaluate("""async () => {
      const entry = explorer.entries().find((entry) => entry.kind === "counts");
      const model = await explorer.loadModel(entry);
      const counts = {};
      for (let i = 0; i < 4000; i++) {
        const first = [...model.sample("", { longest: 1 })][0];
        counts[first] = (counts[first] ?? 0) + 1;
      }
      const row = model.next("");
      const probs = Object.fromEntries(model.chars.map((ch, i) => [ch, Math.exp(row[i])]));
      return [counts, probs];
    }""")
    for ch, p in probs.items():
        assert abs(counts.get(ch, 0) / 4000 - p) < 5 * (p * (1 - p) / 4000) ** 0.5 + 0.001
