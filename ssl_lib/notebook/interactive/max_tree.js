// The levels of a picture, by the notebook's to_levels; halves go to the even number, as in NumPy.
const toLevels = (grey, count) => {
  const rint = (x) => { const down = Math.floor(x), rest = x - down; return down + (rest > 0.5 || (rest === 0.5 && down % 2 === 1)); };
  const low = grey.reduce((a, b) => Math.min(a, b)), high = grey.reduce((a, b) => Math.max(a, b));
  const step = (high - low) / (count - 1) || 1;
  return {levels: Uint16Array.from(grey, (value) => rint((value - low) / step)), low, step};
};

// The tree by union-find: pixels join from the summits down. A node goes by the pixel that joined
// last, its root by the last of all; `parent` of any other pixel is its node. `summit` is the first.
const grow = (levels, rows, columns, {kind, touching}) => {
  const n = levels.length, sign = kind === "max" ? -1 : 1;
  const order = Int32Array.from(levels.keys()).sort((p, q) => sign * (levels[p] - levels[q]) || p - q);
  const parent = new Int32Array(n), top = new Int32Array(n).fill(-1), area = new Int32Array(n).fill(1), summit = new Int32Array(n);
  const find = (p) => { while (top[p] !== p) p = top[p] = top[top[p]]; return p; };
  order.forEach((p, place) => {
    const i = Math.floor(p / columns), j = p % columns;
    parent[p] = top[p] = p;
    summit[p] = place;
    for (let a = i - 1; a <= i + 1; a++) for (let b = j - 1; b <= j + 1; b++) {
      if (a < 0 || b < 0 || a >= rows || b >= columns || (touching === "sides" && a !== i && b !== j)) continue;
      const q = a * columns + b;
      if (q === p || top[q] < 0) continue;
      const found = find(q);
      if (found !== p) parent[found] = top[found] = p;
    }
  });
  const down = order.slice().reverse(), root = down[0];
  for (const p of down) { const q = parent[p]; if (levels[parent[q]] === levels[q]) parent[p] = parent[q]; }
  for (const p of order) if (p !== root) {
    area[parent[p]] += area[p];
    summit[parent[p]] = Math.min(summit[parent[p]], summit[p]);
  }
  const isNode = (p) => p === root || levels[parent[p]] !== levels[p];
  return {levels, kind, down, root, parent, area, summit, isNode, nodes: order.filter(isNode)};
};

// Step A, then step B, as asked; of each node 0: kept, 1: smaller than T, 2: only child.
const prune = ({root, parent, area, nodes}, least, steps) => {
  const fate = new Uint8Array(parent.length), children = new Int32Array(parent.length);
  if (steps !== "B") for (const p of nodes) if (p !== root && area[p] < least) fate[p] = 1;
  const large = nodes.filter((p) => !fate[p]);
  for (const p of large) if (p !== root) children[parent[p]]++;
  if (steps !== "A") for (const p of large) if (p !== root && children[parent[p]] === 1) fate[p] = 2;
  return {fate, large: large.length, left: large.filter((p) => !fate[p]).length};
};
// Of each pixel the closest node that is kept.
const reconstruct = ({down, parent, isNode}, fate) => {
  const taken = new Int32Array(parent.length);
  for (const p of down) taken[p] = isNode(p) && !fate[p] ? p : taken[parent[p]];
  return taken;
};
// The components of the pixels at or beyond a level: of each pixel its node, -1 outside.
const flood = ({levels, kind, down, root, parent}, level) => {
  const inside = (p) => kind === "max" ? levels[p] >= level : levels[p] <= level, found = new Int32Array(levels.length).fill(-1);
  for (const p of down) if (inside(p)) found[p] = p === root || !inside(parent[p]) ? p : found[parent[p]];
  return found;
};

