"""The generated parts of the READMEs and the reference results they come from."""

import json
import os
import shutil

import pytest

import keep_results
import readme
import seeds
import stages
import table
from stages import ROOT
from table_rows import group_rows, read_results

STAGE = "04_embedding_mlp"
MARKER = f"<!-- {STAGE} loss.val .3f -->"
END = readme.END


def put_result(folder, stage=STAGE, **changes):
    content = {
        "stage": stage,
        "idea": "embeddings share statistics",
        "unit": "nats/char",
        "dataset": {"name": "names", "sha256": "aa", "docs": {"train": 8, "val": 1, "test": 1}},
        "targets": {"train": 80, "val": 10, "test": 10},
        "params": 11897,
        "vocab_size": 27,
        "chars_seen": 1000,
        "seconds": 12.3,
        "loss": {"train": 1.9, "val": 2.12345, "test": None},
        "baselines": {"letter frequencies": {"train": 2.8, "val": 2.81, "test": 2.82}},
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def project(tmp_path):
    """A project of one stage, with reference results."""
    place = tmp_path / "results" / STAGE
    put_result(place)
    put_result(place / "twin", loss={"val": 1.5})
    put_result(place / "ngram" / "names-5", loss={"val": 1.25})
    (place / "output.txt").write_text("step 1\nnäme\n", encoding="utf-8")
    (tmp_path / STAGE).mkdir()
    (tmp_path / STAGE / "main.py").touch()
    return tmp_path


@pytest.fixture
def results(project):
    return project / "results"


def test_the_committed_readmes_agree_with_the_results():
    assert [path.relative_to(ROOT).as_posix() for path in readme.stale_pages()] == []


# --- markers ---


@pytest.mark.parametrize(
    ("marker", "value"),
    [
        (f"{STAGE} loss.val .3f", "2.123"),
        (f"{STAGE} params ,d", "11,897"),
        (f"{STAGE} seconds .0f", "12"),
        (f"{STAGE}/twin loss.val .3f", "1.500"),
        (f"{STAGE}/ngram/names-5 loss.val .3f", "1.250"),
        (f"{STAGE} baselines.letter frequencies.val .2f", "2.81"),
    ],
)
def test_a_number_in_a_line(results, marker, value):
    expected = f"The loss is <!-- {marker} -->{value}{END} nats."
    assert readme.fill(f"The loss is <!-- {marker} -->old{END} nats.", results) == expected
    assert readme.fill(f"The loss is <!-- {marker} -->{END} nats.", results) == expected


def test_a_number_of_a_run_in_a_series(results):
    rows = [{"entry": "mlp-8", "loss": {"val": 1.99876}}, {"entry": "mlp-5", "loss": {"val": 2.0}}]
    (results / STAGE / "table.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
    marker = f"<!-- {STAGE}/mlp-8 loss.val .3f -->"
    assert readme.fill(f"{marker}{END}", results) == f"{marker}1.999{END}"
    twin = f"<!-- {STAGE}/twin loss.val .3f -->"  # a run in a folder next to a series
    assert readme.fill(f"{twin}{END}", results) == f"{twin}1.500{END}"
    with pytest.raises(readme.MarkerError, match="mlp-9"):
        readme.fill(f"<!-- {STAGE}/mlp-9 loss.val .3f -->{END}", results)


def test_several_numbers_in_one_line(results):
    line = f"| {MARKER}{END} | {MARKER}9{END} | <!-- {STAGE} params ,d -->{END} |"
    assert readme.fill(line, results) == (
        f"| {MARKER}2.123{END} | {MARKER}2.123{END} | <!-- {STAGE} params ,d -->11,897{END} |"
    )


def test_the_output_of_a_stage(results):
    start = f"<!-- generated: output {STAGE} -->"
    filled = readme.fill(f"before\n\n{start}\nold\nlines\n{END}\nafter\n", results)
    assert filled == f"before\n\n{start}\n\n```text\nstep 1\nnäme\n```\n\n{END}\nafter\n"


def test_the_table(results):
    filled = readme.fill(f"<!-- generated: table -->\n{END}\n", results)
    assert f"\n| {STAGE} | 11,897 | 1.900 | 2.123 |" in filled
    assert "\n| uniform guess |" in filled and "Not run" not in filled


def test_the_short_table(results):
    shutil.rmtree(results / STAGE / "ngram")
    filled = readme.fill(f"<!-- generated: table short -->\n{END}\n", results)
    assert filled == (
        "<!-- generated: table short -->\n\n"
        "names, nats/char (a uniform guess has 3.296)\n\n"
        "| stage | params | val | bits/char (val) | seconds |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        f"| {STAGE} | 11,897 | 2.123 | 3.063 | 12 |\n\n{END}\n"
    )


def test_the_short_table_of_the_reference_has_at_most_ten_rows():
    rows, _ = read_results(ROOT / "results")
    short = [line for line in table.short_markdown(group_rows(rows)).splitlines() if "| " in line]
    titles = [line for line in short if line.startswith(("| stage", "| ---"))]
    assert len(titles) == 4 and 6 <= len(short) - len(titles) <= 10


def test_filling_twice_changes_nothing(results):
    text = (
        f"# A\n<!-- generated: table -->\n{END}\n\n{MARKER}{END}\n"
        f"<!-- generated: table short -->\n{END}\n"
        f"<!-- generated: output {STAGE} -->\n{END}\n"
    )
    once = readme.fill(text, results)
    assert once != text and readme.fill(once, results) == once


@pytest.mark.parametrize("text", ["", "no newline", "<!-- a note to readers -->\n", "a\n\n\nb\n"])
def test_text_without_markers_stays_as_it_is(results, text):
    assert readme.fill(text, results) == text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"<!-- 09_none loss.val .3f -->{END}", "09_none"),
        (f"<!-- {STAGE} loss.nope .3f -->{END}", "nope"),
        (f"<!-- {STAGE} params.x .3f -->{END}", "'x'"),
        (f"<!-- {STAGE} loss.test .3f -->{END}", "NoneType"),
        (f"<!-- {STAGE} loss.val .3q -->{END}", ".3q"),
        (f"<!-- {STAGE} -->{END}", STAGE),
        (f"{MARKER}2.1", "not closed"),
        (f"{MARKER}2.1 and {MARKER}2.1{END}", "not closed"),
        (f"<!-- generated: output 09_none -->\n{END}", "09_none"),
        (f"<!-- generated: tables -->\n{END}", "tables"),
        (f"<!-- generated: table long -->\n{END}", "table long"),
        ("<!-- generated: table -->\nno end\n", "not closed"),
        (f"<!-- generated: table -->\n<!-- generated: table -->\n{END}", "not closed"),
    ],
)
def test_a_marker_that_cannot_be_filled(results, line, reason):
    with pytest.raises(readme.MarkerError) as caught:
        readme.fill(f"first\n{line}\nlast", results, "04/README.md")
    message = str(caught.value)
    assert message.startswith("04/README.md:2: ") and reason in message and "\n" not in message


