"""Stage 05's ablations: each swap changes what it says and nothing else; kept runs; the table."""

import json
import math
import sys
from dataclasses import replace
from unittest import mock

import pytest
import torch
import torch.nn.functional as F

import ablate
import plumbing
import series
import twin
from ablate import ABLATIONS, Swap, layernorm
from plumbing import BadInput

V = 27
TINY = twin.Config(steps=2, batch_size=4)
NAMES = "\n".join(f"{a}{b}{a}{c}" for a in "abcde" for b in "mnop" for c in "xyz")
XB = torch.tensor([[26, 3, 1, 4, 1, 5], [26, 9, 2, 6, 5, 3]])


# ---- the swaps -------------------------------------------------------------------------------
def gpt(name, xb, **changes):
    swap = ABLATIONS[name]
    config = replace(TINY, **swap.config)
    with mock.patch.dict(vars(twin), swap.functions):
        torch.manual_seed(0)
        weights = {k: 5 * w.detach() for k, w in twin.init_weights(config, V).items()} | changes
        return twin.gpt(config, weights, xb)


@pytest.mark.parametrize("name", list(ABLATIONS)[1:])
def test_every_swap_changes_the_logits_and_the_twin_is_itself_again_afterwards(name):
    before = gpt("baseline", XB)
    assert (gpt(name, XB) - before).abs().max() > 1e-3
    assert torch.equal(gpt("baseline", XB), before)


def test_layernorm_is_pytorchs():
    x = 3 * torch.randn(4, 5, 16) + 2
    torch.testing.assert_close(layernorm(x), F.layer_norm(x, (16,), eps=1e-5))


@pytest.mark.parametrize("name, lost", [
    ("baseline", 0), ("layernorm", 0), ("no-residuals", 0), ("1-head", 0), ("8-heads", 0),
    ("no-positions", 16 * 16), ("no-attention", 4 * 16 * 16), ("no-mlp", 2 * 4 * 16 * 16),
])  # fmt: skip
def test_parameters(name, lost):
    functions = {"train": lambda *_: ([], 0, plumbing.Progress(0)), "evaluate": lambda *_: 0.0}
    with mock.patch.dict(vars(twin), functions):
        measured, _ = ablate.train(TINY, ABLATIONS[name], {"val": (0, 0)}, V)
    assert measured["params"] == 4192 - lost


def test_without_positions_the_order_of_earlier_letters_makes_no_difference():
    shuffled = XB[:, [2, 4, 0, 3, 1, 5]]
    a, b = gpt("no-positions", XB)[:, -1], gpt("no-positions", shuffled)[:, -1]
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
    assert (gpt("baseline", XB)[:, -1] - gpt("baseline", shuffled)[:, -1]).abs().max() > 1e-3


def test_without_attention_an_earlier_letter_changes_nothing_later():
    other = XB.clone()
    other[:, 2] = 20
    changed = (gpt("no-attention", XB) != gpt("no-attention", other)).any(2)
    assert changed.tolist() == [[False, False, True, False, False, False]] * 2
    assert (gpt("baseline", XB) != gpt("baseline", other)).any(2)[:, 2:].all()


def test_without_the_mlp_its_matrices_are_not_heard():
    loud = {"layer0.mlp_fc1": torch.randn(64, 16)}
    assert torch.equal(gpt("no-mlp", XB, **loud), gpt("no-mlp", XB))
    assert not torch.equal(gpt("baseline", XB, **loud), gpt("baseline", XB))


def test_without_residuals_a_silent_mlp_leaves_nothing():
    silent = {"layer0.mlp_fc2": torch.zeros(16, 64)}
    assert (gpt("no-residuals", XB, **silent) == 0).all()
    assert (gpt("baseline", XB, **silent) != 0).all()


def test_activations_by_hand():
    x = torch.tensor([-2.0, -0.5, 0.0, 3.0])
    assert ABLATIONS["squared-relu"].functions["relu"](x).tolist() == [0, 0, 0, 9]
    by_hand = [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x.tolist()]
    assert ABLATIONS["gelu"].functions["relu"](x).tolist() == pytest.approx(by_hand, abs=1e-6)


