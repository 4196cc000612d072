
// The two views of a clip: on the plane of the picture, and in space.
const lineWidth = (height) => Math.max(1.5, Math.min(2.6, height / 190));

function visible(clip, kind, hidden) {
  return [...clip.of].filter(([number, of]) => of[kind] && !hidden.has(number));
}

function frameSize(clip) {
  if (clip.width > 0 && clip.height > 0) return { x: -0.5, y: -0.5, w: clip.width, h: clip.height };
  const e = clip.people;
  if (!e) return { x: 0, y: 0, w: 4, h: 3 };
  const pad = 0.06 * Math.max(e.high[0] - e.low[0], e.high[1] - e.low[1], 1);
  return { x: e.low[0] - pad, y: e.low[1] - pad, w: e.high[0] - e.low[0] + 2 * pad, h: e.high[1] - e.low[1] + 2 * pad };
}

function viewBox(clip, zoomed) {
  const whole = frameSize(clip);
  const e = clip.people;
  if (!zoomed || !e) return whole;
  const pad = 0.08 * Math.max(e.high[0] - e.low[0], e.high[1] - e.low[1], 20);
  return { x: e.low[0] - pad, y: e.low[1] - pad, w: e.high[0] - e.low[0] + 2 * pad, h: e.high[1] - e.low[1] + 2 * pad };
}

function stageHeight(clip, width) {
  const both = clip.people && clip.space;
  const box = frameSize(clip);
  const ratio = clip.people ? Math.min(1.1, Math.max(0.5, box.h / box.w)) : 0.6;
  return Math.min(both ? 460 : 500, Math.max(240, Math.round(width * ratio)));
}

// Draws a frame on the picture's plane, and gives the joints that are drawn: {p, number, of, pose,
// v}, for the pointer to find. wish: as for drawPose, and zoomed.
function drawFlat(canvas, clip, layers, hidden, frame, wish) {
  const hits = [];
  if (!clip.people) return hits;
  const { context, width, height } = prepared(canvas, stageHeight(clip, canvas.clientWidth));
  const box = viewBox(clip, wish.zoomed);
  const scale = Math.min(width / box.w, height / box.h);
  const left = (width - box.w * scale) / 2, top = (height - box.h * scale) / 2;
  const to = (x, y) => [left + (x - box.x) * scale, top + (y - box.y) * scale];
  const whole = frameSize(clip);
  const [x0, y0] = to(whole.x, whole.y);
  context.strokeStyle = palette.line;
  context.lineWidth = 1;
  context.beginPath();
  for (let part = 1; part < 4; part++) {
    context.moveTo(x0 + whole.w * scale * part / 4, y0); context.lineTo(x0 + whole.w * scale * part / 4, y0 + whole.h * scale);
    context.moveTo(x0, y0 + whole.h * scale * part / 4); context.lineTo(x0 + whole.w * scale, y0 + whole.h * scale * part / 4);
  }
  context.globalAlpha = 0.6;
  context.stroke();
  context.globalAlpha = 1;
  context.strokeStyle = palette.muted;
  context.strokeRect(x0 + 0.5, y0 + 0.5, whole.w * scale - 1, whole.h * scale - 1);
  const tagged = new Map();
  for (const [number, of] of visible(clip, "xy", hidden)) {
    const V = layers[number].joints.length;
    for (let pose = of.start[frame]; pose < of.start[frame + 1]; pose++) {
      const person = of.person[pose];
      const place = (v) => {
        const i = (pose * V + v) * 2;
        return of.xy[i] === MISSING ? null : to(of.xy[i] * of.xyStep, of.xy[i + 1] * of.xyStep);
      };
      const places = drawPose(context, layers, number, of, pose, place, { ...wish, lineWidth: lineWidth(height) });
      places.forEach((p, v) => { if (p) hits.push({ p, number, of, pose, v }); });
      const top = places.filter(Boolean).sort((a, b) => a[1] - b[1])[0];
      if (top && (!tagged.has(person) || top[1] < tagged.get(person)[1])) tagged.set(person, top);
    }
  }
  if (tagged.size > 1 || [...tagged.keys()].some((person) => person > 0)) {
    context.font = `11px ${palette.sans}`;
    context.textAlign = "center";
    context.fillStyle = palette.ink;
    context.strokeStyle = palette.stage;
    context.lineWidth = 3;
    context.lineJoin = "round";
    const taken = [];
    for (const [person, [x, top]] of tagged) {
      let y = Math.max(12, top - 9);
      while (taken.some(([tx, ty]) => Math.abs(tx - x) < 52 && Math.abs(ty - y) < 12) && y > 12) y -= 12;
      taken.push([x, y]);
      context.strokeText(`person ${person}`, x, y);
      context.fillText(`person ${person}`, x, y);
    }
  }
  return hits;
}

// Draws a frame in space, seen from where turn (yaw, pitch, zoom) says.
function drawSpace(canvas, clip, layers, hidden, frame, wish, turn) {
  if (!clip.space) return;
  const { context, width, height } = prepared(canvas, stageHeight(clip, canvas.clientWidth));
  const { low, high } = clip.space;
  const middle = low.map((l, c) => (l + high[c]) / 2);
  const radius = Math.max(0.3, Math.hypot(...low.map((l, c) => (high[c] - l) / 2)));
  const [cy, sy, cp, sp] = [Math.cos(turn.yaw), Math.sin(turn.yaw), Math.cos(turn.pitch), Math.sin(turn.pitch)];
  const far = 3.2 * radius, lens = 1.35 * Math.min(width, height) * turn.zoom;
  const project = (x, y, z) => {
    [x, y, z] = [x - middle[0], y - middle[1], z - middle[2]];
    const [x1, z1] = [cy * x + sy * z, cy * z - sy * x];
    const [y2, z2] = [cp * y - sp * z1, cp * z1 + sp * y];
    const depth = Math.max(0.2 * radius, z2 + far);
    return [width / 2 + lens * x1 / depth, height / 2 + lens * y2 / depth];
  };
  const size = Math.ceil(radius * 2) / 2, step = size > 3 ? 1 : 0.5;
  context.strokeStyle = palette.floor;
  context.lineWidth = 1;
  context.beginPath();
  for (let g = -size; g <= size + 1e-6; g += step) {
    for (const [a, b] of [[[g, -size], [g, size]], [[-size, g], [size, g]]]) {
      context.moveTo(...project(middle[0] + a[0], high[1], middle[2] + a[1]));
      context.lineTo(...project(middle[0] + b[0], high[1], middle[2] + b[1]));
    }
  }
  context.stroke();
  for (const [number, of] of visible(clip, "xyz", hidden)) {
    const V = layers[number].joints.length;
    for (let pose = of.start[frame]; pose < of.start[frame + 1]; pose++) {
      const place = (v) => {
        const i = (pose * V + v) * 3;
        if (of.xyz[i] === MISSING) return null;
        return project(of.xyz[i] * of.xyzStep, of.xyz[i + 1] * of.xyzStep, of.xyz[i + 2] * of.xyzStep);
      };
      drawPose(context, layers, number, of, pose, place, { ...wish, lineWidth: lineWidth(height) });
    }
  }
}
