// How close a name is to the names of a list: edits, and pieces that they share.
import { takeTurns } from "./dom.js";

// The least number of letters to change, add or leave out, to get from one list of characters to
// another; or limit + 1 if it is more than `limit`.
function editDistance(from, to, limit = Infinity) {
  if (Math.abs(from.length - to.length) > limit) return limit + 1;
  let above = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= to.length; j++) {
      const change = above[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1);
      row.push(Math.min(change, above[j] + 1, row[j - 1] + 1));
      least = Math.min(least, row[j]);
    }
    if (least > limit) return limit + 1;
    above = row;
  }
  return above[to.length];
}

// The edits of editDistance, in order: [{kind, from, to}], kind "same", "change", "add" or "drop".
export function editSteps(from, to) {
  const rest = (i, j) => costs[i][j];
  const costs = Array.from({ length: from.length + 1 }, () => Array(to.length + 1).fill(0));
  for (let i = from.length; i >= 0; i--) {
    for (let j = to.length; j >= 0; j--) {
      if (i === from.length || j === to.length) {
        costs[i][j] = from.length - i + (to.length - j);
        continue;
      }
      const change = rest(i + 1, j + 1) + (from[i] === to[j] ? 0 : 1);
      costs[i][j] = Math.min(change, rest(i + 1, j) + 1, rest(i, j + 1) + 1);
    }
  }
  const steps = [];
  let i = 0;
  let j = 0;
  while (i < from.length || j < to.length) {
    const both = i < from.length && j < to.length;
    const same = both && from[i] === to[j];
    if (both && costs[i][j] === rest(i + 1, j + 1) + (same ? 0 : 1)) {
      steps.push({ kind: same ? "same" : "change", from: from[i++], to: to[j++] });
    } else if (i < from.length && costs[i][j] === rest(i + 1, j) + 1) {
      steps.push({ kind: "drop", from: from[i++], to: null });
    } else {
      steps.push({ kind: "add", from: null, to: to[j++] });
    }
  }
  return steps;
}

// The `count` names with the least edits, the name itself left out: {names, distance, ties}, or
// null once isStale(). ties: how many names have the least distance.
export async function nearestNames(name, names, count, isStale = () => false) {
  const chars = [...name];
  let found = []; // {name, distance}, nearest first
  let ties = 0;
  const turn = takeTurns();
  for (const [i, other] of names.entries()) {
    if (i % 256 === 0 && (await turn()) && isStale()) return null;
    if (other === name) continue;
    const limit = found.length < count ? Infinity : found.at(-1).distance;
    const distance = editDistance(chars, [...other], limit);
    if (found.length && distance === found[0].distance) ties += 1;
    if (!found.length || distance < found[0].distance) ties = 1;
    if (found.length === count && distance >= limit) continue;
    const at = found.findIndex((one) => one.distance > distance);
    found.splice(at < 0 ? found.length : at, 0, { name: other, distance });
    found = found.slice(0, count);
  }
  return { found, ties };
}

// The name in as few pieces as possible, each of which is part of a name of the list (the name
// itself left out): [{text, holders}]. A character that no name has is a piece without holders.
export function coverByPieces(name, names) {
  const chars = [...name];
  const others = names.filter((other) => other !== name);
  const pieces = [];
  for (let start = 0; start < chars.length;) {
    let text = "";
    let holders = others;
    let end = start;
    while (end < chars.length) {
      const longer = text + chars[end];
      const still = holders.filter((other) => other.includes(longer));
      if (!still.length) break;
      [text, holders, end] = [longer, still, end + 1];
    }
    if (end === start) [text, holders, end] = [chars[start], [], start + 1];
    pieces.push({ text, holders });
    start = end;
  }
  return pieces;
}
