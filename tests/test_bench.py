"""tools/bench.py: its stopwatch, its medians, its verdicts, but not the speeds it measures."""

import json
import sys
import time
from pathlib import Path

import pytest

import bench
from bench import Line, number, seconds_per_step, show, summarize, verdict
from stages import ROOT, load_stage

MACHINE = {"processor": "Quick (TM) 9", "cores": 2, "bfloat16": "no", "gpu": None}
SLOW_STEPS = """
import sys, time
for step in range(1, 1000):
    time.sleep(0.02)
    print(f"step {step:4d} / 1000 | loss 1.0", end=sys.argv[1], flush=True)
"""


@pytest.mark.parametrize("end", ["\\n", "\\r"])
def test_the_stopwatch_times_steps_however_they_are_printed_and_ends_the_script(tmp_path, end):
    script = tmp_path / "steps.py"
    script.write_text(SLOW_STEPS.replace("sys.argv[1]", f'"{end}"'), encoding="utf-8")
    begin = time.perf_counter()
    assert 0.02 <= seconds_per_step(script, 2, 12) < 0.1
    assert time.perf_counter() - begin < 10  # not the twenty seconds of a thousand steps


def test_the_stopwatch_reads_steps_with_thousands_separators(tmp_path):
    script = tmp_path / "steps.py"
    lines = [f"print('step {step:5,} / 1,500 | loss 1.0')" for step in (1, 999, 1000, 1500)]
    script.write_text("\n".join(lines), encoding="utf-8")
    assert seconds_per_step(script, 1, 1500) >= 0


def test_a_script_that_ends_too_early_is_an_error_and_not_a_hang(tmp_path):
    script = tmp_path / "short.py"
    script.write_text("print('step    1 / 3 | loss 1.0')", encoding="utf-8")
    with pytest.raises(bench.Failed, match="before it printed step 3"):
        seconds_per_step(script, 1, 3)


def test_a_failing_child_says_why(tmp_path):
    script = tmp_path / "fails.py"
    script.write_text("raise SystemExit('no such luck')", encoding="utf-8")
    with pytest.raises(bench.Failed, match="no such luck"):
        bench.child(script)


def test_the_median_of_the_runs_decides_and_every_run_is_kept():
    runs = [{"ratio": 5.0, "seconds": 1.0}, {"ratio": 1.0, "seconds": 9.0},
            {"ratio": 3.0, "seconds": 2.0}]  # fmt: skip
    quantities = summarize(runs)
    assert quantities["ratio"] == {"median": 3.0, "runs": [5.0, 1.0, 3.0]}
    bars = {"ratio": (True, 3), "seconds": (False, 1.9)}
    assert verdict(bars, quantities) == {"ratio": True, "seconds": False}


def test_what_a_line_needs_and_lacks():
    by_name = {line.name: line for line in bench.lines(None, None)}
    with pytest.raises(bench.Missing, match="--published"):
        by_name["microgpt"].measure()
    with pytest.raises(bench.Missing, match="--nanogpt"):
        by_name["nanogpt-cpu"].measure()


def test_the_published_script_runs_with_the_collector_on_and_off(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/makemore.txt").write_text("emma\nava\n", encoding="utf-8")
    published = tmp_path / "published.py"
    published.write_text('"""It."""\nimport gc\nprint(gc.isenabled())\n', encoding="utf-8")
    collector = []

    def seconds(script, *_, cwd=None):
        if script.name == "main.py":
            return 2.0
        collector.append(bench.child(script, cwd=cwd).strip())
        return {"True": 80.0, "False": 14.0}[collector[-1]]

    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "seconds_per_step", seconds)
    monkeypatch.setattr(bench, "stage", lambda *_: {"chars_seen": 1, "seconds": 1.0})
    (line,) = (line for line in bench.lines(published, None) if line.name == "microgpt")
    measured = line.measure()
    assert collector == ["True", "False"]
    assert measured["times as fast"] == 40
    assert measured["times as fast, collector off in both"] == 7
    assert set(line.bars) <= set(measured)


