"""docs/answers.md: an answer to all that the lessons suggest, and no sentence that a run denies."""

import json
import re
import sys

import pytest

import readme
import tries
from learn import exhibits
from learn.exercises import Problem
from stages import ROOT, STAGES, load_stage

PAGE = (ROOT / "docs" / "answers.md").read_text(encoding="utf-8")
PLAIN = " ".join(re.sub(r"<!--.*?-->", "", PAGE).split())  # as a reader sees it, on one line
RESULTS = ROOT / "results"
ALL = tries.read_tries()


def numbered(text):
    """The numbers of a Markdown list's items."""
    return [int(number) for number in re.findall(r"^(\d+)\. ", text, re.M)]


# --- the page ---


@pytest.mark.parametrize("stage", STAGES)
def test_every_suggestion_has_an_answer_and_the_lesson_links_to_it(stage):
    lesson = (ROOT / stage / "README.md").read_text(encoding="utf-8")
    suggested = lesson.split("\n## Try this\n")[1].split("\n## ")[0]
    answered = PAGE.split(f"\n## {stage}\n")[1].split("\n## ")[0]
    assert numbered(answered) == numbered(suggested) != []
    assert f"(../docs/answers.md#{stage})" in suggested


def test_every_try_is_on_the_page():
    tables = re.findall(r"<!-- generated: tries (\S+) -->", PAGE)
    assert tables == list(STAGES)
    for name in ALL:
        assert f"try {name} " in PAGE or ALL[name].flags is not None


def test_no_answer_is_pending():
    """make tries runs what is missing, and make readme fills the page."""
    missing = [name for name, one in ALL.items() if not tries.is_done(one)]
    assert missing == [] and tries.PENDING not in PAGE


