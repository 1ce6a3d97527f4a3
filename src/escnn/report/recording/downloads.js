"use strict";

// The events that are shown, as files for other programs, made here.
{
  // A spreadsheet takes a cell that begins so for a formula, and runs it. With ./ a path is the same file's.
  const formula = /^[=+\-@\t\r]/;
  const harmless = (text) => (formula.test(text) ? `'${text}` : text);
  const path = formula.test(data.path) && data.path !== "-" ? `./${data.path}` : data.path;
  const csvCell = (value) => {
    const text = typeof value === "number" ? String(value) : harmless(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const tabCell = (value) => (typeof value === "number" ? String(value) : value.split(/\s+/).filter(Boolean).join(" "));
  const numbers = () => [...shown];
  const makers = {
    csv: () => {
      const times = hasClock ? ["start_time", "end_time"] : [];
      const lines = [["path", "start_seconds", "end_seconds", "peak_seconds", "label", "class_id", "score", ...times]];
      for (const number of numbers()) {
        const lane = laneOf(number);
        const clocks = hasClock ? [isoTime(startOf(number)), isoTime(endOf(number))] : [];
        lines.push([path, startOf(number), endOf(number), peakOf(number), lane.label, lane.class, events.score[number] / 10000, ...clocks]);
      }
      return { text: lines.map((line) => `${line.map(csvCell).join(",")}\r\n`).join(""), ending: "csv", type: "text/csv" };
    },
    audacity: () => {
      const lines = numbers().map((number) => [startOf(number).toFixed(6), endOf(number).toFixed(6), tabCell(laneOf(number).label)]);
      return { text: lines.map((line) => `${line.join("\t")}\n`).join(""), ending: "audacity.txt", type: "text/plain" };
    },
    raven: () => {
      const lines = [["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)", "Begin Path", "File Offset (s)", "Species", "Score"]];
      numbers().forEach((number, k) => lines.push([
        k + 1, "Spectrogram 1", 1, startOf(number), endOf(number), ...data.heard, path, startOf(number), laneOf(number).label, events.score[number] / 10000,
      ]));
      return { text: lines.map((line) => `${line.map(tabCell).join("\t")}\n`).join(""), ending: "raven.txt", type: "text/plain" };
    },
  };
  const fileName = (ending) => `${data.name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N} ._-]/gu, "_").slice(0, 80) || "events"}.${ending}`;
  for (const button of document.querySelectorAll("[data-download]")) {
    button.addEventListener("click", () => {
      const { text, ending, type } = makers[button.dataset.download]();
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
      link.download = fileName(ending);
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    });
  }
}

setFilter({});
