"""The failure museum: every patch applies to the code of today, and every symptom is there."""

import gc
import json
import math
import os
import re
import subprocess
import sys

import pytest
import torch

from exercise_cases import Judge
from learn import exhibits, museum, progress, run_exhibit
from learn.exercises import Problem, read_lesson
from learn.exhibits import Exhibit, Outcome, Patch, Symptom
from learn.source import function_text
from stages import ROOT

NAMES = exhibits.exhibit_names()
ALL = [exhibits.read_exhibit(name) for name in NAMES]
SLOW = {"first-microgpt"}  # half a minute


def needs(exhibit):
    path = ROOT / "data" / exhibit.data
    if not path.exists() and "ZERO_DATA_MIRROR" not in os.environ:
        pytest.skip(f"data/{exhibit.data} is not here: python data/prepare.py {path.stem}")
    exhibits.data_file(exhibit.data)


def run_here(exhibit, folder, broken, capsys):
    """The Outcome of a run in this process, which spares the imports of a new one."""
    job = exhibits.make_copy(folder / ("broken" if broken else "sound"), exhibit, broken)
    capsys.readouterr()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the museum; on a busy machine, two wait for each other
    gc.disable()  # it looks through all of PyTorch whenever a stage makes many objects
    try:
        run_exhibit.run(**job)
    finally:
        torch.set_num_threads(threads)
        gc.enable()
    return exhibits.parse(capsys.readouterr().out)


# --- the exhibits ---


def test_all_famous_bugs_are_there():
    """By what they change, since the names of the exhibits do not give away the cause."""
    assert {
        "twice",  # assignment in place of accumulation
        "shared-node",  # no topological order
        "restless",  # no zero_grad
        "cold",  # softmax overflows
        "mask",  # no mask
        "attention-sum",  # mask after softmax
        "flat-attention",  # scale by n_embd
        "two-evaluations",  # dropout in evaluation
        "tanh",  # saturated
        "empty-names",  # targets off by one
        "jumpy",  # one batch reported as the loss
        "record",  # split leak
        "explosion",  # learning rate
        "flat",  # weights all zero
        "rows",  # wrong axis
        "alone",  # batch norm statistics of the test batch
        "heads",  # view in place of a transpose
        "cache",  # positions off by one
        "first-microgpt",
    } <= set(NAMES)


@pytest.mark.parametrize("exhibit", ALL, ids=NAMES)
def test_every_patch_applies_to_the_code_of_today(exhibit):
    assert exhibit.patches or exhibit.sound_flags
    sources = {}
    for patch in exhibit.patches:
        source = sources.setdefault(patch.file, (ROOT / patch.file).read_text(encoding="utf-8"))
        sources[patch.file] = exhibits.patched(patch, source)
        sound, broken = exhibits.changed_lines(patch)
        assert sound != broken and len(sound) + len(broken) <= 8, "small enough to be read"
    for file, source in sources.items():
        compile(source, file, "exec")


@pytest.mark.parametrize("exhibit", ALL, ids=NAMES)
def test_every_exhibit_has_its_question_and_its_place_in_public(exhibit):
    assert 3 <= len(exhibit.choices) <= 4 == len(set(exhibit.choices)) or len(exhibit.choices) == 3
    assert 1 <= exhibit.answer <= len(exhibit.choices)
    assert exhibit.question.endswith("?") and len(exhibit.title) < 70
    assert "How to notice" in exhibit.explanation or exhibit.name == "first-microgpt"
    assert "https://" in exhibit.public or "first published version" in exhibit.public
    assert (ROOT / exhibit.file).exists()


@pytest.mark.parametrize("exhibit", ALL, ids=NAMES)
def test_every_symptom_could_be_missing(exhibit):
    """At least one row has bands for both codes that do not touch, or texts that differ."""
    apart = []
    for symptom in exhibit.symptoms:
        bands = symptom.sound, symptom.broken
        if all(isinstance(band, list) for band in bands):
            apart.append(bands[0][1] < bands[1][0] or bands[1][1] < bands[0][0])
        else:
            apart.append(None not in bands and bands[0] != bands[1])
    assert any(apart)


