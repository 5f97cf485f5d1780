// The repair of a label map, and U: squared distances of sigmoids from its one-hot form, over classes.
const repaired = (layers, label) => {
  const [classes] = layers[0].before, size = label.length, input = new Float32Array(classes * size);
  for (let i = 0; i < size; i++) input[label[i] * size + i] = 1;
  const logits = ui.forward(layers, input), back = new Uint8Array(size), uncertainty = new Float32Array(size);
  for (let i = 0; i < size; i++) for (let c = 0; c < classes; c++) {
    if (logits[c * size + i] > logits[back[i] * size + i]) back[i] = c;
    uncertainty[i] += (1 / (1 + Math.exp(-logits[c * size + i])) - (label[i] === c)) ** 2;
  }
  return {back, uncertainty};
};

kinds.repair = (stage, data) => {
  const {layers, scans, names, colours, top} = data;
  const shape = layers[0].before.slice(1), [rows, columns] = shape, side = Math.min(rows, columns);
  let own, label, found, cursor = null, last = null, pressed = false, drawn = 0, changed = true, waiting = false;

  const [left, middle, right] = [0, 1, 2].map(() => ui.picture({rows, columns, alt: ""}));
  const [counted, undone, means] = [0, 1, 2].map(() => ui.element("small"));
  const bar = ui.element("div"), said = ui.line(false), KEYS = "Arrow keys move the brush, space paints.";
  const third = ui.titled("", right, bar, means);

  const place = (at) => [Math.floor(at / columns), at % columns];
  const away = ([i, j], [y, x]) => Math.hypot(i - y, j - x);
  const under = (at, centre) => away(place(at), centre) <= radius.value;
  const paint = (centre, index = brush.value) => { label = label.map((before, at) => under(at, centre) ? index : before); changed = true; };
  const stroke = (to) => {
    const from = last ?? to, steps = Math.ceil(Math.max(away(from, to), 1));
    for (let k = 0; k <= steps; k++) paint([0, 1].map((axis) => Math.round(from[axis] + (to[axis] - from[axis]) * k / steps)));
    last = to;
  };
  // A hole in the most frequent class, or a blob of it, as far from the organ as a fifth of the map.
  const defect = (blob) => {
    const all = [...own.keys()], organ = all.filter((at) => own[at]);
    if (!organ.length) return;
    const counts = names.map((_, k) => organ.filter((at) => own[at] === k).length), index = counts.indexOf(Math.max(...counts));
    const far = blob && all.map((at) => Math.min(...organ.map((other) => away(place(at), place(other)))));
    const enough = blob && Math.min(Math.max(...far), side / 5);
    const among = all.filter((at) => blob ? far[at] >= enough : own[at] === index);
    paint(place(among[Math.floor(Math.random() * among.length)]), blob ? index : 0);
  };
  const load = (number) => {
    const {maps} = scans[scan.value];
    [own, label, changed] = [ui.slice(maps, 0).values, ui.slice(maps, number).values.slice(), true];
  };
  const corrupt = () => load(drawn = drawn % (scans[scan.value].maps.shape[0] - 1) + 1);

  const mean = (values, of) => {
    const chosen = values.filter((_, i) => of(i));
    return chosen.length ? chosen.reduce((a, b) => a + b) / chosen.length : NaN;
  };
  const digits = (value) => Number.isNaN(value) ? "–" : value.toFixed(2);
  const tint = ui.cividis;
  const weight = (u) => Math.exp(-gamma.value * u);
  const draw = () => {
    if (changed) found = repaired(layers, label);
    changed = false;
    const weighs = look.value === 1, high = weighs ? 1 : top, name = weighs ? "weight" : "U";
    const values = weighs ? found.uncertainty.map(weight) : found.uncertainty;
    const edge = {label: {shape, values: own}, lines: colours.map(() => "#fff"), width: 1.1, halo: "#000a"}, ring = [];
    if (cursor) {
      const values = own.map((_, at) => under(at, cursor));
      ring.push({path: ui.outline({shape, values}, 1), line: "#fff", width: 2, halo: "#000"});
    }
    left.draw([{label: {shape, values: label}, colours}, edge, ...ring]);
    middle.draw([{label: {shape, values: found.back}, colours}, edge, ...ring]);
    right.draw([{values: {shape, values}, low: 0, high, map: tint}, ...ring]);
    const painted = (i) => label[i] !== own[i], count = own.filter((_, i) => painted(i)).length;
    const back = mean(own.map((index, i) => index === found.back[i]), painted);
    counted.textContent = `${count} px changed`;
    const differs = own.filter((index, i) => index !== found.back[i]).length;
    undone.textContent = `${count ? `${Math.round(100 * back)}\u00a0% of them undone` : "nothing to undo yet"}; ${differs} px differ from the scan's own map`;
    means.textContent = `mean ${name}: ${digits(mean(values, painted))} changed, ${digits(mean(values, (i) => !painted(i)))} elsewhere`;
    third.firstChild.textContent = weighs ? `weight exp(−${gamma.value} U)` : "uncertainty U";
    left.say(`Label map to paint on: ${counted.textContent}. ${KEYS}`);
    middle.say(`Repaired label map: ${undone.textContent}`);
    right.say(`Map of ${third.firstChild.textContent}: ${means.textContent}`);
    bar.replaceChildren(ui.bar(tint, [0, high / 2, weighs ? 1 : `≥ ${top}`]));
    const at = cursor && cursor[0] * columns + cursor[1], u = cursor && found.uncertainty[at];
    said.textContent = cursor ? `row ${cursor[0] + 1}, column ${cursor[1] + 1}: painted ${names[label[at]]}, `
      + `repaired ${names[found.back[at]]}, U ${digits(u)}, weight ${digits(weight(u))}` : `Paint on the first map, or point at a pixel to read it. ${KEYS}`;
  };
  const soon = () => {
    if (!waiting) requestAnimationFrame(() => { waiting = false; draw(); });
    waiting = true;
  };

  const {canvas} = left, centre = shape.map((length) => length >> 1);
  const MOVES = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], " ": [0, 0]};
  const made = {tabindex: 0, role: "application", "data-lm-suppress-shortcuts": true, style: `${canvas.style.cssText} touch-action: none; cursor: crosshair`};
  for (const [name, value] of Object.entries(made)) canvas.setAttribute(name, value);
  const on = (name, act) => canvas.addEventListener(name, (event) => { act(event); soon(); });
  on("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    [pressed, last, cursor] = [true, null, left.place(event)];
    stroke(cursor);
  });
  for (const name of ["pointerup", "pointercancel"]) on(name, () => { pressed = false; });
  for (const picture of [left, middle, right]) picture.hover((...at) => {
    cursor = at.length ? at : null;
    if (pressed && cursor) stroke(cursor);
    soon();
  });
  on("keydown", (event) => {
    const move = MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    said.setAttribute("aria-live", "polite");
    cursor = (cursor ?? centre).map((at, axis) => Math.min(Math.max(at + move[axis], 0), shape[axis] - 1));
    if (event.key === " ") paint(cursor);
  });
  on("focus", () => { cursor ??= centre; });
  on("blur", () => { cursor = null; });

  const then = (act) => () => soon(act());
  const brush = ui.choice({label: "brush", options: names, value: 1}, soon);
  const radius = ui.slider({label: "radius", max: Math.round(side / 8), value: Math.round(side / 14), words: (v) => `${v} px`}, soon);
  const scan = ui.choice({label: "scan", options: scans.map(({name}) => name)}, then(() => load(0)));
  const look = ui.choice({label: "third map", options: ["uncertainty U", "weight exp(−γ U)"]}, soon);
  const gamma = ui.slider({label: "γ of the weight", max: 20, step: 0.5, value: data.gamma}, soon);
  const acts = {Hole: () => defect(false), Blob: () => defect(true), Corrupt: corrupt, Reset: () => load(0)};
  const buttons = Object.entries(acts).map(([text, act]) => ui.button(text, then(act)));
  stage.append(ui.element("div", {class: "pictures led", style: "--columns:3"},
    ui.titled("paint here", left, counted), ui.titled("repaired", middle, undone), third),
    ui.legend([...colours.map((colour, k) => [colour, names[k + 1]]), ["#fff", "border of the scan's own map", "white"]]), said,
    ui.element("div", {class: "controls"}, ui.element("div", {class: "wide", style: "gap: .4rem"}, ...buttons),
      brush.row, radius.row, scan.row, look.row, gamma.row), ui.element("small", {}, data.note));
  load(0);
  stage.addEventListener("shown", draw);
};
kinds.repair.repaired = repaired;