@pytest.fixture
def run_bench(tmp_path, monkeypatch):
    """run_bench(lines, *flags) -> (status, report or None). The report stays for the next call."""
    path = tmp_path / "bench.json"
    monkeypatch.setattr(bench, "machine", lambda: MACHINE)

    def run_bench(lines, *flags):
        monkeypatch.setattr(bench, "lines", lambda *_: lines)
        monkeypatch.setattr(sys, "argv", ["bench", "--out", str(path), *flags])
        status = bench.main()
        return status, json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    return run_bench


@pytest.fixture
def nanogpt(tmp_path):
    """The flags that give a copy of nanoGPT."""
    (tmp_path / "train.py").touch()
    return ["--nanogpt", str(tmp_path)]


def n_line(*seconds):
    """A line that measures these seconds, in turn. Without any, nanoGPT is missing."""
    left = list(seconds)

    def measure():
        if not left:
            raise bench.Missing("--nanogpt FOLDER")
        return {"seconds": left.pop(0)}

    return Line(bench.N_LINE, "N", measure, {}, long=True)


def medians(report):
    return {
        row["name"]: {key: values["median"] for key, values in row["quantities"].items()}
        for row in report["lines"]
    }


def test_every_bar_is_on_something_that_its_line_measures(monkeypatch):
    """A misspelt quantity would only show after minutes of measuring."""
    result = {"loss": {"val": 1.0}, "best": {"val": 1.0}, "seconds": 1.0, "chars_seen": 1,
              "params": 1}  # fmt: skip

    def child(*command, **_):
        if "stages" in command:
            path = Path(command[-1], "06_shakespeare_gpt", "result.json")
            path.parent.mkdir()
            path.write_text(json.dumps(result), encoding="utf-8")
        return '{"ratio": 1, "times as fast": 1}\npeak 1'

    monkeypatch.setattr(bench, "stage", lambda *_: result | {"curve": [[0, None, 1.0]]})
    monkeypatch.setattr(bench, "child", child)
    monkeypatch.setattr(bench, "seconds_per_step", lambda *_, **__: 1.0)
    names = ("start-up", "memory", "mlp-3", "mlp-8", "twin-best", "modern-names",
             "same-time", "preset-cpu", "modern", "stages")  # fmt: skip
    for name in names:
        (line,) = (line for line in bench.lines(None, None) if line.name == name)
        measured = line.measure(60.0) if line.takes_n else line.measure()
        assert set(line.bars) <= {*measured, *bench.in_n(line.bars, measured, 60.0)}, name


def test_the_last_or_the_best_val_loss_is_that_of_the_model_that_is_kept(monkeypatch):
    result = {"loss": {"val": 2.0}, "seconds": 3.0, "params": 7}
    monkeypatch.setattr(bench, "stage", lambda *_: result)
    assert bench.trained("main.py") == {"val loss": 2.0, "seconds": 3.0}
    result["best"] = {"step": 5, "val": 1.5}
    assert bench.trained("main.py", size=True)["val loss"] == 1.5


def test_a_bar_that_is_missed_is_shown_and_sets_the_status(run_bench, capsys):
    lines = [Line("x", "y", lambda: {"ratio": 2.0}, {"ratio": (True, 3)}),
             Line("z", "y", lambda: {"ratio": 3.0}, {"ratio": (True, 3)})]  # fmt: skip
    status, report = run_bench(lines)
    assert status == 1
    printed = capsys.readouterr().out.splitlines()
    assert sum("NO" in line for line in printed) == 1
    assert printed[-1] == "short of the bar: x: ratio 2.000 (at least 3.000)"
    assert [row["met"] for row in report["lines"]] == [{"ratio": False}, {"ratio": True}]


