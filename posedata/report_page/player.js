
// The player: a clip's layers over time, in the picture and in space.
(() => {
  const stage = document.getElementById("stage");
  if (!stage) return;
  const $ = (id) => document.getElementById(id);
  const read = (id) => JSON.parse($(id).textContent);
  const layers = read("player-layers");
  const blocks = [...document.querySelectorAll('script[id^="clip-"]')];
  const clips = blocks.map((block) => ({ block, data: null, heading: null }));
  const hidden = new Set();
  let clip = null, at = 0, frame = 0, playing = false, lastTime = 0, rest = 0;
  let hits = [];
  let turn = { yaw: 0.5, pitch: 0.15, zoom: 1 };

  function load(entry) {
    entry.data ??= clipPoses(entry.block, layers);
    return entry.data;
  }

  // ---------------------------------------------------------------- drawing

  function drawViews() {
    const wish = {
      faint: $("show-scores").checked,
      winners: $("show-winners").checked,
      zoomed: $("zoom-people").checked,
    };
    hits = drawFlat($("flat"), clip, layers, hidden, frame, wish);
    drawSpace($("space"), clip, layers, hidden, frame, wish, turn);
  }

  function draw() {
    if (!clip) return;
    drawViews();
    drawTimeline($("timeline"), clip, hidden, frame);
    $("frame-slider").value = frame;
    $("frame-number").value = `${clip.first + frame} / ${clip.frames - 1}`;
    stage.dataset.frame = clip.first + frame;
    stage.dataset.clip = clip.id;
  }

  // ---------------------------------------------------------------- moving

  let linkTimer = 0;

  function link() {
    return `#clip=${encodeURIComponent(clip.id)}&frame=${clip.first + frame}`;
  }

  function rememberLink() {
    clearTimeout(linkTimer);
    linkTimer = setTimeout(() => {
      try { history.replaceState(null, "", link()); } catch { /* some browsers forbid it on disk */ }
    }, 250);
  }

  function go(to, remember = true) {
    frame = Math.max(0, Math.min(clip.count - 1, to));
    draw();
    if (remember) rememberLink();
  }

  function setPlaying(wanted) {
    playing = wanted;
    $("play-shape").setAttribute("d", playing ? "M3 1.5h3.5v13H3zM9.5 1.5H13v13H9.5z" : "M3 1.5v13l11-6.5z");
    $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    if (playing) {
      if (frame === clip.count - 1) frame = 0;
      lastTime = performance.now();
      rest = 0;
      requestAnimationFrame(tick);
    } else rememberLink();
  }

  function tick(now) {
    if (!playing) return;
    rest += (now - lastTime) / 1000 * (clip.fps || 30) * Number($("speed").value);
    lastTime = now;
    const steps = Math.floor(rest);
    rest -= steps;
    if (steps) go(frame + steps, false);
    if (frame === clip.count - 1) setPlaying(false);
    else requestAnimationFrame(tick);
  }

  function note(text) {
    $("clip-note").hidden = !text;
    $("clip-note").textContent = text;
  }

  function choose(number, remember = true) {
    at = (number + clips.length) % clips.length;
    clip = load(clips[at]);
    frame = 0;
    if (playing) setPlaying(false);
    $("clip-choice").value = String(at);
    $("frame-slider").max = clip.count - 1;
    const about = Object.entries(clip.about).map(([key, value]) => (key === "label_name" ? value : `${key} ${value}`));
    $("clip-about").textContent = about.join(" · ");
    const cut = clip.count < clip.frames;
    note(cut ? `Long clip: frames ${clip.first} to ${clip.first + clip.count - 1} of ${clip.frames} are in this page.` : "");
    $("flat-figure").hidden = !clip.people;
    $("space-figure").hidden = !clip.space;
    const size = clip.width > 0 ? `${clip.width} × ${clip.height} px` : "frame size unknown";
    $("flat-caption").textContent = `Picture, ${size}`;
    $("space-caption").textContent = "Space, each layer around its own middle";
    for (const [n, chip] of chips) {
      chip.input.disabled = !clip.of.has(n);
      chip.input.checked = !hidden.has(n);
    }
    $("winner-chip").hidden = ![...clip.of.values()].some((of) => of.winner);
    showFindings();
    draw();
    if (remember) rememberLink();
  }

  // ---------------------------------------------------------------- controls

  const chips = new Map();

  function makeChips() {
    layers.forEach((layer, number) => {
      const label = document.createElement("label");
      label.className = "chip";
      const input = document.createElement("input");
      input.type = "checkbox";
      input.checked = true;
      input.addEventListener("change", () => {
        if (input.checked) hidden.delete(number); else hidden.add(number);
        draw();
      });
      const swatch = document.createElement("canvas");
      swatch.style.width = "26px";
      swatch.style.height = "12px";
      label.append(input, swatch, document.createTextNode(layer.name));
      $("layer-choice").append(label);
      chips.set(number, { input, swatch });
    });
  }

  function drawSwatches() {
    for (const [number, { swatch }] of chips) {
      const ratio = devicePixelRatio || 1;
      [swatch.width, swatch.height] = [26 * ratio, 12 * ratio];
      const context = swatch.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.strokeStyle = context.fillStyle = colourOf(number);
      context.lineWidth = 2;
      context.beginPath();
      context.moveTo(0, 6);
      context.lineTo(26, 6);
      context.stroke();
      mark(context, SHAPES[number % SHAPES.length], 13, 6, 4);
    }
  }

  function showFindings() {
    const box = $("clip-findings");
    box.replaceChildren();
    for (const finding of clip.findings) {
      const button = document.createElement("button");
      button.type = "button";
      const badge = document.createElement("span");
      badge.className = `badge ${finding.severity}`;
      badge.textContent = finding.severity;
      const where = document.createElement("span");
      where.className = "where";
      const [first, last] = finding.frames[0];
      const more = finding.frames.length > 1 ? " …" : "";
      where.textContent = ` ${finding.layer} frame ${first === last ? first : `${first}–${last}`}${more} `;
      button.append(badge, where, document.createTextNode(finding.message));
      button.addEventListener("click", () => { setPlaying(false); go(first - clip.first); });
      box.append(button);
    }
  }

  function fillChoice() {
    blocks.forEach((block, number) => {
      const text = block.textContent; // only its beginning: the poses are read when they are shown
      const { id, why } = JSON.parse(`${text.slice(0, text.indexOf(',"frames":'))}}`);
      clips[number].id = id;
      const option = document.createElement("option");
      option.value = String(number);
      option.textContent = why ? `${id} (${why})` : id;
      $("clip-choice").append(option);
    });
  }

  function openLink() {
    const given = new Map();
    for (const part of location.hash.slice(1).split("&")) {
      const equals = part.indexOf("=");
      if (equals < 0) continue;
      try {
        given.set(part.slice(0, equals), decodeURIComponent(part.slice(equals + 1)));
      } catch { return false; }
    }
    if (!given.has("clip")) return false;
    const number = clips.findIndex((entry) => entry.id === given.get("clip"));
    $("player").scrollIntoView();
    stage.focus({ preventScroll: true });
    if (number < 0) {
      note(`The clip ${given.get("clip")} is not in this page: posedata report --show puts it in.`);
      return true;
    }
    if (number !== at || !clip) choose(number, false);
    const wanted = Number(given.get("frame") ?? clip.first);
    go((Number.isFinite(wanted) ? Math.trunc(wanted) : clip.first) - clip.first, false);
    if (clip.count < clip.frames && (wanted < clip.first || wanted >= clip.first + clip.count)) {
      note(`Frame ${wanted} is not in this page: it has ${clip.first} to ${clip.first + clip.count - 1} of this clip.`);
    }
    return true;
  }

  function inView() {
    const box = stage.getBoundingClientRect();
    const seen = Math.min(box.bottom, innerHeight) - Math.max(box.top, 0);
    return seen > 0.5 * Math.min(box.height, innerHeight);
  }

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    const inside = stage.contains(target);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (!inside && !(target === document.body && inView())) return;
    if (target.matches("select, input[type=text]")) return;
    const presses = target.matches("button, summary, a, input[type=checkbox]");
    const far = event.shiftKey ? 10 : 1;
    const actions = {
      " ": presses ? null : () => setPlaying(!playing),
      ArrowLeft: () => { setPlaying(false); go(frame - far); },
      ArrowRight: () => { setPlaying(false); go(frame + far); },
      Home: () => { setPlaying(false); go(0); },
      End: () => { setPlaying(false); go(clip.count - 1); },
      "[": () => choose(at - 1),
      "]": () => choose(at + 1),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  $("play").addEventListener("click", () => setPlaying(!playing));
  $("frame-slider").addEventListener("input", () => { if (playing) setPlaying(false); go(Number($("frame-slider").value)); });
  $("clip-choice").addEventListener("change", () => choose(Number($("clip-choice").value)));
  $("clip-before").addEventListener("click", () => choose(at - 1));
  $("clip-after").addEventListener("click", () => choose(at + 1));
  for (const id of ["zoom-people", "show-scores", "show-winners"]) $(id).addEventListener("change", draw);
  $("copy-link").addEventListener("click", async () => {
    const address = location.href.split("#")[0] + link();
    history.replaceState(null, "", link());
    let copied = true;
    try { await navigator.clipboard.writeText(address); } catch { copied = false; }
    $("copy-link").textContent = copied ? "Copied" : "It is in the address bar";
    setTimeout(() => { $("copy-link").textContent = "Copy link"; }, 1500);
  });

  function seekOnTimeline(event) {
    const box = $("timeline").getBoundingClientRect();
    if (playing) setPlaying(false);
    go(Math.floor((event.clientX - box.left) / box.width * clip.count));
  }
  $("timeline").addEventListener("pointerdown", (event) => { $("timeline").setPointerCapture(event.pointerId); seekOnTimeline(event); });
  $("timeline").addEventListener("pointermove", (event) => { if (event.buttons) seekOnTimeline(event); });

  const space = $("space");
  space.addEventListener("pointerdown", (event) => { space.setPointerCapture(event.pointerId); });
  space.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    turn.yaw += event.movementX * 0.01;
    turn.pitch = Math.max(-1.5, Math.min(1.5, turn.pitch + event.movementY * 0.01));
    stage.dataset.yaw = turn.yaw.toFixed(3);
    drawViews();
  });
  space.addEventListener("dblclick", () => { turn = { yaw: 0.5, pitch: 0.15, zoom: 1 }; drawViews(); });
  space.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== stage && !stage.contains(document.activeElement)) return;
    event.preventDefault();
    turn.zoom = Math.max(0.3, Math.min(6, turn.zoom * Math.exp(-event.deltaY * 0.001)));
    drawViews();
  }, { passive: false });

  $("flat").addEventListener("pointermove", (event) => {
    const box = $("flat").getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = null, least = 12;
    for (const hit of hits) {
      const distance = Math.hypot(hit.p[0] - x, hit.p[1] - y);
      if (distance < least) { least = distance; best = hit; }
    }
    const tip = $("joint-tip");
    tip.hidden = !best;
    if (!best) return;
    const { number, of, pose, v } = best, { name, joints, experts } = layers[number];
    const i = pose * joints.length + v;
    const parts = [`${name}: ${joints[v]}, person ${of.person[pose]}`,
      `(${(of.xy[2 * i] * of.xyStep).toFixed(1)}, ${(of.xy[2 * i + 1] * of.xyStep).toFixed(1)})`];
    if (of.score) parts.push(`score ${(of.score[i] / 255).toFixed(2)}`);
    if (of.c && of.cKnown[pose]) parts.push(`C ${(of.c[pose] / 255).toFixed(2)}`);
    if (of.winner && experts[of.winner[i]]) parts.push(`from ${experts[of.winner[i]]}`);
    tip.textContent = parts.join(" · ");
    const outer = stage.getBoundingClientRect();
    tip.style.left = `${Math.min(event.clientX - outer.left + 14, outer.width - tip.offsetWidth - 8)}px`;
    tip.style.top = `${event.clientY - outer.top + 16}px`;
  });
  $("flat").addEventListener("pointerleave", () => { $("joint-tip").hidden = true; });

  addEventListener("hashchange", openLink);
  addEventListener("themechange", () => { readPalette(); drawSwatches(); draw(); });
  new ResizeObserver(() => draw()).observe(stage);

  readPalette();
  makeChips();
  drawSwatches();
  fillChoice();
  choose(0, false);
  openLink();
  stage.dataset.ready = "true";
})();
