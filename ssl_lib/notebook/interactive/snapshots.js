kinds.snapshots = (stage, data, ui) => {
  const {grey, truth, aspect, rows, names, colours, judged} = data;
  const [height, width] = grey.shape, WORDS = ["right", "wrong, unsure", "confidently wrong"];
  // Iterations differ between trainings: one slider over all of them, each row shows its last one.
  const times = [...new Set(rows.flatMap((row) => row.iterations))].sort((a, b) => a - b);
  const placeAt = (row, time) => row.iterations.findLastIndex((iteration) => iteration <= time);

  const judge = (row, place, sure) =>
    ui.judge(ui.slice(row.label, filter.value, place), ui.slice(row.confidence, place), truth, sure);

  const shown = rows.map((row) => {
    const picture = ui.picture({rows: height, columns: width, aspect, alt: ""});
    const text = ui.element("small");
    const chart = ui.svg("svg", {viewBox: "0 0 220 110", role: "img"});
    picture.hover((i, j) => hover(row, i, j));
    return {row, picture, text, chart, box: ui.titled(row.name, picture, text, chart)};
  });
  const truthShown = ui.picture({rows: height, columns: width, aspect, alt: "The slice with the truth."});
  const truthBox = ui.titled("truth", truthShown, ui.element("small", {}, data.words));

  const X = (time) => 34 + 178 * (time - times[0]) / (times.at(-1) - times[0] || 1), Y = (share) => 84 - 76 * share;
  const drawChart = ({row, chart}, sure, now) => {
    const curves = row.iterations.map((_, place) => judge(row, place, sure).shares);
    chart.setAttribute("aria-label", `${row.name}: shares of right, unsure wrong and confidently wrong pixels over training`);
    chart.replaceChildren(
      ...[0, 0.5, 1].flatMap((share) => [
        ui.svg("line", {class: "axis", x1: 34, x2: 212, y1: Y(share), y2: Y(share)}),
        ui.svg("text", {x: 28, y: Y(share) + 4, "text-anchor": "end"}, `${100 * share}`)]),
      ...judged.map((colour, k) => ui.svg("polyline", {class: "curve", style: `--c:${colour}`, "stroke-dasharray": ["", "6 3", "2 3"][k],
        points: curves.map((shares, place) => `${X(row.iterations[place])},${Y(shares[k])}`).join(" ")})),
      ui.svg("line", {x1: X(now), x2: X(now), y1: 4, y2: 88, stroke: "currentColor", "stroke-width": 1.5}),
      ui.svg("text", {x: 123, y: 105, "text-anchor": "middle"}, "% of pixels, by iteration"));
  };

  const draw = () => {
    const time = times[moved.value], sure = confident.value / 100;
    truthShown.draw([{grey}, {label: truth, colours, alpha: 0.25}, {label: truth, lines: colours}]);
    for (const one of shown) {
      const place = Math.max(placeAt(one.row, time), 0), {verdict, said: words} = judge(one.row, place, sure);
      const label = ui.slice(one.row.label, filter.value, place);
      one.picture.draw(look.value === 0
        ? [{grey}, {label: verdict, colours: judged, alpha: 0.6}, {label: truth, lines: colours.map(() => "#fff"), width: 1.2, halo: "#000a"}]
        : [{grey}, {label, colours, alpha: 0.4}, {label, lines: colours, dash: [5, 2.5]}, {label: truth, lines: colours.map(() => "#fff"), width: 1.2, halo: "#000a"}]);
      const plain = ui.slice(one.row.label, 0, place).values, changed = label.values.filter((k, i) => k !== plain[i]).length;
      one.text.textContent = filter.value ? `${words} · the filter changes ${changed} pixel${changed === 1 ? "" : "s"}` : words;
      one.picture.say(`${one.row.name} at iteration ${one.row.iterations[place]}: ${words}`);
      drawChart(one, sure, one.row.iterations[place]);
    }
    key.replaceChildren(...(look.value === 0
      ? ui.legend(judged.map((colour, k) => [colour, WORDS[k]]).concat([["#fff", "truth", "white"]]))
      : ui.legend(colours.map((colour, k) => [colour, names[k + 1]]).concat([["#fff", "truth", "white"]]))).children);
  };
  const hover = (row, i, j) => {
    if (i === undefined) { said.textContent = hint; return; }
    const at = i * width + j, place = Math.max(placeAt(row, times[moved.value]), 0);
    const label = ui.slice(row.label, filter.value, place).values[at], sure = ui.slice(row.confidence, place).values[at];
    said.textContent = `${row.name}: ${names[label]}, ${Math.round(100 * sure)}\u00a0% sure; truth: ${names[truth.values[at]]}`;
  };

  const moved = ui.slider({label: "iteration", texts: times.map(String), value: times.length - 1}, draw);
  const confident = ui.slider({label: "confident from", min: 50, max: 99, value: 90, words: (v) => `${v}\u00a0%`}, draw);
  const look = ui.choice({label: "colours show", options: ["right and wrong", "classes"]}, draw);
  const filter = ui.choice({label: "filter", options: data.filters}, draw);
  const key = ui.element("ul", {class: "legend"}), said = ui.line(false);
  const hint = "Shares are of the pixels that truth or prediction calls organ. Point at a pixel to read it.";
  said.textContent = hint;
  const pictures = ui.element("div", {class: "pictures", style: `--columns:${rows.length + 1}`}, truthBox, ...shown.map(({box}) => box));
  stage.append(pictures, key, said, ui.element("div", {class: "controls"},
    ui.element("div", {class: "wide"}, moved.row, ui.player(moved, draw)), confident.row, look.row, ...(data.filters.length > 1 ? [filter.row] : [])));
  stage.addEventListener("shown", draw);
};
