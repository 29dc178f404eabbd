"""make predict 3: the questions of the lesson before the run, and your score after it.

Your answers are scored against your own run, if it has the settings and the data of the lesson, and
otherwise against the reference run in results/. They are kept in my/progress.json. To answer again:
make predict 3 ARGS=--again.
"""

from stages import ROOT

from rich.markdown import Markdown
from rich.padding import Padding
from rich.text import Text

from learn import progress
from learn.check import read_result, results_folder
from learn.exercises import find_lesson, parser, short
from learn.report import make_console
from visible import visible


def main(words):
    flags = parser("predict", __doc__)
    flags.add_argument("--again", action="store_true", help="forget the earlier answers")
    args = flags.parse_args(words)
    lesson = find_lesson(args.stage)
    console = make_console()
    if not lesson.predictions:
        console.print(f"There is nothing to predict: {lesson.title} has no questions.")
        return 0
    answers = [] if args.again else known_answers(lesson, args.my)
    answers = ask_all(console, lesson, args.my, answers)
    if len(answers) < len(lesson.predictions):
        console.print(f"\nTo answer the rest: make predict {lesson.word}")
        return 1
    result, source = choose_result(lesson, args.my)
    if not result:
        number = lesson.word
        console.print(f"Now run it: make stage {number}. Then see how right you were: ", end="")
        console.print(f"make predict {number}")
        return 0
    console.print(Text(f"{source}\n", "dim"))
    return show_score(console, lesson, answers, result)


def known_answers(lesson, my):
    """The answers so far, without those that a question cannot have."""
    answers = progress.read(my, lesson.stage).predictions
    known = []
    for question, answer in zip(lesson.predictions, answers):
        if parse(question, str(answer)) is None:
            break
        known.append(answer)
    return known


# --- asking ---


def ask_all(console, lesson, my, answers):
    """Ask what is not answered yet, and save each answer at once. Returns all answers."""
    for number in range(len(answers), len(lesson.predictions)):
        question = lesson.predictions[number]
        console.print(Text(f"\nQuestion {number + 1} of {len(lesson.predictions)}", "bold"))
        console.print(Markdown(question.question))
        for place, choice in enumerate(question.choices, 1):
            console.print(f"  {place}  {choice}")
        answer = ask(question)
        if answer is None:
            break
        answers = [*answers, answer]
        progress.save(my, lesson.stage, predictions=answers)
    return answers


def ask(question):
    """One answer; asks again until it makes sense. None at the end of the input."""
    is_number = question.kind == "number"
    what = "a number" if is_number else f"1 to {len(question.choices)}"
    while True:
        try:
            answer = parse(question, input(f"your answer, {what}: "))
        except EOFError:
            return None
        if answer is not None:
            return answer
        print("Give a number such as 2.5 or 1/27." if is_number else f"Give a number, {what}.")


def parse(question, text):
    """A number, or one of the choices given by its number or its text; None for anything else."""
    text = text.strip()
    if question.kind == "choice":
        if text in question.choices:
            return text
        valid = text.isdecimal() and 1 <= int(text) <= len(question.choices)
        return question.choices[int(text) - 1] if valid else None
    above, _, below = text.replace(",", "").partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        return None


# --- scoring ---


def choose_result(lesson, my):
    """The result with the right answers, and a sentence that says which one it is.

    {} if there is no run yet: the answers come after it. A run of the stage or of the learner's own
    code counts if it is like the reference run in results/, which the lesson describes. Otherwise
    the reference run counts.
    """
    place = ROOT / "results" / lesson.stage / "result.json"
    reference, other = read_result(place), ""
    for folder in (ROOT / "out" / lesson.stage, results_folder(lesson, my)):
        run = read_result(folder / "result.json")
        difference = find_difference(run, reference) if run and reference else ""
        if run and not difference:
            return run, f"Scored against your own run in {short(folder)}."
        if run and not other:
            other = f"because your own run in {short(folder)} differs: {difference}."
    if not other:
        return {}, ""
    return reference, f"Scored against the reference run in {short(place.parent)}, {other}"


def find_difference(run, reference):
    """In words, how a run differs from the reference run in what its losses depend on, or ""."""
    if run.get("interrupted"):
        return "it was stopped early"
    dataset, wanted = (result.get("dataset", {}) for result in (run, reference))
    if dataset.get("sha256") != wanted.get("sha256"):
        return visible(f"it read other data, {dataset.get('name')}")
    settings, wanted = (result.get("config", {}) for result in (run, reference))
    names = [name for name in {**wanted, **settings} if settings.get(name) != wanted.get(name)]
    words = [f"{name} {settings.get(name)}, not {wanted.get(name)}" for name in names]
    return visible(", ".join(words))


def right_answer(question, result):
    """The answer of a question; what is a path, such as loss.val, is looked up in the result.

    None if the result does not have it, as after a run that was stopped.
    """
    if question.kind == "choice" or not isinstance(question.answer, str):
        return question.answer
    value = result
    for part in question.answer.split("."):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return value if isinstance(value, (int, float)) else None


def show_score(console, lesson, answers, result):
    right = counted = 0
    for question, answer in zip(lesson.predictions, answers):
        wanted = right_answer(question, result)
        well = is_right(question, answer, wanted)
        counted += wanted is not None
        right += well
        mark = ("right  ", "green") if well else ("wrong  ", "red")
        mark = ("no answer  ", "dim") if wanted is None else mark
        console.print(Markdown(question.question))
        texts = f"you said {show(answer)}; it is {show(wanted)}"
        console.print(Padding(Text.assemble(mark, texts), (0, 0, 0, 2)))
        console.print(Padding(Markdown(question.why), (0, 0, 1, 2)))
    console.print(f"{right} of {counted} right")
    return 0


def is_right(question, answer, wanted):
    if question.kind == "choice" or wanted is None:
        return answer == wanted
    return abs(answer - wanted) <= question.tolerance


def show(answer):
    if answer is None:
        return "not in the result of that run"
    return f"{answer:.4f}".rstrip("0").rstrip(".") if isinstance(answer, float) else str(answer)
