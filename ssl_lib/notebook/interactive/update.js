// Sizes in pixels, along the columns (u) and the rows (v) of the diagram: columns go to the right, or
// down where the figure is narrow, so that words keep their size.
const layout = (boxes, room) => {
  const columns = Math.max(...boxes.map((box) => box.column)), rows = Math.max(...boxes.map((box) => box.row));
  const narrow = room < 580, total = Math.min(room, narrow ? 420 : 720) - 4;
  if (!narrow) {
    const pitch = total / (columns + 0.8);
    return {narrow, u: pitch, v: 78, halfU: 0.4 * pitch, halfV: 24, font: 13};
  }
  const gaps = boxes.flatMap((a) => boxes.filter((b) => a !== b && Math.abs(a.column - b.column) < 0.5).map((b) => Math.abs(a.row - b.row)));
  const share = Math.min(...gaps) / rows, wide = Math.min((share * total - 8) / (1 + share), 104);
  return {narrow, u: 84, v: (total - wide) / rows, halfU: 23, halfV: wide / 2, font: wide < 98 ? 12 : 13};
};
// The curve of an arrow, as [start, control, end] in (u, v): from the side of one box to that of the other.
const curve = (from, to, {bend, flow}, {u, v, halfU, halfV}) => {
  const [[u0, v0], [u1, v1]] = [from, to].map((box) => [box.column * u, box.row * v]);
  const along = flow !== "average" && Math.abs(to.column - from.column) >= 0.8, sign = Math.sign(along ? u1 - u0 : v1 - v0);
  const start = along ? [u0 + sign * (halfU + 1), v0] : [u0, v0 + sign * (halfV + 1)];
  const end = along ? [u1 - sign * (halfU + 1), v1] : [u1, v1 - sign * (halfV + 1)];
  const [du, dv] = [end[0] - start[0], end[1] - start[1]];
  return [start, [(start[0] + end[0]) / 2 - bend * dv, (start[1] + end[1]) / 2 + bend * du], end];
};

