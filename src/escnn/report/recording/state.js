"use strict";

// What was found, and which of it is shown: a class alone or all of them, a least score, backgrounds folded away or not.
// Timeline, table and the chosen event follow.

const root = document.documentElement;
root.classList.add("has-script");
const data = JSON.parse(document.getElementById("data").textContent);
const { lanes, events, seconds: total } = data;
const count = events.start.length;
const startOf = (number) => events.start[number] / 1000;
const endOf = (number) => events.end[number] / 1000;
const peakOf = (number) => events.peak[number] / 1000;
const laneOf = (number) => lanes[events.lane[number]];
const limited = (value, least, most) => Math.min(Math.max(value, least), most);

const foldable = lanes.some((lane) => lane.background) && lanes.some((lane) => !lane.background);
const state = { lane: null, least: Math.round(1000 * data.least), unfolded: !foldable, chosen: null };
const longest = events.start.reduce((most, start, number) => Math.max(most, events.end[number] - start), 0) / 1000;

// Numbers of the events that are shown, in order of time.
let shown = new Uint32Array(0);
const filter = () => {
  const found = new Uint32Array(count);
  let size = 0;
  const least = 10 * state.least;
  const open = lanes.map((lane, number) => (state.lane === null ? state.unfolded || !lane.background : state.lane === number));
  for (let number = 0; number < count; number += 1) {
    if (events.score[number] >= least && open[events.lane[number]]) {
      found[size] = number;
      size += 1;
    }
  }
  shown = found.subarray(0, size);
};

const watchers = []; // called with what changed: "filter", "chosen" or "view"
const watch = (watcher) => watchers.push(watcher);
const changed = (what) => watchers.forEach((watcher) => watcher(what));

const setFilter = (values) => {
  Object.assign(state, values);
  filter();
  changed("filter");
};

// The first of the events that are shown which begins at a moment or later.
const firstFrom = (moment) => {
  let [low, high] = [0, shown.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (startOf(shown[middle]) < moment) low = middle + 1;
    else high = middle;
  }
  return low;
};

// Times as people read them: where in the recording, and by the clock if that is known.
const two = (value) => String(Math.floor(value)).padStart(2, "0");
const position = (time, decimals = 0) => {
  const units = Math.floor(time * 10 ** decimals + 1e-6);
  const whole = Math.floor(units / 10 ** decimals);
  const part = decimals ? `.${String(units % 10 ** decimals).padStart(decimals, "0")}` : "";
  const minutes = Math.floor(whole / 60);
  return (total >= 3600 ? `${Math.floor(minutes / 60)}:${two(minutes % 60)}` : String(minutes)) + `:${two(whole % 60)}${part}`;
};
const aheadAt = (time) => data.offsets.reduce((ahead, [from, offset]) => (time >= from ? offset : ahead), 0);
const wallClock = (time) => {
  const shift = data.offsets ? aheadAt(time) - aheadAt(0) : 0;
  return new Date(data.start + 1000 * (time + shift)); // its UTC parts are what a clock shows
};
const hasClock = data.start !== null;
const clock = (time) => wallClock(time).toISOString().slice(11, 19);
const isoTime = (time) => {
  const text = wallClock(time).toISOString().slice(0, 23);
  if (!data.offsets) return text;
  const ahead = aheadAt(time);
  const minutes = Math.abs(ahead) / 60;
  return `${text}${ahead < 0 ? "-" : "+"}${two(minutes / 60)}:${two(minutes % 60)}`;
};
const percent = (score) => {
  if (score > 0.999 && score < 1) return "> 99.9 %";
  if (score > 0 && score < 0.001) return "< 0.1 %";
  return `${(100 * score).toFixed(1)} %`;
};
const lengthText = (seconds) => (seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`);
const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, " ");
const eventsText = (number) => `${grouped(number)} event${number === 1 ? "" : "s"}`;

const audible = new Set(data.excerpts.keys());
for (const number of data.excerpts.keys()) if (!document.getElementById(`excerpt-${number}`)) audible.delete(number);
const isAudible = (number) => audible.has(events.excerpt[number]);

// What an event is chosen for: { play, follow }; timeline and table go to it where they are to follow.
const choose = (number, wishes = {}) => {
  state.chosen = number;
  state.wishes = wishes;
  changed("chosen");
};
const chooseNext = (step) => {
  if (!shown.length) return;
  const at = state.chosen === null ? -1 : shown.indexOf(state.chosen);
  const after = state.chosen === null ? (step > 0 ? 0 : shown.length - 1) : at >= 0 ? at + step : firstFrom(startOf(state.chosen));
  choose(shown[limited(after, 0, shown.length - 1)], { follow: true });
};

// Colours of lanes, as the style has them.
const tones = () => {
  const probe = document.querySelector(".recording .names") ?? document.body;
  return Array.from({ length: 5 }, (_, tone) => getComputedStyle(probe).getPropertyValue(`--tone-${tone}`).trim() || "#fff");
};

// The filters, and what they leave.
{
  const classes = document.getElementById("class");
  const score = document.getElementById("score");
  if (classes) {
    classes.addEventListener("change", () => setFilter({ lane: classes.value === "" ? null : Number(classes.value) }));
    score.addEventListener("input", () => setFilter({ least: Number(score.value) }));
    watch((what) => {
      if (what !== "filter") return;
      classes.value = state.lane === null ? "" : String(state.lane);
      document.getElementById("score-text").value = percent(state.least / 1000);
      const hidden = state.lane === null && !state.unfolded ? ", backgrounds folded away" : "";
      document.getElementById("shown").value = `${grouped(shown.length)} of ${eventsText(count)}${hidden}`;
      document.getElementById("taken").textContent = shown.length === count ? (count === 1 ? "the event" : `all ${eventsText(count)}`) : `the ${eventsText(shown.length)} shown`;
    });
  }
}
