"""tools/generate.py: what follows a prompt, for every stage, and where it ends."""

import math
import random
import re
import sys
from collections import Counter
from types import SimpleNamespace

import pytest

import generate as tool
from stages import ROOT
from trained_models import load_code, load_model

NAMES = (ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()[:300]
SPEECH = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak.\n\n"
RUNS = {
    "02_bigram_counts": [],
    "03_bigram_learned": ["--steps=100"],
    "04_embedding_mlp": ["--steps=50", "--batch-size=64", "--n-hidden=16"],
    "05_microgpt": ["--steps=20", "--block-size=6"],
    "05_microgpt/twin": ["--steps=20", "--block-size=6"],
    "05_microgpt/modern": [
        "--steps=20", "--batch-size=32", "--n-embd=16", "--n-layer=1", "--block-size=6",
    ],
    "06_shakespeare_gpt": [
        "--steps=30", "--batch-size=4", "--n-embd=16", "--n-layer=1", "--block-size=16",
        "--device=cpu",
    ],
    "06_shakespeare_gpt/modern": [
        "--steps=30", "--batch-size=4", "--n-embd=16", "--n-layer=1", "--block-size=16",
        "--device=cpu", "--dtype=float32",  # the precision of log_probs
    ],
}  # fmt: skip
OF_NAMES = [folder for folder in RUNS if not tool.reads_running_text(folder)]
OF_TEXT = [folder for folder in RUNS if tool.reads_running_text(folder)]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A folder with a short run of each model."""
    out = tmp_path_factory.mktemp("out")
    (out / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    (out / "text.txt").write_text(SPEECH * 20, encoding="utf-8", newline="\n")
    for folder, flags in RUNS.items():
        data = out / ("text.txt" if folder in OF_TEXT else "names.txt")
        with pytest.MonkeyPatch.context() as patch:
            words = ["main.py", *flags, f"--data={data}", f"--out={out / folder}"]
            patch.setattr(sys, "argv", words)
            load_code(folder).main()
    return out


@pytest.fixture
def generate(out, monkeypatch, capsys):
    """generate(*words) -> (status, {folder: names}, stderr); a text is under its folder."""

    def generate(*words, out=out):
        monkeypatch.setattr(sys, "argv", ["generate", "--from", str(out), *map(str, words)])
        try:
            status = tool.main()
        except SystemExit as ended:
            status = ended.code
        printed, err = capsys.readouterr()
        names, *texts = re.split("^---- (.+) ----\n", printed, flags=re.MULTILINE)
        lines = [line.partition(": ") for line in names.splitlines()]
        answers = {folder: listed.split(", ") for folder, _, listed in lines}
        for folder, text in zip(texts[::2], texts[1::2]):
            answers[folder] = text.removesuffix("----\n")
        return status, answers, err

    return generate


def test_every_model_of_names_continues_a_beginning(generate):
    status, answers, err = generate("--prompt=em", "--count=7")
    assert (status, err) == (0, "")
    assert list(answers) == OF_NAMES
    for names in answers.values():
        assert len(names) == 7 and len(set(names)) > 1
        assert all(name.startswith("em") for name in names)


def test_a_name_goes_on_after_the_block_size_and_ends_where_its_model_ends_it(generate):
    beginning = "maximili"  # longer than the block_size of the models of stage 05
    _, answers, _ = generate("5", f"--prompt={beginning}", "--count=20", "--length=30")
    assert list(answers) == ["05_microgpt", "05_microgpt/twin", "05_microgpt/modern"]
    for names in answers.values():
        assert all(name.startswith(beginning) and len(name) <= 38 for name in names)
        assert len({len(name) for name in names}) > 3


@pytest.mark.parametrize("folder", OF_NAMES)
def test_the_likeliest_name_is_that_of_the_models_own_probabilities(folder, generate, out):
    module, model = load_model(out, folder)
    name = "a"
    while len(name) < 10:
        row = module.log_probs(model, name)[-1]
        token = row.index(max(row))
        if token == model.tokenizer.BOS:
            break
        name += model.tokenizer.decode([token])
    _, answers, _ = generate(folder, "--prompt=a", "--top-k=1", "--length=9", "--count=2")
    assert answers[folder] == [name, name]


@pytest.mark.parametrize("folder", OF_TEXT)
def test_the_likeliest_text_is_that_of_the_models_own_probabilities(folder, generate, out):
    module, model = load_model(out, folder)
    text = "All:\n"
    # log_probs always sees a whole block. When it is full, stage 06 drops half of it to draw.
    for _ in range(12 if folder == tool.RUNNING_TEXT else 30):
        row = module.log_probs(model, text)[-1]
        text += model.tokenizer.decode([row.index(max(row))])
    words = "6", "--prompt=All:\\n", "--top-k=1", f"--length={len(text) - 5}"
    _, answers, _ = generate(*words)
    assert list(answers) == OF_TEXT and answers[folder].strip("\n") == text.strip("\n")


def test_a_folder_names_one_model(generate):
    _, answers, _ = generate("06_shakespeare_gpt/modern", "--length=20", "--count=2")
    assert list(answers) == ["06_shakespeare_gpt/modern"]
    assert answers["06_shakespeare_gpt/modern"].count("----\n") == 1  # between two texts


def test_a_stop_ends_a_name_and_a_text_after_its_first_occurrence(generate):
    _, answers, _ = generate("--prompt=a", "--stop=a", "--count=30")
    for names in answers.values():
        assert any(name.endswith("a") for name in names)
        assert all("a" not in name[1:-1] for name in names)
    _, answers, _ = generate("6", "--prompt=All:", "--stop=e", "--length=300")
    assert list(answers) == OF_TEXT
    for text in answers.values():
        assert text.startswith("All:") and text.endswith("e\n") and text.count("e") == 1


def test_a_prompt_with_a_line_end_typed_or_from_a_file_is_the_same(generate, tmp_path):
    (tmp_path / "prompt.txt").write_bytes(b"All:\r\nSpeak")
    _, typed, _ = generate("6", "--prompt", r"All:\nSpeak", "--length=40")
    _, read, _ = generate("6", "--prompt-file", tmp_path / "prompt.txt", "--length=40")
    assert typed == read and list(typed) == OF_TEXT
    for text in typed.values():
        assert text.startswith("All:\nSpeak") and len(text) == len("All:\nSpeak") + 40 + 1
    (tmp_path / "prompt.txt").write_bytes(b" em\n")  # a name has no line end
    _, answers, _ = generate("3", "--prompt-file", tmp_path / "prompt.txt")
    assert all(name.startswith("em") for name in answers["03_bigram_learned"])


def test_the_seed_decides(generate):
    once, again = generate("--seed=1")[1], generate("--seed=1")[1]
    assert once == again != generate("--seed=2")[1]


def test_what_cannot_be_answered_costs_one_line(generate, tmp_path):
    for words, named in (
        (["--prompt=Em"], "give 'em'"),
        (["--prompt=日"], "'日'"),
        (["4", "--stop=日"], "--stop holds '日'"),
        (["6", "--prompt="], "--prompt is empty"),
        (["1"], "'1'"),
        (["x"], "'x'"),
        (["05_microgpt/best"], "make extras trains it"),
        (["--count=0"], "'0'"),
        (["--temperature=nan"], "'nan'"),
        (["--top-k=x"], "'x'"),
        (["--prompt=a", "--prompt-file=b"], "--prompt-file"),
        (["2", f"--prompt-file={tmp_path / 'none'}"], "none"),
    ):
        status, answers, err = generate(*words)
        assert (status, answers) == (2, {}), words
        assert err.count("\n") == 1 and named in err, words
    status, _, err = generate(out=tmp_path)
    assert status == 2 and "make stage 2" in err and err.count("\n") == 1
    for folder, how in (
        ("6", "make stage 6"),
        ("06_shakespeare_gpt/modern", "make modern"),
        ("05_microgpt/modern", "python extras/modern_names.py"),
    ):
        status, _, err = generate(folder, out=tmp_path)
        assert status == 2 and f"{how} trains it" in err and err.count("\n") == 1


def test_a_model_that_cannot_answer_is_left_out_with_its_line(generate, out, tmp_path):
    for folder in ("02_bigram_counts", "03_bigram_learned"):
        (tmp_path / folder).mkdir()
    for file in (out / "02_bigram_counts").iterdir():
        (tmp_path / "02_bigram_counts" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "03_bigram_learned" / "model.pt").write_bytes(b"broken")
    status, answers, err = generate("--prompt=em", out=tmp_path)
    assert status == 0 and list(answers) == ["02_bigram_counts"]
    assert err.count("\n") == 1 and err.startswith("left out: 03_bigram_learned: ")


def test_draws_follow_the_temperature_and_the_likeliest():
    random.seed(0)
    log_probs = [math.log(p) for p in (0.1, 0.6, 0.3)]
    for temperature, top_k in ((1.0, None), (0.5, None), (2.0, 2)):
        powers = [math.exp(p / temperature) for p in log_probs]
        if top_k:
            powers[0] = 0.0  # the third likeliest
        drawn = Counter(tool.draw(log_probs, temperature, top_k) for _ in range(20_000))
        for i, power in enumerate(powers):
            assert drawn[i] / 20_000 == pytest.approx(power / sum(powers), abs=0.015)
    assert {tool.draw([-math.inf, 0.0]) for _ in range(100)} == {1}


@pytest.mark.parametrize("log_probs", [[math.nan, 0.0], [-math.inf] * 3])
def test_a_model_without_probabilities_is_named(log_probs):
    with pytest.raises(tool.Problem, match="train it again"):
        tool.draw(log_probs)
    module = SimpleNamespace(log_probs=lambda *_: [log_probs])
    args = SimpleNamespace(temperature=1.0, top_k=None)
    with pytest.raises(tool.Problem):
        next(tool.rest_of_name(module, None, "", args))