kinds.update = (stage, data, ui) => {
  const {boxes, arrows, steps} = data, chart = ui.svg("svg", {role: "img"});
  const coloured = (look) => look.colour
    ? {style: `--c:${look.colour}`, stroke: "color-mix(in srgb, var(--c), currentColor var(--lift))",
      fill: look.filled ? "color-mix(in srgb, var(--c) 17%, transparent)" : "none"}
    : {stroke: look.filled ? "none" : "currentColor", "stroke-opacity": 0.45, fill: look.filled ? "currentColor" : "none", "fill-opacity": 0.09};
  const frame = (look, place, more) => ui.svg("rect", {rx: 6, "stroke-dasharray": look.dash, ...coloured(look), ...place, ...more});
  const ink = {stroke: "currentColor", fill: "none"};

  const box = (one, size, lit, pale) => {
    const look = data.kinds[one.kind], [x, y] = size.at([one.column * size.u, one.row * size.v]);
    const [halfX, halfY] = size.at([size.halfU, size.halfV]), lines = one.words.split("\n"), high = size.font * 1.25;
    const place = {x: x - halfX, y: y - halfY, width: 2 * halfX, height: 2 * halfY};
    return ui.svg("g", {"data-lit": String(lit)},
      frame(look, place, {opacity: pale ? 0.4 : 1, "stroke-width": lit ? 3 : 1.8}),
      ...(lit ? [ui.svg("rect", {...place, rx: 6, ...ink, "stroke-width": 1, "stroke-opacity": look.colour ? 0 : 0.9})] : []),
      ...lines.map((words, k) => ui.svg("text", {x, y: y + size.font * 0.36 + (k - (lines.length - 1) / 2) * high, "text-anchor": "middle",
        style: `font-size:${size.font}px`, "fill-opacity": pale ? 0.7 : 1}, words)));
  };
  const arrow = (one, size, lit, pale, back) => {
    const points = curve(boxes[one.start], boxes[one.end], one, size).map(size.at);
    const [[x0, y0], [cx, cy], [x1, y1]] = back ? points.reverse() : points;
    const far = Math.hypot(x1 - cx, y1 - cy) || 1, [dx, dy] = [(x1 - cx) / far, (y1 - cy) / far], long = lit ? 11 : 8;
    const [bx, by] = [x1 - long * dx, y1 - long * dy], wide = long * 0.42;
    return ui.svg("g", {"data-lit": String(lit), opacity: pale ? 0.35 : one.flow === "gradient" || lit ? 1 : 0.75},
      ui.svg("path", {d: `M${x0} ${y0}Q${cx} ${cy} ${bx} ${by}`, ...ink, "stroke-width": lit ? 2.6 : 1.4, "stroke-dasharray": data.flows[one.flow][0]}),
      ui.svg("path", {d: `M${x1} ${y1}L${bx - wide * dy} ${by + wide * dx}L${bx + wide * dy} ${by - wide * dx}z`, fill: "currentColor"}));
  };
  // All of the diagram fits, bent arrows as well.
  const bounds = (size) => {
    const corners = boxes.flatMap((one) => [-1, 1].map((side) => [one.column * size.u + side * size.halfU, one.row * size.v + side * size.halfV]));
    const middles = arrows.map((one) => curve(boxes[one.start], boxes[one.end], one, size))
      .map((points) => [0, 1].map((k) => (points[0][k] + 2 * points[1][k] + points[2][k]) / 4));
    const [xs, ys] = [0, 1].map((k) => [...corners, ...middles].map((point) => size.at(point)[k]));
    const low = [Math.min(...xs) - 2, Math.min(...ys) - 4];
    return [...low, Math.max(...xs) + 2 - low[0], Math.max(...ys) + 4 - low[1]];
  };

  const tell = (k) => {
    const step = steps[k - 1];
    said.textContent = step ? `${k} of ${steps.length}: ${step.words}`
      : `All of one update. It has ${steps.length} steps: move on, and see what is lit.`;
    code.hidden = !step;
    if (step) code.replaceChildren(ui.element("small", {}, `in ${step.where}`), "\n", ui.element("code", {}, step.code));
  };
  const draw = () => {
    if (!stage.clientWidth) return;
    const k = moved.value, step = steps[k - 1], size = layout(boxes, stage.clientWidth);
    size.at = ([u, v]) => size.narrow ? [v, u] : [u, v];
    const [x, y, width, height] = bounds(size);
    chart.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
    chart.setAttribute("style", `max-width:${Math.round(width)}px;margin:0 auto`);
    const lit = (list, at) => Boolean(step?.[list].includes(at));
    chart.replaceChildren(
      ...arrows.map((one, at) => arrow(one, size, lit("arrows", at), step && !lit("arrows", at), step?.back && lit("arrows", at))),
      ...boxes.map((one, at) => box(one, size, lit("boxes", at), step && !lit("boxes", at))));
    const names = (step ? step.boxes : boxes.map((_, at) => at)).map((at) => boxes[at].words.replace("\n", " "));
    chart.setAttribute("aria-label", `${step ? `Step ${k}, lit` : "Diagram of one update"}: ${names.join("; ")}`);
    if (k && !told.style.minHeight) reserve();
    tell(k);
  };
  // Room for the longest step from the first one on, so that nothing below moves.
  const reserve = () => {
    const high = steps.map((_, k) => { tell(k + 1); return told.offsetHeight; });
    told.style.minHeight = `${Math.max(...high)}px`;
  };

  const texts = ["all", ...steps.map((_, k) => `${k + 1} of ${steps.length}`)];
  const moved = ui.slider({label: "step", texts}, draw), play = ui.player(moved, draw, 6000);
  const by = (way) => () => {
    if (play.textContent === "Pause") play.click();
    moved.value = (moved.value + way + texts.length) % texts.length;
    draw();
  };
  const said = ui.line(), code = ui.element("pre", {style: "margin:.4rem 0 0;padding:.4rem .7rem;border:0;border-left:3px solid #8886;background:none;border-radius:0;"
    + "color:inherit;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.82rem;line-height:1.4"});
  const told = ui.element("div", {}, said, code);
  const sample = (...shapes) => ui.svg("svg", {viewBox: "0 0 30 16", style: "width:30px;flex:none", "aria-hidden": "true"}, ...shapes);
  const key = ui.element("ul", {class: "legend"},
    ...Object.values(data.kinds).map((look) => ui.element("li", {},
      sample(frame(look, {x: 2, y: 2, width: 26, height: 12}, {"stroke-width": 1.8, rx: 3})), look.words)),
    ...Object.values(data.flows).map(([dash, words]) => ui.element("li", {},
      sample(ui.svg("path", {d: "M1 8H22", ...ink, "stroke-width": 1.6, "stroke-dasharray": dash}), ui.svg("path", {d: "M29 8l-8-4v8z", fill: "currentColor"})), words)));
  stage.append(chart, key, ui.element("div", {class: "controls"},
    ui.element("div", {class: "wide"}, ui.button("Previous", by(-1)), ui.button("Next", by(1)), play, moved.row)), told);
  moved.row.firstChild.style.minWidth = "0";
  let wide = 0;
  new ResizeObserver(() => {
    if (stage.clientWidth === wide) return;
    wide = stage.clientWidth;
    told.style.minHeight = "";
    draw();
  }).observe(stage);
  stage.addEventListener("shown", draw);
};