# What a sentence of the page claims, in its words, and the runs that must agree. v: a loss or any
# other number of a run.
CLAIMS = [
    ("gets only", lambda v: v("01-one-neuron", "accuracy.val") < 0.95),
    ("the loss is not lower", lambda v: v("01-large-steps", "loss.val")
     > v("01_micrograd", "loss.val")),
    ("as many as by guessing", lambda v: v("01-large-steps", "accuracy.val") == 0.5),
    ("After a tenth of the steps, it is", lambda v: v("01-large-steps", "highest")
     == v("01-large-steps", "curve")[1][2]),
    ("but only", lambda v: v("01-noise-long", "accuracy.val")
     < v("01-noise", "accuracy.val") < v("01-noise-long", "accuracy.train")),
    ("the val loss rises to", lambda v: v("01-noise-long", "loss.val") > v("01-noise", "loss.val")),
    ("The val loss falls, rises again", lambda v: v("01-no-zero", "loss.val") > 0.1
     and v("01-no-zero", "highest") > v("01-no-zero", "curve")[2][2] + 0.1),
    ("they give", lambda v: all(
        abs(v("01-sin", f"probe.engine_at_{x}") - v("01-sin", f"probe.slope_at_{x}")) < 1e-6
        for x in ("a_half", "two"))),
    ("the usual 0.1 has the lowest val loss", lambda v: v("02_bigram_counts", "loss.val") < min(
        v(f"02-smoothing-{x}", "loss.val") for x in ("0_01", "1", "10", "1000"))),
    ("there is hardly a difference", lambda v: all(
        v(f"02-smoothing-{x}", "loss.val") - v("02_bigram_counts", "loss.val") < 0.001
        for x in ("0_01", "1"))),
    ("always prefers less smoothing", lambda v: v("02-smoothing-0_01", "loss.train")
     <= v("02_bigram_counts", "loss.train") < v("02-smoothing-1", "loss.train")
     < v("02-smoothing-10", "loss.train")),
    ("All three losses are infinite", lambda v: set(
        v("02-few-names", "loss").values()) == {None}),
    ("to the last digit", lambda v: round(v("02-makemore", "whole_file_unsmoothed"), 5) == 2.45401),
    ("No loss changes in any digit", lambda v: v("02-temperature", "loss")
     == v("02_bigram_counts", "loss") and v("02-temperature", "samples")[:5]
     != v("02_bigram_counts", "samples")[:5]),
    ("The run recovers", lambda v: abs(v("03-large-steps", "loss.val")
                                       - v("03_bigram_learned", "loss.val")) < 0.01),
    ("far above the 3.3", lambda v: v("03-large-steps", "highest") > 5),
    ("Around step 1,712 nothing leaps any more", lambda v: 0 < v(
        "03-large-steps", "probe.val_at_step_1700") - v("03-large-steps", "loss.val") < 0.02),
    ("The rows of rare letters are to blame", lambda v: v("03-small-steps", "probe.excess_of_q")
     > 100 * v("03-small-steps", "probe.excess_of_e")
     and v("03-small-steps", "loss.val") > v("03_bigram_learned", "loss.val")),
    ("`q` itself hardly counts", lambda v: v("03-small-steps", "probe.part_of_q") < 0.05),
    ("are slow as well", lambda v: not set("iea") & set(
        v("03-small-steps", "probe.largest_parts").split(", "))),
    ("Hardly any of the difference is left", lambda v: abs(
        v("03-large-weights", "loss.val") - v("03_bigram_learned", "loss.val")) < 0.001
     < 0.5 < v("03-large-weights", "first") - v("03_bigram_learned", "first")),
    ("The four worst are", lambda v: v("03-large-weights", "probe.worst_rows")[:4] == "q, x"),
    ("No network that reads one letter can be below", lambda v: v("04-context-1", "loss.train")
     > v("02_bigram_counts", "loss.train") - 0.0005
     and abs(v("04-context-1", "loss.val") - v("02_bigram_counts", "loss.val")) < 0.01),
    ("Train falls more", lambda v: v("04_embedding_mlp", "loss.train")
     - v("04-context-8", "loss.train") > v("04_embedding_mlp", "loss.val")
     - v("04-context-8", "loss.val") > 0),
    ("hardly different", lambda v: abs(v("04-context-16", "loss.val")
                                       - v("04-context-8", "loss.val")) < 0.02),
    ("Val got worse", lambda v: v("04-no-decay", "loss.val") > v("04-context-8", "loss.val")
     and v("04-no-decay", "loss.train") < v("04-context-8", "loss.train")),
    ("they fall to the very end", lambda v: sorted(
        tries.last_five(v("04_embedding_mlp")), reverse=True)
     == tries.last_five(v("04_embedding_mlp"))),
    ("large steps keep throwing", lambda v: v("04-constant-rate", "loss.val")
     > v("04_embedding_mlp", "loss.val") + 0.01),
    ("Training repairs most of it", lambda v: v("04-no-scales", "first") > 10
     and 0 < v("04-no-scales", "loss.val") - v("04_embedding_mlp", "loss.val") < 0.1),
    ("That is closer to main.py", lambda v: abs(
        v("05-one-name", "loss.val") - v("05_microgpt", "loss.val"))
     < abs(v("05-one-name", "loss.val") - v("05_microgpt/twin", "loss.val"))),
    ("lower than any model of names can be", lambda v: v("05-no-mask", "loss.val") < 1),
    ("the val loss rises from", lambda v: v("05-no-residual", "loss.val")
     > v("05_microgpt/twin", "loss.val")),
    ("for letter frequencies alone", lambda v: abs(
        v("05-deep-no-residual", "loss.val")
        - v("02_bigram_counts", "baselines.letter_frequencies.val")) < 0.02),
    ("the same model reaches", lambda v: v("05-deep", "loss.val")
     < v("05-deep-no-residual", "loss.val") - 0.2),
    ("nothing about the context", lambda v: v("05-deep-no-residual", "probe.most_it_moves") < 0.02),
    ("because only `sample` uses the temperature", lambda v: v("05-cold", "loss")
     == v("05-hot", "loss") == v("05_microgpt", "loss")),
    ("the model learns more in a step", lambda v: v("06-adamw", "loss.val")
     > v("06-base", "loss.val")),
    ("The batch loss rises", lambda v: v("06-base", "batch") < v("06-dropout-0_1", "batch")
     < v("06-dropout-0_3", "batch")),
    ("narrows", lambda v: v("06-base", "gap") > v("06-dropout-0_1", "gap")
     > v("06-dropout-0_3", "gap")),
    ("But the val loss rises as well", lambda v: v("06-base", "loss.val")
     < v("06-dropout-0_1", "loss.val") < v("06-dropout-0_3", "loss.val")),
    ("Two things cost something", lambda v: v("06-base", "loss.val")
     < v("06-short-wide", "loss.val") < v("06-short", "loss.val")),
    ("scored in blocks of 16", lambda v: v("06-base", "probe.val_in_blocks_of_16")
     > v("06-base", "loss.val")),
    ("goes round in a circle", lambda v: v("06-base", "probe.repeated,_greedy")
     > v("06-base", "probe.repeated,_one") + 0.2),
    ("is nearly the same", lambda v: v("06-base", "probe.repeated,_cold")
     > v("06-base", "probe.repeated,_one") > v("06-base", "probe.repeated,_hot")),
    ("So the reported loss is", lambda v: v("06-no-eval", "loss.val")
     > v("06-no-eval", "probe.val,_measured_rightly") + 0.03),
    ("It is not even the same twice", lambda v: v("06-no-eval", "probe.val,_first_time")
     != v("06-no-eval", "probe.val,_second_time")),
]  # fmt: skip


