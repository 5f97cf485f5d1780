// The share of itself that the teacher keeps at each update: constant, or 1 - 1 / (t + 1) up to it.
const averaging = (iteration, decay, rising) => rising ? Math.min(1 - 1 / (iteration + 1), decay) : decay;
// The teacher's weight: a copy before training, then one moving average after each update.
const averaged = (weights, decay, rising) => {
  const teacher = Float64Array.from(weights);
  for (let t = 1; t < teacher.length; t++) {
    const keep = averaging(t - 1, decay, rising);
    teacher[t] = keep * teacher[t - 1] + (1 - keep) * weights[t];
  }
  return teacher;
};
// How much each student, and the copy (place 0), counts in the teacher after update `last`.
const shares = (last, decay, rising) => {
  const found = new Float64Array(last + 1);
  let rest = 1;
  for (let t = last; t > 0; t--) {
    const keep = averaging(t - 1, decay, rising);
    found[t] = rest * (1 - keep);
    rest *= keep;
  }
  found[0] = rest;
  return found;
};
// The average is linear: the averaged trend lags, and what is left of the noise is the rest.
const spread = (a, b) => Math.sqrt(a.reduce((sum, x, t) => sum + (x - b[t]) ** 2, 0) / a.length);
const crossing = (curve, height) => {
  const t = curve.findIndex((value) => value >= height);
  return t < 1 ? t : t - (curve[t] - height) / (curve[t] - curve[t - 1]);
};

kinds.moving_average = (stage, data, ui) => {
  const student = data.student.values, trend = data.trend.values, end = student.length - 1;
  const half = (trend[0] + trend[end]) / 2, [TREND, TEACHER] = data.colours;
  const decays = [...new Set([data.decay * 1e4, ...Array.from({length: 90}, (_, k) => k * 100),
    ...Array.from({length: 91}, (_, k) => 9000 + k * 10), ...Array.from({length: 18}, (_, k) => 9905 + k * 5)]
    .map((tenth) => Math.round(tenth)))].sort((a, b) => a - b).map((tenth) => tenth / 1e4);
  const low = Math.min(...student), high = Math.max(...student);
  const percent = (share) => `${Number((100 * share).toPrecision(2))}\u00a0%`;
  let wide = 600;
  const X = (t) => 34 + (wide - 48) * t / end, Y = (v) => 214 - 204 * (v - low) / (high - low || 1), FLOOR = 292;
  const chart = ui.svg("svg", {role: "img"});
  const line = (curve, colour, more = {}) => ui.svg("polyline", {class: "curve", style: `--c:${colour}`, ...more,
    points: [...curve].map((v, t) => `${X(t).toFixed(1)},${Y(v).toFixed(1)}`).join(" ")});
  const text = (x, y, words, anchor = "middle") => ui.svg("text", {x, y, "text-anchor": anchor}, words);
  const rule = (x1, y1, x2, y2, more = {class: "axis"}) => ui.svg("line", {x1, x2, y1, y2, ...more});

  const draw = () => {
    const a = decays[decay.value], t = read.value, up = rising.value;
    const teacher = averaged(student, a, up), late = averaged(trend, a, up), memory = shares(t, a, up);
    const [own, lagged] = [trend, late].map((curve) => crossing(curve, half));
    const noise = [spread(student, trend), spread(teacher, late)], lag = lagged < 0 ? null : lagged - own;
    const most = Math.max(...memory, 1e-9), bar = (v) => FLOOR - 46 * v / most;
    wide = stage.clientWidth < 480 ? 460 : 600;
    chart.setAttribute("viewBox", `0 0 ${wide} 330`);
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * end));
    chart.setAttribute("aria-label", `The weight of the student and of the teacher with decay ${a} over ${end} updates`);
    chart.replaceChildren(
      ...[0, 0.5, 1].filter((v) => v >= low && v <= high).flatMap((v) => [rule(34, Y(v), X(end), Y(v)), text(28, Y(v) + 4, v, "end")]),
      line(student, "#8a9099", {"stroke-opacity": 0.55, style: "--c:#8a9099;stroke-width:1"}),
      line(trend, TREND, {"stroke-dasharray": "6 4"}),
      line(teacher, TEACHER, {style: `--c:${TEACHER};stroke-width:3`}),
      ...(lag === null ? [] : [rule(X(own), Y(half), X(lagged), Y(half), {stroke: "currentColor", "stroke-width": 3}),
        ...[own, lagged].map((at) => rule(X(at), Y(half), X(at), 206, {stroke: "currentColor", "stroke-dasharray": "2 3"})),
        text((X(own) + X(lagged)) / 2, 218, `lag ${lag.toFixed(1)}`)]),
      text(34, 242, `share of each student at update ${t}: at most ${percent(most)}`, "start"),
      rule(34, FLOOR, X(end), FLOOR),
      ui.svg("path", {class: "mark", style: `--c:${TEACHER}`, d: [...memory].map((v, k) => v / most < 0.004 ? "" : `M${X(k) - 0.9} ${FLOOR}V${bar(v)}h1.8V${FLOOR}z`).join("")}),
      ...[[6, 206], [248, FLOOR]].map(([y, to]) => rule(X(t), y, X(t), to, {stroke: "currentColor", "stroke-width": 1.2})),
      ...ticks.map((tick) => text(X(tick), FLOOR + 15, tick)),
      text(X(end / 2), FLOOR + 34, "update"));
    const lagging = lag === null ? "the teacher never reaches half of the rise" : `it reaches half of the rise ${lag.toFixed(1)} updates late`;
    const steps = Number((1 / (1 - a)).toFixed(a < 0.9 ? 1 : 0));
    told.textContent = `Memory: about ${steps} ${steps === 1 ? "update" : "updates"}; ${lagging}; `
      + `noise ${noise[1].toFixed(3)} (student ${noise[0].toFixed(3)}); distance from the trend ${spread(teacher, trend).toFixed(3)}.`;
    said.textContent = `At update ${t}: student ${student[t].toFixed(3)}, teacher ${teacher[t].toFixed(3)}, trend ${trend[t].toFixed(3)}; `
      + (t ? `the copy before training counts ${percent(memory[0])}, the last update ${percent(memory[t])}.` : "before training, the teacher is a copy.");
  };
  const decay = ui.slider({label: "decay", texts: decays.map(String), value: decays.findIndex((one) => Math.abs(one - data.decay) < 1e-4)}, draw);
  const read = ui.slider({label: "read at update", max: end, value: Math.round(end / 2)}, draw);
  const rising = ui.tick({label: "warm start: the decay rises as 1 − 1 / (t + 1)", checked: data.rising}, draw);
  const told = ui.line(), said = ui.line(false);
  const follow = (event) => {
    const box = chart.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * wide;
    read.value = Math.round(Math.min(Math.max((x - 34) / (wide - 48), 0), 1) * end);
    draw();
  };
  chart.addEventListener("pointermove", follow);
  chart.addEventListener("pointerdown", follow);
  stage.append(chart,
    ui.legend([["#8a9099", "student", "line"], [TREND, "its trend, without noise", "dashed"], [TEACHER, "teacher", "line"]]), told, said,
    ui.element("div", {class: "controls"}, decay.row, read.row, ui.element("div", {class: "wide"}, rising.row)));
  stage.addEventListener("shown", draw);
};
Object.assign(kinds.moving_average, {averaged, shares});
