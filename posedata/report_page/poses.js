
// Poses: from base64 to typed arrays, in the order of their frames.
const MISSING = -32768;

function bytes(text) {
  const binary = atob(text);
  const out = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) out[i] = binary.charCodeAt(i);
  return out;
}

function numbers(text, Kind) {
  return text === undefined ? null : new Kind(bytes(text).buffer);
}

function decoded(layer, count) {
  const out = {
    frame: numbers(layer.frame, Uint16Array), person: numbers(layer.person, Uint16Array),
    xy: numbers(layer.xy, Int16Array), xyStep: layer.xy_step,
    xyz: numbers(layer.xyz, Int16Array), xyzStep: layer.xyz_step,
    score: numbers(layer.score, Uint8Array), c: numbers(layer.c, Uint8Array),
    cKnown: numbers(layer.c_known, Uint8Array), winner: numbers(layer.winner, Int8Array),
    start: new Int32Array(count + 1),
  };
  for (const f of out.frame) out.start[f + 1] += 1;
  for (let f = 0; f < count; f++) out.start[f + 1] += out.start[f];
  return out;
}

function extent(values, width, step) {
  const low = new Array(width).fill(Infinity), high = new Array(width).fill(-Infinity);
  for (let i = 0; i + width <= values.length; i += width) {
    if (values[i] === MISSING) continue;
    for (let c = 0; c < width; c++) {
      const value = values[i + c] * step;
      if (value < low[c]) low[c] = value;
      if (value > high[c]) high[c] = value;
    }
  }
  return low[0] <= high[0] ? { low, high } : null;
}

function union(extents) {
  const known = extents.filter(Boolean);
  if (!known.length) return null;
  return {
    low: known[0].low.map((_, c) => Math.min(...known.map((e) => e.low[c]))),
    high: known[0].high.map((_, c) => Math.max(...known.map((e) => e.high[c]))),
  };
}

// Reads the poses of a clip from its element in the page.
function clipPoses(block, layers) {
  const raw = JSON.parse(block.textContent);
  const of = new Map();
  layers.forEach((layer, number) => {
    const found = raw.layers[layer.name];
    if (found) of.set(number, decoded(found, raw.count));
  });
  const all = [...of.values()];
  const people = union(all.filter((l) => l.xy).map((l) => extent(l.xy, 2, l.xyStep)));
  const space = union(all.filter((l) => l.xyz).map((l) => extent(l.xyz, 3, l.xyzStep)));
  return { ...raw, of, people, space };
}
