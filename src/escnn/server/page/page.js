"use strict";

const LONGEST_RECORDING = 60; // seconds
const OPEN_REPORTS = 2; // side by side; of further sounds they open when asked for
const byId = (id) => document.getElementById(id);
const shownLabel = (label) => label.replaceAll("_", " ");
const percent = (score) => {
  if (score > 0.999 && score < 1) return "> 99.9 %";
  return score < 0.001 ? "< 0.1 %" : `${(100 * score).toFixed(1)} %`;
};
let token = "";
let askedForToken = null; // resolves once it is given

const tell = (text) => { byId("told").textContent = text; };

// A request to the server; asks for the token where one is needed, and throws what the server says is wrong.
const ask = async (address, options = {}) => {
  for (;;) {
    const headers = { ...options.headers, ...(token && { authorization: `Bearer ${token}` }) };
    let response;
    try {
      response = await fetch(address, { ...options, headers });
    } catch {
      throw new Error("The server cannot be reached.");
    }
    if (response.ok) return response;
    if (response.status === 401) {
      await tokenGiven(headers.authorization);
      continue;
    }
    const { error } = await response.json().catch(() => ({ error: { message: `The server says ${response.status}.` } }));
    throw Object.assign(new Error([error.message, error.hint].filter(Boolean).join("; ")), { status: response.status });
  }
};

// Resolves once there is another token than the one that was refused.
const tokenGiven = (refused) => {
  if (token && refused !== `Bearer ${token}`) return Promise.resolve();
  byId("problem").textContent = refused ? "That is not this server’s token." : "";
  askedForToken ??= new Promise((given) => {
    const form = byId("ask-token");
    form.hidden = false;
    byId("token").focus();
    form.onsubmit = (event) => {
      event.preventDefault();
      const typed = byId("token").value.trim();
      if (!/^[\x20-\x7e]+$/.test(typed)) {
        byId("problem").textContent = "That is not this server’s token: it has no such letters.";
        return;
      }
      byId("problem").textContent = "";
      token = typed;
      form.hidden = true;
      askedForToken = null;
      given();
    };
  });
  return askedForToken;
};

const save = (content, name, type) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
};