WRITTEN = {
    f"{exhibit.name}, {variant.exercise}": variant
    for exhibit in ALL
    for variant in exhibit.in_exercises()
}


def test_what_a_learner_cannot_write_is_known():
    """The loop of the first microgpt is no exercise."""
    assert {e.name for e in ALL if not e.in_exercises()} == {"first-microgpt"}


@pytest.mark.parametrize("variant", WRITTEN.values(), ids=WRITTEN)
def test_the_exercise_is_the_function_that_is_patched(variant):
    """The patches change what the learner writes."""
    stage, name = variant.exercise.split()
    lesson = read_lesson(stage)
    exercise = lesson.exercise(name)
    assert f"{stage}/{exercise.file}" in [patch.file for patch in variant.patches]
    source = (lesson.source / exercise.file).read_text(encoding="utf-8")
    function, changed = function_text(source, exercise.function), source
    for patch in variant.patches:
        if patch.file == f"{stage}/{exercise.file}":
            changed = exhibits.patched(patch, changed)
    assert function_text(changed, exercise.function) != function


@pytest.mark.parametrize("variant", WRITTEN.values(), ids=WRITTEN)
def test_the_checker_knows_a_bug_that_a_learner_can_write(variant, tmp_path):
    """The bug, put into a right solution of the exercise, is answered in words of its own."""
    stage, name = variant.exercise.split()
    judge = Judge(stage, tmp_path)
    exhibits.apply_patches(tmp_path, variant.patches)
    words = judge.words(name)
    assert words, "the check does not find it"
    assert len(words) > 30, words


