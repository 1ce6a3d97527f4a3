"use strict";

// The maps inside the network: each on the scale of its layer or on its own, and all of them large, one after another.
{
  const viewer = document.querySelector(".viewer");
  const figures = viewer ? [...document.querySelectorAll(".map")] : [];
  const layers = [...new Set(figures.map((figure) => figure.closest(".layer")))];
  const own = new Map(); // figure -> its picture on its own scale, with the values of the ends, and its true range
  const original = new Map(figures.map((figure) => [figure, figure.querySelector("img").src]));
  let perMap = false;
  let current = figures[0];

  const part = (selector) => viewer.querySelector(selector);
  const imageOf = (figure) => figure.querySelector(".frame img");
  const layerOf = (figure) => figure.closest(".layer");
  const legendOf = (figure) => (figure.classList.contains("mean") ? figure : figure.closest(".strongest")).querySelector(".legend");
  const mapsOf = (layer) => figures.filter((figure) => layerOf(figure) === layer);
  const limitsOf = (figure) => [Number(figure.dataset.low), Number(figure.dataset.high)];

  // Give the map's own extremes the extreme colours; a scale with both signs keeps zero in its middle.
  const stretch = (figure) => {
    const image = imageOf(figure);
    const strip = legendOf(figure).querySelector("img");
    const [low, high] = limitsOf(figure);
    const shades = shadesOf(image, strip);
    const value = (shade) => low + ((high - low) * shade) / 255;
    const range = [shades.reduce((a, b) => Math.min(a, b)), shades.reduce((a, b) => Math.max(a, b))];
    const reach = Math.max(...range.map((shade) => Math.abs(shade - 127.5)));
    const [least, most] = low < 0 ? [127.5 - reach, 127.5 + reach] : range;
    const stretched = most > least ? shades.map((shade) => Math.round(((shade - least) / (most - least)) * 255)) : shades;
    const source = painted(stretched, image.naturalWidth, image.naturalHeight, strip);
    return { source, ends: [value(least), value(most)], range: range.map(value) };
  };
  const ownOf = (figure) => {
    if (!own.has(figure)) own.set(figure, stretch(figure));
    return own.get(figure);
  };
  const endsOf = (figure) => (perMap ? ownOf(figure).ends : limitsOf(figure));
  const rangeText = ([low, high]) => `${valueText(low)} to ${valueText(high)}`;

  const relabel = (figure) => {
    const ends = endsOf(figure).map(valueText);
    const spans = legendOf(figure).querySelectorAll("span");
    if (figure.classList.contains("mean")) spans.forEach((span, k) => { span.textContent = ends[k]; });
    else {
      figure.querySelector(".range").textContent = perMap ? rangeText(endsOf(figure)) : "";
      spans.forEach((span, k) => { span.textContent = perMap ? ["own lowest", "own highest"][k] : ends[k]; });
    }
  };
  const setScale = async (wanted) => {
    perMap = wanted;
    for (const radio of document.querySelectorAll(".scale input")) radio.checked = (radio.value === "map") === perMap;
    part("input").checked = perMap;
    root.classList.toggle("own-scales", perMap);
    for (const figure of figures) {
      if (perMap && !own.has(figure)) await imageOf(figure).decode().catch(() => {});
      if (perMap !== wanted) return; // switched back meanwhile
      imageOf(figure).src = perMap ? ownOf(figure).source : original.get(figure);
      relabel(figure);
    }
    if (viewer.open) show(current);
  };

  const show = (figure) => {
    current = figure;
    const image = imageOf(figure);
    const [low, high] = endsOf(figure).map(valueText);
    const { shape, name } = layerOf(figure).dataset;
    const picture = part(".frame img");
    [picture.src, picture.alt] = [image.src, image.alt];
    part("#viewer-name").textContent = name;
    part(".caption").textContent = figure.querySelector("figcaption").firstChild.textContent.trim();
    part(".told").textContent = `${shape} · values ${rangeText(ownOf(figure).range)} · ${figure.dataset.peak}`;
    part(".strip").src = legendOf(figure).querySelector("img").src;
    part(".low").textContent = low;
    part(".high").textContent = high;
  };
  const walkChannels = (step) => {
    const maps = mapsOf(layerOf(current));
    show(maps[(maps.indexOf(current) + step + maps.length) % maps.length]);
  };
  const walkLayers = (step) => {
    const place = mapsOf(layerOf(current)).indexOf(current);
    const maps = mapsOf(layers[(layers.indexOf(layerOf(current)) + step + layers.length) % layers.length]);
    show(maps[Math.min(place, maps.length - 1)]);
  };

  const makeButton = (figure) => {
    const frame = figure.querySelector(".frame");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "frame";
    button.append(frame.firstElementChild);
    button.addEventListener("click", () => { show(figure); viewer.showModal(); });
    frame.replaceWith(button);
  };
  const returnFocus = () => {
    const details = current.closest("details");
    if (details) details.open = true;
    current.querySelector("button").focus();
  };

  if (viewer) {
    const keys = {
      ArrowLeft: () => walkChannels(-1),
      ArrowRight: () => walkChannels(1),
      ArrowUp: () => walkLayers(-1),
      ArrowDown: () => walkLayers(1),
    };
    figures.forEach(makeButton);
    viewer.addEventListener("keydown", (event) => {
      if (!(event.key in keys)) return;
      event.preventDefault();
      keys[event.key]();
    });
    viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
    viewer.addEventListener("close", returnFocus);
    part(".close").addEventListener("click", () => viewer.close());
    part(".previous").addEventListener("click", keys.ArrowLeft);
    part(".next").addEventListener("click", keys.ArrowRight);
    part("input").addEventListener("change", (event) => setScale(event.target.checked));
    part(".play").addEventListener("click", mainPlayer.toggle);
    mainPlayer.watch(() => { part(".play").textContent = mainPlayer.playing() ? "Pause" : "Play"; });
    mainPlayer.seekable(part(".frame"));
    for (const radio of document.querySelectorAll(".scale input")) {
      radio.addEventListener("change", () => setScale(radio.value === "map"));
    }
  }
}
