kinds.copy_paste = (stage, data, ui) => {
  const {images, labels, boxes, places, predictions, names, colours} = data;
  const [height, width] = images[0].shape, size = height * width, nClasses = names.length;
  const WAYS = ["inward", "outward"];

  // --- the arithmetic of the method, on one slice

  const maskOf = ([top, bottom, left, right]) => {
    const mask = new Uint8Array(size).fill(1);
    for (let i = top; i < bottom; i++) mask.fill(0, i * width + left, i * width + right);
    return mask;
  };
  // Inward keeps the labelled picture, outward the unlabelled one.
  const mixed = (pair, mask, way) => {
    const [keeps, gives] = way === 0 ? pair : [pair[1], pair[0]];
    return {shape: [height, width], values: Uint8Array.from(mask, (m, v) => m ? keeps.values[v] : gives.values[v])};
  };
  // Size of the gradient of half cross-entropy, half squared Dice over one region, summed over
  // classes, where each class has probability 1 / K.
  const addPull = (pull, label, inside, weight) => {
    const p = 1 / nClasses, counts = new Float64Array(nClasses), smooth = 1e-5;
    let n = 0;
    for (let v = 0; v < size; v++) if (inside(v)) { n++; counts[label.values[v]]++; }
    const totals = counts.map((count) => n * p * p + count + smooth);
    const g = new Float64Array(nClasses);
    for (let v = 0; v < size; v++) {
      if (!inside(v)) continue;
      let mean = 0;
      for (let c = 0; c < nClasses; c++) {
        const t = label.values[v] === c ? 1 : 0, overlap = 2 * p * counts[c] + smooth;
        g[c] = -(2 * t * totals[c] - overlap * 2 * p) / totals[c] ** 2 / nClasses;
        mean += g[c] / nClasses;
      }
      for (let c = 0; c < nClasses; c++) {
        const t = label.values[v] === c ? 1 : 0;
        pull[v] += weight * Math.abs(0.5 * ((p - t) / (n + 1e-16) + p * (g[c] - mean)));
      }
    }
  };
  const pullOf = (mask, way, alpha) => {
    const pull = new Float32Array(size), [keeps, gives] = way === 0 ? [0, 1] : [1, 0];
    addPull(pull, labels[keeps], (v) => mask[v] === 1, keeps === 0 ? 1 : alpha);
    addPull(pull, labels[gives], (v) => mask[v] === 0, gives === 0 ? 1 : alpha);
    return {shape: [height, width], values: pull};
  };
  Object.assign(stage, {pullOf, mixed, maskOf});

  // --- pictures

  const picture = () => ui.picture({rows: height, columns: width, alt: ""});
  const sources = [picture(), picture()], mixtures = [picture(), picture()], beside = [picture(), picture()];
  const below = [{style: "margin-bottom: .5rem"}, {}]; // room between the first row and the second
  const said = below.map((look) => ui.element("small", look)), judged = below.map((look) => ui.element("small", look));
  const besideTitles = [0, 1].map(() => ui.element("b"));
  const box = () => {
    const row = boxes.shape[1], at = down.value * places + across.value;
    return ui.slice(boxes, side.value, at).values;
  };
  const part = (label, mask, kept) =>
    ({shape: label.shape, values: label.values.map((k, v) => mask[v] === kept ? k : 0)});
  const taught = (label, guessed) => guessed
    ? [{label, colours, alpha: 0.15}, {label, lines: colours, dash: [4, 3], width: 2}]
    : [{label, colours, alpha: 0.4}, {label, lines: colours, width: 2}];
  const borderOf = ([top, bottom, left, right]) => {
    const path = new Path2D();
    path.rect(left, top, right - left, bottom - top);
    return {path, line: "#fff", width: 1.8, halo: "#000a"};
  };

  // Where the network and the labels agree: of the voxels that either calls organ.
  const agreement = (label, predicted, mask, [top, bottom, left, right]) => {
    const sums = {inside: [0, 0], outside: [0, 0], border: [0, 0]};
    for (let v = 0; v < size; v++) {
      if (!label.values[v] && !predicted.values[v]) continue;
      const i = Math.floor(v / width), j = v % width;
      const far = Math.max(top - i, i - bottom + 1, left - j, j - right + 1); // above 0 outside
      const near = far > 0 ? far <= 2 : far > -2;
      const zones = [mask[v] ? "outside" : "inside", ...(near ? ["border"] : [])];
      for (const zone of zones) { sums[zone][1]++; if (label.values[v] === predicted.values[v]) sums[zone][0]++; }
    }
    return Object.entries(sums).map(([zone, [correct, all]]) => `${zone} ${all < 20 ? "too few pixels" : `${Math.round(100 * correct / all)}\u00a0%`}`).join(" · ");
  };

  // One colour scale for every state, from the strongest gradient of all down to a part of it; no
  // gradient at all is black. The unit is the mean gradient of a labelled picture without a box.
  let top = 0;
  const RANGE = 200, NONE = "#000000";
  const logarithmic = (pull) => pull > 0 ? ui.cividis(1 + Math.log(pull / top) / Math.log(RANGE)) : [0, 0, 0];
  const even = pullOf(new Uint8Array(size).fill(1), 0, 1).values.reduce((a, b) => a + b) / size;
  const draw = () => {
    const now = box(), mask = maskOf(now), alpha = weight.value / 100, edge = borderOf(now);
    const share = (now[1] - now[0]) * (now[3] - now[2]) / size;
    const gradient = show.value === 1;
    for (const way of [0, 1]) {
      const [keeps, gives] = way === 0 ? [0, 1] : [1, 0];
      const label = mixed(labels, mask, way), image = mixed(images, mask, way);
      const parts = [part(labels[keeps], mask, 1), part(labels[gives], mask, 0)];
      sources[way].say(`${sourceTitles[way]}, with the border of the box`);
      sources[way].draw([{grey: images[way]}, ...taught(labels[way], way === 1), edge]);
      mixtures[way].draw([{grey: image}, ...taught(parts[0], keeps === 1), ...taught(parts[1], gives === 1), edge]);
      const weights = [(keeps === 0 ? 1 : alpha) / (1 - share), (gives === 0 ? 1 : alpha) / share];
      said[way].textContent = `weight of a voxel (1: an even share): outside ${weights[0].toFixed(2)}, inside ${weights[1].toFixed(2)}`;
      mixtures[way].say(`${WAYS[way]} mixture, box takes ${Math.round(100 * share)}\u00a0% of the slice`);
      if (gradient) {
        beside[way].draw([{values: pullOf(mask, way, alpha), low: 0, high: 1, map: logarithmic}, edge]);
        besideTitles[way].textContent = "gradient at each voxel";
        judged[way].textContent = "of a network that knows nothing";
      } else {
        const state = side.value * places * places + down.value * places + across.value;
        const predicted = ui.slice(predictions, state, way);
        beside[way].draw([{grey: image}, {label: predicted, colours, alpha: 0.4}, {label: predicted, lines: colours}, edge]);
        besideTitles[way].textContent = "the network's prediction";
        judged[way].textContent = `agrees, of the pixels that either calls organ: ${agreement(label, predicted, mask, now)}`;
      }
      beside[way].say(`${besideTitles[way].textContent} on the ${WAYS[way]} mixture, ${judged[way].textContent}`);
    }
    bar.hidden = none.hidden = !gradient;
    line.textContent = `Drag the box in any picture. It takes ${Math.round(100 * share)}\u00a0% of the slice. ` +
      `Pseudo-labels weigh α = ${alpha.toFixed(2)} as a region.`;
  };

  const last = places - 1, middle = Math.floor(places / 2);
  const side = ui.slider({label: "box side β", texts: data.sides, value: 1}, draw);
  const weight = ui.slider({label: "α, for the gradient", max: 100, step: 5, value: 50, words: (v) => (v / 100).toFixed(2)}, draw);
  const down = ui.slider({label: "box: down", max: last, value: middle, words: (v) => `${v + 1} of ${places}`}, draw);
  const across = ui.slider({label: "box: across", max: last, value: middle, words: (v) => `${v + 1} of ${places}`}, draw);
  const show = ui.choice({label: "beside it", options: ["the network's prediction", "gradient of the loss"]}, draw);

  // Dragging: the nearest place whose box has its middle under the pointer.
  const grab = (shown) => {
    const {canvas} = shown;
    canvas.style.cursor = "grab";
    canvas.style.touchAction = "none";
    const move = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      if (event.type === "pointerdown") canvas.setPointerCapture(event.pointerId);
      const [i, j] = shown.place(event), now = box();
      const nearest = (at, extent, length) =>
        Math.min(Math.max(Math.round((at - length / 2) / Math.max(extent - length, 1) * last), 0), last);
      [down.value, across.value] = [nearest(i, height, now[1] - now[0]), nearest(j, width, now[3] - now[2])];
      draw();
    };
    canvas.addEventListener("pointerdown", move);
    canvas.addEventListener("pointermove", move);
  };
  [...mixtures, ...sources].forEach(grab);

  const line = ui.line();
  const sourceTitles = ["labelled, true label", "unlabelled, pseudo-label"];
  const pictures = ui.element("div", {class: "pictures pairs", style: "--columns:3"},
    ...sources.map((one, way) => ui.titled(sourceTitles[way], one, ui.element("small"))),
    ...mixtures.map((one, way) => ui.titled(`${WAYS[way]} mixture`, one, said[way])),
    ...beside.map((one, way) => ui.element("div", {class: "picture"}, besideTitles[way], one.canvas, judged[way])));
  const legend = ui.legend([...colours.map((colour, k) => [colour, names[k + 1]]),
    ["#808891", "true label", "line"], ["#808891", "pseudo-label", "dashed"]]);
  for (let state = 0; state < boxes.shape[0] * boxes.shape[1]; state++) {
    const mask = maskOf(boxes.values.subarray(4 * state, 4 * state + 4));
    for (const way of [0, 1]) top = pullOf(mask, way, 1).values.reduce((a, b) => Math.max(a, b), top);
  }
  const bar = ui.bar(ui.cividis, [`${(top / even / RANGE).toPrecision(1)} or less`,
    "gradient at a voxel (1: mean without a box), logarithmic", (top / even).toPrecision(2)]);
  const none = ui.legend([[NONE, "no gradient at all"]]);
  Object.assign(stage, {logarithmic});
  stage.append(pictures, legend, bar, none, line,
    ui.element("div", {class: "controls"}, side.row, weight.row, down.row, across.row, show.row));
  stage.addEventListener("shown", draw);
};