def test_no_name_is_a_target_of_make():
    """make takes the word after museum for a target as well."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lists = re.findall(r"(?:WITH_N|ALONE) := ((?:.*\\\n)*.*)", makefile)
    targets = re.findall(r"[\w-]+", " ".join(lists))
    assert "museum" in targets and not set(targets) & set(NAMES)


@pytest.mark.parametrize("exhibit", [
    pytest.param(e, id=e.name, marks=[pytest.mark.slow] if e.name in SLOW else []) for e in ALL
])  # fmt: skip
def test_every_symptom_is_there(exhibit, tmp_path, capsys):
    needs(exhibit)
    sound = run_here(exhibit, tmp_path, False, capsys)
    broken = run_here(exhibit, tmp_path, True, capsys)
    assert "error" not in sound.rows, sound.rows["error"]
    for symptom in exhibit.symptoms:
        values = [outcome.rows.get(symptom.label) for outcome in (sound, broken)]
        assert exhibits.fits(values[0], symptom.sound), (symptom, values)
        assert exhibits.fits(values[1], symptom.broken), (symptom, values)
    if exhibit.curve:
        for outcome in (sound, broken):
            assert len(outcome.curves[exhibit.curve]) >= 10
        assert sound.curves[exhibit.curve] != broken.curves[exhibit.curve]


def test_the_cold_softmax_ends_with_an_error(tmp_path, capsys):
    broken = run_here(exhibits.read_exhibit("cold"), tmp_path, True, capsys)
    assert "multinomial" in broken.rows["error"] and "temperature 0.02" not in broken.rows


def test_a_loss_that_never_moves(tmp_path, capsys):
    """With all weights at 0, every look at the val loss shows log 27."""
    curve = run_here(exhibits.read_exhibit("flat"), tmp_path, True, capsys).curves["val loss"]
    assert {loss for _, loss in curve} == {round(math.log(27), 4)}


# --- copies and patches ---


def test_a_copy_leaves_the_project_alone(tmp_path):
    exhibit = exhibits.read_exhibit("twice")
    before = (ROOT / "01_micrograd" / "engine.py").read_bytes()
    exhibits.make_copy(tmp_path / "copy", exhibit, broken=True)
    assert (ROOT / "01_micrograd" / "engine.py").read_bytes() == before
    assert (tmp_path / "copy" / "01_micrograd" / "engine.py").read_bytes() != before
    assert sorted(path.name for path in (tmp_path / "copy" / "data").iterdir()) == ["names.txt"]


def test_a_patch_that_has_rotted_is_told():
    with pytest.raises(ValueError, match="'x = 3' occurs 0 times in a.py"):
        exhibits.patched(Patch("a.py", "x = 3", "x = 4"), "x = 1\n")
    with pytest.raises(ValueError, match="occurs 2 times"):
        exhibits.patched(Patch("a.py", "x", "y"), "x = x\n")


def test_the_modules_of_a_copy_are_forgotten(tmp_path, capsys):
    common, search = sys.modules.get("common"), list(sys.path)
    run_here(exhibits.read_exhibit("twice"), tmp_path, True, capsys)
    assert sys.modules.get("common") is common and sys.path == search
    assert "engine" not in sys.modules


# --- reading what was printed ---


def test_parsing():
    outcome = exhibits.parse(
        "num docs: 5\n"
        "step   10 / 1,000 | batch loss 3.2500 | val loss nan\n"
        "step 1,000 / 1,000 | batch loss inf | val loss 2.5\n"
        "step 20 / 100 | loss 3.0\n"
        "loss in nats/char: train 2.4, val 2.5000 (0.1 s of training)\n"
        "a name: b: c\n"
    )
    assert outcome.rows["num docs"] == "5" and outcome.rows["a name"] == "b: c"
    assert (outcome.rows["train loss"], outcome.rows["val loss"]) == ("2.4", "2.5000")
    assert outcome.curves["batch loss"] == [(10, 3.25), (1000, math.inf)]
    assert math.isnan(outcome.curves["val loss"][0][1]) and outcome.curves["loss"] == [(20, 3.0)]


@pytest.mark.parametrize("value, expected, good", [
    ("2.5", [2, 3], True), ("2", [2, 2], True), ("3.1", [2, 3], False), ("nan", [2, 3], False),
    (None, [2, 3], False), ("a, b", [2, 3], False), ("inf", "inf", True), ("2", "inf", False),
    (None, None, True), ("anything", None, True),
])  # fmt: skip
def test_what_fits(value, expected, good):
    assert exhibits.fits(value, expected) is good


def test_the_picture_of_the_curves():
    picture = museum.draw([(10, 3.0), (20, 2.0)], [(10, 3.0), (20, math.nan)], "val loss").plain
    lines = picture.splitlines()
    assert lines[0] == "val loss" and lines[1].startswith("   3.000 |")
    assert "*" in lines[1] and "^" in lines[1] and lines[museum.HEIGHT].rstrip().endswith("o")
    assert "20 steps" in picture
    high = museum.draw([(1, 3.0), (2, 2.0)], [(1, 1e9), (2, 2.5)], "loss").plain
    assert high.splitlines()[1].startswith("   5.000 |")  # the sound curve can still be seen
    assert "steps" in museum.draw([(1, 2.0)], [], "loss").plain
    assert "^" in museum.draw([], [(1, math.inf)], "loss").plain


# --- the command ---


@pytest.fixture
def visit(tmp_path, monkeypatch, capsys):
    """visit(words) -> what is printed by the command, with made-up runs; answers: what is typed."""
    outcomes = (
        Outcome({"val loss": "2.1", "samples": "a" * 100}, {"val loss": [(1, 3.0), (2, 2.0)]}),
        Outcome({"val loss": "0.1", "error": "Oh: no"}, {"val loss": [(1, 3.0), (2, 0.1)]}),
    )
    for module in (exhibits, museum):
        monkeypatch.setattr(module, "run_both", lambda exhibit: outcomes)
    typed = []
    monkeypatch.setattr("builtins.input", lambda _: typed.pop(0))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: bool(typed), raising=False)

    def visit(*words, answers=()):
        typed[:] = answers
        status = museum.main([*words, "--my", str(tmp_path)])
        assert status == 0
        return capsys.readouterr().out

    visit.my = tmp_path
    return visit


def test_without_a_terminal_the_question_stays_open(visit):
    shown = visit("mask")
    assert "Too good to be true" in shown and "x broken" in shown
    assert "2.1" in shown and "0.1" in shown and "a" * 60 + " ..." in shown
    assert "1  Every position can look at the later ones." in shown and "ended with Oh: no" in shown
    assert 'make museum mask ARGS="--answer 1"' in shown and "In public" not in shown
    assert not (visit.my / "progress.json").exists()


def test_an_answer_is_judged_explained_and_kept(visit):
    wrong = visit("mask", "--answer", "2")
    assert "No, it is another one." in wrong and "In public" in wrong
    assert progress.museum_answers(visit.my) == {"mask": 2}
    assert re.search(r"mask +Too good to be true +tried", visit())
    right = visit("mask", "--answer", "1")
    assert "Right." in right and "+     scores = (q / math.sqrt(head_dim)) @ k.mT" in right
    assert "https://github.com/huggingface/transformers/issues/48745" in right
    wanted = "make start 5, exercise causal-mask; make start 6, exercise attention."
    assert wanted in " ".join(right.split())
    listed = visit()
    assert re.search(r"mask +Too good to be true +solved", listed) and "1 of " in listed
    assert [name for name in NAMES if name not in listed] == []


def test_only_the_explanation(visit):
    shown = visit("mask", "--show")
    assert "In public" in shown and "Right." not in shown
    assert progress.museum_answers(visit.my) == {}


def test_on_a_terminal_it_asks_until_the_answer_is_right(visit):
    shown = visit("mask", answers=["", "unused"])
    assert "In public" in shown and "another" not in shown
    shown = visit("mask", answers=["x", "9", "3", "1", "unused"])
    assert shown.count("Give a number, 1 to 4.") == 2 and shown.count("another one") == 1
    assert shown.index("another one") < shown.index("Right.") < shown.index("In public")
    assert progress.museum_answers(visit.my) == {"mask": 1}


def test_what_cannot_be_shown(visit):
    with pytest.raises(Problem, match="there is no exhibit 'masc': alone, "):
        museum.main(["masc"])
    with pytest.raises(Problem, match="--answer 5: give a number from 1 to 4"):
        museum.main(["mask", "--answer", "5"])


def test_answers_and_exercises_share_a_file_in_peace(tmp_path):
    progress.save(tmp_path, "03_bigram_learned", passed=["pairs"])
    progress.save_museum_answer(tmp_path, "mask", 1)
    progress.save(tmp_path, "03_bigram_learned", hints={"softmax": 2})
    progress.save_museum_answer(tmp_path, "rows", 3)
    assert progress.museum_answers(tmp_path) == {"mask": 1, "rows": 3}
    assert progress.read(tmp_path, "03_bigram_learned").passed == ["pairs"]
    for content in ('{"museum": [1]}', '{"museum": {"mask": "1"}}', "no json"):
        (tmp_path / "progress.json").write_text(content)
        assert progress.museum_answers(tmp_path) == {}


def test_the_real_thing(tmp_path):
    """From the command line, with both children."""
    words = ["museum", "twice", "--answer", "2", "--my", tmp_path]
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "learn", *words], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0 and done.stderr == ""
    assert re.search(r"d\(a \+ a\) / da +2.0 +1.0", done.stdout)
    assert "Right." in done.stdout and "1:22:28" in done.stdout
    content = json.loads((tmp_path / "progress.json").read_text(encoding="utf-8"))
    assert content == {"museum": {"twice": 2}}


def test_what_an_exhibit_prints_is_shown_and_not_obeyed():
    exhibit = Exhibit(
        "odd", "", "01_micrograd/main.py", "", (), 1, "", "", (), (Symptom("x"),),
        probe="print('x: \\x1b[2J\\ta\\u2028y: \\u202eb')",
    )  # fmt: skip
    assert exhibits.run_copy(exhibit, broken=False).rows == {"x": r"\x1b[2J\ta\u2028y: \u202eb"}


def test_a_child_that_breaks_off_is_told(monkeypatch):
    exhibit = Exhibit(
        "odd", "", "01_micrograd/main.py", "", (), 1, "", "", (), (Symptom("x"),),
        probe="import os\nos._exit(3)",
    )  # fmt: skip
    with pytest.raises(Problem, match="the run of odd broke off"):
        exhibits.run_copy(exhibit, broken=False)
