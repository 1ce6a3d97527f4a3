"use strict";

// Follows the microphone: sends what it hears to /v1/stream, and shows what comes back. page.js comes first.
const SHOWN_SECONDS = 60;
const PIECE_SECONDS = 0.1;
const BANDS = 96; // rows of the spectrogram
const LOWEST_HZ = 50;
const RANGE_DB = 60;
const METER_DB = 60; // below full scale, the left end of the meter
const MOST_LANES = 8;
const MOST_ROWS = 50;
const BEST = 5;
const BEHIND_SECONDS = 3; // of sound that may wait to be sent; what comes then is lost
const AGAIN_MS = 1_000;
const TRIES = 30;
const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];

const liveButton = byId("live-button");
let live = null;

const minutes = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
const liveSay = (text) => { byId("live-problem").textContent = text; };

// 16-bit PCM of samples of -1 to 1.
const pcmOf = (samples) => {
  const pcm = new Int16Array(samples.length);
  for (let k = 0; k < samples.length; k += 1) pcm[k] = Math.round(32_767 * Math.max(-1, Math.min(1, samples[k])));
  return pcm.buffer;
};

const base64url = (text) => btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const connect = () => {
  const address = new URL(`/v1/stream?rate=${live.context.sampleRate}&encoding=s16le&scores=${BEST}`, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address, ["escnn.live", ...(token ? [`token.${base64url(token)}`] : [])]);
  socket.binaryType = "arraybuffer";
  live.socket = socket;
  live.offset = live.seconds; // the times of a stream begin with its first sample
  live.isReady = false;
  live.refusal = "";
  socket.onmessage = ({ data }) => {
    if (live?.socket !== socket && live?.ending !== socket) return;
    const line = JSON.parse(data);
    if (line.error) {
      live.refusal = [line.error.message, line.error.hint].filter(Boolean).join("; ");
    } else if (line.schema.startsWith("escnn.stream/")) {
      live.isReady = true;
      live.tries = 0;
      live.offset = live.seconds;
      liveSay("");
    } else if (line.schema.startsWith("escnn.live_scores/")) {
      showBest(line.scores);
    } else if (line.schema.startsWith("escnn.live/")) {
      showEvent({ ...line, id: `${live.connection}-${line.id}`, offset: live.offset });
    }
  };
  socket.onclose = ({ code, reason }) => {
    if (live?.socket !== socket) return;
    for (const event of live.events.values()) if (event.state === "provisional") showEvent({ ...event, state: "withdrawn" });
    live.tries += 1;
    if (code === 1013 || live.tries > TRIES) {
      stopLive(live.refusal || reason || "The connection was cut.");
      return;
    }
    live.connection += 1;
    liveSay(`${live.refusal || "The connection was cut"}; trying again.`);
    live.again = setTimeout(() => { live.isDue = true; }, AGAIN_MS); // once there is sound to send
  };
};

const hear = (samples) => {
  if (live.isDue) {
    live.isDue = false;
    connect();
  }
  live.waiting.push(samples);
  live.count += samples.length;
  const rate = live.context.sampleRate;
  if (live.count < PIECE_SECONDS * rate) return;
  const piece = new Float32Array(live.count);
  live.waiting.reduce((place, part) => { piece.set(part, place); return place + part.length; }, 0);
  live.waiting = [];
  live.count = 0;
  const power = piece.reduce((sum, sample) => sum + sample * sample, 0) / piece.length;
  byId("live-level").value = Math.max(0, 1 + 10 * Math.log10(power + 1e-12) / METER_DB);
  drawColumn();
  const { socket } = live;
  if (live.isReady && socket.readyState === WebSocket.OPEN) {
    if (socket.bufferedAmount > 2 * BEHIND_SECONDS * rate) {
      live.lost += piece.length / rate;
      byId("live-lost").textContent = `${live.lost.toFixed(1)} s were lost: the connection is too slow.`;
      piece.fill(0); // silence of the same length, so that times stay true
      live.owed.push(pcmOf(piece));
    } else {
      for (const silence of live.owed) socket.send(silence);
      live.owed = [];
      socket.send(pcmOf(piece));
    }
  }
  live.seconds += piece.length / rate;
  byId("live-time").textContent = minutes(live.seconds);
};

// One column of the spectrogram, at the right end; what was there moves to the left.
const drawColumn = () => {
  const canvas = byId("live-spectrogram");
  const pen = canvas.getContext("2d", { willReadFrequently: false });
  const step = canvas.width * PIECE_SECONDS / SHOWN_SECONDS;
  live.column += step;
  const width = Math.floor(live.column);
  if (!width) return;
  live.column -= width;
  live.analyser.getFloatFrequencyData(live.spectrum);
  pen.drawImage(canvas, -width, 0);
  const top = live.context.sampleRate / 2;
  const height = canvas.height / BANDS;
  for (let band = 0; band < BANDS; band += 1) {
    const [low, high] = [band, band + 1].map((edge) => melHz(melOf(LOWEST_HZ) + (melOf(Math.min(top, 20_000)) - melOf(LOWEST_HZ)) * edge / BANDS));
    const first = Math.floor(low / top * live.spectrum.length);
    const last = Math.max(first + 1, Math.floor(high / top * live.spectrum.length));
    let loudest = -200;
    for (let bin = first; bin < last; bin += 1) loudest = Math.max(loudest, live.spectrum[bin]);
    live.loudest = Math.max(live.loudest - 0.0005, loudest, -60);
    const place = Math.max(0, Math.min(1, (loudest - live.loudest + RANGE_DB) / RANGE_DB));
    pen.fillStyle = `rgb(${VIRIDIS[Math.round(place * (VIRIDIS.length - 1))].join(" ")})`;
    pen.fillRect(canvas.width - width, canvas.height - (band + 1) * height, width, height + 1);
  }
};
const melOf = (hz) => 2595 * Math.log10(1 + hz / 700);
const melHz = (mel) => 700 * (10 ** (mel / 2595) - 1);

