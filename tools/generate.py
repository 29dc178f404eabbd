"""Let the trained models continue a prompt: the beginning of a name, or any text for stage 06.

    generate [STAGES] [--prompt TEXT]     such as: generate 4 --prompt em
    generate 6 --prompt "ROMEO:\\n" --stop "\\n\\n"

Without a stage, every trained model of names answers. A stage also means the modern GPT that
extras/ trained on its data, and 06_shakespeare_gpt/modern means that one alone.
"""

import argparse
import itertools
import math
import random
import sys
from pathlib import Path

from stages import ROOT, load_stage

from command_line import Parser, fail, run_tool
from score import RUNNING_TEXT, TEXT_MODELS, Problem, ask_all, reads_running_text
from trained_models import has_model, how_to_train
from visible import visible

common = load_stage(RUNNING_TEXT, "common")
prompts = load_stage(RUNNING_TEXT, "prompts")
OF_NAMES = {"count": 10, "length": 100}  # if --count and --length do not say
OF_TEXT = {"count": 1, "length": 500}


# ---- drawing ---------------------------------------------------------------------------------
def draw(log_probs, temperature=1.0, top_k=None):
    """Draw an id from softmax(log_probs / temperature); with top_k, from the likeliest only.

    Raises Problem if the model has no probabilities, such as after a training that diverged.
    """
    if any(map(math.isnan, log_probs)) or max(log_probs) == -math.inf:
        raise Problem("it has no probabilities for what comes next: train it again")
    ids = sorted(range(len(log_probs)), key=lambda i: -log_probs[i])[:top_k]
    highest = log_probs[ids[0]]
    weights = [math.exp((log_probs[i] - highest) / temperature) for i in ids]
    return random.choices(ids, weights)[0]


def rest_of_name(module, model, prompt, args):
    """Yield the characters that continue the beginning of a name, until the model ends it."""
    name = prompt
    while True:
        token = draw(module.log_probs(model, name)[-1], args.temperature, args.top_k)
        if token == model.tokenizer.BOS:
            return
        name += model.tokenizer.decode([token])
        yield name[-1]


def rest_of_text(module, model, prompt, args):
    """Yield the characters that continue a running text. They have no end."""
    tokens, how = model.tokenizer.encode(prompt), (args.temperature, args.top_k)
    if module is load_stage(RUNNING_TEXT):  # has a cache
        new = load_stage(RUNNING_TEXT, "generate").generate(model, tokens, sys.maxsize, *how)
    else:
        new = draw_one_by_one(model, tokens, *how)
    for token in new:
        yield model.tokenizer.decode([token])


def draw_one_by_one(model, tokens, *how):
    """Yield ids without an end, each drawn given the last block_size ones before it."""
    window = tokens
    while True:
        window = [*window, *model.generate(window, 1, *how)][-model.block_size :]
        yield window[-1]


def continue_prompt(rest, prompt, stop, length):
    """The prompt and at most `length` characters of the rest, which end with the first `stop`."""
    written = ""
    for ch in itertools.islice(rest, length):
        written += ch
        if stop and written.endswith(stop):
            break
    return prompt + written


# ---- asking the models -----------------------------------------------------------------------
def find_models(out, words):
    """The trained models in `out` that the words name: 4, 04_embedding_mlp or 05_microgpt/twin.

    No words means all models of names. Raises Problem if a word names none.
    """
    if not words:
        found = [f for f in TEXT_MODELS if not reads_running_text(f) and has_model(out, f)]
        if not found:
            raise Problem(f"{out} has no trained model of names: make stage 2 trains one")
        return found
    models = []
    for word in words:
        name = word.zfill(2) if word.isdecimal() else word.rstrip("/\\")
        named = [f for f in TEXT_MODELS if name in (f, f[:2], f.split("/")[0])]
        if not named:
            raise Problem(f"there is no model {word!r}: give a stage from 2 to 6")
        found = [f for f in named if has_model(out, f)]
        if not found:
            first = named[0]
            raise Problem(f"{out} has no trained {first}: {how_to_train(first)} trains it")
        models += found
    return models


