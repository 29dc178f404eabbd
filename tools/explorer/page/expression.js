// A small parser for expressions such as tanh(w*x + b): text -> tree. Nothing is ever run as code.
//
// Several statements are separated by ; or line ends, and "name = ..." names a number. As in
// Python, ** binds more tightly than a minus before it, and a ** b ** c is a ** (b ** c).

export const FUNCTIONS = ["exp", "log", "tanh", "relu"];
const LONGEST_EXPRESSION = 500; // characters
const TOKEN = /\*\*|[-+*/()=;\n]|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[\p{L}_][\p{L}\p{N}_]*/uy;

// A mistake in an expression. The message ends with its place in the text.
export class ExpressionError extends Error {
  constructor(problem, text, at) {
    super(`${problem} at ${placeIn(text, at)}`);
    this.at = at;
  }
}

function placeIn(text, at) {
  const lines = text.slice(0, at).split("\n");
  const character = `character ${[...lines.at(-1)].length + 1}`;
  return text.trimEnd().includes("\n") ? `line ${lines.length}, ${character}` : character;
}

// -> [{text, kind, at, end}], the last one of the kind "end". at and end: indices into the text.
function tokenize(text) {
  const tokens = [];
  let depth = 0; // a line may end inside parentheses
  for (let at = 0; at < text.length; ) {
    if (/[ \t\r]/.test(text[at])) {
      at++;
      continue;
    }
    TOKEN.lastIndex = at;
    const found = TOKEN.exec(text)?.[0];
    if (!found) {
      const ch = String.fromCodePoint(text.codePointAt(at));
      const hint = ch === "^" ? "a power is written **, not ^," : `unexpected ${ch}`;
      throw new ExpressionError(hint, text, at);
    }
    depth += (found === "(") - (found === ")");
    let kind = /^[\d.]/.test(found) ? "number" : /^[\p{L}_]/u.test(found) ? "name" : found;
    if (kind === "\n") kind = depth > 0 ? "space" : ";";
    if (kind !== "space") tokens.push({ text: found, kind, at, end: at + found.length });
    at += found.length;
  }
  return [...tokens, { text: "", kind: "end", at: text.length, end: text.length }];
}

class Parser {
  constructor(text) {
    this.text = text;
    this.tokens = tokenize(text);
    this.i = 0;
  }

  get next() {
    return this.tokens[this.i];
  }

  fail(problem, at = this.next.at) {
    throw new ExpressionError(problem, this.text, at);
  }

  // Takes the next token if it is of one of these kinds.
  take(...kinds) {
    return kinds.includes(this.next.kind) ? this.tokens[this.i++] : null;
  }

  statements() {
    const all = [];
    for (;;) {
      while (this.take(";"));
      if (this.next.kind === "end") return all;
      all.push(this.statement());
      if (!["end", ";"].includes(this.next.kind)) this.unexpected();
    }
  }

  unexpected() {
    const { kind, text } = this.next;
    if (kind === "end" || kind === ";") this.fail("a number or a name is missing");
    if (kind === ")") this.fail("a ) without its (");
    if (kind === "(") this.fail("write an operation before (,");
    if (kind === "number" || kind === "name") this.fail(`write an operation before ${text},`);
    this.fail(`unexpected ${text}`);
  }

  // -> {name or null, tree, at, start, end}: start and end of what is right of the =.
  statement() {
    const { at, text: name } = this.next;
    const isNamed = this.next.kind === "name" && this.tokens[this.i + 1].kind === "=";
    if (isNamed) {
      if (FUNCTIONS.includes(name)) this.fail(`${name} is a function: choose another name`);
      this.i += 2;
    }
    const start = this.next.at;
    const tree = this.sum();
    return { name: isNamed ? name : null, tree, at, start, end: this.tokens[this.i - 1].end };
  }

  sum() {
    return this.chain(() => this.product(), "+", "-");
  }

  product() {
    return this.chain(() => this.signed(), "*", "/");
  }

  chain(part, ...operations) {
    let left = part();
    for (let token; (token = this.take(...operations)); ) {
      left = { kind: "binary", op: token.kind, left, right: part(), at: token.at };
    }
    return left;
  }

  signed() {
    const token = this.take("-", "+");
    if (!token) return this.power();
    const of = this.signed();
    return token.kind === "-" ? { kind: "negative", of, at: token.at } : of;
  }

  power() {
    const left = this.atom();
    const token = this.take("**");
    if (!token) return left;
    return { kind: "binary", op: "**", left, right: this.signed(), at: token.at };
  }

  atom() {
    const token = this.next;
    if (this.take("number")) {
      const value = Number(token.text);
      if (value === Infinity) this.fail(`${token.text} is too large for a number`, token.at);
      return { kind: "number", value, at: token.at };
    }
    if (this.take("name")) return this.nameOrCall(token);
    if (this.take("(")) return this.closed(token);
    return this.unexpected();
  }

  nameOrCall({ text: name, at }) {
    const isFunction = FUNCTIONS.includes(name);
    const open = this.take("(");
    if (!open && isFunction) this.fail(`${name} needs parentheses, as in ${name}(x),`, at);
    if (!open) return { kind: "name", name, at };
    if (!isFunction) this.fail(`unknown function ${name} (known: ${FUNCTIONS.join(", ")})`, at);
    return { kind: "call", name, of: this.closed(open), at };
  }

  closed(open) {
    const tree = this.sum();
    if (this.take(")")) return tree;
    if (this.next.kind === "end") this.fail("there is no ) for the (", open.at);
    return this.unexpected();
  }
}

// The statements of a text. Throws ExpressionError.
export function parseExpression(text) {
  if (text.length > LONGEST_EXPRESSION) {
    throw new ExpressionError("too long: cut the expression", text, LONGEST_EXPRESSION);
  }
  const statements = new Parser(text).statements();
  if (!statements.length) throw new ExpressionError("an expression is missing", text, 0);
  return statements;
}