def test_all_entries_start_from_the_same_weights_and_see_the_same_batches():
    """But for the weights that an entry is about."""
    seen, data = {}, {name: (torch.randint(V, (50, 8)),) * 2 for name in ("train", "val")}
    for name, swap in ABLATIONS.items():
        seen[name] = []
        with mock.patch.object(F, "embedding", wraps=F.embedding) as embedding:
            ablate.train(replace(TINY, **swap.config), swap, data, V)
        batches = [call.args[0] for call in embedding.call_args_list if len(call.args[0]) == 4]
        seen[name] = torch.stack(batches).tolist()
    assert len(seen["baseline"]) == 2
    assert all(batches == seen["baseline"] for batches in seen.values())
    torch.manual_seed(0)
    weights = twin.init_weights(TINY, V)
    torch.manual_seed(0)
    for name, w in ABLATIONS["no-mlp"].functions["init_weights"](TINY, V).items():
        assert torch.equal(w, 0 * weights[name] if "mlp" in name else weights[name])
    torch.manual_seed(0)
    for name, w in ABLATIONS["large-init"].functions["init_weights"](TINY, V).items():
        assert torch.equal(w, 10 * weights[name]) and w.requires_grad


def test_weights_that_are_out_stay_out_in_training():
    data = {name: (torch.randint(V, (50, 8)),) * 2 for name in ("train", "val")}
    swap, kept = ABLATIONS["no-positions"], {}
    init = swap.functions["init_weights"]

    def spy(config, vocab_size):
        kept.update(init(config, vocab_size))
        return kept

    before = spy(TINY, V)["wte"]
    ablate.train(TINY, Swap("", functions={"init_weights": spy}), data, V)
    assert (kept["wpe"] == 0).all() and not torch.equal(kept["wte"], before)


# ---- the series ------------------------------------------------------------------------------
def progress(seconds=1.0, interrupted=False):
    done = plumbing.Progress(3)
    done.done, done.seconds, done.interrupted = 3, seconds, interrupted
    return done


def jobs_of(vals):
    return {job: {"what": f"about {job[0]}", "x": 1} for job in vals}


VALS = {
    ("base", 1): 2.0, ("base", 2): 2.2, ("worse", 1): 2.1, ("worse", 2): 2.5,
    ("better", 1): 1.9, ("better", 2): 2.1, ("broken", 1): math.nan, ("broken", 2): 3.0,
}  # fmt: skip
REFERENCES = dict.fromkeys(["base", "worse", "better", "broken"], "base")


def train_from(vals, log):
    def train(entry, seed):
        log.append((entry, seed))
        return {"params": 5, "val": vals[entry, seed], "curve": [[0, None, math.inf]]}, progress()

    return train


def test_the_table_by_hand(tmp_path, capsys):
    jobs, log = jobs_of(VALS), []
    assert series.run_all(jobs, tmp_path, train_from(VALS, log)) is False
    rows = series.compare(jobs, tmp_path, REFERENCES)
    rows = {row["entry"]: row for row in series.by_difference(rows)}
    assert list(rows) == ["better", "base", "worse", "broken"]
    assert rows["worse"]["val"] == pytest.approx({"mean": 2.3, "sd": 0.4 / math.sqrt(2)})
    assert rows["worse"]["difference"] == pytest.approx({"mean": 0.2, "sd": 0.2 / math.sqrt(2)})
    # Each seed is 0.1 better, though the seeds themselves differ by more.
    assert rows["better"]["difference"] == pytest.approx({"mean": -0.1, "sd": 0.0})
    assert rows["broken"]["diverged"] == 1 and rows["broken"]["val"] == {"mean": 3.0, "sd": None}
    assert rows["broken"]["difference"] == pytest.approx({"mean": 0.8, "sd": None})
    series.report(list(rows.values()), tmp_path, "title", "base")
    out = capsys.readouterr().out
    assert "2.3000 ± 0.2828" in out and "+0.2000 ± 0.1414" in out
    assert "3.0000 1 of 2 diverged" in out and "-0.1000 ± 0.0000" in out
    table = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert table["rows"] == plumbing.finite(list(rows.values()))


