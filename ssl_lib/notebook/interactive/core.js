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

  // Shares in whole percents that add up to 100: what rounding down leaves goes to the largest rests.
  const percents = (shares) => {
    const whole = shares.map((share) => Math.floor(100 * share + 1e-9)), rest = (k) => 100 * shares[k] - whole[k];
    const left = Math.round(100 * shares.reduce((a, b) => a + b, 0)) - whole.reduce((a, b) => a + b, 0);
    shares.map((_, k) => k).sort((a, b) => rest(b) - rest(a)).slice(0, left).forEach((k) => { whole[k]++; });
    return whole;
  };
  // Of each pixel 0 agreed background, 1 right, 2 wrong, 3 confidently wrong; and the shares of the
  // last three among the pixels that truth or label call organ.
  const judge = (label, confidence, truth, sure) => {
    const verdict = new Uint8Array(label.values.length), counts = [0, 0, 0];
    for (let i = 0; i < verdict.length; i++) {
      const here = label.values[i], real = truth.values[i];
      if (!here && !real) continue;
      verdict[i] = here === real ? 1 : confidence.values[i] >= sure - 1e-6 ? 3 : 2;
      counts[verdict[i] - 1]++;
    }
    const all = counts[0] + counts[1] + counts[2], shares = counts.map((n) => all ? n / all : 0);
    const words = ["right", "wrong, unsure", "confidently wrong"];
    const said = percents(shares).map((percent, k) => `${percent}\u00a0% ${words[k]}`).join(" · ");
    return {verdict: {shape: truth.shape, values: verdict}, shares, words, said};
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
  // JupyterLab leaves the keys alone that are pressed on such an element: Enter presses a button there.
  const OWN_KEYS = {"data-lm-suppress-shortcuts": "true"};
  let count = 0;
  const labelled = (label, control, ...more) => {
    fill(control, {id: `ssl-control-VERSION-${++count}`, ...OWN_KEYS}, []);
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
    const row = labelled(label, input);
    row.classList.toggle("long", options.some((text) => text.length > 24)); // a line of its own
    return {
      row, input,
      get value() { return Number(input.value); },
      set value(v) { input.value = v; },
    };
  };
  const tick = ({label, checked = true}, changed) => {
    const input = element("input", {type: "checkbox", ...OWN_KEYS});
    input.checked = checked;
    input.addEventListener("change", () => changed(input.checked));
    return {row: element("label", {class: "tick"}, input, ` ${label}`), input, get value() { return input.checked; }};
  };
  const button = (label, pressed) => element("button", {type: "button", onclick: pressed, ...OWN_KEYS}, label);
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
  // Words that keep the room of the longest ones they had, so that what stands below them stays where it is.
  const roomy = (one) => {
    let wide = 0, high = 0, least;
    new ResizeObserver(() => {
      least ??= one.style.minHeight;
      if (one.clientWidth !== wide) { [wide, high] = [one.clientWidth, 0]; one.style.minHeight = least; }
      const tall = one.getBoundingClientRect().height;
      if (tall > high) one.style.minHeight = `${high = tall}px`;
    }).observe(one);
    return one;
  };
  // One line below the pictures; screen readers hear it when it changes.
  const line = (alive = true) => roomy(element("p", {class: "readout", ...(alive ? {"aria-live": "polite"} : {})}));
  const legend = (entries) => element("ul", {class: "legend"}, ...entries.map(([colour, text, kind = ""]) =>
    element("li", {}, ...colour ? [element("span", {class: `swatch ${kind}`, style: `--c:${colour}`})] : [], text)));
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
  const titled = (title, shown, ...more) => {
    const box = element("div", {class: "picture"}, element("b", {}, title), shown.canvas ?? shown, ...more);
    box.querySelectorAll(":scope > :is(b, small)").forEach(roomy);
    return box;
  };

  // --- charts

  const ticksOf = (low, high, log) => {
    const found = [];
    if (log) {
      for (let at = Math.floor(Math.log10(low)); at <= Math.log10(high); at++) found.push(10 ** at, 2 * 10 ** at, 5 * 10 ** at);
      const within = found.filter((v) => v >= low && v <= high);
      return within.length < 2 ? [low, high] : within.length < 7 ? within : within.filter((v) => Math.log10(v) % 1 === 0);
    }
    const power = 10 ** Math.floor(Math.log10(high - low));
    const step = [0.2, 0.5, 1, 2, 5].map((part) => part * power).find((one) => (high - low) / one <= 4.5);
    for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9; at++) found.push(at * step);
    return found;
  };
  // Curves {name, colour, dash, points: [xs, ys]} over an axis called x, from 0 to the last of `xTicks`;
  // upwards from 0 if `zero`, else from the least value; `now` is a solid line across, `stage` a dashed one.
  const chart = ({title, curves, x, xTicks, zero = true, log = false, stage, now}) => {
    const values = curves.flatMap(({points}) => points[1]).filter((v) => !log || v > 0);
    const low = zero && !log ? 0 : Math.min(...values), high = Math.max(...values, low + 1e-9);
    const part = (v) => log ? Math.log(Math.max(v, low) / low) / Math.log(high / low) : (v - low) / (high - low);
    const X = (v) => 42 + 192 * v / xTicks.at(-1), Y = (v) => (126 - 102 * part(v)).toFixed(2);
    const text = (at, y, words, anchor = "middle", style = "font-size:12px") =>
      svg("text", {x: at, y, "text-anchor": anchor, style}, words);
    const rule = (at, more) => at === undefined ? [] : [svg("line", {x1: X(at), x2: X(at), y1: 20, y2: 130, stroke: "currentColor", ...more})];
    const ends = curves.map(({name, points}) => `${name} ends at ${Number(points[1].at(-1).toPrecision(3))}`);
    return svg("svg", {viewBox: "0 0 240 162", role: "img", "aria-label": `${title}: ${ends.join(", ")}`},
      text(4, 12, title, "start", "font-size:13px;font-weight:600"),
      ...ticksOf(low, high, log).flatMap((v) => [svg("line", {class: "axis", x1: 42, x2: 234, y1: Y(v), y2: Y(v)}),
        text(38, Number(Y(v)) + 4, String(Number(v.toPrecision(2))), "end")]),
      ...xTicks.map((v, k) => text(X(v), 144, String(v), k === xTicks.length - 1 ? "end" : "middle")), text(138, 158, x),
      ...rule(stage, {class: "axis", "stroke-dasharray": "3 3"}), ...rule(now, {"stroke-width": 1.5}),
      ...curves.map(({colour, dash = "", points: [xs, ys]}) => svg("polyline", {class: "curve", style: `--c:${colour}`,
        "stroke-dasharray": dash, points: xs.map((v, i) => `${X(v).toFixed(2)},${Y(ys[i])}`).join(" ")})));
  };

  // --- volumes

  // Slices of a volume (i, j, k) through one voxel, `place`. The voxel moves by clicks, arrow keys, page
  // keys, the wheel over a slice that has the focus, and one slider an axis; `moved()` follows. Pictures
  // are `factors` times as fine as the voxels.
  const planes = ({shape, factors, spacing, place, title}, moved) => {
    const fine = shape.map((side, axis) => side * factors[axis]);
    const move = (axis, to) => {
      place[axis] = Math.min(Math.max(to, 0), shape[axis] - 1);
      if (sliders[axis]) sliders[axis].value = place[axis];
    };
    const slices = [[0, 1, 2], [1, 2, 0], [2, 1, 0]] // axis, downwards, to the right: as in every other figure
      .filter(([, down, right]) => shape[down] > 1 && shape[right] > 1).map(([axis, down, right]) => {
        const size = {rows: fine[down], columns: fine[right]}, text = element("small");
        const shown = picture({...size, aspect: spacing[down] / spacing[right], alt: ""}), {canvas} = shown;
        // The plane of an array over the voxels, or over the pixels of the fine picture.
        const cut = (values, isFine = false) => {
          const scale = isFine ? [1, 1, 1] : factors, sides = isFine ? fine : shape, steps = [sides[1] * sides[2], sides[2], 1];
          const found = new Uint8Array(size.rows * size.columns), base = place[axis] * steps[axis] * (isFine ? factors[axis] : 1);
          for (let i = 0, at = 0; i < size.rows; i++) for (let j = 0; j < size.columns; j++, at++)
            found[at] = values[base + Math.floor(i / scale[down]) * steps[down] + Math.floor(j / scale[right]) * steps[right]];
          return {shape: [size.rows, size.columns], values: found};
        };
        const cross = () => {
          const path = new Path2D(), x = (place[right] + 0.5) * factors[right], y = (place[down] + 0.5) * factors[down];
          for (const side of [-1, 1]) {
            path.moveTo(x + side * factors[right], y); path.lineTo(x + side * size.columns, y);
            path.moveTo(x, y + side * factors[down]); path.lineTo(x, y + side * size.rows);
          }
          return path;
        };
        const to = (event) => {
          const [i, j] = shown.place(event);
          move(down, Math.floor(i / factors[down]));
          move(right, Math.floor(j / factors[right]));
          moved();
        };
        const step = (along, by) => { move(along, place[along] + by); moved(); };
        const keys = {ArrowLeft: [right, -1], ArrowRight: [right, 1], ArrowUp: [down, -1], ArrowDown: [down, 1],
          PageUp: [axis, 1], PageDown: [axis, -1]};
        fill(canvas, {tabindex: 0, ...OWN_KEYS, onclick: to,
          onpointermove: (event) => event.buttons && event.pointerType === "mouse" && to(event),
          onkeydown: (event) => {
            if (!keys[event.key]) return;
            event.preventDefault();
            step(...keys[event.key]);
          }}, []);
        canvas.addEventListener("wheel", (event) => {
          if (document.activeElement !== canvas) return; // without the focus the page scrolls on
          event.preventDefault();
          step(axis, Math.sign(event.deltaY));
        }, {passive: false});
        const draw = (layers) => {
          const where = `axis ${axis}: slice ${place[axis] + 1} of ${shape[axis]}`;
          text.textContent = shape[axis] > 1 ? where : "";
          shown.say(`${title(axis)}, ${where}; arrow keys move the voxel`);
          shown.draw([...layers, {path: cross(), line: "#7df9ff", width: 1}]);
        };
        return {cut, draw, box: titled(title(axis), shown, text)};
      });
    const sliders = shape.map((side, axis) => side > 1
      ? slider({label: `voxel along axis ${axis}`, max: side - 1, value: place[axis], words: (at) => String(at + 1)}, (to) => { move(axis, to); moved(); }) : null);
    const row = element("div", {class: "pictures", style: `--columns:${slices.length};max-width:${22 * slices.length}rem`}, ...slices.map(({box}) => box));
    return {slices, row, controls: sliders.flatMap((one) => one ? [one.row] : [])};
  };

  // --- life

  // Everything of that identity that stands still: a notebook shows an output in two places when it is
  // asked to, and may run its scripts again. `kinds` may change while data are unpacked.
  const start = (identity, kind) => {
    const build = kinds[kind];
    document.querySelectorAll(`#${identity}:not([data-started])`).forEach(async (root) => {
      root.dataset.started = "";
      const data = await unpack(JSON.parse(root.querySelector("script[type='application/json']").textContent));
      const stage = root.querySelector(".stage");
      build(stage, data, ui);
      root.querySelector(".stored").remove();
      stage.hidden = false;
      const show = () => stage.dispatchEvent(new Event("shown"));
      show();
      if (stage.clientWidth) return;
      const seen = new ResizeObserver(() => { // it had no size: JupyterLab hides cells that are far away
        if (!stage.clientWidth) return;
        seen.disconnect();
        show();
      });
      seen.observe(stage);
    });
  };
  const ui = {
    slice, planes, judge, chart, element, svg, slider, choice, tick, button, player, line, legend, bar, picture, titled, cividis,
    outline, rgb, labelled,
  };
  return {kinds, start, unpack, ui};
})();