kinds.max_tree = (stage, data, ui) => {
  const {scans, changes} = data, TREES = ["max", "min"], STEPS = ["A", "B", "A+B"], COUNTS = [8, 16, 32, 64, 128, 256];
  const areas = [...new Set([data.area, ...Array.from({length: 90}, (_, k) => Math.round(data.largest ** (k / 89)))])].sort((a, b) => a - b);
  const limit = 0.25 * 255;
  let now = {}, shown = [];

  const makePictures = ({grey: {shape: [rows, columns]}, aspect}) =>
    ["scan", "filtered", "what changed", "flooding"].map((title, place) => {
      const picture = ui.picture({rows, columns, aspect, alt: title}), text = ui.element("small");
      const box = ui.titled(title, picture, text);
      picture.hover(hover(place === 3));
      return {picture, text, box, name: box.firstChild};
    });
  const greyOf = (levels) => ({grey: {shape: now.shape, values: Float32Array.from(levels, now.grey)}, window: now.scan.window});
  const label = (test) => ({shape: now.shape, values: Uint8Array.from(now.levels, (_, p) => test(p))});

  const compute = () => {
    const scan = scans[which.value], count = COUNTS[counts.value], [, columns] = scan.grey.shape;
    const kind = TREES[tree.value], {levels, low, step} = toLevels(scan.grey.values, count);
    const grown = grow(levels, ...scan.grey.shape, {kind, touching: touching.value ? "corners" : "sides"});
    now = {scan, count, columns, kind, levels, grown, shape: scan.grey.shape, grey: (level) => low + step * level};
  };
  const draw = () => {
    const {scan, grown, levels, kind} = now, steps = STEPS[chosen.value], least = areas[threshold.value];
    threshold.input.disabled = steps === "B";
    const pruned = prune(grown, least, steps), taken = reconstruct(grown, pruned.fate);
    Object.assign(now, {least, steps, fate: pruned.fate, taken, after: taken.map((p) => levels[p])});
    const change = Float32Array.from(now.after, (level, p) => now.grey(level) - now.grey(levels[p]));
    const mean = (of) => 100 * change.reduce((sum, one) => sum + of(one), 0) / change.length;
    const [darker, brighter] = changes.map(ui.rgb);
    const map = (at) => (at < 0.5 ? darker : brighter).map((c) => 245 + (c - 245) * Math.min(Math.abs(2 * at - 1), 1));
    now.change = {values: {shape: now.shape, values: change}, low: -limit, high: limit, map};
    shown[1].name.textContent = `${kind === "max" ? "Max" : "Min"}-tree, ${steps}`;
    shown[0].text.textContent = scan.words;
    shown[1].text.textContent = `${mean((one) => one !== 0).toFixed(1)}\u00a0% of pixels changed`;
    const inside = scan.organ ? [...change].filter((_, p) => scan.organ.values[p]) : [];
    const organ = inside.length ? `, in the organ ${(inside.reduce((sum, one) => sum + Math.abs(one), 0) / inside.length / 2.55).toFixed(2)}\u00a0%` : "";
    shown[2].text.textContent = `mean change: ${(mean(Math.abs) / 255).toFixed(2)}\u00a0%${organ}`;
    const after = [steps === "B" ? "" : ` → ${pruned.large} after A`, steps === "A" ? "" : ` → ${pruned.left} after B`];
    counted.textContent = `Nodes: ${grown.nodes.length}${after.join("")}.`;
    paint();
    drawFlood();
  };
  const paint = (outlines = []) => {
    const line = (area) => area ? [{label: area, lines: ["#fff"], width: 1.6, halo: "#000"}] : [];
    const {organ} = now.scan, border = organ && outlined.value ? [{label: organ, lines: ["#F0E442"], width: 1.2, halo: "#0008"}] : [];
    shown[0].picture.draw([greyOf(now.levels), ...border, ...line(outlines[0])]);
    shown[1].picture.draw([greyOf(now.after), ...border, ...line(outlines[1])]);
    shown[2].picture.draw([now.change, ...line(outlines[0])]);
  };
  const drawFlood = () => {
    const {grown, fate, columns, kind, shape} = now, found = flood(grown, level.value), hatched = new Path2D();
    const kept = data.kept.length, apart = Math.max(2, Math.round(Math.max(...shape) / 24));
    const areas = label((p) => found[p] < 0 ? 0 : fate[found[p]] === 1 ? kept + 1 : 1 + grown.summit[found[p]] % kept);
    found.forEach((node, p) => {
      const i = Math.floor(p / columns), j = p % columns;
      if (node >= 0 && fate[node] === 2 && (i + j) % apart === 0) { hatched.moveTo(j, i + 1); hatched.lineTo(j + 1, i); }
    });
    const counts = [0, 0, 0];
    now.found = found;
    for (const node of new Set(found)) if (node >= 0) counts[fate[node]]++;
    shown[3].picture.draw([greyOf(now.levels),
      {label: areas, colours: [...data.kept, data.small], alpha: 0.75}, {path: hatched, line: "#000", width: 1}]);
    const words = ["kept", "too small", counts[2] > 1 ? "only children" : "only child"].map((word, k) => counts[k] ? `${counts[k]} ${word}` : "").filter(Boolean);
    shown[3].name.textContent = `flooding: level ${kind === "max" ? "≥" : "≤"} ${level.value}`;
    shown[3].text.textContent = words.join(" · ") || "no component";
    shown[3].picture.say(`Components ${kind === "max" ? "at or above" : "at or below"} level ${level.value}: ${words.join(", ")}`);
  };
  // Pointing at a pixel shows its node, and the node whose level it takes; in the flooding view, the component there.
  const FATES = ["kept", "smaller than T, removed", "only child, removed"];
  const hover = (flooding) => (i, j) => {
    if (i === undefined) { said.textContent = hint; return paint(); }
    const {grown, levels, fate, taken} = now, at = i * now.columns + j;
    const node = flooding ? now.found[at] : grown.isNode(at) ? at : grown.parent[at];
    if (node < 0) { said.textContent = "Outside the components of this level."; return paint(); }
    paint([node, taken[node]].map((one) => { const area = flood(grown, levels[one]); return label((p) => area[p] === one); }));
    said.textContent = (flooding ? `A node of level ${levels[node]}` : `Level ${levels[at]} before, ${levels[taken[node]]} after. Its node`)
      + `: ${grown.area[node]} pixels, ${FATES[fate[node]]}`
      + (fate[node] ? `; it takes level ${levels[taken[node]]} from a node of ${grown.area[taken[node]]}.` : ".");
  };
  const rebuild = () => {
    const old = shown;
    shown = makePictures(scans[which.value]);
    old.forEach(({box}, k) => box.replaceWith(shown[k].box));
    again();
  };
  const again = () => {
    const share = level ? level.value / level.input.max : 0.6;
    compute();
    if (Number(level.input.max) !== now.count - 1) water(share);
    draw();
  };
  // The slider over the levels and its button; new ones for another number of levels.
  let level = null;
  const water = (share) => {
    const end = COUNTS[counts.value] - 1;
    level = ui.slider({label: "flood to level", max: end, value: Math.round(share * end)}, drawFlood);
    flooded.replaceChildren(level.row, ui.player(level, drawFlood, Math.max(60, 6000 / end)));
  };

  const which = ui.choice({label: "scan", options: scans.map(({name}) => name)}, rebuild);
  const tree = ui.choice({label: "tree", options: ["Max-tree", "Min-tree"]}, again);
  const chosen = ui.choice({label: "steps", options: ["A: small ones", "B: only children", "A, then B"], value: 2}, draw);
  const threshold = ui.slider({label: "area threshold T", texts: areas.map(String), value: areas.indexOf(data.area)}, draw);
  const counts = ui.slider({label: "grey levels", texts: COUNTS.map(String), value: 5}, again);
  const touching = ui.choice({label: "pixels touch by", options: ["sides", "corners"], value: 1}, again);
  const outlined = ui.tick({label: "outline of the labelled organ"}, () => paint());
  const flooded = ui.element("div", {class: "wide"}), counted = ui.line(), said = ui.line(false);
  said.style.minHeight = "3em";
  const hint = "Point at a pixel to see its node.";
  said.textContent = hint;
  shown = makePictures(scans[0]);
  water(0.6);
  const controls = ui.element("div", {class: "controls"}, which.row, tree.row, chosen.row, threshold.row, counts.row, touching.row, ...(scans.some(({organ}) => organ) ? [outlined.row] : []), flooded, counted, said);
  stage.append(
    ui.element("div", {class: "pictures", style: "--columns:3"}, ...shown.map(({box}) => box), controls),
    ui.legend([[changes[0], "darker, by 25 % of the grey range or more"], [changes[1], "brighter"],
      [data.kept[0], "component, kept (several colours)"], [data.small, "smaller than T: removed by A"], [data.kept[0], "only child: removed by B", "hatched"]]));
  stage.addEventListener("shown", again);
};
Object.assign(kinds.max_tree, {toLevels, grow, prune, reconstruct, flood});