@pytest.mark.parametrize(("words", "holds"), CLAIMS, ids=[words for words, _ in CLAIMS])
def test_the_runs_agree_with_the_sentences(words, holds):
    assert words in PLAIN

    def value(name, path=None):
        try:
            return tries.find(RESULTS, name, path) if path else tries.read(RESULTS, name)
        except FileNotFoundError:
            pytest.skip(f"{name} has not run: python run.py tries {name}")

    assert holds(value)


def test_the_code_on_the_page_is_the_code_that_ran():
    (shown,) = re.findall(r"^   ```python\n(.*?)^   ```", PAGE, re.M | re.S)
    (patch,) = ALL["01-sin"].patches
    code = [line.strip() for line in shown.splitlines()]
    ran = [line.strip() for line in patch.after.splitlines()]
    assert code == [line for line in ran if line][: len(code)]


# --- the list ---


@pytest.mark.parametrize("name", ALL)
def test_a_try_fits_the_code_and_its_kept_run_fits_the_try(name, monkeypatch, tmp_path):
    one = ALL[name]
    for patch in one.patches:
        source = (ROOT / patch.file).read_text(encoding="utf-8")
        compile(exhibits.patched(patch, source), patch.file, "exec")
    compile(one.probe, name, "exec")
    assert (ROOT / one.file).exists() and one.file.startswith(name[:2])
    if one.flags is None:
        return
    stage, file = one.file.split("/")
    program = load_stage(stage, file.removesuffix(".py"))
    flags = [str(tmp_path / "data.txt") if flag == "DATA" else flag for flag in one.flags]
    monkeypatch.setattr(sys, "argv", [file, *flags])
    common = load_stage(stage, "common")
    config = common.parse_flags(program.Config, "", getattr(program, "PRESETS", None))
    path = RESULTS / "tries" / f"{name}.json"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        assert kept["config"] == common.settings(config) and kept["try"] == one.definition
        assert kept["schema"] == 1 and not kept["interrupted"]


# --- the tool ---


