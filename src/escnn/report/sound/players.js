"use strict";

// A view is one stretch of sound: the original, the evidence for each class, and pictures that all span the same seconds.
// They share one moment: the play-head crosses every picture, and a player goes on where the one before it stopped.

const root = document.documentElement;
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const limited = (value, most) => Math.min(Math.max(value, 0), most);

const makePlayer = (view) => {
  const { key } = view.dataset;
  const [start, seconds, hop, low, high] = ["start", "seconds", "hop", "low", "high"].map((name) => Number(view.dataset[name]));
  const bands = view.dataset.hz.split(" ").map(Number);
  const original = view.querySelector(".original");
  const maps = key === "" ? document.querySelectorAll("#network, .viewer") : []; // they belong to the main view
  const heads = [view, ...maps];
  const sliders = [];
  const watchers = [];
  let active = original;
  let levels = null; // shade of every band and frame

  const now = () => limited(active.currentTime, seconds);
  const clock = (time) => {
    const minutes = Math.floor((start + time) / 60);
    const rest = (start + time - 60 * minutes).toFixed(2);
    return minutes ? `${minutes}:${rest.padStart(5, "0")}` : `${rest} s`;
  };

  const show = () => {
    for (const head of heads) {
      head.style.setProperty("--played", now() / seconds);
      head.classList.add("started");
    }
  };
  const tell = () => {
    show();
    for (const slider of sliders) {
      slider.setAttribute("aria-valuenow", now().toFixed(2));
      slider.setAttribute("aria-valuetext", `${(start + now()).toFixed(1)} seconds`);
    }
  };
  const follow = () => {
    show();
    if (!active.paused && !calm.matches) requestAnimationFrame(follow);
  };

  const seek = (time) => {
    active.currentTime = limited(time, seconds);
    tell();
  };
  const play = () => active.play().catch(() => {}); // a browser may refuse until the page has been touched
  const toggle = () => (active.paused ? play() : active.pause());

  // Another player of this view takes over, at the same moment.
  const take = (audio) => {
    if (audio === active) return;
    const time = active.ended ? 0 : now();
    active.pause();
    active = audio;
    active.currentTime = time;
  };
  const playOrPause = (audio) => {
    if (audio === active) return toggle();
    take(audio);
    return play();
  };

  const readLevels = async () => {
    if (levels) return;
    const picture = view.querySelector(".spectrogram image");
    const image = new Image();
    image.src = picture.getAttribute("href");
    await image.decode();
    levels = { width: image.naturalWidth, height: image.naturalHeight, shades: shadesOf(image, view.querySelector(".scope .legend img")) };
  };
  const levelAt = (time, height) => {
    if (!levels) return "";
    const column = limited(Math.round(time / hop), levels.width - 1);
    const row = levels.height - 1 - Math.floor(height * levels.height);
    const shade = levels.shades[row * levels.width + column];
    return ` · ${shade ? "" : "≤ "}${valueText(Math.round(low + ((high - low) * shade) / 255))} dB`;
  };
  const pitch = (plot, event, time) => {
    const box = plot.closest("figure").querySelector(".spectrogram, .ground").getBoundingClientRect();
    const height = (box.bottom - event.clientY) / box.height;
    if (height < 0 || height >= 1) return "";
    const hz = bands[Math.floor(height * bands.length)];
    return (hz < 1000 ? ` · ${hz.toFixed(0)} Hz` : ` · ${(hz / 1000).toFixed(2)} kHz`) + levelAt(time, height);
  };

  const pointed = (element, event) => {
    const box = element.getBoundingClientRect();
    return limited((event.clientX - box.left) / box.width, 1) * seconds;
  };
  // Press or drag anywhere in an element that spans the sound: play it from there.
  const seekable = (element) => {
    let held = false;
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = true;
      element.setPointerCapture(event.pointerId);
      seek(pointed(element, event));
    });
    element.addEventListener("pointermove", (event) => { if (held) seek(pointed(element, event)); });
    element.addEventListener("pointercancel", () => { held = false; });
    element.addEventListener("pointerup", () => {
      if (held && active.paused) play();
      held = false;
    });
  };

  const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
  const keys = (event, readout) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " ") toggle();
    else if (event.key === "Home") seek(0);
    else if (event.key === "End") seek(seconds);
    else if (event.key in steps) seek(now() + steps[event.key] * (event.shiftKey ? 1 : 0.1));
    else return;
    event.preventDefault();
    readout.value = clock(now());
  };
  const makeSlider = (plot) => {
    const readout = plot.closest("figure").querySelector(".readout");
    const attributes = { role: "slider", tabindex: 0, "aria-label": "Moment in the sound", "aria-valuemin": 0, "aria-valuemax": seconds };
    for (const [name, value] of Object.entries(attributes)) plot.setAttribute(name, value);
    sliders.push(plot);
    seekable(plot);
    plot.addEventListener("keydown", (event) => keys(event, readout));
    plot.addEventListener("pointerenter", () => readLevels());
    plot.addEventListener("pointermove", (event) => {
      const time = pointed(plot, event);
      readout.value = clock(time) + pitch(plot, event, time);
    });
    plot.addEventListener("pointerleave", () => { readout.value = ""; });
  };

  const changed = () => watchers.forEach((watch) => watch());
  const watch = (watcher) => watchers.push(watcher);
  for (const audio of view.querySelectorAll("audio")) {
    audio.addEventListener("play", () => { take(audio); follow(); changed(); });
    audio.addEventListener("pause", changed);
    audio.addEventListener("seeking", () => { if (audio === active) tell(); });
    audio.addEventListener("timeupdate", () => { if (audio === active) tell(); });
  }
  for (const button of view.querySelectorAll(".play-original")) {
    button.addEventListener("click", () => playOrPause(original));
    watch(() => { button.textContent = active === original && !original.paused ? "Pause the original" : "Play the original"; });
  }
  for (const radio of view.querySelectorAll(".classes > input")) {
    radio.addEventListener("change", () => {
      if (active === original) return;
      const playing = !active.paused;
      take(radio.nextElementSibling.nextElementSibling.querySelector("audio"));
      if (playing) play();
    });
  }
  for (const strength of view.querySelectorAll(".strength input")) {
    strength.addEventListener("input", () => view.style.setProperty("--strength", strength.value / 100));
  }
  view.querySelectorAll(".plot").forEach(makeSlider);
  tell();
  for (const head of heads) head.classList.remove("started"); // until there is something to follow
  return { key, seekable, toggle, watch, playing: () => !active.paused };
};

