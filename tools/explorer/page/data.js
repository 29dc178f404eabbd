// The header and the blobs of the page: tensors, counts and names.

const HALF = 2 ** 23 - 1; // as in export.py
const MIDDLE = 0x80; // in place of a third byte that was left out

export const header = JSON.parse(document.getElementById("header").textContent);

// The decompressed bytes of a blob, or null if the page does not have it.
async function loadBytes(key) {
  const element = [...document.querySelectorAll("script[data-blob]")].find(
    (script) => script.dataset.blob === key,
  );
  if (!element) return null;
  if (!globalThis.DecompressionStream) throw new Error("this browser is too old; try a newer one");
  const text = atob(element.textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export function hasBlob(key) {
  return [...document.querySelectorAll("script[data-blob]")].some((s) => s.dataset.blob === key);
}

// A blob that holds JSON, or null.
export async function loadJson(key) {
  const bytes = await loadBytes(key);
  return bytes && JSON.parse(new TextDecoder().decode(bytes));
}

function sizeOf(shape) {
  return shape.reduce((product, length) => product * length, 1);
}

// The tensors of a model: {name: {shape, data: Float32Array}}. export.py says how they are packed.
export async function loadTensors(key, where) {
  const bytes = await loadBytes(key);
  if (!bytes) return null;
  const n = Object.values(where).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const tensors = {};
  for (const [name, { shape, at, largest }] of Object.entries(where)) {
    const size = sizeOf(shape);
    const numbers = new Float32Array(size);
    for (let i = 0; i < size; i++) {
      const last = bytes[2 * n + at + i] ?? MIDDLE;
      const whole = (bytes[at + i] << 16) | (bytes[n + at + i] << 8) | last;
      numbers[i] = ((whole - HALF - 1) / HALF) * largest;
    }
    tensors[name] = { shape, data: numbers };
  }
  return tensors;
}