@pytest.fixture
def short(tmp_path, monkeypatch):
    """short(**fields): a list with one try of stage 02, which is fast. Results go to tmp_path."""

    def make(**fields):
        usual = {
            "name": "02-short", "what": "short", "file": "02_bigram_counts/main.py", "seconds": 1,
            "flags": ("--steps", "50"), "probe": "print('the answer: 42')",
        }  # fmt: skip
        one = tries.Try(**{**usual, **fields})
        monkeypatch.setattr(tries, "read_tries", lambda: {one.name: one})
        monkeypatch.setattr(tries, "KEPT", tmp_path / "tries")
        monkeypatch.setattr(tries, "is_done", lambda one: IS_DONE(one, tmp_path / "tries"))
        return one

    return make


IS_DONE = tries.is_done


def test_a_try_runs_once_and_keeps_its_numbers(short, tmp_path, capsys):
    patch = exhibits.Patch("02_bigram_counts/main.py", "range(20)]", "range(3)]")
    short(patches=(patch,))
    assert tries.main([]) == 0
    kept = json.loads((tmp_path / "tries/02-short.json").read_text(encoding="utf-8"))
    assert kept["steps"] == 50 and len(kept["samples"]) == 3
    assert kept["probe"] == {"the answer": 42}
    assert tries.find(tmp_path, "02-short", "gap") == kept["loss"]["val"] - kept["loss"]["train"]
    assert tries.find(tmp_path, "02-short", "probe.the_answer") == 42
    line = "<!-- try 02-short steps .0f -->0<!-- end --> and"
    line += " <!-- try 02-short steps - 02-short probe.the_answer .0f -->0<!-- end -->"
    shown = re.sub("<!--.*?-->", "", readme.fill_line(line, tmp_path))
    assert shown == "50 and 8"
    capsys.readouterr()
    assert tries.main([]) == 0
    assert "0 tries to run, 1 are done" in capsys.readouterr().out
    short()  # without the patch, it is another try
    assert tries.main([]) == 0
    assert "1 tries to run" in capsys.readouterr().out


def test_a_page_says_what_has_not_run(short, tmp_path):
    short()
    line = "is <!-- try 02-short loss.val .3f -->2.4<!-- end -->"
    assert readme.fill_line(line, tmp_path).endswith(">pending<!-- end -->")
    with pytest.raises(readme.MarkerError, match="02-shirt"):
        readme.fill_line(line.replace("short", "shirt"), tmp_path)


@pytest.mark.parametrize(("fields", "problem"), [
    ({"probe": "1 / 0"}, "division by zero"),
    ({"flags": ("--steps", "-1")}, "--steps -1 is out of range"),
])  # fmt: skip
def test_a_try_that_breaks_off_keeps_nothing(short, fields, problem, tmp_path, capsys):
    short(**fields)
    assert tries.main([]) == 1
    assert problem in capsys.readouterr().err and not (tmp_path / "tries").exists()


def test_a_patch_that_fits_nothing(short):
    one = short(patches=(exhibits.Patch("02_bigram_counts/main.py", "not there", ""),))
    with pytest.raises((ValueError, Problem)):
        tries.run_try(one)


def test_an_unknown_name_is_named(capsys):
    with pytest.raises(SystemExit) as ended:
        tries.main(["07-none"])
    assert ended.value.code == 2 and "'07-none'" in capsys.readouterr().err


def test_a_block_in_a_list_stays_in_the_list(tmp_path):
    (tmp_path / "01").mkdir()
    (tmp_path / "01/output.txt").write_text("a\n\nb\n", encoding="utf-8")
    text = "1. One\n\n   <!-- generated: output 01 -->\n   <!-- end -->\n\n2. Two"
    filled = readme.fill(text, tmp_path)
    assert "\n   ```text\n   a\n\n   b\n   ```\n\n   <!-- end -->\n" in filled
    assert readme.fill(filled, tmp_path) == filled


def test_infinite_losses_have_a_word():
    assert [tries.loss_text(loss) for loss in (None, float("inf"), 2.4567)] == [
        "infinite", "infinite", "2.457"]  # fmt: skip
    assert tries.duration(0.02) == "1 s" and tries.duration(130) == "2 min"
