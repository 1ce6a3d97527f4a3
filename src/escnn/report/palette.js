"use strict";

// Pictures have a palette of 256 colours, and their legend is a strip with all of them: that gives back the values.

const pixelsOf = (image) => {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
};

const colorAt = (data, k) => (data[4 * k] << 16) | (data[4 * k + 1] << 8) | data[4 * k + 2];

const palettes = new Map(); // address of a strip -> its colours, and the place of each in it

const paletteOf = (strip) => {
  if (!palettes.has(strip.src)) {
    const colors = pixelsOf(strip).data;
    palettes.set(strip.src, {
      colors,
      places: new Map(Array.from({ length: colors.length / 4 }, (_, k) => [colorAt(colors, k), k])),
    });
  }
  return palettes.get(strip.src);
};

// The shade, 0 to 255, of every pixel, row by row from the top.
const shadesOf = (image, strip) => {
  const { data } = pixelsOf(image);
  const { places } = paletteOf(strip);
  return Uint8Array.from({ length: data.length / 4 }, (_, k) => places.get(colorAt(data, k)) ?? 0);
};

// A PNG of shades in the colours of a strip.
const painted = (shades, width, height, strip) => {
  const { colors } = paletteOf(strip);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const picture = new ImageData(width, height);
  shades.forEach((shade, k) => picture.data.set(colors.subarray(4 * shade, 4 * shade + 4), 4 * k));
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas.toDataURL();
};

const valueText = (value) => String(Number(value.toPrecision(3))).replace("-", "−");
