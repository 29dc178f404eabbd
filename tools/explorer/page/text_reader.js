// Reading a running text with a model, one character at a time and without blocking the page.
import { takeTurns } from "./dom.js";
import { logSoftmax } from "./numbers.js";

// Keeps what it has read, so that a character more or less at the end costs little.
export class TextReader {
  constructor(model) {
    this.model = model;
    this.tokens = [];
    this.rows = []; // log-probabilities of what follows each token
    this.cache = model.gpt.emptyCache();
  }

  keep(length) {
    this.tokens.length = this.rows.length = length;
    for (const { keys, values } of this.cache) keys.length = values.length = length;
  }

  // What the model sees of a text, its last block_size characters:
  // {chars, rows, losses}. rows: log-probabilities of what follows each character. losses: -log P
  // of each character in nats; the first has none. Throws UnknownCharacter.
  //
  // isStale() is asked now and then; once it is true, the answer is null.
  async read(text, isStale = () => false) {
    const chars = [...text].slice(-this.model.block_size);
    const tokens = this.model.encode(chars);
    let same = 0;
    while (same < tokens.length && tokens[same] === this.tokens[same]) same += 1;
    this.keep(same);
    const turn = takeTurns();
    for (let i = same; i < tokens.length; i++) {
      if ((await turn()) && isStale()) return null;
      this.rows.push(logSoftmax(this.model.gpt.step(tokens[i], i, this.cache)));
      this.tokens.push(tokens[i]);
    }
    const rows = [...this.rows];
    const losses = tokens.map((token, i) => (i ? -rows[i - 1][token] : null));
    return { chars, rows, losses };
  }
}
