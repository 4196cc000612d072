
// Drawing on canvases, in the colours of the page.
const SHAPES = ["disc", "square", "triangle", "diamond", "ring", "cross", "bar"];
const COLOURS = 7;
let palette = {};

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(name).trim();
  palette = { ink: get("--ink"), muted: get("--muted"), line: get("--line"), floor: get("--floor"),
    stage: get("--stage"), panel: get("--panel"), ground: get("--ground"), error: get("--error"),
    warning: get("--warning"), info: get("--info"), accent: get("--accent"), sans: get("--sans"),
    layer: Array.from({ length: COLOURS }, (_, i) => get(`--c${i}`)) };
}

const colourOf = (number) => palette.layer[number % COLOURS];

function prepared(canvas, height) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  canvas.style.height = `${height}px`;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

function mark(context, shape, x, y, r) {
  context.beginPath();
  if (shape === "disc" || shape === "ring") context.arc(x, y, r, 0, 2 * Math.PI);
  else if (shape === "square") context.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  else if (shape === "bar") context.rect(x - r * 1.2, y - r * 0.5, r * 2.4, r);
  else if (shape === "triangle") {
    context.moveTo(x, y - r * 1.25); context.lineTo(x + r * 1.15, y + r * 0.8);
    context.lineTo(x - r * 1.15, y + r * 0.8); context.closePath();
  } else if (shape === "diamond") {
    context.moveTo(x, y - r * 1.35); context.lineTo(x + r * 1.35, y);
    context.lineTo(x, y + r * 1.35); context.lineTo(x - r * 1.35, y); context.closePath();
  } else {
    context.moveTo(x - r, y - r); context.lineTo(x + r, y + r);
    context.moveTo(x + r, y - r); context.lineTo(x - r, y + r);
  }
  if (shape === "ring" || shape === "cross") context.stroke(); else context.fill();
}

// Draws one pose; place(joint) gives [x, y] on the canvas, or null where the joint is missing.
// Gives the places. wish: lineWidth, faint (by scores), winners (by experts).
function drawPose(context, layers, number, of, pose, place, wish) {
  const { joints, bones, experts } = layers[number];
  const { lineWidth } = wish;
  const V = joints.length;
  const faint = wish.faint && of.score;
  const opacity = (v) => (faint ? 0.15 + 0.85 * of.score[pose * V + v] / 255 : 1);
  const places = joints.map((_, v) => place(v));
  context.strokeStyle = context.fillStyle = colourOf(number);
  context.lineWidth = lineWidth;
  context.lineCap = "round";
  for (const [a, b] of bones) {
    if (!places[a] || !places[b]) continue;
    context.globalAlpha = 0.85 * Math.min(opacity(a), opacity(b));
    context.beginPath();
    context.moveTo(...places[a]);
    context.lineTo(...places[b]);
    context.stroke();
  }
  const shape = SHAPES[number % SHAPES.length];
  const winners = wish.winners && of.winner;
  places.forEach((p, v) => {
    if (!p) return;
    context.globalAlpha = opacity(v);
    let size = 1.35 * lineWidth, drawn = shape;
    if (winners) {
      const expert = experts[of.winner[pose * V + v]];
      const index = layers.findIndex((layer) => layer.name === expert);
      context.fillStyle = context.strokeStyle = index < 0 ? palette.muted : colourOf(index);
      drawn = index < 0 ? "ring" : SHAPES[index % SHAPES.length];
      size *= 1.5;
    }
    mark(context, drawn, p[0], p[1], size);
  });
  context.globalAlpha = 1;
  return places;
}

// Presence of people in each layer over time, C as strength, and findings above.
function drawTimeline(canvas, clip, hidden, frame) {
  const rows = [...clip.of.keys()];
  const row = 9, gap = 3, marks = 11;
  const { context, width, height } = prepared(canvas, marks + rows.length * (row + gap));
  const x = (f) => f / clip.count * width;
  for (const finding of [...clip.findings].reverse()) {
    context.fillStyle = palette[finding.severity];
    for (const [first, last] of finding.frames) {
      const left = x(Math.max(0, first - clip.first)), right = x(Math.min(clip.count, last + 1 - clip.first));
      if (right > left) context.fillRect(left, 0, Math.max(2, right - left), marks - 4);
    }
  }
  rows.forEach((number, r) => {
    const of = clip.of.get(number), y = marks + r * (row + gap);
    context.fillStyle = palette.line;
    context.fillRect(0, y, width, row);
    context.fillStyle = colourOf(number);
    const dim = hidden.has(number) ? 0.25 : 1;
    for (let f = 0; f < clip.count; f++) {
      const [a, b] = [of.start[f], of.start[f + 1]];
      if (a === b) continue;
      let sure = 1;
      if (of.c) for (let p = a; p < b; p++) if (of.cKnown[p]) sure = Math.min(sure, of.c[p] / 255);
      context.globalAlpha = dim * (0.2 + 0.8 * sure);
      context.fillRect(x(f), y, x(f + 1) - x(f) + 0.4, row);
    }
    context.globalAlpha = 1;
  });
  context.fillStyle = palette.ink;
  context.fillRect(Math.max(0, x(frame + 0.5) - 1), 0, 2, height);
}
