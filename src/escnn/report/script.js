"use strict";

// The play-head: one moment, shown over the waveform, the spectrogram and every map. All of them span the same seconds.
{
  const root = document.documentElement;
  const scope = document.querySelector(".scope");
  const plot = scope.querySelector(".plot");
  const audio = scope.querySelector("audio");
  const readout = scope.querySelector(".readout");
  const start = Number(scope.dataset.start);
  const seconds = Number(scope.dataset.seconds);
  const bands = scope.dataset.hz.split(" ").map(Number);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  const show = () => {
    root.style.setProperty("--played", Math.min(audio.currentTime / seconds, 1));
    root.classList.add("heard");
    scope.querySelector(".playhead").hidden = false;
  };
  const follow = () => {
    show();
    if (!audio.paused && !calm.matches) requestAnimationFrame(follow);
  };
  const pointed = (event) => {
    const box = plot.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  };
  const frequency = (event) => {
    const box = scope.querySelector(".spectrogram").getBoundingClientRect();
    const height = (box.bottom - event.clientY) / box.height;
    if (height < 0 || height >= 1) return "";
    const hz = bands[Math.floor(height * bands.length)];
    return hz < 1000 ? ` · ${hz.toFixed(0)} Hz` : ` · ${(hz / 1000).toFixed(2)} kHz`;
  };

  root.classList.add("has-script");
  audio.addEventListener("play", follow);
  audio.addEventListener("seeking", show);
  audio.addEventListener("timeupdate", show);
  plot.addEventListener("click", (event) => {
    audio.currentTime = pointed(event) * seconds;
    show();
    if (audio.paused) audio.play();
  });
  plot.addEventListener("pointermove", (event) => {
    readout.value = `${(start + pointed(event) * seconds).toFixed(2)} s${frequency(event)}`;
  });
  plot.addEventListener("pointerleave", () => { readout.value = ""; });
}

// The viewer: every map, large, one after the other.
{
  const viewer = document.querySelector(".viewer");
  const figures = viewer ? [...document.querySelectorAll(".map")] : [];
  let current = 0;

  const part = (selector) => viewer.querySelector(selector);
  const layerOf = (figure) => figure.closest(".layer");
  const legendOf = (figure) => (figure.classList.contains("mean") ? figure : figure.closest(".strongest")).querySelector(".legend img");
  const text = (value) => String(Number(value.toPrecision(3))).replace("-", "−");

  const pixels = (image, canvas) => {
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  };
  const color = (data, k) => (data[4 * k] << 16) | (data[4 * k + 1] << 8) | data[4 * k + 2];

  // Read each pixel's shade off the legend, then give the map's own extremes the extreme colours (about zero if signed).
  const spread = (canvas, picture, strip, low, high) => {
    const colors = pixels(strip, document.createElement("canvas")).data;
    const shadeOf = new Map(Array.from({ length: 256 }, (_, shade) => [color(colors, shade), shade]));
    const shades = Array.from({ length: picture.data.length / 4 }, (_, k) => shadeOf.get(color(picture.data, k)) ?? 0);
    let [least, most] = [Math.min(...shades), Math.max(...shades)];
    if (low < 0) {
      const reach = Math.max(Math.abs(least - 127.5), Math.abs(most - 127.5));
      [least, most] = [127.5 - reach, 127.5 + reach];
    }
    shades.forEach((shade, k) => {
      const stretched = most > least ? Math.round(((shade - least) / (most - least)) * 255) : shade;
      picture.data.set(colors.subarray(4 * stretched, 4 * stretched + 4), 4 * k);
    });
    canvas.getContext("2d").putImageData(picture, 0, 0);
    const value = (shade) => low + ((high - low) * shade) / 255;
    return [value(least), value(most)];
  };

  const show = (index) => {
    current = (index + figures.length) % figures.length;
    const figure = figures[current];
    const image = figure.querySelector(".frame img");
    const strip = legendOf(figure);
    const canvas = part("canvas");
    let [low, high] = [Number(figure.dataset.low), Number(figure.dataset.high)];
    const picture = pixels(image, canvas);
    if (part("input").checked) [low, high] = spread(canvas, picture, strip, low, high);
    canvas.setAttribute("aria-label", image.alt);
    part("#viewer-name").textContent = layerOf(figure).dataset.name;
    part(".caption").textContent = figure.querySelector("figcaption").textContent;
    part(".told").textContent = `${image.naturalHeight} high × ${image.naturalWidth} wide · ${figure.dataset.peak}`;
    part(".strip").src = strip.src;
    part(".low").textContent = text(low);
    part(".high").textContent = text(high);
  };

  // The first map of the layer before or after: the mean.
  const showLayer = (step) => {
    const layers = figures.map(layerOf).filter((layer, k, all) => layer !== all[k - 1]);
    const next = layers[(layers.indexOf(layerOf(figures[current])) + step + layers.length) % layers.length];
    show(figures.findIndex((figure) => layerOf(figure) === next));
  };

  figures.forEach((figure, index) => {
    const frame = figure.querySelector(".frame");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "frame";
    button.append(frame.firstElementChild);
    button.addEventListener("click", () => { show(index); viewer.showModal(); });
    frame.replaceWith(button);
  });

  if (viewer) {
    const keys = {
      ArrowLeft: () => show(current - 1),
      ArrowRight: () => show(current + 1),
      ArrowUp: () => showLayer(-1),
      ArrowDown: () => showLayer(1),
    };
    viewer.addEventListener("keydown", (event) => {
      if (!(event.key in keys)) return;
      event.preventDefault();
      keys[event.key]();
    });
    viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
    viewer.addEventListener("close", () => {
      const details = figures[current].closest("details");
      if (details) details.open = true;
      figures[current].querySelector("button").focus();
    });
    part(".close").addEventListener("click", () => viewer.close());
    part(".previous").addEventListener("click", keys.ArrowLeft);
    part(".next").addEventListener("click", keys.ArrowRight);
    part("input").addEventListener("change", () => show(current));
  }
}