@pytest.mark.parametrize("kind", ["table", "table short"])
def test_a_table_needs_every_result_in_order(results, kind):
    (results / "05_microgpt").mkdir()
    (results / "05_microgpt" / "result.json").write_text("{", encoding="utf-8")
    with pytest.raises(readme.MarkerError, match="05_microgpt"):
        readme.fill(f"<!-- generated: {kind} -->\n{END}", results)


# --- the command ---


def test_only_stale_readmes_are_written(project, capsys):
    top, stage = project / "README.md", project / STAGE / "README.md"
    top.write_bytes(f"ä {MARKER}{END}\n".encode())
    stage.write_bytes(f"{MARKER}2.123{END}\n".encode())
    os.utime(stage, (1, 1))
    assert readme.main(["--check"], project) == 1
    assert capsys.readouterr().out == "README.md is stale; make readme updates it from results/\n"
    assert top.read_bytes() == f"ä {MARKER}{END}\n".encode()
    assert readme.main([], project) == 0
    assert top.read_bytes() == f"ä {MARKER}2.123{END}\n".encode()
    assert stage.stat().st_mtime == 1 and not list(project.glob("*.part"))
    assert readme.main(["--check"], project) == 0


def test_the_glossary_and_the_docs_are_filled_too(project):
    pages = [project / "GLOSSARY.md", project / "docs" / "workshop.md", project / STAGE / "n.md"]
    for page in pages:
        page.parent.mkdir(exist_ok=True)
        page.write_text(f"{MARKER}{END}\n", encoding="utf-8")
    assert readme.main(["--check"], project) == 1
    assert readme.main([], project) == 0
    filled = [page.read_text(encoding="utf-8") == f"{MARKER}2.123{END}\n" for page in pages]
    assert filled == [True, True, False]


