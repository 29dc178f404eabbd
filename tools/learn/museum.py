"""make museum: famous bugs. Each one cost somebody hours. Can you tell what is wrong?

make museum lists them. make museum mask runs one of them beside the sound code, shows what happens,
and asks for the cause. Then it shows the line, and where the bug happened in public. Your answers
are kept in my/progress.json.
"""

import sys

from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from learn import progress
from learn.exercises import Problem, parser, read_lesson
from learn.exhibits import changed_lines, exhibit_names, read_exhibit, run_both
from learn.report import make_console

WIDTH, HEIGHT = 60, 12  # of the curves, in characters
LONGEST = 60  # characters of a cell


def main(words):
    flags = parser("museum", __doc__, stage=False)
    flags.add_argument("exhibit", nargs="?", help="its name, such as mask; without it: the list")
    flags.add_argument("--answer", type=int, help="the number of a choice, instead of asking")
    flags.add_argument("--show", action="store_true", help="show the explanation without asking")
    args = flags.parse_args(words)
    console = make_console()
    if args.exhibit is None:
        return show_list(console, args.my)
    exhibit = read_exhibit(args.exhibit)
    if args.answer is not None and not 1 <= args.answer <= len(exhibit.choices):
        raise Problem(f"--answer {args.answer}: give a number from 1 to {len(exhibit.choices)}")
    show_symptom(console, exhibit)
    console.print(Text(f"\n{exhibit.question}", "bold"))
    for number, choice in enumerate(exhibit.choices, 1):
        console.print(f"  {number}  {choice}", highlight=False)
    console.print()
    if args.answer is not None:
        judge(console, exhibit, args.answer, args.my)
    elif not args.show and not sys.stdin.isatty():
        how = f'make museum {exhibit.name} ARGS="--answer 1"'
        console.print(f'To answer: {how}; to see the explanation: ARGS="--show"')
        return 0
    elif not args.show:
        ask(console, exhibit, args.my)
    explain(console, exhibit)
    return 0


# --- the list ---


def show_list(console, my):
    answers = progress.museum_answers(my)
    exhibits = sorted(map(read_exhibit, exhibit_names()), key=lambda e: e.file)  # 01 first
    solved = [exhibit for exhibit in exhibits if answers.get(exhibit.name) == exhibit.answer]
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for exhibit in exhibits:
        state = "solved" if exhibit in solved else "tried" if exhibit.name in answers else ""
        style = {"solved": "green", "tried": "yellow", "": ""}[state]
        table.add_row(Text(exhibit.name, "bold"), exhibit.title, Text(state, style))
    console.print(table)
    console.print(f"\n{len(solved)} of {len(exhibits)} solved. To see one: make museum mask")
    return 0


# --- the symptom ---


def show_symptom(console, exhibit):
    console.print(Text.assemble((exhibit.title, "bold"), (f"   {exhibit.file}", "dim")))
    what = f"The sound code and the broken code run side by side, for about {exhibit.seconds} s ..."
    console.print(Text(what, "dim"))
    sound, broken = run_both(exhibit)
    if exhibit.curve:
        curves = [outcome.curves.get(exhibit.curve, []) for outcome in (sound, broken)]
        console.print()
        console.print(draw(*curves, exhibit.curve))
    labels = [s.label for s in exhibit.symptoms if s.label in {*sound.rows, *broken.rows}]
    if labels:
        table = Table("", "sound", "broken", box=None, padding=(0, 3, 0, 0), header_style="dim")
        for label in labels:
            cells = [outcome.rows.get(label, "") for outcome in (sound, broken)]
            table.add_row(Text(label, "dim"), *(Text(shorten(cell)) for cell in cells))
        console.print()
        console.print(table)
    if "error" in broken.rows and "error" not in labels:
        console.print(Text(f"\nThe broken code ended with {broken.rows['error']}", "red"))


def shorten(text):
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def draw(sound, broken, title):
    """A picture of two curves, lists of (step, loss): o is the sound code, x the broken one.

    The height follows the sound curve. What lies far above it, or is no number, is drawn at the
    top as ^.
    """
    points = [loss for _, loss in sound] + [loss for _, loss in broken]
    finite = [loss for loss in points if abs(loss) < float("inf")]
    highest_sound = max((loss for _, loss in sound), default=max(finite, default=1.0))
    low = min(finite, default=0.0)
    high = min(max(finite, default=1.0), highest_sound + 2 * (highest_sound - low))
    high = high if high > low else low + 1
    last = max((step for step, _ in sound + broken), default=1)
    cells = [[" "] * (WIDTH + 1) for _ in range(HEIGHT)]
    for curve, mark in ((sound, "o"), (broken, "x")):
        for step, loss in curve:
            inside = loss <= high  # False for nan
            row = round((HEIGHT - 1) * (high - loss) / (high - low)) if inside else 0
            column = round(WIDTH * step / max(1, last))
            other = cells[row][column]
            cells[row][column] = "*" if other not in (" ", mark) else mark if inside else "^"
    text = Text()
    text.append(f"{title}\n", "dim")
    colours = {"o": "green", "x": "red", "^": "red", "*": "yellow"}
    for number, row in enumerate(cells):
        value = high - (high - low) * number / (HEIGHT - 1)
        text.append(f"{value:8.3f} |" if number % 3 == 0 or number == HEIGHT - 1 else f"{'|':>10}")
        for mark in row:
            text.append(mark, colours.get(mark))
        text.append("\n")
    text.append(f"{'+':>10}{'-' * (WIDTH + 1)}\n{'0':>11}{last:>{WIDTH},} steps\n")
    text.append(f"{'':>11}o sound", "green")
    text.append("   x broken", "red")
    text.append("   * both   ^ higher, or no number", "dim")
    return text


# --- the answer ---


def ask(console, exhibit, my):
    """Ask until the answer is right. Enter or the end of the input gives up."""
    count = len(exhibit.choices)
    while True:
        try:
            answer = input(f"your answer, 1 to {count} (Enter: show the explanation): ").strip()
        except EOFError:
            return
        if not answer:
            return
        if not (answer.isdecimal() and 1 <= int(answer) <= count):
            print(f"Give a number, 1 to {count}.")
        elif judge(console, exhibit, int(answer), my):
            return


def judge(console, exhibit, answer, my):
    """Keep the answer, and say and return whether it is right."""
    right = answer == exhibit.answer
    progress.save_museum_answer(my, exhibit.name, answer)
    verdict = ("Right.", "bold green") if right else ("No, it is another one.", "bold red")
    console.print(Text(*verdict))
    return right


def explain(console, exhibit):
    console.print(Text(f"{exhibit.answer}  {exhibit.choices[exhibit.answer - 1]}", "bold"))
    console.print()
    for patch in exhibit.patches:
        console.print(Text(f"  {patch.file}", "dim"))
        for sign, lines, style in zip("-+", changed_lines(patch), ("green", "red")):
            for line in lines:
                console.print(Text(f"  {sign} {line}", style), soft_wrap=True)
        console.print()
    console.print(Padding(Markdown(exhibit.explanation), (0, 0, 1, 0)))
    console.print(Text("In public", "bold"))
    console.print(Markdown(exhibit.public, hyperlinks=False))  # so that the addresses can be read
    places = [variant.exercise.split() for variant in exhibit.in_exercises()]
    if places:
        commands = [f"make start {read_lesson(s).word}, exercise {name}" for s, name in places]
        console.print(Text(f"\nYou write such code yourself: {'; '.join(commands)}.", "dim"))
