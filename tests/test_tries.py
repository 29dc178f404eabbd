"""A run with other settings than the usual ones is a try, which replaces no stage's own run."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from stages import ROOT, STAGES, load_stage

NAMES = ROOT / "data" / "names.txt"


def config_of(stage, *flags, module="main"):
    """The Config of this command line. A program's Config, presets and common come from its own."""
    program, common = load_stage(stage, module), load_stage(stage, "common")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["main.py", *flags])
        return common.parse_flags(program.Config, "", getattr(program, "PRESETS", None))


def place(stage, *flags, module="main"):
    """Where the run writes, below out/."""
    return config_of(stage, *flags, module=module).out.relative_to(ROOT / "out").as_posix()


@pytest.mark.parametrize("stage", STAGES)
def test_the_usual_settings_write_into_the_stages_folder(stage):
    assert place(stage) == stage
    usual = [f"--{field.name}={field.default}" for field in dataclasses.fields(
        load_stage(stage).Config) if field.name in ("seed", "steps", "learning_rate")]  # fmt: skip
    assert len(usual) >= 2 and place(stage, *usual) == stage


@pytest.mark.parametrize("stage", STAGES)
def test_each_of_the_shared_flags_makes_a_try(stage, tmp_path):
    assert place(stage, "--seed=7") == f"{stage}/tries/seed-7"
    assert place(stage, "--steps", "7") == f"{stage}/tries/steps-7"
    assert place(stage, f"--data={tmp_path / 'mine.txt'}") == f"{stage}/tries/data-mine"
    assert config_of(stage, "--steps=7", f"--out={tmp_path}").out == tmp_path


@pytest.mark.parametrize(("flags", "name"), [
    (["--block-size", "8"], "block_size-8"),
    (["--block_size=8", "--weight-decay=0"], "block_size-8,weight_decay-0"),
    (["--weight-decay=0", "--block-size=8"], "block_size-8,weight_decay-0"),
    (["--learning-rate", "0.050"], "learning_rate-0.05"),
    (["--learning-rate", "0.010"], ""),
])  # fmt: skip
def test_a_try_has_the_name_of_what_was_changed(flags, name):
    expected = f"04_embedding_mlp/tries/{name}" if name else "04_embedding_mlp"
    assert place("04_embedding_mlp", *flags) == expected


def test_the_same_data_by_another_path_is_no_try(monkeypatch):
    monkeypatch.chdir(ROOT / "tests")
    assert place("04_embedding_mlp", "--data=../data/names.txt") == "04_embedding_mlp"


def test_out_on_the_command_line_always_holds(tmp_path):
    stage = "04_embedding_mlp"
    usual = load_stage(stage).Config.out
    assert config_of(stage, "--steps=7", "--out", str(usual)).out == usual
    assert config_of(stage, "--out", str(tmp_path)).out == tmp_path


def test_presets():
    """One with a folder of its own is no try. Others are, under their name alone."""
    assert place("05_microgpt", module="torch_twin") == "05_microgpt/twin"
    assert place("05_microgpt", "--preset=best", module="torch_twin") == "05_microgpt/best"
    tried = place("05_microgpt", "--preset=best", "--dropout=0", module="torch_twin")
    assert tried == "05_microgpt/best/tries/dropout-0"
    assert place("06_shakespeare_gpt", "--preset=cpu") == "06_shakespeare_gpt"
    tried = place("06_shakespeare_gpt", "--preset", "lecture")
    assert tried == "06_shakespeare_gpt/tries/preset-lecture"
    tried = place("06_shakespeare_gpt", "--preset=lecture", "--steps=5")
    assert tried == "06_shakespeare_gpt/tries/preset-lecture,steps-5"
    assert place("05_microgpt", "--published") == "05_microgpt/tries/published-True"


@pytest.mark.parametrize("prompt", ["\n", "ROMEO: /\\?", "日" * 500, "..", "a.", 'a"*<|>b'])
def test_every_value_gives_one_folder_that_can_be_made(prompt, tmp_path):
    name = place("06_shakespeare_gpt", f"--prompt={prompt}", "--steps=5").split("tries/")[-1]
    if prompt == "\n":
        assert name == "steps-5"
    else:
        assert name.startswith(("prompt-", "steps-5,prompt-")) and len(name) <= 80
    assert not set(name) & set(':/\\?*"<>|\n') and not name.endswith((".", " "))
    (tmp_path / name).mkdir()


def test_a_series_of_runs_keeps_its_folder():
    """It resumes from the files there, and each run in it has a folder or a file of its own."""
    for extra in ("ablate_microgpt", "ablate_shakespeare", "compare_tokens", "families",
                  "makemore_lectures", "microgpt_to_shakespeare", "ngrams", "scaling"):  # fmt: skip
        source = (ROOT / "extras" / f"{extra}.py").read_text(encoding="utf-8")
        assert "parse_flags(Config, __doc__, tries=False)" in source


def test_the_help_says_so(capsys):
    with pytest.raises(SystemExit):
        config_of("04_embedding_mlp", "--help")
    words = " ".join(capsys.readouterr().out.split())
    assert "04_embedding_mlp, or tries/NAME in it if another setting is changed)" in words


def test_a_try_leaves_the_stages_run_alone_and_says_where_it_is(tmp_path, monkeypatch, capsys):
    stage, out = "02_bigram_counts", tmp_path / "out" / "02_bigram_counts"
    main, common = load_stage(stage), load_stage(stage, "common")
    few = tmp_path / "few.txt"
    few.write_text("\n".join(NAMES.read_text(encoding="utf-8").split()[:300]), encoding="utf-8")
    fields = dataclasses.fields(main.Config)
    defaults = {"out": out, "data": few}
    kinds = [
        (f.name, Path if f.name in defaults else f.type,
         common.flag(defaults.get(f.name, f.default), **f.metadata))
        for f in fields
    ]  # fmt: skip
    here = dataclasses.make_dataclass("Config", kinds, frozen=True)
    monkeypatch.setattr(main, "Config", here)
    monkeypatch.chdir(tmp_path)

    def run(*flags):
        monkeypatch.setattr(sys, "argv", ["main.py", *flags])
        main.main()
        return capsys.readouterr().out.splitlines()[-1]

    assert run().startswith("loss in nats/char")
    own = (out / "result.json").read_bytes()
    last = run("--smoothing", "9")
    assert last == f"written to {Path('out/02_bigram_counts/tries/smoothing-9')}"
    tried = json.loads((tmp_path / last.split(" to ")[1] / "result.json").read_text())
    assert tried["config"]["smoothing"] == 9 and tried["schema"] == 1
    assert (out / "result.json").read_bytes() == own
    assert run("--smoothing=9", f"--out={tmp_path / 'o'}").startswith("loss in nats/char")