// The best classes as bars; a class keeps its bar while it is among them, so that bars move and names stay.
const showBest = (scores) => {
  const list = byId("live-best");
  for (const { label, score } of scores) {
    let item = [...list.children].find((one) => one.dataset.label === label);
    if (!item) {
      item = [...list.children].find((one) => !scores.some((other) => other.label === one.dataset.label));
      if (!item || list.childElementCount < BEST) {
        item = byId("live-bar").content.firstElementChild.cloneNode(true);
        list.append(item);
      }
      item.dataset.label = label;
      item.querySelector(".what").textContent = shownLabel(label);
    }
    item.querySelector(".bar").style.transform = `scaleX(${score})`;
    item.querySelector(".score").textContent = percent(score);
  }
};

const showEvent = (event) => {
  live.events.delete(event.id);
  live.events.set(event.id, event);
  const body = byId("live-events");
  let row = [...body.children].find((one) => one.dataset.id === event.id);
  if (!row) {
    row = byId("live-row").content.firstElementChild.cloneNode(true);
    row.dataset.id = event.id;
    body.prepend(row);
  }
  row.className = event.state;
  row.querySelector(".from").textContent = minutes(event.offset + event.start_seconds);
  row.querySelector(".to").textContent = event.end_seconds === null ? "" : minutes(event.offset + event.end_seconds);
  row.querySelector(".what").textContent = shownLabel(event.label);
  row.querySelector(".state-of").textContent = event.state;
  row.querySelector(".score").textContent = percent(event.score);
  while (body.childElementCount > MOST_ROWS) body.lastElementChild.remove();
  if (event.state === "final") tell(`${shownLabel(event.label)}, from ${minutes(event.offset + event.start_seconds)}`);
  drawLanes();
};

// A lane a class, of the last minute.
const drawLanes = () => {
  const now = live.seconds;
  const lanes = new Map();
  for (const [id, event] of live.events) {
    const end = event.offset + (event.end_seconds ?? (event.state === "provisional" ? now - event.offset : event.told_seconds));
    if (end < now - SHOWN_SECONDS) {
      if (event.state !== "provisional") live.events.delete(id);
      continue;
    }
    lanes.set(event.label, [...(lanes.get(event.label) ?? []), { ...event, from: event.offset + event.start_seconds, until: end }]);
  }
  const shown = [...lanes].slice(-MOST_LANES);
  byId("live-lanes").replaceChildren(...shown.map(([label, events]) => {
    const lane = byId("live-lane").content.firstElementChild.cloneNode(true);
    lane.querySelector(".what").textContent = shownLabel(label);
    lane.querySelector(".track").append(...events.map((event) => {
      const bar = document.createElement("span");
      bar.className = event.state;
      const start = Math.max(0, (event.from - now + SHOWN_SECONDS) / SHOWN_SECONDS);
      bar.style.left = `${100 * start}%`;
      bar.style.width = `${Math.max(0.5, 100 * ((event.until - now + SHOWN_SECONDS) / SHOWN_SECONDS - start))}%`;
      return bar;
    }));
    return lane;
  }));
};

const startLive = async () => {
  await ask("/v1/model"); // asks for the token where one is needed: a socket could not say so
  const microphone = await openMicrophone((block) => { if (live) hear(block); });
  const { context, source, stream } = microphone;
  const analyser = new AnalyserNode(context, { fftSize: 2048, smoothingTimeConstant: 0 });
  live = {
    ...microphone, analyser, spectrum: new Float32Array(analyser.frequencyBinCount), waiting: [], count: 0, seconds: 0,
    column: 0, loudest: -60, events: new Map(), connection: 1, tries: 0, lost: 0, owed: [], offset: 0, isDue: false,
  };
  source.connect(analyser);
  stream.getTracks()[0].onended = () => stopLive("The microphone went away.");
  live.drawing = setInterval(drawLanes, 250);
  connect();
  for (const id of ["live-events", "live-best", "live-lanes"]) byId(id).replaceChildren();
  const canvas = byId("live-spectrogram");
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  byId("live").hidden = false;
  byId("live-lost").textContent = "";
  liveButton.textContent = "Stop following";
  liveButton.setAttribute("aria-pressed", "true");
};

// What was shown stays; the socket gives what is left of the events, and closes.
const stopLive = (problem = "") => {
  if (!live) return;
  const { socket, drawing, again } = live;
  closeMicrophone(live);
  clearInterval(drawing);
  clearTimeout(again);
  if (socket.readyState === WebSocket.OPEN && !problem) {
    live.ending = socket;
    socket.onclose = () => {};
    socket.send("end");
  } else {
    socket.onclose = () => {};
    socket.close();
    live.ending = null;
  }
  live.socket = null;
  byId("live-level").value = 0;
  liveButton.textContent = "Follow the microphone";
  liveButton.setAttribute("aria-pressed", "false");
  liveSay(problem);
};

microphoneButton(liveButton, liveSay, () => live?.socket, startLive, () => stopLive());
