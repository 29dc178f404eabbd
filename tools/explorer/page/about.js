// What a model of names is, in a few words.

const lastLetters = (count) => (count === 1 ? "the last letter" : `the last ${count} letters`);

// By kind. The microGPTs differ by their folder.
const ABOUT_KIND = {
  counts: () => "counts which letter follows which",
  ngram: ({ n }) => `counts what follows ${lastLetters(n - 1)}`,
  learned: () => "learns the table of stage 02 by gradient descent",
  mlp: ({ block_size }) => `reads ${lastLetters(block_size)} as vectors`,
  microgpt: ({ folder }) => ABOUT_GPT[folder] ?? ABOUT_GPT["05_microgpt"],
};
const ABOUT_GPT = {
  "05_microgpt": "looks back at every letter with attention",
  "05_microgpt/twin": "the same model in PyTorch, trained on more names",
  "05_microgpt/best": "a larger microGPT, trained for longer",
};

export function aboutModel(entry) {
  return ABOUT_KIND[entry.kind](entry);
}
