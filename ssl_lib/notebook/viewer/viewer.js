"use strict";
(async () => {
  // The arithmetic is that of cuts.py, in whole numbers: both draw the same pixels.
  const root = document.getElementById("IDENTITY");
  const rules = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const slider = (name) => root.querySelector(`[name="${name}"]`);
  const number = (name) => Number(slider(name).value);
  const floor = (a, b) => Math.floor(a / b);

  const pictureOf = (source) => new Promise((done, failed) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = failed;
    image.src = source;
  });

  const greysOf = async (scan) => {
    const [nx, ny, nz] = scan.shape, image = await pictureOf(scan.image);
    const sheet = Object.assign(document.createElement("canvas"), {width: image.width, height: image.height});
    const context = sheet.getContext("2d", {willReadFrequently: true});
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, sheet.width, sheet.height).data;
    const greys = new Uint8Array(nx * ny * nz);
    for (let z = 0, at = 0; z < nz; z++) for (let y = 0; y < ny; y++) {
      let from = 4 * ((floor(z, scan.columns) * ny + y) * sheet.width + (z % scan.columns) * nx);
      for (let x = 0; x < nx; x++, from += 4) greys[at++] = pixels[from];
    }
    return greys;
  };

  const labelsOf = async (packed) => {
    if (!packed) return null;
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };

  const load = async (scan) => scan.loaded ??= {
    greys: await greysOf(scan), truth: await labelsOf(scan.truth), prediction: await labelsOf(scan.prediction),
  };

  const greyTable = (window, level) => Uint8Array.from({length: 256}, (_, step) => {
    const above = 2 * rules.steps * step - 255 * (2 * level - window);
    return Math.min(Math.max(floor(above + window, 2 * window), 0), 255);
  });

  const mix = (data, at, colour, percent) => {
    for (let i = 0; i < 3; i++) data[at + i] = floor(data[at + i] * (100 - percent) + colour[i] * percent + 50, 100);
  };

  const draw = (canvas, view, scan, state) => {
    const [, axis, across, up] = view, {greys, truth, prediction} = scan.loaded;
    const width = canvas.width, height = canvas.height, stride = [1, scan.shape[0], scan.shape[0] * scan.shape[1]];
    const nx = scan.shape[across], ny = scan.shape[up], fixed = state.point[axis] * stride[axis];
    const columns = Int32Array.from({length: width}, (_, j) => floor((2 * j + 1) * nx, 2 * width) * stride[across]);
    const rows = Int32Array.from({length: height}, (_, i) => (ny - 1 - floor((2 * i + 1) * ny, 2 * height)) * stride[up]);
    const shown = {truth: state.truth && truth, prediction: state.prediction && prediction};
    const judged = shown.prediction || shown.truth, dashed = Boolean(shown.prediction);
    const line = shown.prediction && shown.truth;
    const at = (labels, i, j) => i < 0 || j < 0 || i >= height || j >= width ? 0 : labels[fixed + rows[i] + columns[j]];
    const edge = (labels, i, j, reach) => {
      const own = at(labels, i, j);
      return own > 0 && (at(labels, i - reach, j) !== own || at(labels, i + reach, j) !== own
        || at(labels, i, j - reach) !== own || at(labels, i, j + reach) !== own);
    };
    const here = [across, up].map((side) => state.point[side]);
    const middle = [floor((2 * here[0] + 1) * width, 2 * nx), floor((2 * (ny - 1 - here[1]) + 1) * height, 2 * ny)];
    const table = greyTable(state.window, state.level);
    const context = canvas.getContext("2d"), picture = context.createImageData(width, height), data = picture.data;
    for (let i = 0, p = 0; i < height; i++) for (let j = 0; j < width; j++, p += 4) {
      const place = fixed + rows[i] + columns[j];
      data[p] = data[p + 1] = data[p + 2] = table[greys[place]];
      data[p + 3] = 255;
      if (judged && judged[place]) {
        const colour = rules.colours[(judged[place] - 1) % rules.colours.length];
        mix(data, p, colour, state.fill);
        if (edge(judged, i, j, rules.line) && (!dashed || floor(i + j, rules.dash) % 3)) mix(data, p, colour, 100);
      }
      if (line && edge(line, i, j, rules.halo)) mix(data, p, [0, 0, 0], 65);
      if (line && edge(line, i, j, rules.line)) mix(data, p, [255, 255, 255], 100);
      const far = [Math.abs(j - middle[0]), Math.abs(i - middle[1])];
      if ((far[0] < rules.thin && far[1] > rules.gap) || (far[1] < rules.thin && far[0] > rules.gap)) mix(data, p, rules.cross, 80);
    }
    context.putImageData(picture, 0, 0);
  };

  const figures = [...root.querySelectorAll("figure")];
  const canvases = figures.map(() => document.createElement("canvas"));
  canvases.forEach((canvas) => canvas.setAttribute("role", "img"));
  const current = () => rules.scans[slider("scan") ? number("scan") : 0];
  const inScan = (scan, axis, index) => index * scan.factors[axis] + floor(scan.factors[axis], 2);

  const show = () => {
    const scan = current(), [low, high] = scan.range;
    const state = {
      point: [number("x"), number("y"), number("z")], window: number("window"), level: number("level"),
      fill: number("fill"), truth: slider("truth").checked, prediction: slider("prediction").checked,
    };
    const texts = {window: scan.windows[state.window - 1], level: scan.levels[state.level], fill: `${state.fill} %`};
    ["x", "y", "z"].forEach((name, axis) => { texts[name] = String(inScan(scan, axis, state.point[axis])); });
    for (const [name, text] of Object.entries(texts)) {
      slider(name).setAttribute("aria-valuetext", text);
      slider(name).nextElementSibling.textContent = text;
    }
    rules.views.forEach((view, i) => {
      [canvases[i].width, canvases[i].height] = scan.sizes[i];
      draw(canvases[i], view, scan, state);
      const title = scan.picture ? "picture" : `${view[0]}, ${"xyz"[view[1]]} = ${texts["xyz"[view[1]]]}`;
      canvases[i].setAttribute("aria-label", `${`${rules.alt} ${scan.name}`.trim()} (${title})`);
      figures[i].querySelector("b").textContent = title;
      figures[i].querySelector("span").textContent = scan.picture ? "" : view[4];
      figures[i].hidden = !scan.shown.includes(i);
    });
    const place = state.point[0] + scan.shape[0] * (state.point[1] + scan.shape[1] * state.point[2]);
    const grey = low + scan.loaded.greys[place] / 255 * (high - low);
    const where = [...scan.shape.keys()].filter((axis) => scan.shape[axis] > 1).map((axis) => `${"xyz"[axis]} ${texts["xyz"[axis]]}`);
    const words = [where.join(", "), `grey level ${Number(grey.toPrecision(3))}`];
    for (const name of ["truth", "prediction"]) {
      if (scan.loaded[name]) words.push(`${name}: ${rules.names[scan.loaded[name][place]]}`);
    }
    root.querySelector(".place").textContent = words.join(" · ");
  };

  const takeUp = async () => {
    const scan = current();
    await load(scan);
    ["x", "y", "z"].forEach((name, axis) => {
      Object.assign(slider(name), {max: scan.shape[axis] - 1, disabled: scan.shape[axis] === 1});
      slider(name).value = scan.start[axis];
      slider(name).previousElementSibling.textContent = scan.axes[axis];
      slider(name).parentElement.hidden = scan.shape[axis] === 1;
    });
    for (const name of ["window", "level", "fill"]) slider(name).value = scan.look[name];
    for (const name of ["truth", "prediction"]) slider(name).disabled = !scan[name];
    root.querySelector(".views").style.cssText = scan.layout;
    Object.assign(root.querySelector(".note"), {textContent: scan.note, hidden: !scan.note});
    show();
  };

  await takeUp();
  figures.forEach((figure, i) => {
    figure.querySelector("img").replaceWith(canvases[i]);
    const [, , across, up] = rules.views[i];
    const move = (event) => {
      if (event.type === "pointermove" && !(event.buttons && event.pointerType === "mouse")) return;
      const box = canvases[i].getBoundingClientRect(), scan = current();
      const part = [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
      [across, up].forEach((axis, k) => { slider("xyz"[axis]).value = Math.floor(part[k] * scan.shape[axis]); });
      show();
    };
    ["click", "pointermove"].forEach((kind) => canvases[i].addEventListener(kind, move));
  });
  root.querySelectorAll("[data-live]").forEach((part) => { part.hidden = false; });
  root.addEventListener("input", (event) => event.target.name === "scan" ? takeUp() : show());
})();
