"""Flags, data files, results and words that nobody thought of: each either works or costs one line.

All in process, because a child would take a second to import PyTorch.
"""

import contextlib
import csv
import dataclasses
import io
import json
import math
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import diff
import plots
import published
import readme
import score
import seeds
import table
import tries
from command_line import run_tool
from stages import ROOT, load_stage
from trained_models import NoModel, load_model, try_out

sys.path.append(str(ROOT / "extras"))

pytestmark = pytest.mark.slow

NAMES = (ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()
SPEECH = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak.\n\n"
POINTS = [f"{math.sin(i):.4f} {math.cos(i):.4f} {1 if i % 2 else -1}" for i in range(200)]
# The largest value of a field that still makes a run of a few milliseconds.
SMALL = {"steps": 15, "points": 12, "batch_size": 6, "block_size": 6, "n_embd": 6, "n_head": 4,
         "n_layer": 2, "n_hidden": 6, "length": 9, "warmup": 4, "eval_every": 3}  # fmt: skip
TINY = {name: ["--steps=2"] for name in ("01_micrograd", "03_bigram_learned")} | {
    "02_bigram_counts": [],
    "04_embedding_mlp": ["--steps=2", "--batch-size=4", "--n-embd=2", "--n-hidden=4"],
    "05_microgpt": ["--steps=2", "--n-embd=4", "--n-head=2", "--block-size=4"],
    "06_shakespeare_gpt": ["--steps=2", "--n-embd=4", "--n-head=2", "--block-size=4",
                           "--n-layer=1", "--batch-size=4", "--device=cpu"],
}  # fmt: skip
TINY["01_micrograd"] += ["--points=9", "--n-hidden=2"]
TINY["03_bigram_learned"] += ["--batch-size=8"]
TWIN = ["--steps=2", "--n-embd=4", "--n-head=2", "--n-layer=1", "--block-size=4", "--batch-size=4"]
# name: (stage, module or None for an extra, flags of a tiny run, kind of data, cases)
PROGRAMS = {
    "01": ("01_micrograd", "main", TINY["01_micrograd"], "points", 450),
    "02": ("02_bigram_counts", "main", TINY["02_bigram_counts"], "names", 500),
    "03": ("03_bigram_learned", "main", TINY["03_bigram_learned"], "names", 400),
    "04": ("04_embedding_mlp", "main", TINY["04_embedding_mlp"], "names", 400),
    "05": ("05_microgpt", "main", TINY["05_microgpt"], "names", 400),
    "twin": ("05_microgpt", "torch_twin", TWIN, "names", 350),
    "06": ("06_shakespeare_gpt", "main", TINY["06_shakespeare_gpt"], "text", 350),
    "ngrams": ("02_bigram_counts", None, [], "names", 200),
    "batchnorm": ("04_embedding_mlp", None, TINY["04_embedding_mlp"], "names", 150),
    "wavenet": ("04_embedding_mlp", None, TINY["04_embedding_mlp"], "names", 150),
    "makemore_lectures": ("04_embedding_mlp", None, ["--steps=2"], "names", 100),
    "shakespeare_bigram": ("06_shakespeare_gpt", None, ["--steps=2"], "text", 100),
}
NOT_FUZZED = {"compile", "published"}  # half a minute, and a data set that needs a network

# What may be in an argument: no NUL, but bytes that are no text, as Python passes them on.
ARGUMENT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
ARGUMENT |= st.sampled_from(["", "-", "--", "\udc80", "\x1b[2J", "a\nb", "\u202e", "x" * 300, "=",
                             "nan", "inf", "1e999", "-0", "9" * 5000, "1_0", "\u0661"])  # fmt: skip


# -h and --help end with the help, and status 0.
UNKNOWN = ARGUMENT.filter(lambda word: not word.startswith(("-h", "--h")))


def examples(count):
    """Settings that make hypothesis try this many cases."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=count, deadline=None, suppress_health_check=checks)


# ---- strategies ------------------------------------------------------------------------------
def values_of(field):
    """Values of a field of a Config that are in its range."""
    low, high = field.metadata["low"], field.metadata["high"]
    if field.metadata["choices"]:
        return st.sampled_from(field.metadata["choices"])
    if isinstance(field.default, int):
        return st.integers(low, min(high, SMALL.get(field.name, 50)))
    if isinstance(field.default, float):
        top = 0.001 if field.name == "minutes" else high
        return st.floats(low, top) | st.sampled_from([low, top, field.default])
    return st.text(st.sampled_from("abe\n F"), min_size=1, max_size=5)  # a prompt


@st.composite
def flag_of(draw, field, wild):
    """A word for one field. wild: with any value."""
    name, high = f"--{field.name.replace('_', '-')}", field.metadata["high"]
    if isinstance(field.default, bool):
        return draw(st.sampled_from([name, name.replace("--", "--no-", 1), *[f"{name}=1"] * wild]))
    if not wild:
        return f"{name}={draw(values_of(field))}"
    wrong = ["another", math.nan, -1, *([] if high is None else [high + 1])]
    anything = ARGUMENT if field.name != "minutes" else st.nothing()  # it may be a long time
    return f"{name}={draw(anything | st.sampled_from(wrong))}"


@st.composite
def flags_of(draw, config_class):
    """Flags of a program. In one case of four, one of them may have any value or be any word."""
    fields = [
        field for field in dataclasses.fields(config_class)
        if field.name not in {"data", "out", "model", "preset", *NOT_FUZZED}
    ]  # fmt: skip
    one = st.sampled_from(fields)
    flags = draw(st.lists(one.flatmap(lambda field: flag_of(field, False)), max_size=4))
    if draw(st.integers(0, 3)) == 3:
        word = draw(one.flatmap(lambda field: flag_of(field, True)) | UNKNOWN)
        flags.insert(draw(st.integers(0, len(flags))), word)
    return flags


LINE = st.text(max_size=12) | st.sampled_from([*NAMES[:40], "\x1b[2J", "\u202e", "\udfff", "\0"])
CONTENTS = {
    "names": st.lists(st.sampled_from(NAMES) | LINE, max_size=30),
    "text": st.lists(st.sampled_from(SPEECH.split("\n")) | LINE, max_size=30),
    "points": st.lists(st.sampled_from(POINTS), max_size=30),
}
GOOD = {"names": NAMES[:60], "text": SPEECH.split("\n") * 3, "points": POINTS[:60]}


@st.composite
def contents(draw, kind):
    """The bytes of a data file: good lines, other lines or a few bytes of any kind."""
    if draw(st.integers(0, 9)) == 9:
        return draw(st.binary(max_size=60))
    lines = GOOD[kind] if draw(st.integers(0, 3)) else []
    lines = [*lines, *draw(CONTENTS[kind])]
    end = draw(st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", "\n\n", "\u2028"]))
    return end.join(lines).encode("utf-8", errors="surrogatepass")


@st.composite
def data_of(draw, kind):
    """None for a file that is missing, bytes, or a dict of files in a folder."""
    what = draw(st.integers(0, 11))
    if what == 11:
        return None
    if what == 10:
        names = st.lists(st.sampled_from(["train", "val", "test"]), unique=True)
        return {name: draw(contents(kind)) for name in draw(names)}
    return draw(contents(kind))


def put(folder, data):
    """The path of such data in a folder."""
    path = folder / "data.txt"
    if isinstance(data, dict):
        path.mkdir()
        for name, content in data.items():
            (path / f"{name}.txt").write_bytes(content)
    elif data is not None:
        path.write_bytes(data)
    return path


# ---- running ---------------------------------------------------------------------------------
STOPPING = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


def call(function, *words):
    """(status, stdout, stderr) of a program that ends with sys.exit()."""
    handlers = {number: signal.getsignal(number) for number in STOPPING}
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
                for _ in range(2))  # fmt: skip
    argv, sys.argv = sys.argv, ["main.py", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            function()
    except SystemExit as ended:
        status = ended.code
    else:
        status = 0
    finally:
        sys.argv = argv
        for number, handler in handlers.items():
            signal.signal(number, handler)
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode("utf-8"))
    return status, *texts


OBEYED = {*map(chr, [*range(32), *range(127, 160), *range(0x202A, 0x202F)])} - {"\n", "\t"}


def check_outcome(status, out, err, more=()):
    """A run worked and said nothing on stderr, or it did not and said one line."""
    assert not OBEYED & {*out, *err}, (out, err)
    if status == 0:
        assert err == "" or "gradient" in err, err
    else:
        assert status in (1, 2, *more), (status, err)
        assert err.count("\n") == 1 and err.endswith("\n"), err


@pytest.mark.parametrize("name", PROGRAMS)
def test_any_flags_and_any_data_train_or_cost_one_line(name):
    stage, module, tiny, kind, count = PROGRAMS[name]
    common = load_stage(stage, "common")
    program = load_stage(stage, module) if module else __import__(name)

    @examples(count)
    @given(flags_of(program.Config), data_of(kind))
    def fuzz(flags, data):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            out = folder / "out"
            words = [*tiny, *flags, f"--data={put(folder, data)}", f"--out={out}"]
            status, printed, err = call(lambda: common.run(program.main), *words)
            check_outcome(status, printed, err)
            results = list(out.rglob("result.json"))
            if status == 2:
                assert results == []
            elif results:
                text = results[0].read_text(encoding="utf-8")
                result = json.loads(text, parse_constant=lambda name: pytest.fail(name))
                assert result["steps"] >= 0 and result["params"] > 0
                if module and hasattr(program, "log_probs") and status == 0:
                    try_out(program, program.load(out))
            call_table(folder)  # it can show whatever was written

    fuzz()


def call_table(folder):
    status, out, err = call(lambda: run_tool("table", table.main), f"--from={folder}")
    assert status in (0, 1) and "left out" not in err
    assert not OBEYED & {*out, *err}


@pytest.mark.parametrize("count", [350])
def test_generate_continues_any_prompt_or_costs_one_line(count):
    stage = "06_shakespeare_gpt"
    common, main = load_stage(stage, "common"), load_stage(stage)
    program = load_stage(stage, "generate")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        words = [*TINY[stage], f"--data={put(folder, SPEECH.encode() * 3)}", f"--out={folder}"]
        assert call(lambda: common.run(main.main), *words)[0] == 0
        good = (folder / "model.pt").read_bytes()

        @examples(count)
        @given(flags_of(program.Config), st.none() | st.binary(max_size=40), st.integers(0, 400))
        def fuzz(flags, changed, place):
            model = folder / "model.pt"
            if changed is None:
                model.write_bytes(good)
            else:
                model.write_bytes(good[:place] + changed + good[place + len(changed) :])
            words = ["--length=5", "--device=cpu", *flags, f"--model={model}"]
            check_outcome(*call(lambda: common.run(program.main), *words))

        fuzz()


# ---- tools -----------------------------------------------------------------------------------
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)  # fmt: skip
RESULTS = [
    json.loads((ROOT / "results" / stage / "result.json").read_text(encoding="utf-8"))
    for stage in ("01_micrograd", "02_bigram_counts", "04_embedding_mlp", "06_shakespeare_gpt")
]


@st.composite
def changed_result(draw):
    """A result in which one or two values at any depth are other ones, or its bytes are cut."""
    result = json.loads(json.dumps(draw(st.sampled_from(RESULTS))))
    for _ in range(draw(st.integers(0, 2))):
        inner = result
        while True:
            key = draw(st.sampled_from(sorted(inner)))
            if isinstance(inner[key], dict) and inner[key] and draw(st.booleans()):
                inner = inner[key]
                continue
            inner[key] = draw(JSON)
            break
    text = json.dumps(result)
    return text if draw(st.integers(0, 9)) else text[: draw(st.integers(0, len(text)))]


@examples(500)
@given(st.lists(changed_result(), max_size=3), st.sampled_from(["text", "markdown", "json", "csv"]))
def test_the_table_shows_any_results_or_leaves_them_out(results, form):
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(results):
            place = Path(folder, ("02_bigram_counts", "mine", "04_embedding_mlp/seeds/3")[number])
            place.mkdir(parents=True)
            (place / "result.json").write_text(text, encoding="utf-8")
        words = [f"--from={folder}", f"--format={form}"]
        status, out, err = call(lambda: run_tool("table", table.main), *words)
        assert status in (0, 1) and not OBEYED & {*out, *err}
        lines = [line for line in err.splitlines() if not line.startswith("Not run yet")]
        assert all(line.startswith("left out: ") for line in lines) and len(lines) <= len(results)
        if form == "json":
            json.loads(out)
        if form == "csv":
            list(csv.DictReader(io.StringIO(out)))


@examples(60)
@given(st.lists(changed_result(), min_size=1, max_size=2))
def test_the_plots_draw_any_results_or_skip_them(results):
    with tempfile.TemporaryDirectory() as folder:
        for stage, text in zip(("04_embedding_mlp", "06_shakespeare_gpt"), results):
            Path(folder, stage).mkdir()
            Path(folder, stage, "result.json").write_text(text, encoding="utf-8")
        status, out, err = call(lambda: run_tool("plots", lambda: plots.main([f"--from={folder}"])))
        assert status == 0 and not OBEYED & {*out, *err}
        assert all(" drawn" in line or " skipped: " in line for line in out.splitlines())


TOOLS = {
    "diff": (lambda words: call(lambda: run_tool("diff", diff.main), *words),
             ["--full", "04_embedding_mlp", "02_bigram_counts"]),
    "published": (lambda words: call(lambda: run_tool("p", lambda: published.main(words))),
                  ["mpl"]),
    "readme": (lambda words: call(lambda: run_tool("r", lambda: readme.main(words))), ["--check"]),
    "seeds": (lambda words: call(lambda: run_tool("s", lambda: seeds.main(words))),
              ["--seeds=0", "--seeds=1001", "--stages=9", "--seeds=many"]),
    "table": (lambda words: call(lambda: run_tool("table", table.main), *words),
              ["--from=nowhere", "--format=csv", "--format=xml"]),
    "tries": (lambda words: call(lambda: run_tool("t", lambda: tries.main(words))), ["nothing"]),
}  # fmt: skip


@pytest.mark.parametrize("tool", TOOLS)
def test_any_words_for_a_tool_work_or_cost_one_line(tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, words = TOOLS[tool]
    once = {"published", "seeds", "tries"}  # without a mistake, they would train

    @examples(80)
    @given(st.lists(ARGUMENT | st.sampled_from(words), min_size=1, max_size=3))
    def fuzz(given):
        if tool in once:
            given = [*given, words[0]]
        if "--" in given or any(word.startswith(("-h", "--h")) for word in given):
            return  # the help, or what follows is positional
        status, out, err = function(given)
        check_outcome(status, out, err.replace("Not run yet", "") if status == 0 else err, (0,))

    with contextlib.suppress(FileNotFoundError):
        fuzz()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """out/ with stage 02 trained on some names."""
    out = tmp_path_factory.mktemp("out")
    stage = "02_bigram_counts"
    (out / "data.txt").write_text("\n".join(NAMES[:300]), encoding="utf-8")
    common, main = load_stage(stage, "common"), load_stage(stage)
    words = [f"--data={out / 'data.txt'}", f"--out={out / stage}"]
    assert call(lambda: common.run(main.main), *words)[0] == 0
    return out


@examples(250)
@given(words=st.lists(ARGUMENT | st.text(max_size=9) | st.sampled_from(
    [*NAMES[:9], "2", "06_shakespeare_gpt", "--scrambled", "--samples=3", "NAME=", "NAME=a b"]),
    max_size=4))  # fmt: skip
def test_any_words_are_scored_or_cost_one_line(out, words):
    words = [word.replace("\0", "") for word in words]
    if any(word.startswith(("-h", "--h", "--from")) for word in words):
        return
    status, printed, err = call(lambda: run_tool("score", score.main), f"--from={out}", *words)
    assert status in (0, 2) and not OBEYED & {*printed, *err}
    assert err.count("\n") == 1 if status else True


@pytest.mark.parametrize("stage", ["02_bigram_counts", "05_microgpt"])
def test_any_change_in_the_json_of_a_model_is_refused_or_works(stage):
    module, common = load_stage(stage), load_stage(stage, "common")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        text = "\n".join(NAMES[:60]).encode()
        words = [*TINY[stage], f"--data={put(folder, text)}", f"--out={folder / 'o'}"]
        assert call(lambda: common.run(module.main), *words)[0] == 0
        path = folder / "o" / "model.json"
        good = path.read_text(encoding="utf-8")

        @examples(200)
        @given(st.sampled_from(sorted(json.loads(good))), JSON, st.integers(0, len(good)))
        def fuzz(key, value, cut):
            content = json.dumps({**json.loads(good), key: value})
            path.write_text(content if cut % 3 else good[:cut], encoding="utf-8")
            with contextlib.suppress(NoModel):
                load_model(folder, stage, folder / "o")

        fuzz()


def test_the_number_of_cases():
    """At least 3,000, as the project promises."""
    of_tools = 350 + 500 + 60 + 80 * len(TOOLS) + 250 + 2 * 200
    assert sum(count for *_, count in PROGRAMS.values()) + of_tools >= 3000
