// The n-gram of extras/ngrams.py: interpolated Kneser-Ney smoothing of all lengths up to n.

const END = "\n"; // begins and ends a name, as BOS in extras/ngrams.py

function countOfLength(counts, length) {
  const shorter = new Map();
  for (const [gram, times] of counts) {
    const chars = [...gram];
    if (chars.length < length) continue;
    const end = chars.slice(-length).join("");
    shorter.set(end, (shorter.get(end) ?? 0) + times);
  }
  return shorter;
}

// For each n-gram, the number of different characters that came before it.
function continuationCounts(count, longer) {
  const before = new Map(count);
  for (const [gram, times] of longer) {
    const end = [...gram].slice(1).join("");
    before.set(end, before.get(end) + 1 - times);
  }
  return before;
}

// What to subtract from a count of 1, of 2, and of 3 or more (Chen and Goodman, equation 26).
function estimateDiscounts(count) {
  const occurring = [0, 0, 0, 0, 0];
  for (const times of count.values()) if (times <= 4) occurring[times] += 1;
  if (occurring.slice(1).some((n) => n === 0)) return [0.5, 1.0, 1.5];
  const Y = occurring[1] / (occurring[1] + 2 * occurring[2]);
  const discounts = [1, 2, 3].map((k) => k - ((k + 1) * Y * occurring[k + 1]) / occurring[k]);
  return discounts.every((d, i) => 0 < d && d < i + 1) ? discounts : [0.5, 1.0, 1.5];
}

export class NGram {
  // counts: {n-gram: times}. chars: what can come next, except the end.
  constructor(counts, n, chars) {
    this.n = n;
    this.symbols = [...chars, END];
    this.kept = new Map();
    this.given = new Map();
    this.total = new Map();
    const all = new Map(Object.entries(counts));
    this.byLength = Array.from({ length: n }, (_, i) => countOfLength(all, i + 1));
    this.byLength.forEach((plain, i) => {
      const longer = this.byLength[i + 1];
      const count = longer ? continuationCounts(plain, longer) : plain;
      const discounts = estimateDiscounts(count);
      for (const [gram, times] of count) {
        const given = discounts[Math.min(times, 3) - 1];
        const kept = times - given;
        const context = [...gram].slice(0, -1).join("");
        this.kept.set(gram, kept);
        this.given.set(context, (this.given.get(context) ?? 0) + given);
        this.total.set(context, (this.total.get(context) ?? 0) + kept + given);
      }
    });
  }

  // How often each symbol followed the last `length` characters of a context in train.
  followers(context, length) {
    const end = [...context].slice(context.length - length).join("");
    return this.symbols.map((ch) => this.byLength[length].get(end + ch) ?? 0);
  }

  // P of every symbol after a list of characters, which may begin with the end sign.
  probabilities(context) {
    const longest = context.slice(Math.max(0, context.length - this.n + 1));
    return this.symbols.map((ch) => {
      let p = 1 / this.symbols.length;
      for (let start = longest.length; start >= 0; start--) {
        const shorter = longest.slice(start).join("");
        const total = this.total.get(shorter);
        if (total === undefined) continue; // never seen
        p = ((this.kept.get(shorter + ch) ?? 0) + this.given.get(shorter) * p) / total;
      }
      return p;
    });
  }

  logProbs(text) {
    const chars = [END, ...text];
    return chars.map((_, i) =>
      Float64Array.from(this.probabilities(chars.slice(0, i + 1)), Math.log),
    );
  }
}