def test_an_entry_of_which_every_run_diverged_comes_last(tmp_path, capsys):
    vals = {("base", 1): 2.0, ("broken", 1): math.inf, ("worse", 1): 9.0}
    jobs = jobs_of(vals)
    series.run_all(jobs, tmp_path, train_from(vals, []))
    rows = series.by_difference(series.compare(jobs, tmp_path, REFERENCES))
    assert [row["entry"] for row in rows] == ["base", "worse", "broken"]
    series.report(rows, tmp_path, "title", "base")
    assert "1 of 1 diverged" in capsys.readouterr().out


def test_a_kept_run_is_not_repeated_unless_asked_or_described_otherwise(tmp_path, capsys):
    jobs, log = jobs_of(VALS), []
    train = train_from(VALS, log)
    series.run_all(dict(list(jobs.items())[:3]), tmp_path, train)
    log.clear()
    series.run_all(jobs, tmp_path, train)
    assert log == list(VALS)[3:]
    assert "3 of 8 runs are kept" in capsys.readouterr().out
    (tmp_path / "base-2.json").write_text("{ half", encoding="utf-8")
    jobs["worse", 1] = {"what": "about worse", "x": 2}
    log.clear()
    series.run_all(jobs, tmp_path, train)
    assert log == [("base", 2), ("worse", 1)]
    log.clear()
    series.run_all(jobs, tmp_path, train, again=True)
    assert log == list(VALS)


@pytest.mark.parametrize("how", ["in the steps", "outside of them"])
def test_ctrl_c_keeps_the_finished_runs_and_not_the_one_it_ended(how, tmp_path):
    jobs = jobs_of(VALS)

    def train(entry, seed):
        if (entry, seed) == ("worse", 1):
            if how == "outside of them":
                raise KeyboardInterrupt
            return {"params": 5, "val": 2.0, "curve": []}, progress(interrupted=True)
        return {"params": 5, "val": 2.0, "curve": []}, progress()

    assert series.run_all(jobs, tmp_path, train) is True
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base-1.json", "base-2.json"]


def test_only_takes_the_baseline_with_it_and_names_what_it_does_not_know():
    assert series.choose("gelu, no-mlp", ABLATIONS) == ["baseline", "gelu", "no-mlp"]
    assert series.choose("", ABLATIONS) == list(ABLATIONS)
    with pytest.raises(BadInput, match="--only selu is none of baseline, .*gelu"):
        series.choose("selu", ABLATIONS)


# ---- the command -----------------------------------------------------------------------------
def command(monkeypatch, tmp_path, *flags):
    (tmp_path / "names.txt").write_text(NAMES, encoding="utf-8")
    shared = [f"--data={tmp_path / 'names.txt'}", f"--out={tmp_path / 'o'}"]
    monkeypatch.setattr(sys, "argv", ["ablate.py", *shared, *flags])
    return ablate.main()


def test_the_command_keeps_every_run_and_the_table(monkeypatch, tmp_path, capsys):
    flags = ["--only=no-norm", "--seeds=2", "--steps=2"]
    assert command(monkeypatch, tmp_path, *flags) == 0
    names = ["baseline-42", "baseline-43", "no-norm-42", "no-norm-43", "table"]
    assert sorted(path.stem for path in (tmp_path / "o").iterdir()) == names
    run = json.loads((tmp_path / "o" / "no-norm-43.json").read_text(encoding="utf-8"))
    params = 2 * 13 * 16 + 16 * 16 + 12 * 16 * 16  # 12 letters and BOS
    assert [run[k] for k in ("entry", "seed", "steps", "params")] == ["no-norm", 43, 2, params]
    assert run["about"]["n_head"] == 4 and run["curve"][-1][2] == pytest.approx(run["val"])
    capsys.readouterr()
    assert command(monkeypatch, tmp_path, "--only=1-head", "--seeds=2", "--steps=2") == 0
    out = capsys.readouterr().out
    assert "2 of 4 runs are kept" in out and "run 2 of 2: 1-head, seed 43" in out
    assert "no-norm" in out  # what was trained before stays in the table


def test_list_names_every_entry_and_trains_none(monkeypatch, tmp_path, capsys):
    assert not command(monkeypatch, tmp_path, "--list")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(ABLATIONS)
    assert not (tmp_path / "o").exists()