def test_a_time_is_divided_by_the_median_of_n_which_is_measured_first(run_bench, nanogpt, capsys):
    bars = {"val loss": (False, 2.0), "times N": (False, 0.45)}
    line = Line("x", "y", lambda: {"val loss": 1.9, "seconds": 45.0}, bars, long=True)
    status, report = run_bench([n_line(100.0, 70.0, 90.0), line], *nanogpt)
    assert medians(report)["x"] == {"val loss": 1.9, "seconds": 45.0, "times N": 0.5}
    assert report["lines"][1]["met"] == {"val loss": True, "times N": False}
    assert status == 1
    printed = capsys.readouterr().out
    assert printed.endswith("short of the bar: x: times N 0.500 (at most 0.450)\n")


def test_several_times_of_a_line_have_each_a_multiple_of_n(run_bench, nanogpt):
    times = {"seconds of a": 5.0, "seconds of b": 20.0}
    bars = {"times N of a": (False, 1.0), "times N of b": (False, 2.0)}
    lines = [n_line(10.0), Line("x", "y", lambda: times, bars)]
    status, report = run_bench(lines, *nanogpt, "--runs", "1")
    assert status == 0
    assert medians(report)["x"] == {**times, "times N of a": 0.5, "times N of b": 2.0}


@pytest.mark.parametrize("val, status", [(1.9, 0), (2.1, 1)])
def test_without_nanogpt_the_losses_are_still_judged(run_bench, capsys, val, status):
    bars = {"val loss": (False, 2.0), "times N": (False, 0.1)}
    lines = [n_line(), Line("x", "y", lambda: {"val loss": val, "seconds": 45.0}, bars),
             Line("same", "y", lambda n: {"val loss": n}, {"val loss": (False, 1.0)}, takes_n=True)]
    found, report = run_bench(lines)
    assert (found, [row["met"] for row in report["lines"]]) == (status, [{"val loss": not status}])
    printed = capsys.readouterr().out
    for line in ("nanogpt-cpu: left out; it needs --nanogpt FOLDER\n",
                 f"same: left out; it needs {bench.WITHOUT_N}\n",
                 f"no times N of x: they need {bench.WITHOUT_N}\n"):  # fmt: skip
        assert line in printed
    last = "short of the bar: x: val loss 2.100 (at most 2.000)" if status else bench.ALL_MET
    assert printed.splitlines()[-1] == last


def test_a_line_may_run_for_the_time_n(run_bench, nanogpt):
    line = Line("same", "y", lambda n: {"got": n}, {}, takes_n=True)
    _, report = run_bench([n_line(7.0, 9.0, 8.0), line], *nanogpt)
    assert medians(report)["same"] == {"got": 8.0}


def test_n_comes_along_with_a_line_that_needs_it(nanogpt):
    plain = Line("plain", "", dict, {"ratio": (True, 1)})
    timed = Line("timed", "", dict, {"times N": (False, 1)})
    same = Line("same", "", dict, {}, takes_n=True)
    every = [n_line(), plain, timed, same]

    def names(only, has_n):
        return [line.name for line in bench.choose(every, only, has_n)]

    assert names(["timed"], True) == names([bench.N_LINE, "timed"], True)
    assert names(["timed"], True) == [bench.N_LINE, "timed"]
    assert names(["same"], True) == [bench.N_LINE, "same"]
    assert names(["plain"], True) == ["plain"] and names(["timed"], False) == ["timed"]
    assert names(None, False) == [bench.N_LINE, "plain", "timed", "same"]


def test_a_line_measured_alone_leaves_the_others_of_the_machine(run_bench, tmp_path):
    values = {"a": iter([1.0, 2.0]), "b": iter([5.0])}
    lines = [Line(n, n, lambda n=n: {"ratio": next(values[n])}, {"ratio": (True, 0)}) for n in "ab"]
    for flags in (["--runs", "1"], ["--runs", "1", "--only", "a"]):
        status, report = run_bench(lines, *flags)
        assert status == 0
    assert medians(report) == {"a": {"ratio": 2.0}, "b": {"ratio": 5.0}}
    assert bench.kept(tmp_path / "bench.json", {**MACHINE, "cores": 4}) == {}


