"""Kneser-Ney smoothing for pairs of characters; extras/ngrams.py does it for longer contexts.

How often each pair occurs is a dict such as {"ab": 2, "ba": 1} for the text "abab".
"""


def continuation_counts(pairs):
    """For each character: after how many different characters it occurs. -> {character: count}"""
    counts = {}
    for pair in pairs:  # each pair is in the dict once, however often it occurs
        counts[pair[1]] = counts.get(pair[1], 0) + 1
    return counts


def blend(counts, shorter, discounts=(0.5, 1.0, 1.5)):
    """One step of Kneser-Ney: discount the counts, and give what was taken to a simpler model.

    counts: {character: count} of what followed a context; characters that never did are not in it.
    shorter: {character: probability} of the simpler model, for all characters. discounts: what to
    take from a count of 1, of 2, and of 3 or more. -> {character: probability} for all characters
    """
    total = sum(counts.values())
    if total == 0:  # the context never occurred
        return dict(shorter)
    taken = {ch: discounts[min(count, 3) - 1] for ch, count in counts.items()}
    given = sum(taken.values())
    return {
        ch: (counts.get(ch, 0) - taken.get(ch, 0) + given * probability) / total
        for ch, probability in shorter.items()
    }


def probabilities(pairs, context, characters):
    """P(next character | context) from the counts of pairs, by two steps of Kneser-Ney.

    context: one character. -> {character: probability} for all characters
    """
    uniform = dict.fromkeys(characters, 1 / len(characters))
    single = blend(continuation_counts(pairs), uniform)
    following = {pair[1]: count for pair, count in pairs.items() if pair[0] == context}
    return blend(following, single)