const showScores = (card, { predictions, warnings }) => {
  card.querySelector(".best").textContent = shownLabel(predictions[0].label);
  card.querySelector("tbody").replaceChildren(...predictions.map(({ label, score }) => {
    const row = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = shownLabel(label);
    const bar = document.createElement("meter");
    bar.value = score;
    bar.setAttribute("aria-hidden", "true");
    name.append(bar);
    const value = document.createElement("td");
    value.textContent = percent(score);
    row.append(name, value);
    return row;
  }));
  card.querySelector(".warnings").replaceChildren(...warnings.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
  card.querySelector(".answer").hidden = false;
};

const showReport = (card, html, name) => {
  const details = card.querySelector(".report");
  const frame = details.querySelector("iframe");
  frame.title = `Report about ${name}`;
  const load = () => { if (details.open && !frame.srcdoc) frame.srcdoc = html; };
  details.addEventListener("toggle", load);
  details.hidden = false;
  details.open = document.querySelectorAll(".report[open]").length < OPEN_REPORTS;
  load();
  const button = card.querySelector(".html");
  button.disabled = false;
  button.addEventListener("click", () => save(html, `${name}.html`, "text/html"));
};

// One sound: a card that fills as the answers come. `content` is a file or a blob.
const addSound = async (name, content) => {
  const card = byId("result").content.firstElementChild.cloneNode(true);
  const doing = (text) => {
    card.querySelector(".doing").textContent = text;
    card.querySelector(".state").hidden = !text;
  };
  const player = card.querySelector(".player");
  player.src = URL.createObjectURL(content);
  player.setAttribute("aria-label", name);
  card.querySelector(".name").textContent = name;
  const remove = card.querySelector(".remove");
  remove.setAttribute("aria-label", `Remove ${name}`);
  remove.addEventListener("click", () => {
    URL.revokeObjectURL(player.src);
    card.remove();
    byId("empty").hidden = byId("results").childElementCount > 0;
    byId("files").focus();
    tell(`${name} removed`);
  });
  byId("empty").hidden = true;
  byId("results").append(card);
  const form = () => {
    const data = new FormData();
    data.append("file", content, name);
    return data;
  };
  const post = (address, accept) => ask(address, { method: "POST", body: form(), headers: { accept } });
  try {
    doing("Naming it");
    const prediction = await (await post("/v1/predict", "application/json")).json();
    showScores(card, prediction);
    const [best] = prediction.predictions;
    tell(`${name}: ${shownLabel(best.label)}, ${percent(best.score)}`);
    card.querySelector(".json").addEventListener("click", () =>
      save(JSON.stringify(prediction, null, 2), `${name}.json`, "application/json"));
    card.querySelector(".csv").addEventListener("click", async () =>
      save(await (await post("/v1/predict", "text/csv")).text(), `${name}.csv`, "text/csv"));
    doing("Looking into the network for the report");
    showReport(card, await (await post("/v1/analyze", "text/html")).text(), name);
  } catch (error) {
    card.querySelector(":scope > .problem").textContent = error.message;
  } finally {
    doing("");
  }
};

const addFiles = (files) => { for (const file of files) addSound(file.name, file); };

const files = byId("files");
files.addEventListener("change", () => {
  addFiles([...files.files]);
  files.value = "";
});

let inside = 0; // of how many nested elements the mouse with a file is
const drop = byId("drop");
addEventListener("dragenter", (event) => {
  event.preventDefault();
  inside += 1;
  drop.classList.add("over");
});
addEventListener("dragleave", () => {
  inside -= 1;
  drop.classList.toggle("over", inside > 0);
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  drop.classList.remove("over");
  addFiles([...event.dataTransfer.files]);
});
addEventListener("paste", (event) => addFiles([...event.clipboardData.files]));

for (const button of document.querySelectorAll(".demo")) {
  button.addEventListener("click", async () => {
    byId("problem").textContent = "";
    try {
      const sound = await (await ask(`/demo/${button.dataset.name}.wav`)).blob();
      await addSound(`${button.dataset.name}.wav`, sound);
    } catch (error) {
      byId("problem").textContent = error.message;
    }
  });
}

// 16-bit PCM in a WAV file.
const asWav = (blocks, rate) => {
  const count = blocks.reduce((sum, block) => sum + block.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const text = (place, letters) => [...letters].forEach((letter, k) => view.setUint8(place + k, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * count, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * count, true);
  let place = 44;
  for (const block of blocks) {
    for (const sample of block) {
      view.setInt16(place, Math.round(32_767 * Math.max(-1, Math.min(1, sample))), true);
      place += 2;
    }
  }
  return new Blob([view], { type: "audio/wav" });
};

// The microphone: `hear` gets its samples in blocks, and how many there are in a second.
const openMicrophone = async (hear) => {
  const constraints = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: constraints });
  const context = new AudioContext();
  await context.audioWorklet.addModule("/recorder.js");
  const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
  node.port.onmessage = ({ data }) => hear(data, context.sampleRate);
  const source = context.createMediaStreamSource(stream);
  source.connect(node);
  return { stream, context, node, source };
};

const closeMicrophone = ({ stream, context, node }) => {
  node.port.onmessage = null;
  for (const track of stream.getTracks()) {
    track.onended = null;
    track.stop();
  }
  context.close();
};

// A button that begins what needs the microphone, or ends it.
const microphoneButton = (button, say, isOn, begin, end) => button.addEventListener("click", async () => {
  say("");
  if (isOn()) {
    end();
    return;
  }
  button.disabled = true;
  try {
    await begin();
  } catch (error) {
    say(navigator.mediaDevices
      ? `The microphone cannot be used: ${error.message}`
      : "The browser gives the microphone only to pages from this machine or over https.");
  } finally {
    button.disabled = false;
  }
});

const record = byId("record");
let recording = null;
let recordings = 0;

const startRecording = async () => {
  const blocks = [];
  let count = 0;
  const microphone = await openMicrophone((block, rate) => {
    blocks.push(block);
    count += block.length;
    byId("level").value = Math.sqrt(block.reduce((sum, sample) => sum + sample * sample, 0) / block.length);
    byId("recorded").textContent = `${(count / rate).toFixed(1)} s`;
    if (count > LONGEST_RECORDING * rate) stopRecording();
  });
  recording = { ...microphone, blocks };
  record.textContent = "Stop";
  record.setAttribute("aria-pressed", "true");
  byId("level").hidden = false;
};

const stopRecording = () => {
  if (!recording) return;
  const { context, blocks } = recording;
  closeMicrophone(recording);
  recording = null;
  const wav = asWav(blocks, context.sampleRate);
  record.textContent = "Record";
  record.setAttribute("aria-pressed", "false");
  byId("level").hidden = true;
  byId("recorded").textContent = "";
  recordings += 1;
  addSound(`recording-${recordings}.wav`, wav);
};

const say = (text) => { byId("problem").textContent = text; };
microphoneButton(record, say, () => recording, startRecording, stopRecording);

ask("/v1/model").then((response) => response.json()).then(({ name, labels, accuracy }) => {
  const measured = accuracy ? `, accuracy ${percent(accuracy.value)} (${accuracy.measured})` : "";
  byId("model").textContent = `Model ${name}: ${labels.length} classes${measured}. Whatever the sound, it gets one of these names.`;
}, () => {});