def read_prompt(args, chars, running_text):
    """The prompt in a form that the model can read. A name may begin with nothing."""
    if running_text:
        given = prompts.DEFAULT if args.prompt is None else args.prompt
        if not given:
            raise Problem("--prompt is empty: give at least one character")
        return prompts.read_prompt(given, chars, args.prompt_file)
    if args.prompt_file:  # stages of names drop the spaces and the line end around a name, too
        text = common.read_text(Path(args.prompt_file), "--prompt-file").strip()
        return prompts.known_form("--prompt-file", text, chars)
    return prompts.known_form("--prompt", prompts.unescape(args.prompt or ""), chars)


def ask(module, model, _, args):
    """Continuations by one model, as many as asked for. -> list of str"""
    chars, running_text = set(model.tokenizer.chars), not hasattr(model.tokenizer, "BOS")
    try:
        prompt = read_prompt(args, chars, running_text)
        stop = prompts.known_form("--stop", prompts.unescape(args.stop), chars)
    except common.BadInput as error:
        raise Problem(str(error)) from error
    import torch  # after the model, since the stages set what PyTorch reads when it is imported

    random.seed(args.seed)
    torch.manual_seed(args.seed)
    rest = rest_of_text if running_text else rest_of_name
    usual = OF_TEXT if running_text else OF_NAMES
    count = usual["count"] if args.count is None else args.count
    length = usual["length"] if args.length is None else args.length
    return [
        continue_prompt(rest(module, model, prompt, args), prompt, stop, length)
        for _ in range(count)
    ]


# ---- main ------------------------------------------------------------------------------------
def between(kind, low, high):
    """A type for argparse: a number from low to high."""

    def parse(word):
        try:
            number = kind(word)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{word!r} is no number from {low} to {high}")
        return number

    return parse


def read_arguments():
    parser = Parser(
        prog="generate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="STAGES", help="such as 4 or 05_microgpt/best")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--prompt", metavar="TEXT", help="the text to continue; \\n is a line end")
    begin.add_argument("--prompt-file", metavar="FILE", help="a text file to continue")
    parser.add_argument(
        "--stop", default="", metavar="TEXT", help="end after the model has written this"
    )

    def number(name, kind, low, high, text, usual=None):
        parse = between(kind, low, high)
        parser.add_argument(f"--{name}", type=parse, default=usual, metavar="NUMBER", help=text)

    number("count", int, 1, 10**4, "names by each model (default: 10), or texts (default: 1)")
    number("length", int, 0, 10**7, "characters to add at most (default: 100, in texts 500)")
    number("temperature", float, 0.01, 100, "below 1 favours likely ones (default: 0.8)", 0.8)
    number("top-k", int, 1, 10**6, "draw from this many of the likeliest characters")
    number("seed", int, 0, 2**32 - 1, "of the random numbers (default: 42)", 42)
    parser.add_argument(
        "--from", dest="out", type=Path, default=ROOT / "out", metavar="DIR", help="default: out"
    )
    return parser.parse_intermixed_args()


def main():
    args = read_arguments()
    try:
        folders = find_models(args.out, args.words)
        answers = ask_all(args.out, folders, [args.prompt or ""], lambda *model: ask(*model, args))
        for folder, [texts] in answers.items():
            if reads_running_text(folder):
                shown = [visible(text.strip("\n"), "\n\t") for text in texts]
                print(f"---- {folder} ----", "\n----\n".join(shown), "----", sep="\n")
            else:
                print(f"{folder}: {visible(', '.join(texts))}")
    except Problem as problem:
        return fail("generate", str(problem))
    return 0


if __name__ == "__main__":
    run_tool("generate", main)