def test_a_kept_line_is_judged_by_the_bars_of_today(run_bench):
    lines = [Line(name, "", lambda: {"ratio": 2.0}, {"ratio": (True, 1)}) for name in "ab"]
    assert run_bench(lines)[0] == 0
    harder = [lines[0], Line("b", "", dict, {"ratio": (True, 3)})]
    status, report = run_bench(harder, "--only", "a")
    assert (status, report["lines"][1]["met"]) == (1, {"ratio": False})


def test_a_machine_has_a_file_of_its_own():
    assert bench.file_name(MACHINE) == "quick-tm-9-2-cores.json"
    assert bench.file_name({**MACHINE, "gpu": "Fast_1"}) == "quick-tm-9-2-cores-fast-1.json"


@pytest.mark.parametrize("dtype, answer", [("bfloat16", "yes"), ("float32", "no")])
def test_what_a_report_says_of_its_machine(monkeypatch, dtype, answer):
    monkeypatch.setattr(bench, "child", lambda *_, **__: dtype + "\n")
    about = bench.machine()
    assert about["processor"] and about["bfloat16"] == answer


@pytest.mark.slow
def test_stage_06_is_asked_for_its_dtype():
    dtype = load_stage("06_shakespeare_gpt", "devices").pick_dtype("auto", "cpu")
    assert bench.machine()["bfloat16"] == {"bfloat16": "yes", "float32": "no"}[dtype]


def test_a_processor_is_told_from_others_of_its_name(monkeypatch):
    about = "processor\t: 0\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: Quick\n\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: about + about.replace("26", "27"))
    assert bench.processor() == "Quick, family 26, model 2"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "processor\t: 0\nFeatures\t: fp\n\n")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(bench.platform, "processor", str)
    assert bench.processor() == bench.platform.machine()


def test_the_reports_of_all_machines_are_in_files_of_their_names():
    reports = sorted((ROOT / "results" / "bench").glob("*.json"))
    assert reports
    for path in reports:
        assert bench.file_name(bench.read_report(path)["machine"]) == path.name


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"machine": {}, "lines": []}'])
def test_a_file_that_is_no_report_is_refused(tmp_path, content):
    path = tmp_path / "bench.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"bench\.json is broken or of an older version"):
        bench.read_report(path)
    assert bench.kept(path, {}) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module there")
def test_the_peak_is_the_childs_own_however_large_its_parent_is():
    ballast = bytearray(200 << 20)
    ballast[::4096] = b"x" * len(ballast[::4096])  # or the pages would not be there
    program = "x = bytearray(40 << 20); x[::4096] = x[::4096]"
    printed = bench.child("-c", bench.MEMORY, "-c", program)
    assert 40 < float(printed.split()[-1]) < 100


@pytest.mark.parametrize("name", ["engine", "cached"])
def test_the_races_run(monkeypatch, tmp_path, name):
    """With stage 01's engine in the place of the package micrograd, which need not be there."""
    (tmp_path / "micrograd").mkdir()
    (tmp_path / "micrograd" / "__init__.py").touch()
    engine = (ROOT / "01_micrograd" / "engine.py").read_text(encoding="utf-8")
    (tmp_path / "micrograd" / "engine.py").write_text(engine, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(bench, "GENERATION", bench.GENERATION.replace("500", "20"))
    by_name = {line.name: line for line in bench.lines(None, None)}
    (ratio,) = by_name[name].measure().values()
    assert 0.2 < ratio < 50


def test_a_line_that_does_not_exist_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "nonsense"])
    with pytest.raises(SystemExit) as stopped:
        bench.main()
    assert stopped.value.code == 2
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.parametrize(
    "value, text",
    [(0, "0.000"), (1e-7, "1e-07"), (0.5, "0.500"), (1.97, "1.970"), (12.34, "12.3"),
     (176_000, "176,000")],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


def test_the_table_reads_no_markup(capsys):
    from rich.console import Console

    row = {"name": "[red]", "what": "a", "quantities": {"b": {"median": 1.0}}}
    show([row | {"bars": {}, "met": {}}], Console(markup=False, width=80))
    assert "[red]" in capsys.readouterr().out
