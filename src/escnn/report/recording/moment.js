"use strict";

// The chosen event, at the foot of the window: its sound, its spectrogram, and the evidence for its class.
const moment = (() => {
  const dock = document.getElementById("moment");
  if (!dock) return { toggle: () => {}, plays: () => false };
  const part = (selector) => dock.querySelector(selector);
  const [audio, canvas, evidence] = [part("audio"), part("canvas"), part("#evidence")];
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const palettes = { spectrogram: bytes(data.palettes.spectrogram), evidence: bytes(data.palettes.evidence) };
  const kept = new Map(); // number of an excerpt -> what was read of it; the latest few
  let excerpt = null; // that of the chosen event, once it is read
  let playing = null; // number of the excerpt in the player

  const read = async (number) => {
    if (!kept.has(number)) {
      const document_ = JSON.parse(document.getElementById(`excerpt-${number}`).textContent);
      const image = new Image();
      image.src = `data:image/jpeg;base64,${document_.picture}`;
      kept.set(number, { ...document_, number, span: data.excerpts[number], image, ready: image.decode().then(() => shadesOf(image)) });
      if (kept.size > 12) kept.delete(kept.keys().next().value);
    }
    const found = kept.get(number);
    found.shades ??= await found.ready;
    return found;
  };
  const shadesOf = (image) => {
    const sheet = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const context = sheet.getContext("2d");
    context.drawImage(image, 0, 0);
    const { data: pixels } = context.getImageData(0, 0, sheet.width, sheet.height);
    return Uint8Array.from({ length: pixels.length / 4 }, (_, k) => pixels[4 * k]);
  };
  const painted = (shades, width, height, colors, alpha) => {
    const sheet = new OffscreenCanvas(width, height);
    const picture = new ImageData(width, height);
    shades.forEach((shade, k) => {
      for (let c = 0; c < 3; c += 1) picture.data[4 * k + c] = colors ? colors[3 * shade + c] : 0.7 * shade;
      picture.data[4 * k + 3] = alpha ? shade : 255;
    });
    sheet.getContext("2d").putImageData(picture, 0, 0);
    return sheet;
  };
  // Cells lie on the moments and bands that they are centred on; the last of them once more beyond the edge.
  const evidencePicture = (cells, columns) => {
    const lines = cells.length / columns;
    const wide = new Uint8Array((lines + 1) * (columns + 1));
    for (let line = 0; line <= lines; line += 1) {
      for (let column = 0; column <= columns; column += 1) {
        const from = (lines - 1 - Math.max(0, line - 1)) * columns + Math.min(column, columns - 1);
        wide[line * (columns + 1) + column] = cells[from];
      }
    }
    return { sheet: painted(wide, columns + 1, lines + 1, palettes.evidence, true), lines, columns };
  };

  const draw = () => {
    if (!excerpt?.shades) return;
    const scale = window.devicePixelRatio || 1;
    const { width, height } = canvas.getBoundingClientRect();
    if (!width) return;
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    const [from, to] = excerpt.span;
    const [left, bottom] = [36, 18];
    const plot = { x: left, width: width - left, height: height - bottom };
    const xOf = (time) => plot.x + ((time - from) / (to - from)) * plot.width;
    context.save();
    context.beginPath();
    context.rect(plot.x, 0, plot.width, plot.height);
    context.clip();
    const { image, shades } = excerpt;
    context.drawImage(painted(shades, image.naturalWidth, image.naturalHeight, evidence.checked ? null : palettes.spectrogram), plot.x, 0, plot.width, plot.height);
    const spoke = excerpt.evidence[laneOf(state.chosen).class];
    if (evidence.checked && spoke) {
      const { sheet, lines, columns } = evidencePicture(bytes(spoke.cells), spoke.columns);
      const [seconds, bands] = data.cell;
      const across = (seconds / (to - from)) * plot.width;
      const up = bands * plot.height;
      context.imageSmoothingQuality = "high";
      context.drawImage(sheet, plot.x - across / 2, plot.height - (lines - 0.5) * up - up, (columns + 1) * across, (lines + 1) * up);
    }
    const [start, end] = [xOf(startOf(state.chosen)), xOf(endOf(state.chosen))];
    context.fillStyle = "rgb(0 0 0 / 0.45)";
    context.fillRect(plot.x, 0, Math.max(0, start - plot.x), plot.height);
    context.fillRect(end, 0, Math.max(0, plot.x + plot.width - end), plot.height);
    context.fillStyle = "#fff";
    for (const x of [start, end]) context.fillRect(x - 0.5, 0, 1, plot.height);
    if (playing === excerpt.number && (audio.currentTime || !audio.paused)) context.fillRect(xOf(from + audio.currentTime) - 1, 0, 2, plot.height);
    context.restore();
    const quiet = getComputedStyle(dock).getPropertyValue("--quiet");
    context.fillStyle = quiet;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "right";
    let above = Infinity;
    for (const [label, place] of data.ticks) {
      const y = (1 - place) * plot.height;
      if (above - y < 15) continue;
      above = y;
      context.fillText(label, left - 5, limited(y, 6, plot.height - 6));
    }
    context.textAlign = "center";
    const step = to - from > 3 ? 1 : 0.5;
    for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
      context.fillText(position(time + 1e-6, step < 1 ? 1 : 0), limited(xOf(time), plot.x + 18, width - 18), height - bottom / 2 + 2);
    }
  };

  const tell = () => {
    const number = state.chosen;
    const lane = laneOf(number);
    part(".what").textContent = lane.name;
    part(".sureness").textContent = percent(events.score[number] / 10000);
    const [from, to] = [startOf(number), endOf(number)];
    const by = hasClock ? ` · ${clock(from)}` : "";
    part(".when").textContent = `${position(from, 1)} to ${position(to, 1)}, ${lengthText(to - from)}${by} · ${String(events.level[number]).replace("-", "−")} dB`;
    const others = new Set();
    for (let other = 0; other < count && startOf(other) < to; other += 1) {
      if (other !== number && endOf(other) > from) others.add(laneOf(other).name);
    }
    part(".also").textContent = others.size ? `Meanwhile: ${[...others].slice(0, 6).join(", ")}` : "";
    canvas.setAttribute("aria-label", `Spectrogram around ${position(from, 1)}${evidence.checked ? `, with the evidence for ${lane.name}` : ""}`);
  };
  const show = async () => {
    const number = state.chosen;
    dock.hidden = false;
    root.classList.add("docked");
    tell();
    const has = isAudible(number);
    audio.hidden = canvas.hidden = !has;
    part(".absent").hidden = has;
    part(".with-evidence").hidden = !has;
    if (!has) {
      audio.pause();
      excerpt = null;
      part(".gain").textContent = "";
      part(".absent").textContent = `Not one of the surest: its sound is not in this page. Hear it in the recording, at ${position(startOf(number), 1)}.`;
      timeline.showPlayhead(null);
      return;
    }
    const wanted = events.excerpt[number];
    const { play } = state.wishes;
    const found = await read(wanted);
    if (state.chosen !== number) return;
    excerpt = found;
    if (playing !== wanted) {
      audio.src = `data:audio/mpeg;base64,${found.sound}`;
      playing = wanted;
    } else audio.currentTime = 0;
    part(".gain").textContent = found.gain ? `played ${found.gain} dB louder than recorded` : "";
    draw();
    if (play) audio.play().catch(() => {}); // a browser may refuse until the page has been touched
  };
  const toggle = () => {
    if (state.chosen === null) chooseNext(1);
    else if (isAudible(state.chosen)) {
      if (audio.paused) audio.play().catch(() => {});
      else audio.pause();
    }
  };
  const follow = () => {
    draw();
    if (excerpt && playing === excerpt.number) timeline.showPlayhead(audio.ended ? null : excerpt.span[0] + audio.currentTime);
    if (!audio.paused) requestAnimationFrame(follow);
  };

  audio.addEventListener("play", follow);
  for (const name of ["pause", "seeked"]) audio.addEventListener(name, () => { if (audio.paused) follow(); });
  for (const name of ["play", "pause"]) audio.addEventListener(name, () => changed("playing"));
  evidence.addEventListener("change", () => { tell(); draw(); });
  part(".previous").addEventListener("click", () => chooseNext(-1));
  part(".next").addEventListener("click", () => chooseNext(1));
  part(".close").addEventListener("click", () => {
    audio.pause();
    dock.hidden = true;
    root.classList.remove("docked");
    timeline.showPlayhead(null);
    document.querySelector(".table-box.scripted .chosen button")?.focus({ preventScroll: true });
  });
  new ResizeObserver(draw).observe(canvas);
  watch((what) => { if (what === "chosen" && state.chosen !== null) show(); });
  return { toggle, plays: (number) => number === state.chosen && !dock.hidden && !audio.paused };
})();