root.classList.add("has-script");
const players = [...document.querySelectorAll(".view")].map(makePlayer);
const mainPlayer = players.find(({ key }) => key === "");

document.addEventListener("play", (event) => {
  for (const audio of document.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
}, true);

// The timeline: a window that is chosen hushes the others, and the links to its parts follow.
{
  const radios = [...document.querySelectorAll(".windows > input")];
  const bars = [...document.querySelectorAll(".recording rect")];
  const radioOf = (bar) => document.getElementById(`window-${bar.dataset.window}`);
  const linkTo = (link, key) => {
    const id = `${link.dataset.part}${key}`;
    link.setAttribute("href", `#${document.getElementById(id) ? id : `listen${key}`}`);
  };
  const choose = () => {
    const { key } = radios.find((radio) => radio.checked).nextElementSibling.nextElementSibling.dataset;
    for (const audio of document.querySelectorAll("audio")) audio.pause();
    for (const link of document.querySelectorAll("nav [data-part]")) linkTo(link, key);
    for (const bar of bars) bar.classList.toggle("chosen", Boolean(radioOf(bar)?.checked));
  };
  for (const radio of radios) radio.addEventListener("change", choose);
  for (const bar of bars) bar.addEventListener("click", () => radioOf(bar)?.click());
  if (radios.length) choose();
}
