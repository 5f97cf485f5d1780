kinds.assumption = (stage, data, ui) => {
  const {base, cloud, orders, colours, names} = data, count = cloud.values.length;
  const pointsOf = (gap) => Array.from({length: count}, (_, i) =>
    [base.values[2 * i], base.values[2 * i + 1] - gap * cloud.values[i]]);
  const away = ([a, b], [c, d]) => (a - c) ** 2 + (b - d) ** 2;

  // Labels only: the class of the nearest labelled point.
  const nearest = (points, classes, labelled) => points.map((point) => {
    let best = -1;
    for (let i = 0; i < count; i++)
      if (labelled[i] && (best < 0 || away(point, points[i]) < away(point, points[best]))) best = i;
    return classes[best];
  });
  // Label spreading: F <- a S F + (1 - a) Y over the graph of nearest neighbours.
  const spread = (points, classes, labelled) => {
    const near = points.map((point, i) => points.map((_, j) => j).filter((j) => j !== i)
      .sort((a, b) => away(point, points[a]) - away(point, points[b]) || a - b).slice(0, data.neighbours));
    const links = points.map(() => new Set());
    near.forEach((others, i) => others.forEach((j) => { links[i].add(j); links[j].add(i); }));
    const known = points.map((_, i) => [0, 1].map((k) => labelled[i] && classes[i] === k ? 1 : 0));
    let found = known;
    for (let round = 0; round < data.rounds; round++) {
      found = found.map((_, i) => {
        const sums = known[i].map((value) => (1 - data.passedOn) * value);
        for (const j of links[i]) {
          const step = data.passedOn / Math.sqrt(links[i].size * links[j].size);
          sums[0] += step * found[j][0];
          sums[1] += step * found[j][1];
        }
        return sums;
      });
    }
    return found.map(([one, two]) => two > one ? 1 : 0);
  };
  Object.assign(stage, {pointsOf, nearest, spread});

  const RULES = [["labels only", nearest], ["with unlabelled points", spread]];
  const plots = RULES.map(([name]) => {
    const plot = ui.svg("svg", {viewBox: "0 0 300 250", role: "img"}), text = ui.element("small");
    return {name, plot, text, box: ui.element("div", {class: "picture"}, ui.element("b", {}, name), plot, text)};
  });
  const X = (x) => 150 + 84 * (x - 0.5), Y = (y) => 24 + 78 * (1.25 - y);
  const draw = () => {
    const points = pointsOf(gap.value / 100), convention = border.value === 1;
    const classes = points.map(([x], i) => convention ? Number(x > data.cut) : cloud.values[i]);
    const labelled = points.map(() => false), order = ui.slice(orders, drawn.value - 1).values;
    for (const k of [0, 1]) [...order].filter((i) => classes[i] === k).slice(0, few.value).forEach((i) => { labelled[i] = true; });
    const shares = RULES.map(([, rule], at) => {
      const found = rule(points, classes, labelled), {plot, text, name} = plots[at];
      const right = found.filter((k, i) => k === classes[i]).length / count;
      plot.replaceChildren(
        ...(convention ? [ui.svg("line", {x1: X(data.cut), x2: X(data.cut), y1: 4, y2: 246, stroke: "currentColor", "stroke-dasharray": "5 4"})] : []),
        ...points.map(([x, y], i) => ui.svg(found[i] ? "rect" : "circle", {class: "mark", style: `--c:${colours[found[i]]}`,
          ...(found[i] ? {x: X(x) - 3.6, y: Y(y) - 3.6, width: 7.2, height: 7.2} : {cx: X(x), cy: Y(y), r: 4})})),
        ...points.flatMap(([x, y], i) => found[i] === classes[i] ? [] : [ui.svg("path", {fill: "none", stroke: "currentColor", "stroke-width": 1.4,
          d: `M${X(x) - 5} ${Y(y) - 5}l10 10m0 -10l-10 10`})]),
        ...points.flatMap(([x, y], i) => labelled[i] ? [ui.svg("circle", {cx: X(x), cy: Y(y), r: 9, fill: "none", stroke: "currentColor", "stroke-width": 2.5})] : []));
      text.textContent = `${Math.round(100 * right)}\u00a0% right`;
      plot.setAttribute("aria-label", `${count} points, ${name}: ${text.textContent}`);
      return right;
    });
    const gain = Math.round(100 * shares[1]) - Math.round(100 * shares[0]);
    said.textContent = gain ? `With the unlabelled points ${Math.abs(gain)} percentage point${Math.abs(gain) === 1 ? " more is" : "s more are"} ${gain > 0 ? "right" : "wrong"}.`
      : "With the unlabelled points as many are right as without.";
  };

  const gap = ui.slider({label: "cloud shift", max: 110, step: 5, value: 100 * data.gap, words: (v) => (v / 100).toFixed(2)}, draw);
  const few = ui.slider({label: "labels per class", min: 1, max: 8}, draw);
  const drawn = ui.slider({label: "which ones: draw", min: 1, max: orders.shape[0]}, draw);
  const border = ui.choice({label: "border of the classes", options: ["in the gap", "by convention"]}, draw);
  const said = ui.line();
  stage.append(ui.element("div", {class: "pictures", style: "--columns:2"}, ...plots.map(({box}) => box)),
    ui.legend([[colours[0], `predicted ${names[0]} (round)`], [colours[1], `predicted ${names[1]} (square)`], [null, "\u2715 wrong"], [null, "\u25cb labelled"]]), said,
    ui.element("div", {class: "controls"}, gap.row, few.row, drawn.row, border.row));
  stage.addEventListener("shown", draw);
};