def test_a_bad_marker_leaves_every_file_alone(project, capsys):
    (project / "README.md").write_text(f"{MARKER}{END}\n", encoding="utf-8")
    bad = project / STAGE / "README.md"
    bad.write_text(f"{MARKER}\n", encoding="utf-8")
    assert readme.main([], project) == 2
    assert capsys.readouterr().err.startswith(f"readme: error: {STAGE}/README.md:1: {MARKER}")
    assert (project / "README.md").read_text(encoding="utf-8") == f"{MARKER}{END}\n"


# --- the reference ---


@pytest.fixture
def complete(project, monkeypatch):
    """The project with a complete run in out/ that differs from results/."""
    monkeypatch.setattr(stages, "ROOT", project)
    monkeypatch.setattr(stages, "STAGES", (STAGE,))
    place = project / "out" / STAGE
    put_result(place, loss={"val": 3.0})
    put_result(place / "twin", loss={"val": 4.0})
    put_result(place / "ngram" / "names-5", loss={"val": 5.0})
    put_result(place / "seeds" / "43", loss={"val": 3.1}, config={"seed": 43})
    put_result(place / "seeds" / "43" / "twin", loss={"val": 4.1}, config={"seed": 43})
    code = seeds.code_hash(STAGE)
    (place / "seeds" / "43" / "code.txt").write_text(code, encoding="utf-8")
    for folder in (place / "seeds" / "43", place / "ngram" / "names-5"):
        (folder / "loss.png").write_bytes(b"picture")
    put_result(place / "tries" / "steps-5", interrupted=True)  # a try is no reference
    (place / "loss.png").write_bytes(b"picture")
    (place / "model.pt").write_bytes(b"weights")
    (place / "output.txt").write_text("step 2\n", encoding="utf-8")
    (project / "README.md").write_text(f"{MARKER}{END}\n", encoding="utf-8")
    return project


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_complete_run_becomes_the_reference(complete):
    assert keep_results.main() == 0
    out, results = contents(complete / "out"), contents(complete / "results")
    left = ("model.pt", "seeds/43/code.txt", "seeds/43/loss.png", "ngram/names-5/loss.png")
    for name in (*left, "tries/steps-5/result.json"):
        del out[f"{STAGE}/{name}"]
    assert results == out
    assert (complete / "README.md").read_text(encoding="utf-8") == f"{MARKER}3.000{END}\n"


def test_the_benchmark_of_a_machine_goes_into_a_file_of_its_own(complete, capsys):
    about = {"processor": "Quick 9", "cores": 2, "bfloat16": "no", "gpu": None}
    for folder in ("results/bench", "out"):
        (complete / folder).mkdir(parents=True, exist_ok=True)
    (complete / "results/bench/other.json").write_text("{}", encoding="utf-8")
    report = complete / "out/bench.json"
    report.write_text(json.dumps({"machine": about, "lines": []}), encoding="utf-8")
    assert keep_results.main() == 0
    reports = contents(complete / "results/bench")
    assert sorted(reports) == ["other.json", "quick-9-2-cores.json"]
    assert json.loads(reports["quick-9-2-cores.json"])["machine"] == about
    report.write_text('{"machine": {"cores": 2}, "lines": []}', encoding="utf-8")
    assert keep_results.main() == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "out/bench.json is broken or of an older version" in error


def spoil(project, how):
    place = project / "out" / STAGE
    if how == "interrupted":
        put_result(place, interrupted=True)
        os.utime(place / "result.json", (1, 1))
    elif how == "interrupted twin":
        put_result(place / "twin", interrupted=True)
    elif how == "broken":
        (place / "result.json").write_text("{", encoding="utf-8")
        os.utime(place / "result.json", (1, 1))
    elif how == "interrupted seed":
        put_result(place / "seeds" / "43" / "twin", interrupted=True)
    elif how == "seed of other code":
        (project / STAGE / "main.py").write_text("changed = True\n", encoding="utf-8")
    elif how == "run again":
        os.utime(place / "output.txt", (1, 1))
    else:
        (place / how).unlink()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("interrupted", "stopped early"),
        ("interrupted twin", "stopped early"),
        ("interrupted seed", "stopped early"),
        ("seed of other code", "make seeds"),
        ("seeds/43/code.txt", "make seeds"),
        ("broken", "Expecting"),
        ("run again", "run again since"),
        ("result.json", "lacks"),
        ("output.txt", "lacks"),
        ("twin/result.json", "twin is in results/ but not in out/"),
    ],
)
def test_a_run_that_cannot_be_the_reference(complete, capsys, how, reason):
    spoil(complete, how)
    before = contents(complete / "results")
    assert keep_results.main() == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and reason in error
    assert contents(complete / "results") == before
