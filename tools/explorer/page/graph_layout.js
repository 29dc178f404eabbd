// Where to draw the nodes of a graph: in layers from left to right, with few crossings.
//
// A line that passes a layer gets a slot there like a node, so that no line runs under a box. All
// lines that leave a node share these slots. Source: Sugiyama, Tagawa and Toda, 1981.

const LAYER_GAP = 62; // px, room for a line and a number on it
const SLOT_GAP = 18; // px between two boxes of a layer
const MARGIN = 14; // px
const SWEEPS = 8;

// nodes: each after its children. size(node) -> [width, height] in px.
// -> {at, edges, width, height}: at is a Map of node -> {x, y, width, height} with a box's left and
// its middle, and an edge {parent, child, index, path, port}, where path is a list of points from
// child to parent and port counts the lines that arrive at the parent, from the top.
export function layoutGraph(nodes, size) {
  const layerOf = assignLayers(nodes);
  const { layers, chains } = makeSlots(nodes, layerOf, size);
  orderSlots(layers);
  const height = placeSlots(layers);
  const at = new Map();
  let x = MARGIN;
  for (const layer of layers) {
    const width = Math.max(...layer.map((slot) => slot.width));
    for (const slot of layer) {
      slot.x = x + (width - slot.width) / 2;
      if (slot.node) at.set(slot.node, slot);
    }
    x += width + LAYER_GAP;
  }
  const edges = nodes.flatMap((parent) => edgesInto(parent, at, chains, layerOf));
  return { at, edges, width: x - LAYER_GAP + MARGIN, height };
}

// Variables are on the left, each other node is right of its children, and a constant is just left
// of the first node that uses it.
function assignLayers(nodes) {
  const layerOf = new Map();
  for (const node of nodes) {
    layerOf.set(node, Math.max(-1, ...node.children.map((child) => layerOf.get(child))) + 1);
  }
  const constants = nodes.filter((node) => node.isConstant);
  for (const constant of constants) {
    const users = nodes.filter((node) => node.children.includes(constant));
    const first = Math.min(...users.map((user) => layerOf.get(user)));
    if (users.length) layerOf.set(constant, first - 1);
  }
  return layerOf;
}

// Slots: {node or null, width, height, left: [slots], right: [slots]}.
function makeSlots(nodes, layerOf, size) {
  const layers = Array.from({ length: Math.max(...layerOf.values()) + 1 }, () => []);
  const chains = new Map(); // node -> its own slot and those of its lines, layer by layer
  const addSlot = (layer, node, [width, height]) => {
    const slot = { node, width, height, left: [], right: [] };
    layers[layer].push(slot);
    return slot;
  };
  for (const node of nodes) chains.set(node, [addSlot(layerOf.get(node), node, size(node))]);
  const link = (from, to) => {
    from.right.push(to);
    to.left.push(from);
  };
  for (const parent of nodes) {
    for (const child of new Set(parent.children)) {
      const chain = chains.get(child);
      const steps = layerOf.get(parent) - layerOf.get(child);
      while (chain.length < steps) {
        const slot = addSlot(layerOf.get(child) + chain.length, null, [0, SLOT_GAP]);
        link(chain.at(-1), slot);
        chain.push(slot);
      }
      link(chain[steps - 1], chains.get(parent)[0]);
    }
  }
  return { layers, chains };
}

const meanOf = (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length;

// Sorts each layer by the mean rank of the neighbours, from left to right and back, a few times,
// and keeps the order with the fewest crossings.
function orderSlots(layers) {
  const rank = () => layers.forEach((layer) => layer.forEach((slot, i) => (slot.rank = i)));
  const best = { crossings: Infinity, layers: [] };
  for (let sweep = 0; sweep <= SWEEPS; sweep++) {
    rank();
    const crossings = countCrossings(layers);
    if (crossings < best.crossings) {
      Object.assign(best, { crossings, layers: layers.map((layer) => [...layer]) });
    }
    const side = sweep % 2 ? "left" : "right";
    const inTurn = side === "left" ? layers : [...layers].reverse();
    for (const layer of inTurn) {
      for (const slot of layer) {
        slot.wanted = slot[side].length ? meanOf(slot[side].map((s) => s.rank)) : slot.rank;
      }
      layer.sort((a, b) => a.wanted - b.wanted);
      layer.forEach((slot, i) => (slot.rank = i));
    }
  }
  best.layers.forEach((layer, i) => layers[i].splice(0, Infinity, ...layer));
}

function countCrossings(layers) {
  let crossings = 0;
  for (const layer of layers) {
    const lines = layer.flatMap((slot) => slot.right.map((other) => [slot.rank, other.rank]));
    for (const [a, b] of lines) {
      for (const [c, d] of lines) if (a < c && b > d) crossings++;
    }
  }
  return crossings;
}

// Sets y of all slots: near the mean of their neighbours, in their order, without overlap.
// -> the height of the drawing.
function placeSlots(layers) {
  for (const layer of layers) {
    let y = 0;
    for (const slot of layer) {
      slot.y = y + slot.height / 2;
      y += slot.height + SLOT_GAP;
    }
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const layer of sweep % 2 ? layers : [...layers].reverse()) {
      const wanted = layer.map((slot) => {
        const neighbours = [...slot.left, ...slot.right];
        return neighbours.length ? meanOf(neighbours.map((s) => s.y)) : slot.y;
      });
      spread(layer, wanted);
    }
  }
  const all = layers.flat();
  const top = Math.min(...all.map((slot) => slot.y - slot.height / 2)) - MARGIN;
  for (const slot of all) slot.y -= top;
  return Math.max(...all.map((slot) => slot.y + slot.height / 2)) + MARGIN;
}

// The places nearest to the wanted ones (least squares) that keep order and distance. Without the
// distances this is a rising sequence, found by joining neighbours that are out of order.
function spread(layer, wanted) {
  const offsets = [0];
  for (let i = 1; i < layer.length; i++) {
    offsets.push(offsets[i - 1] + (layer[i - 1].height + layer[i].height) / 2 + SLOT_GAP);
  }
  const blocks = [];
  wanted.forEach((y, i) => {
    blocks.push({ mean: y - offsets[i], count: 1 });
    while (blocks.length > 1 && blocks.at(-2).mean > blocks.at(-1).mean) {
      const [a, b] = blocks.splice(-2);
      const count = a.count + b.count;
      blocks.push({ mean: (a.mean * a.count + b.mean * b.count) / count, count });
    }
  });
  const shifts = blocks.flatMap(({ mean, count }) => Array(count).fill(mean));
  layer.forEach((slot, i) => (slot.y = shifts[i] + offsets[i]));
}

// The lines into a node, each from the right side of its child and through the child's slots. They
// arrive in the order in which they come in, so that they do not cross.
function edgesInto(parent, at, chains, layerOf) {
  const to = at.get(parent);
  const edges = parent.children.map((child, index) => {
    const slots = chains.get(child).slice(1, layerOf.get(parent) - layerOf.get(child));
    const from = at.get(child);
    const path = [[from.x + from.width, from.y], ...slots.map((slot) => [slot.x, slot.y])];
    return { parent, child, index, path };
  });
  edges.sort((a, b) => a.path.at(-1)[1] - b.path.at(-1)[1]);
  edges.forEach((edge, port) => {
    const shift = (port - (edges.length - 1) / 2) * (to.height / 3);
    edge.path.push([to.x, to.y + shift]);
    edge.port = port;
  });
  return edges;
}
