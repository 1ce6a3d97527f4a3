"use strict";

// The timeline: a canvas from all of the recording down to a second. Above, the spectrogram; below, a lane a class.
const timeline = (() => {
  const map = document.querySelector(".map");
  const canvas = map.querySelector("canvas");
  const names = document.querySelector(".names");
  const output = document.getElementById("view");
  const shortest = Math.min(1, total);
  const view = { from: 0, to: total };
  const images = [...document.querySelectorAll(".long-term image")].map((element) => {
    const image = new Image();
    image.src = element.getAttribute("href");
    const share = (name) => Number.parseFloat(element.getAttribute(name)) / 100;
    return { image, from: share("x") * total, to: (share("x") + share("width")) * total };
  });
  const items = [...names.querySelectorAll("li")];
  let places = []; // by lane: where it lies, from the top of the canvas; null where it is folded away
  let size = { width: 0, height: 0, strip: 0, lane: 0, bottom: 24 };
  let pending = false;
  let playhead = null;

  const xOf = (time) => ((time - view.from) / (view.to - view.from)) * size.width;
  const timeAt = (x) => view.from + (x / size.width) * (view.to - view.from);

  // Lanes are as high as their names beside them.
  const arrange = () => {
    const box = map.getBoundingClientRect();
    const top = box.top;
    places = lanes.map(() => null);
    let end = names.querySelector(".pitch").getBoundingClientRect().bottom - top;
    const strip = end;
    for (const item of items) {
      const { top: above, bottom, height } = item.getBoundingClientRect();
      if (!height) continue;
      end = Math.max(end, bottom - top);
      if (item.dataset.lane !== "fold") places[Number(item.dataset.lane)] = { top: above - top, height };
    }
    size = { width: box.width, height: end + 24, strip, bottom: 24 };
    map.style.setProperty("height", `${size.height}px`);
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(size.width * scale);
    canvas.height = Math.round(size.height * scale);
    redraw();
  };

  const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200];
  const drawTicks = (context, style) => {
    const step = STEPS.find((seconds) => (seconds / (view.to - view.from)) * size.width >= 84) ?? 86400;
    const shift = hasClock ? (wallClock(0).getTime() / 1000) % step : 0; // so that ticks are round by the clock
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    const decimals = step < 1 ? 1 : 0;
    for (let time = Math.ceil((view.from + shift) / step) * step - shift; time <= view.to + 1e-6; time += step) {
      const x = xOf(time);
      context.fillStyle = style.grid;
      context.fillRect(Math.round(x), 0, 1, size.height - size.bottom);
      const text = hasClock && step >= 1 ? clock(time + 1e-3).slice(0, step >= 60 ? 5 : 8) : position(Math.max(0, time), decimals);
      const width = context.measureText(text).width;
      context.fillStyle = style.quiet;
      context.fillText(text, limited(x - width / 2, 0, size.width - width), size.height - size.bottom / 2 + 2);
    }
  };
  const drawSpectrogram = (context, top, height, alpha) => {
    context.globalAlpha = alpha;
    context.imageSmoothingEnabled = false;
    for (const { image, from, to } of images) {
      if (!image.complete || !image.naturalWidth || to < view.from || from > view.to) continue;
      const first = Math.max(from, view.from);
      const last = Math.min(to, view.to);
      const scale = image.naturalWidth / (to - from);
      context.drawImage(
        image, (first - from) * scale, 0, Math.max(1e-3, (last - first) * scale), image.naturalHeight,
        xOf(first), top, xOf(last) - xOf(first), height,
      );
    }
    context.globalAlpha = 1;
  };
  const drawPitches = (context) => {
    context.textBaseline = "middle";
    context.font = "11px system-ui, sans-serif";
    context.lineWidth = 3;
    let above = Infinity;
    for (const [label, place] of data.ticks) {
      const y = (1 - place) * size.strip;
      if (above - y < 20) continue;
      above = y;
      context.strokeStyle = "rgb(0 0 0 / 0.7)";
      context.strokeText(`${label} Hz`, 5, y);
      context.fillStyle = "#fff";
      context.fillText(`${label} Hz`, 5, y);
    }
  };
  const drawEvents = (context, colors) => {
    const last = lanes.map(() => -1); // how far each lane is drawn: of a thousand events in a pixel one is enough
    let visible = 0;
    for (let at = firstFrom(view.from - longest); at < shown.length; at += 1) {
      const number = shown[at];
      if (startOf(number) > view.to) break;
      if (endOf(number) < view.from) continue;
      visible += 1;
      const lane = events.lane[number];
      const place = places[lane];
      if (!place) continue;
      const from = Math.max(-2, xOf(startOf(number)));
      const to = Math.min(size.width + 2, Math.max(from + 2, xOf(endOf(number))));
      if (to <= last[lane]) continue;
      last[lane] = to;
      context.fillStyle = colors[lanes[lane].tone];
      context.fillRect(from, place.top + 3, to - from, place.height - 6);
    }
    return visible;
  };
  const drawChosen = (context, style) => {
    if (state.chosen === null) return;
    const [from, to] = [xOf(startOf(state.chosen)), xOf(endOf(state.chosen))];
    const place = places[events.lane[state.chosen]];
    context.fillStyle = "rgb(255 255 255 / 0.14)";
    context.fillRect(from, 0, Math.max(2, to - from), size.height - size.bottom);
    if (place) {
      context.strokeStyle = style.ink;
      context.lineWidth = 2;
      context.strokeRect(from - 1, place.top + 2, Math.max(4, to - from) + 2, place.height - 4);
    }
  };
  const draw = () => {
    pending = false;
    const context = canvas.getContext("2d");
    const scale = window.devicePixelRatio || 1;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    const computed = getComputedStyle(map);
    const style = { grid: "rgb(255 255 255 / 0.13)", quiet: computed.getPropertyValue("--quiet"), ink: computed.getPropertyValue("--ink") };
    context.fillStyle = computed.getPropertyValue("--paper");
    context.fillRect(0, 0, size.width, size.height);
    drawSpectrogram(context, 0, size.strip, 1);
    drawSpectrogram(context, size.strip, size.height - size.bottom - size.strip, 0.2);
    drawPitches(context);
    context.fillStyle = "rgb(255 255 255 / 0.08)";
    for (const place of places) if (place) context.fillRect(0, Math.round(place.top + place.height) - 1, size.width, 1);
    drawTicks(context, style);
    const visible = drawEvents(context, tones());
    drawChosen(context, style);
    if (playhead !== null) {
      context.fillStyle = "#fff";
      context.fillRect(xOf(playhead) - 1, 0, 2, size.height - size.bottom);
    }
    const text = `${position(view.from)} to ${position(view.to)}: ${eventsText(visible)}`;
    if (output.value !== text) output.value = text;
  };
  const redraw = () => {
    if (pending) return;
    pending = true;
    requestAnimationFrame(draw);
  };

  const look = (from, to) => {
    const span = limited(to - from, shortest, total);
    view.from = limited(from, 0, total - span);
    view.to = view.from + span;
    redraw();
    changed("view");
  };
  // Without a place, about the chosen event if that is in sight, else about the middle.
  const middle = () => {
    const x = state.chosen === null ? -1 : xOf((startOf(state.chosen) + endOf(state.chosen)) / 2);
    return x >= 0 && x <= size.width ? x : size.width / 2;
  };
  const zoom = (factor, x = middle()) => {
    const at = timeAt(x);
    const span = limited((view.to - view.from) / factor, shortest, total);
    const from = at - (x / size.width) * span;
    look(from, from + span);
  };
  const pan = (share) => {
    const by = share * (view.to - view.from);
    look(limited(view.from + by, 0, total - (view.to - view.from)), limited(view.to + by, view.to - view.from, total));
  };
  const isWhole = () => view.to - view.from >= total - 1e-6;

  // The event that is meant by a place: in its lane, or the surest that sounds there.
  const eventAt = (x, y) => {
    const lane = places.findIndex((place) => place && y >= place.top && y < place.top + place.height);
    const time = timeAt(x);
    const near = (8 / size.width) * (view.to - view.from);
    let best = null;
    let least = Infinity;
    for (let at = firstFrom(time - longest - near); at < shown.length; at += 1) {
      const number = shown[at];
      if (startOf(number) > time + near) break;
      if (lane >= 0 && events.lane[number] !== lane) continue;
      const away = Math.max(0, startOf(number) - time, time - endOf(number));
      const rank = away / near - events.score[number] / 10000;
      if (away <= near && rank < least) [best, least] = [number, rank];
    }
    return best;
  };

  const pointers = new Map();
  let moved = 0;
  map.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    map.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event.clientX);
    if (pointers.size === 1) moved = 0;
  });
  map.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    const left = map.getBoundingClientRect().left;
    const before = [...pointers.values()];
    moved += Math.abs(event.clientX - pointers.get(event.pointerId));
    pointers.set(event.pointerId, event.clientX);
    const now = [...pointers.values()];
    if (now.length === 1) pan((before[0] - now[0]) / size.width);
    else {
      const [apart, was] = [Math.abs(now[0] - now[1]), Math.abs(before[0] - before[1])];
      pan(((before[0] + before[1]) / 2 - (now[0] + now[1]) / 2) / size.width);
      if (apart > 4 && was > 4) zoom(apart / was, (now[0] + now[1]) / 2 - left);
    }
  });
  const release = (event) => {
    if (!pointers.delete(event.pointerId) || event.type === "pointercancel" || pointers.size || moved > 5) return;
    const box = map.getBoundingClientRect();
    const number = eventAt(event.clientX - box.left, event.clientY - box.top);
    if (number !== null) choose(number, { play: true });
  };
  map.addEventListener("pointerup", release);
  map.addEventListener("pointercancel", release);
  map.addEventListener("wheel", (event) => {
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      pan((event.deltaX || event.deltaY) / size.width);
      return;
    }
    if (event.deltaY > 0 && isWhole()) return; // nothing to zoom out of: the page scrolls
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    zoom(Math.exp((-event.deltaY * lines) / 300), event.clientX - map.getBoundingClientRect().left);
  }, { passive: false });

  const keys = {
    "+": () => zoom(2), "=": () => zoom(2), "-": () => zoom(0.5), 0: () => look(0, total),
    ArrowLeft: (event) => pan(event.shiftKey ? -0.9 : -0.2), ArrowRight: (event) => pan(event.shiftKey ? 0.9 : 0.2),
    Home: () => look(0, view.to - view.from), End: () => look(total - (view.to - view.from), total),
    ArrowDown: () => chooseNext(1), ArrowUp: () => chooseNext(-1),
    " ": () => moment.toggle(), Enter: () => moment.toggle(),
  };
  map.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key](event);
  });
  const steps = { in: () => zoom(2), out: () => zoom(0.5), earlier: () => pan(-0.5), later: () => pan(0.5), all: () => look(0, total) };
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", steps[button.dataset.zoom]);

  // The names: a class alone, or backgrounds unfolded.
  for (const item of items) {
    const button = item.querySelector("button");
    button.addEventListener("click", () => {
      if (item.dataset.lane === "fold") {
        const hides = state.unfolded && state.lane !== null && lanes[state.lane].background;
        setFilter({ unfolded: !state.unfolded, ...(hides ? { lane: null } : {}) });
      } else {
        const lane = Number(item.dataset.lane);
        setFilter({ lane: state.lane === lane ? null : lane });
      }
    });
  }
  watch((what) => {
    if (what === "filter") {
      for (const item of items) {
        const button = item.querySelector("button");
        if (item.dataset.lane === "fold") button.setAttribute("aria-expanded", String(state.unfolded));
        else {
          const number = Number(item.dataset.lane);
          const hidden = foldable && lanes[number].background && !state.unfolded && state.lane !== number;
          button.setAttribute("aria-pressed", String(state.lane === number));
          item.classList.toggle("dim", state.lane !== null && state.lane !== number);
          if (item.hidden !== hidden) item.hidden = hidden;
        }
      }
      arrange();
    }
    if (what === "chosen" && state.chosen !== null) {
      const [from, to] = [startOf(state.chosen), endOf(state.chosen)];
      if (to < view.from || from > view.to || (state.wishes.follow && (from < view.from || to > view.to))) {
        const span = view.to - view.from;
        look((from + to - span) / 2, (from + to + span) / 2);
      }
      redraw();
    }
  });

  for (const { image } of images) image.addEventListener("load", redraw);
  new ResizeObserver(() => arrange()).observe(map.parentElement);
  document.fonts?.ready.then(arrange);
  return {
    arrange, look, view,
    showPlayhead: (time) => { playhead = time; redraw(); },
  };
})();
