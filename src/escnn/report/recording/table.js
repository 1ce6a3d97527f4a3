"use strict";

// The table: of 20,000 rows those that are in sight are there. It is sorted by what its heads are pressed for.
const table = (() => {
  const box = document.querySelector(".table-box.scripted");
  if (!box) return null;
  const body = box.querySelector("tbody");
  const heads = [...box.querySelectorAll("th")];
  const nothing = document.querySelector(".nothing");
  const values = {
    start: (number) => events.start[number],
    length: (number) => events.end[number] - events.start[number],
    lane: (number) => rankOfName[events.lane[number]],
    score: (number) => events.score[number],
    level: (number) => events.level[number],
  };
  const order = lanes.map((_, number) => number).sort((a, b) => lanes[a].name.localeCompare(lanes[b].name));
  const rankOfName = lanes.map((_, number) => order.indexOf(number));
  const first = { start: 1, length: -1, lane: 1, score: -1, level: -1 }; // which way a head sorts when it is pressed
  let sorted = { by: "start", way: 1 };
  let rows = new Uint32Array(0); // numbers of events, from top to bottom
  let height = 40; // of a row
  const pool = [];
  const spacers = [document.createElement("tr"), document.createElement("tr")];
  for (const spacer of spacers) {
    spacer.setAttribute("aria-hidden", "true");
    spacer.append(document.createElement("td"));
  }

  const cell = (row, name) => {
    const made = document.createElement(name === "from" ? "th" : "td");
    if (name === "from") made.scope = "row";
    made.className = name;
    row.append(made);
    return made;
  };
  const makeRow = () => {
    const row = document.createElement("tr");
    const play = document.createElement("button");
    play.type = "button";
    cell(row, "play").append(play);
    const parts = { row, play, from: cell(row, "from") };
    if (hasClock) parts.clock = cell(row, "clock");
    parts.length = cell(row, "length");
    const what = cell(row, "what");
    parts.label = document.createElement("bdi");
    what.append(parts.label);
    parts.what = what;
    parts.score = cell(row, "score");
    parts.level = cell(row, "loud");
    return parts;
  };
  const fill = (parts, at) => {
    const number = rows[at];
    const lane = laneOf(number);
    const time = position(startOf(number), 1);
    parts.number = number;
    parts.row.setAttribute("aria-rowindex", at + 2);
    parts.row.classList.toggle("chosen", number === state.chosen);
    const [sign, does] = !isAudible(number) ? ["○", "Show"] : moment.plays(number) ? ["❚❚", "Pause"] : ["▶", "Play"];
    parts.play.textContent = sign;
    parts.play.setAttribute("aria-label", `${does} ${lane.name} at ${time}`);
    parts.from.textContent = time;
    if (hasClock) parts.clock.textContent = clock(startOf(number));
    parts.length.textContent = lengthText(endOf(number) - startOf(number));
    parts.label.textContent = lane.name;
    parts.what.className = `what tone-${lane.tone}`;
    parts.score.textContent = percent(events.score[number] / 10000);
    parts.level.textContent = `${String(events.level[number]).replace("-", "−")} dB`;
  };
  // Rows change what they show: the focus stays with its event while that is in sight.
  const keepFocus = (work) => {
    const before = pool.find((parts) => parts.play === document.activeElement)?.number;
    work();
    if (before === undefined) return;
    const after = pool.find((parts) => parts.number === before && parts.row.isConnected);
    (after ? after.play : box).focus({ preventScroll: true });
  };
  const render = () => keepFocus(lay);
  const lay = () => {
    const seen = Math.ceil(box.clientHeight / height) + 2;
    const from = limited(Math.floor(box.scrollTop / height) - 4, 0, Math.max(0, rows.length - seen - 8));
    const to = Math.min(rows.length, from + seen + 8);
    while (pool.length < to - from) pool.push(makeRow());
    for (let k = 0; k < to - from; k += 1) fill(pool[k], from + k);
    const wanted = [spacers[0], ...pool.slice(0, to - from).map((parts) => parts.row), spacers[1]];
    if (body.children.length !== wanted.length) body.replaceChildren(...wanted);
    spacers[0].firstChild.style.setProperty("height", `${from * height}px`);
    spacers[1].firstChild.style.setProperty("height", `${(rows.length - to) * height}px`);
    const measured = pool[0]?.row.isConnected ? pool[0].row.getBoundingClientRect().height : 0;
    if (measured && Math.abs(measured - height) > 0.5) {
      height = measured;
      lay();
    }
  };
  const sort = () => {
    const { by, way } = sorted;
    rows = shown.slice();
    if (by !== "start" || way < 0) {
      const value = values[by];
      const keys = Float64Array.from(rows, (number) => way * value(number));
      const places = Uint32Array.from(rows, (_, k) => k).sort((a, b) => keys[a] - keys[b] || a - b);
      rows = places.map((k) => shown[k]);
    }
    box.querySelector("table").setAttribute("aria-rowcount", rows.length + 1);
    box.hidden = !rows.length;
    nothing.hidden = rows.length > 0;
    box.scrollTop = 0;
    render();
  };
  const reveal = (number) => {
    const at = rows.indexOf(number);
    if (at < 0) return;
    const above = box.querySelector("thead").getBoundingClientRect().height;
    const top = at * height;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + height + above > box.scrollTop + box.clientHeight) box.scrollTop = top + height + above - box.clientHeight;
    render();
  };

  for (const head of heads) {
    const button = head.querySelector("button");
    button?.addEventListener("click", () => {
      const by = button.dataset.sort;
      sorted = { by, way: sorted.by === by ? -sorted.way : first[by] };
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sorted.way > 0 ? "ascending" : "descending");
      sort();
    });
  }
  const partsOf = (target) => pool.find((parts) => parts.row.contains(target));
  body.addEventListener("click", (event) => {
    const parts = partsOf(event.target);
    if (!parts) return;
    if (moment.plays(parts.number)) moment.toggle();
    else choose(parts.number, { play: true });
    parts.play.focus({ preventScroll: true });
  });
  box.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey || !rows.length) return;
    event.preventDefault();
    const at = state.chosen === null ? -1 : rows.indexOf(state.chosen);
    const number = rows[limited(at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step, 0, rows.length - 1)];
    choose(number);
    reveal(number);
    const row = pool.find((parts) => parts.number === number && parts.row.isConnected);
    row?.play.focus({ preventScroll: true });
    row?.row.scrollIntoView({ block: "nearest", behavior: "instant" });
  });
  box.addEventListener("scroll", render);
  new ResizeObserver(render).observe(box);
  watch((what) => {
    if (what === "filter") sort();
    if (what === "playing") render();
    if (what === "chosen") {
      if (state.wishes.follow && state.chosen !== null) reveal(state.chosen);
      else render();
    }
  });

  // Printed are those that are shown, as many as a reader may want on paper.
  const PRINTED = 500;
  addEventListener("beforeprint", () => {
    box.classList.add("printed");
    const all = Array.from({ length: Math.min(rows.length, PRINTED) }, (_, at) => {
      const parts = makeRow();
      fill(parts, at);
      return parts.row;
    });
    body.replaceChildren(...all);
  });
  addEventListener("afterprint", () => {
    box.classList.remove("printed");
    body.replaceChildren();
    render();
  });
  return { rows: () => rows };
})();
