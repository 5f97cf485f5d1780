// The shares of the predicted surface that are farther than a limit outside, and inside, the truth.
const farther = (classes, limit) => {
  const sum = (count) => classes.reduce((all, one) => all + (one ? count(one) : 0), 0), all = sum((one) => one.voxels);
  return all ? [sum((one) => one.outside[limit]) / all, sum((one) => one.inside[limit]) / all] : null;
};

kinds.surface = (stage, data, ui) => {
  const {rows, truth, names, unit, clip, fine} = data, {element} = ui, UNKNOWN = -32768, STEPS = data.limits, TRUTH = [240, 228, 66];
  const classes = names.slice(1), stops = data.map.map(ui.rgb), one = (colour) => Float32Array.from({length: 3}, (_, k) => colour[k]);
  const long = (value) => `${Number(value.toPrecision(3))} ${unit}`, percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

  // Solids for `draw`: a vertex's step of 254 from -clip to clip; one colour where no distance is known.
  const solid = (part, k, colour) => {
    const mesh = ui.mesh(part, data.scale), far = part.distances?.values, known = far?.length && far[0] !== UNKNOWN;
    const steps = Float32Array.from({length: mesh.count}, (_, v) => known ? 127 + 127 * Math.min(Math.max(far[v] * fine / clip, -1), 1) : 0);
    return {mesh, steps, k, far: known ? far : null, shades: one(colour)};
  };
  const shown = [...rows.map(({parts}) => parts.map((part, k) => solid(part, k, [130, 130, 130]))),
    truth.map((part, k) => solid(part, k, TRUTH))];
  const options = [...rows.map(({name}) => name), "truth"];

  // --- colours: plain where the surface is nearer than the slider says

  const limit = () => slider.value * clip / STEPS;
  const colour = (part) => {
    const at = Math.abs(2 * part - 1) * clip <= limit() + 1e-6 ? 2 : 4 * part, from = Math.min(Math.floor(at), 3);
    return stops[from].map((value, c) => value + (at - from) * (stops[from + 1][c] - value));
  };

  // --- two pictures, turned together

  const BARE = data.stands ? [-1, 0, 0, 0, 0, 1, 0, 1, 0] : [0, 0, 1, 1, 0, 0, 0, 1, 0], START = ui.turned(0.5, 0.4, BARE);
  let view = START, waiting = false;
  const pictures = [0, 1].map((side) => {
    const picture = ui.solid({radius: data.radius, flat: data.stack}), {canvas} = picture;
    const texts = [element("small"), element("small")];
    return {...picture, side, texts, box: ui.titled("", picture, ...texts)};
  });
  const chosen = (k) => !which.value || which.value === k + 1;
  const scores = (row) => {
    if (!row) return ["the true surface", ""];
    const found = row.classes.filter((_, k) => chosen(k)), lost = classes.filter((_, k) => chosen(k) && !row.classes[k]);
    const [hd95, asd] = which.value ? [found[0]?.hd95, found[0]?.asd] : row.mean, shares = farther(found, slider.value);
    const more = lost.length ? ` · no distance: ${lost.join(", ")}` : "";
    return [(hd95 ?? null) === null ? more.slice(3) : `95HD ${long(hd95)} · ASD ${long(asd)}${more}`,
      shares ? `${percent(shares[0] + shares[1])} farther: ${percent(shares[0])} outside, ${percent(shares[1])} inside` : ""];
  };
  const draw = () => {
    const shades = new Float32Array(765);
    for (let k = 0; k < 255; k++) shades.set(colour(k / 254), 3 * k);
    pictures.forEach(({canvas, box, side, texts, draw: put}) => {
      const place = sides[side].value, parts = shown[place].filter(({k}) => chosen(k)), said = scores(rows[place]);
      box.firstChild.textContent = options[place];
      texts.forEach((text, at) => { if (text.textContent !== said[at]) text.textContent = said[at]; });
      canvas.setAttribute("aria-label", `Surface, ${options[place]}: ${said.filter(Boolean).join("; ")}. Arrow keys turn it, + and − zoom.`);
      const wires = wire.value && rows[place] ? shown.at(-1).filter(({k}) => chosen(k)) : [];
      put(view, zoom.value / 100, parts.map((part) => part.far ? {...part, shades} : part), wires.map(({mesh}) => ({mesh, line: TRUTH})));
    });
  };
  const soon = () => {
    if (!waiting) requestAnimationFrame(() => { waiting = false; draw(); });
    waiting = true;
  };
  const turn = (right, down) => { view = ui.turned(right, down, view); soon(); };
  const scale = (by) => { zoom.value = Math.min(Math.max(zoom.value + by, 50), 300); soon(); };
  const reset = () => { view = START; zoom.value = 100; soon(); };
  const HELP = "Drag to turn, or use the arrow keys; + and − zoom. Point at a surface to read its distance.";
  const read = (picture, event) => {
    const found = picture.nearest(event), d = found?.far && found.far[found.vertex] * fine;
    const where = !found?.far ? "no distance here" : d ? `${long(Math.abs(d))} ${d > 0 ? "outside" : "inside"} the truth` : "on the true surface";
    line.textContent = !found ? HELP : `${options[sides[picture.side].value]}, ${classes[found.k]}`
      + (sides[picture.side].value === rows.length ? "" : `: ${where}`);
  };

  const KEYS = {ArrowLeft: () => turn(-0.15, 0), ArrowRight: () => turn(0.15, 0), ArrowUp: () => turn(0, -0.15), ArrowDown: () => turn(0, 0.15),
    "+": () => scale(10), "=": () => scale(10), "-": () => scale(-10), Home: reset};
  for (const picture of pictures) {
    const {canvas} = picture;
    let last = null;
    const on = (name, act, how) => canvas.addEventListener(name, act, how);
    on("pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      last = [event.clientX, event.clientY];
      read(picture, event);
    });
    on("pointermove", (event) => {
      if (!last) return read(picture, event);
      const [x, y] = last;
      last = [event.clientX, event.clientY];
      turn((last[0] - x) / 110, (last[1] - y) / 110);
    });
    for (const name of ["pointerup", "pointercancel"]) on(name, () => { last = null; });
    on("pointerleave", () => { line.textContent = HELP; });
    on("wheel", (event) => {
      if (document.activeElement !== canvas) return; // without the focus the page scrolls on
      event.preventDefault();
      scale(-10 * Math.sign(event.deltaY));
    }, {passive: false});
    on("keydown", (event) => {
      if (!KEYS[event.key] || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      KEYS[event.key]();
    });
  }

  const sides = ["first", "second"].map((text, side) =>
    ui.choice({label: `${text} picture`, options, value: side * (rows.length > 1 ? rows.length - 1 : 1)}, soon));
  const which = ui.choice({label: "class", options: ["all classes", ...classes]}, soon);
  const bar = element("div"), paint = () => bar.replaceChildren(ui.bar(colour, [`≤ −${long(clip)}, inside`, `0`, `≥ ${long(clip)}, outside`]));
  const slider = ui.slider({label: `farther than, ${unit}`, max: STEPS, value: data.near, words: (v) => String(Number((v * clip / STEPS).toPrecision(3)))}, () => { paint(); soon(); });
  const zoom = ui.slider({label: "zoom", min: 50, max: 300, step: 10, value: 100, words: (v) => `${v}\u00a0%`}, soon);
  const wire = ui.tick({label: "wire frame of the truth (yellow)", checked: false}, soon);
  const line = ui.line();
  line.textContent = HELP;
  stage.append(element("div", {class: "pictures", style: "grid-template-columns:repeat(auto-fit,minmax(min(17rem,100%),1fr))"},
    ...pictures.map(({box}) => box)), bar, line,
    element("div", {class: "controls"}, sides[0].row, sides[1].row, which.row, slider.row, zoom.row,
      element("div", {class: "wide"}, wire.row, ui.button("Reset view", reset))), element("small", {}, data.note));
  paint();
  for (const {canvas} of pictures) new ResizeObserver(soon).observe(canvas);
  stage.addEventListener("shown", draw);
};
