"use strict";
// What every interactive figure shares: arrays out of the page, controls, sharp pictures of slices.
window["ssl-core-VERSION"] ??= (() => {
  const kinds = {};

  // --- data

  const blob = (text, type) => new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], {type});
  const bytesOf = async (text) => {
    const stream = blob(text).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  };
  // The grey levels of a picture, as bytes.
  const greyOf = async (text, [height, width]) => {
    const sheet = Object.assign(document.createElement("canvas"), {width, height}).getContext("2d");
    sheet.drawImage(await createImageBitmap(blob(text, "image/webp")), 0, 0);
    return sheet.getImageData(0, 0, width, height).data.filter((_, at) => at % 4 === 0);
  };
  const TYPES = {uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, float32: Float32Array};
  // Arrays become {shape, values}; quantised ones have their values back as numbers.
  const unpack = async (value) => {
    if (Array.isArray(value)) return Promise.all(value.map(unpack));
    if (value === null || typeof value !== "object") return value;
    if ("webp" in value) return {shape: value.shape, values: await greyOf(value.webp, value.shape)};
    if ("array" in value) {
      const raw = new TYPES[value.type](await bytesOf(value.array));
      if (!("step" in value)) return {shape: value.shape, values: raw};
      return {shape: value.shape, values: Float32Array.from(raw, (step) => value.low + step * value.step)};
    }
    const parts = await Promise.all(Object.entries(value).map(async ([name, part]) => [name, await unpack(part)]));
    return Object.fromEntries(parts);
  };
  // One picture out of a stack: the last two axes at the given places of the first ones.
  const slice = (array, ...places) => {
    const shape = array.shape.slice(places.length), size = shape.reduce((a, b) => a * b, 1);
    const start = places.reduce((at, place, axis) => at * array.shape[axis] + place, 0) * size;
    return {shape, values: array.values.subarray(start, start + size)};
  };

  // --- elements and controls

  const fill = (made, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  };
  const element = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes = {}, ...children) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  let count = 0;
  const labelled = (label, control, ...more) => {
    control.id = `ssl-control-${++count}`;
    control.setAttribute("data-lm-suppress-shortcuts", "true");
    return element("div", {class: "control"}, element("label", {for: control.id}, label), control, ...more);
  };
  // A slider over the numbers min..max, or over the places of `texts`; `words(value)` is what it says.
  const slider = ({label, min = 0, max, step = 1, value = min, texts, words = (v) => texts ? texts[v] : String(v)}, changed) => {
    const input = element("input", {type: "range", min, max: texts ? texts.length - 1 : max, step, value});
    const said = element("output");
    const longest = texts ? Math.max(...texts.map((text) => text.length)) : words(max).length;
    said.style.minWidth = `${Math.min(Math.max(longest, 4), 16)}ch`;
    const tell = () => {
      said.textContent = words(Number(input.value));
      input.setAttribute("aria-valuetext", said.textContent);
    };
    input.addEventListener("input", () => { tell(); changed(Number(input.value)); });
    tell();
    return {
      row: labelled(label, input, said), input,
      get value() { return Number(input.value); },
      set value(v) { input.value = v; tell(); },
    };
  };
  const choice = ({label, options, value = 0}, changed) => {
    const input = element("select", {}, ...options.map((text, i) => element("option", {value: i, selected: i === value}, text)));
    input.addEventListener("change", () => changed(Number(input.value)));
    return {
      row: labelled(label, input), input,
      get value() { return Number(input.value); },
      set value(v) { input.value = v; },
    };
  };
  const tick = ({label, checked = true}, changed) => {
    const input = element("input", {type: "checkbox"});
    input.checked = checked;
    input.addEventListener("change", () => changed(input.checked));
    return {row: element("label", {class: "tick"}, input, ` ${label}`), input, get value() { return input.checked; }};
  };
  const button = (label, pressed) => element("button", {type: "button", onclick: pressed}, label);
  // Steps a slider through its values, from the start again when it stands at the end.
  const player = (moved, changed, pause = 700) => {
    let timer = null;
    const end = () => Number(moved.input.max);
    const go = (value) => { moved.value = value; changed(value); };
    const stop = () => { clearInterval(timer); timer = null; start.textContent = "Play"; };
    const start = button("Play", () => {
      if (timer) return stop();
      if (moved.value >= end()) go(Number(moved.input.min));
      start.textContent = "Pause";
      timer = setInterval(() => {
        if (!start.isConnected || moved.value >= end()) return stop();
        go(moved.value + Number(moved.input.step));
      }, pause);
    });
    moved.input.addEventListener("pointerdown", () => timer && stop());
    return start;
  };
  // One line below the pictures; screen readers hear it when it changes.
  const line = (alive = true) => element("p", {class: "readout", ...(alive ? {"aria-live": "polite"} : {})});
  const legend = (entries) => element("ul", {class: "legend"}, ...entries.map(([colour, text, kind = ""]) =>
    element("li", {}, element("span", {class: `swatch ${kind}`, style: `--c:${colour}`}), text)));
  // A colour bar: the colours of `map` from 0 to 1, and three texts below it.
  const bar = (map, texts) => {
    const colours = Array.from({length: 33}, (_, k) => `rgb(${[...map(k / 32)]})`);
    return element("div", {class: "scale"}, element("i", {style: `background: linear-gradient(to right, ${colours})`}),
      ...texts.map((text) => element("span", {}, String(text))));
  };

  // --- pictures of slices

  const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  // The border of a class along the edges of its pixels, as closed lines, so that dashes run on.
  const outline = (label, index) => {
    const path = new Path2D(), [rows, columns] = label.shape, {values} = label, next = new Map();
    const at = (i, j) => i >= 0 && j >= 0 && i < rows && j < columns && values[i * columns + j] === index;
    const corner = (i, j) => i * (columns + 1) + j;
    const edge = (from, to) => { if (next.has(from)) next.get(from).push(to); else next.set(from, [to]); };
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
      if (!at(i, j)) continue;
      if (!at(i - 1, j)) edge(corner(i, j), corner(i, j + 1));
      if (!at(i, j + 1)) edge(corner(i, j + 1), corner(i + 1, j + 1));
      if (!at(i + 1, j)) edge(corner(i + 1, j + 1), corner(i + 1, j));
      if (!at(i, j - 1)) edge(corner(i + 1, j), corner(i, j));
    }
    const point = (place) => [place % (columns + 1), Math.floor(place / (columns + 1))];
    for (const [first, ends] of next) while (ends.length) {
      path.moveTo(...point(first));
      for (let here = ends.pop(); here !== first; here = next.get(here).pop()) path.lineTo(...point(here));
      path.closePath();
    }
    return path;
  };
  // A canvas for pictures of rows x columns pixels, `aspect` times as high as wide. draw(layers):
  // {grey, window} bytes as grey levels; {label, colours, alpha} filled classes; {values, low, high, map}
  // numbers as colours; {label, lines, width, dash} outlines; {path, line, width, dash} a path in pixels.
  const picture = ({rows, columns, aspect = 1, alt}) => {
    const canvas = element("canvas", {role: "img", "aria-label": alt});
    const sheet = element("canvas", {width: columns, height: rows}), context = sheet.getContext("2d");
    let layers = [];
    const pixels = (data, layer) => {
      const {values} = layer.grey ?? layer.label ?? layer.values;
      const colours = (layer.colours ?? []).map(rgb), alpha = layer.alpha ?? 1;
      const [black, white] = layer.window ?? [0, 255];
      for (let i = 0, p = 0; i < values.length; i++, p += 4) {
        let colour = null;
        if (layer.grey) { const g = 255 * (values[i] - black) / (white - black); colour = [g, g, g]; }
        else if (layer.label) colour = values[i] ? colours[(values[i] - 1) % colours.length] : null;
        else colour = layer.map((values[i] - layer.low) / (layer.high - layer.low || 1));
        if (colour) for (let c = 0; c < 3; c++) data[p + c] = data[p + c] * (1 - alpha) + colour[c] * alpha;
        data[p + 3] = 255;
      }
    };
    const paint = () => {
      const width = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
      if (!width) return;
      canvas.width = width;
      canvas.height = Math.round(width * rows * aspect / columns);
      const shown = context.createImageData(columns, rows), target = canvas.getContext("2d");
      for (const layer of layers) if (!layer.lines && !layer.path) pixels(shown.data, layer);
      context.putImageData(shown, 0, 0);
      target.imageSmoothingEnabled = false;
      target.drawImage(sheet, 0, 0, canvas.width, canvas.height);
      const across = canvas.width / columns, down = canvas.height / rows, unit = width / 260;
      const stroke = (path, colour, thick, dash) => {
        const moved = new Path2D();
        moved.addPath(path, new DOMMatrix([across, 0, 0, down, 0, 0]));
        target.setLineDash((dash ?? []).map((part) => part * unit));
        Object.assign(target, {strokeStyle: colour, lineWidth: thick * unit, lineJoin: "round"});
        target.stroke(moved);
      };
      for (const layer of layers) {
        const {width: thick = 1.6, dash} = layer;
        const paths = layer.path ? [[layer.path, layer.line]]
          : layer.lines ? layer.lines.map((colour, k) => [outline(layer.label, k + 1), colour]).reverse() : [];
        for (const [path, colour] of paths) {
          if (layer.halo) stroke(path, layer.halo, thick + 1.4);
          stroke(path, colour, thick, dash);
        }
      }
    };
    new ResizeObserver(paint).observe(canvas);
    canvas.style.aspectRatio = `${columns} / ${rows * aspect}`;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      const row = Math.floor((event.clientY - box.top) / box.height * rows);
      const column = Math.floor((event.clientX - box.left) / box.width * columns);
      return [Math.min(Math.max(row, 0), rows - 1), Math.min(Math.max(column, 0), columns - 1)];
    };
    return {
      canvas, place,
      draw: (list) => { layers = list; paint(); },
      say: (words) => canvas.setAttribute("aria-label", words),
      // hovered(row, column) while a mouse is over it or where a finger taps, hovered() when a mouse leaves
      hover: (hovered) => {
        for (const name of ["pointermove", "pointerdown"]) canvas.addEventListener(name, (event) => hovered(...place(event)));
        canvas.addEventListener("pointerleave", (event) => event.pointerType === "touch" || hovered());
      },
    };
  };
  const CIVIDIS = ["#00224e", "#1a386f", "#434e6c", "#61656f", "#7d7c78", "#9b9476", "#bcae6c", "#dec958", "#fee838"].map(rgb);
  // The colour of a part between 0 and 1, as [red, green, blue].
  const cividis = (part) => {
    const at = Math.min(Math.max(part, 0), 1) * (CIVIDIS.length - 1), from = Math.min(Math.floor(at), CIVIDIS.length - 2);
    return CIVIDIS[from].map((value, c) => value + (at - from) * (CIVIDIS[from + 1][c] - value));
  };
  const titled = (title, shown, ...more) =>
    element("div", {class: "picture"}, element("b", {}, title), shown.canvas ?? shown, ...more);

  // --- life

  const start = async (identity, kind) => {
    const root = document.getElementById(identity);
    const data = await unpack(JSON.parse(root.querySelector("script[type='application/json']").textContent));
    const stage = root.querySelector(".stage");
    kinds[kind](stage, data, ui);
    root.querySelector(".stored").remove();
    stage.hidden = false;
    stage.dispatchEvent(new Event("shown"));
  };
  const ui = {
    slice, element, svg, slider, choice, tick, button, player, line, legend, bar, picture, titled, cividis, outline, rgb, labelled,
  };
  return {kinds, start, unpack, ui};
})();
