kinds.three_views = (stage, data, ui) => {
  const {grey, factors, truth, organs, root, names, colours, views} = data, {element, svg} = ui;
  const shape = truth.shape, voxels = truth.values.length, classes = names.length, each = views.map((_, v) => v);
  const DASHES = [[], [6, 3], [2, 2.5], [8, 2, 2, 2]], MARK = "#F0E442";
  const called = (v) => `view ${v + 1}`, percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}\u00a0%`;

  // --- the method's formulas, at one voxel

  const saysAt = (v, at) => {
    const found = Array.from({length: classes - 1}, (_, k) => organs.values[(v * (classes - 1) + k) * voxels + at]);
    return [Math.max(1 - found.reduce((a, b) => a + b, 0), 0), ...found];
  };
  const uncertaintyAt = (v, at) => scope.value ? data.scan[v] : root.values[v * voxels + at] ** 2;
  const confidenceAt = (v, at) => (uncertaintyAt(v, at) + data.epsilon) ** -power.value;
  const best = (values) => values.indexOf(Math.max(...values));
  // What view `own` is taught: the other views' probabilities, weighted by their confidence.
  const taughtAt = (own, at) => {
    const heard = each.filter((v) => v !== own && teaches[v].value);
    const trust = heard.map((v) => confidenceAt(v, at)), total = trust.reduce((a, b) => a + b, 0);
    const shares = trust.map((c) => c / total), said = heard.map((v) => saysAt(v, at));
    let target = names.map((_, k) => said.reduce((sum, p, i) => sum + shares[i] * p[k], 0));
    if (hard.value && heard.length) target = target.map((_, k) => Number(k === best(target)));
    return {heard, shares, target};
  };

  // --- the whole volume

  const labels = each.map((v) => Uint8Array.from(truth.values, (_, at) => best(saysAt(v, at))));
  const differ = Uint8Array.from(truth.values, (_, at) => Number(labels.some((label) => label[at] !== labels[0][at])));
  const missed = (label) => Uint8Array.from(label, (k, at) => Number(k !== truth.values[at]));
  const count = (mask) => mask.reduce((a, b) => a + b, 0) / data.total;
  const surest = () => Uint8Array.from(truth.values, (_, at) => labels.some((label) => label[at])
    ? 1 + best(each.map((v) => -uncertaintyAt(v, at))) : 0);
  let targets = [], errors = [], sure = [];
  const reckon = () => {
    targets = each.map((own) => Uint8Array.from(truth.values, (_, at) => best(taughtAt(own, at).target)));
    errors = targets.map(missed);
    sure = surest();
    draw();
  };

  // --- slices through the voxel

  const place = [...data.place], number = () => (place[0] * shape[1] + place[1]) * shape[2] + place[2];
  const drawSlice = ({cut, draw: put}) => {
    const [mask, paint] = [[], [differ, [MARK]], [sure, views], ...errors.map((one) => [one, [MARK]])][fill.value];
    put([{grey: cut(grey.values, true)}, ...(mask ? [{label: cut(mask), colours: paint, alpha: 0.55}] : []),
      ...(real.value ? [{label: cut(truth.values), lines: colours.map(() => "#fff"), width: 2.2, halo: "#000a"}] : []),
      ...each.filter((v) => lines.value === 0 || lines.value === v + 1).map((v) =>
        ({label: cut(labels[v]), lines: colours.map(() => views[v]), dash: DASHES[v % 4], width: 2.4, halo: "#fff6"}))]);
  };

  // --- what is said of the voxel

  const bar = (title, values) => {
    const label = `${title}: ${values.map((value, k) => `${names[k]} ${value.toFixed(3)}`).join(", ")}`;
    const made = svg("svg", {viewBox: "0 0 1 1", preserveAspectRatio: "none", role: "img", "aria-label": label,
      style: "flex:1;width:auto;height:1.1rem;min-width:4rem;border:1px solid #888"});
    let x = 0;
    values.forEach((value, k) => {
      made.append(svg("rect", {x, y: 0, width: value, height: 1, fill: k ? colours[k - 1] : "#8885"}));
      x += value;
    });
    return element("div", {style: "display:flex;align-items:center"}, element("span", {style: "flex:0 0 3.6rem;font-size:.88rem"}, title.split(" ")[0]), made);
  };
  const small = (text) => element("small", {style: "font-size:.82rem"}, text), short = (value) => Number(value.toPrecision(3));
  const card = (v) => {
    const at = number(), {heard, shares, target} = taughtAt(v, at);
    return [bar(`says of ${called(v)}`, saysAt(v, at)),
      small(`U ${short(uncertaintyAt(v, at))} · confidence ${short(confidenceAt(v, at))}`),
      ...(heard.length ? [bar(`taught to ${called(v)}`, target), small(heard.map((other, i) => `${percent(shares[i])} ${called(other)}`).join(" · "))]
        : [small("Nobody teaches it.")]),
      small(`wrong voxels: says ${percent(count(missed(labels[v])), 2)}${heard.length ? `, taught ${percent(count(errors[v]), 2)}` : ""}`)];
  };
  const draw = () => {
    volume.slices.forEach(drawSlice);
    cards.forEach((box, v) => box.replaceChildren(...card(v)));
    const at = number();
    said.textContent = `Voxel ${place.map((at) => at + 1).join(", ")}: truth ${names[truth.values[at]]}; ${each.map((v) => `${called(v)} ${names[labels[v][at]]}`).join(", ")}. `
      + `The views disagree in ${percent(count(differ), 1)} of all voxels.`;
  };

  const blind = (axis) => data.across.flatMap((one, v) => one === axis ? [called(v)] : []).join(", ");
  const volume = ui.planes({shape, factors, spacing: data.spacing, place,
    title: (axis) => blind(axis) ? `the slices that ${blind(axis)} sees` : "slice"}, () => draw());
  const lines = ui.choice({label: "outlines of", options: ["all views", ...each.map(called), "no view"]}, draw);
  const fill = ui.choice({label: "colours show", options: ["nothing", "where views disagree", "the surest view", ...each.map((v) => `errors in the target of ${called(v)}`)], value: 1}, draw);
  const power = ui.slider({label: "power γ", max: 2, step: 0.25, value: 1}, reckon);
  const scope = ui.choice({label: "confidence of each", options: ["voxel", "scan"]}, reckon);
  const hard = ui.choice({label: "target", options: ["soft", "hard"]}, reckon);
  const real = ui.tick({label: "outline of the truth (white)", checked: false}, draw);
  const teaches = each.map(() => ui.tick({label: "teaches"}, reckon)), cards = each.map(() => element("div", {style: "display:grid;gap:.1rem"}));
  const said = ui.line();
  const line = (v) => ui.legend([[views[v], called(v), ["line", "dashed", "dotted", "dashed"][v % 4]]]);
  stage.append(volume.row, said,
    element("div", {style: "display:grid;gap:.5rem 1rem;margin-top:.4rem;grid-template-columns:repeat(auto-fit,minmax(12rem,1fr))"},
      ...each.map((v) => element("div", {}, element("div", {class: "wide"}, line(v), teaches[v].row), cards[v]))),
    ui.legend([["#8885", names[0]], ...colours.map((colour, k) => [colour, names[k + 1]])]),
    element("div", {class: "controls"}, ...volume.controls, power.row, scope.row, hard.row, lines.row, fill.row, real.row));
  stage.addEventListener("shown", reckon);
};
