kinds.scans = (stage, data, ui) => {
  const {scans, rows, ticks, digits = 2, colours, judged, far} = data, BAND = 56, EDGE = 12, INK = "currentColor", MIDDLE = {"text-anchor": "middle"}, {svg} = ui;
  let scan, width = 0, dots = [], labels = [], views = [], shape = "";

  const number = (value, plus = "") => value === null ? "undefined" : `${value < 0 ? "−" : plus}${Math.abs(value).toFixed(3)}`;
  const scores = ({dice, hd95, unit}, at) => `Dice ${number(dice[at])}${hd95[at] === null ? ", 95HD undefined" : `, 95HD ${hd95[at].toFixed(1)}\u00a0${unit}`}`;
  const difference = (at, rounded = (value) => value) => { // of one scan it is that of the two numbers that stand beside it
    const [one, other] = [mine, theirs].map(({value}) => rows[value].dice[at]).map((value) => value === null ? null : rounded(value));
    return one === null || other === null ? null : one - other;
  };
  const judge = (label, truth) => label.map((found, i) => !found && !truth[i] ? 0 : found === truth[i] ? 1 : 2);

  // --- how far wrong pixels lie from the true border

  // The surface of a class: its pixels with a neighbour outside it, as in the library.
  const surface = ({shape: [height, columns], values}, index) => {
    const found = [], at = (i, j) => i >= 0 && j >= 0 && i < height && j < columns && values[i * columns + j] === index;
    for (let i = 0; i < height; i++) for (let j = 0; j < columns; j++)
      if (at(i, j) && !(at(i - 1, j) && at(i + 1, j) && at(i, j - 1) && at(i, j + 1))) found.push([i, j]);
    return found;
  };
  // Of each wrong pixel the distance to the true surface of its class, in the unit of the pixel's sides:
  // above 0 where the class was predicted outside, 0 or below where it was missed, infinite where the
  // slice's truth does not have it. NaN where the label is right.
  const errors = (label, {truth, pixel: [down, right]}) => {
    const surfaces = colours.map((_, k) => surface(truth, k + 1)), columns = truth.shape[1];
    return Float32Array.from(label.values, (found, at) => {
      const real = truth.values[at], i = Math.floor(at / columns), j = at % columns;
      if (found === real) return NaN;
      let least = Infinity;
      for (const [y, x] of surfaces[(found || real) - 1]) least = Math.min(least, ((y - i) * down) ** 2 + ((x - j) * right) ** 2);
      return found ? Math.sqrt(least) : -Math.sqrt(least);
    });
  };
  const stops = far?.map.map(ui.rgb);
  const shade = (distance) => {
    if (Number.isNaN(distance)) return null;
    if (!Number.isFinite(distance)) return ui.rgb(far.none);
    const part = Math.min(Math.abs(distance) / far.clip, 1), [near, end] = distance > 0 ? [stops[2], stops[3]] : [stops[1], stops[0]];
    return near.map((value, c) => value + part * (end[c] - value));
  };
  const farWords = (values, unit) => {
    const wrong = values.filter((value) => !Number.isNaN(value)), known = wrong.filter(Number.isFinite).map(Math.abs).sort();
    if (!wrong.length) return "no wrong pixel";
    const more = wrong.length - known.length, none = more ? `${more} of no class of the slice` : "";
    if (!known.length) return none;
    return `wrong pixels: median ${known[(known.length - 1) >> 1].toFixed(1)}, farthest ${known.at(-1).toFixed(1)} ${unit}${none && `; ${none}`}`;
  };

  // --- the dots

  const chart = svg("svg", {tabindex: 0, role: "application", "aria-label": data.keys, "data-lm-suppress-shortcuts": "true",
    style: "cursor:pointer;touch-action:pan-y"});
  const text = (x, y, words, more) => svg("text", {x, y, class: "above", style: "font-size:12px", ...more}, words);
  const circle = (r) => svg("circle", {r, fill: "none", stroke: INK});
  const move = (shown, {x, y}, size = 1) => { shown.setAttribute("transform", `translate(${x} ${y}) scale(${size})`); return shown; };
  const X = (dice) => EDGE + (width - 2 * EDGE) * (dice - ticks[0]) / (ticks.at(-1) - ticks[0]);
  // Dots of a row that would cover each other lie in three lanes.
  const placed = ({order, dice}, r) => {
    const ends = [-99, -99, -99];
    return order.map((at) => {
      const x = X(dice[at]), free = ends.findIndex((end) => x - end >= 9);
      const lane = free < 0 ? ends.indexOf(Math.min(...ends)) : free;
      ends[lane] = x;
      return {r, at, x, y: r * BAND + 22 + 7 * lane};
    });
  };
  const mark = (dot) => move(svg("path", {d: rows[dot.r].mark, class: `row ${rows[dot.r].look}`,
    style: `--c:${rows[dot.r].colour};--dark:${rows[dot.r].dark};stroke-width:.35px`, opacity: dot.at === scan ? 1 : 0.65}), dot, dot.at === scan ? 5 : 3.6);
  const drawMean = ({mean: [mean, low = mean, high = mean]}, r) => mean === undefined ? [] : [
    svg("path", {fill: INK, transform: `translate(0 ${r * BAND + 47})`, d: `M${X(mean) - 6} 0l6-6l6 6l-6 6ZM${X(low)}-1.2H${X(high)}v2.4H${X(low)}Z`}),
    text(X(high) + 60 < width ? X(high) + 10 : X(low) - 45, r * BAND + 51, number(mean))];
  const ring = circle(7), chosen = circle(9);
  const wide = () => Math.max(chart.getBoundingClientRect().width, 240);
  const drawChart = () => {
    width = wide();
    const foot = rows.length * BAND;
    dots = rows.flatMap(placed);
    const same = dots.filter(({at}) => at === scan), own = same.find(({r}) => r === mine.value);
    labels = rows.map((_, r) => [text(EDGE, r * BAND + 12, "", [mine.value, theirs.value].includes(r) ? {style: "font:bold 12px system-ui"} : {}),
      text(width - EDGE, r * BAND + 12, "", {"text-anchor": "end"})]);
    chart.setAttribute("viewBox", `0 0 ${width} ${foot + 34}`);
    chart.replaceChildren(
      svg("rect", {y: mine.value * BAND - 2, width, height: BAND, fill: INK, opacity: 0.08}),
      ...ticks.flatMap((dice) => [svg("rect", {x: X(dice), width: 1, height: foot, fill: INK, opacity: 0.15}), text(X(dice), foot + 14, dice.toFixed(digits), MIDDLE)]),
      text(width / 2, foot + 31, "Dice", MIDDLE),
      svg("polyline", {points: same.map(({x, y}) => `${x},${y}`).join(" "), fill: "none", stroke: INK}), ...labels.flat(),
      ...rows.flatMap(drawMean), ...dots.map(mark), ring, ...(own ? [move(chosen, own)] : []));
    hover();
  };
  const near = (event) => {
    const box = chart.getBoundingClientRect(), far = ({x, y}) => Math.hypot(event.clientX - box.left - x, event.clientY - box.top - y);
    return dots.filter((dot) => far(dot) < 22).sort((a, b) => far(a) - far(b))[0];
  };
  const hover = (dot) => {
    labels.forEach(([name, said], r) => {
      const row = rows[r], here = dot?.r === r;
      name.textContent = here && width < 480 ? "" : row.name;
      said.textContent = here ? `${scans[dot.at].name}: ${scores(row, dot.at)}` : "";
    });
    ring.setAttribute("visibility", dot ? "visible" : "hidden");
    if (dot) move(ring, dot);
  };

  // --- the scan

  const holder = ui.element("div", {class: "pictures", style: "--columns:3;margin-top:.7rem"});
  const makeViews = ({grey: {shape: [height, columns]}, aspect}) => {
    if (shape === (shape = `${height} ${columns} ${aspect}`)) return;
    views = [0, 1, 2].map(() => {
      const picture = ui.picture({rows: height, columns, aspect, alt: ""}), box = ui.titled("", picture, ui.element("small"));
      return {box, show: (layers, name, words) => {
        picture.draw(layers);
        picture.say(`${name}: ${words}`);
        [box.firstChild.textContent, box.lastChild.textContent] = [name, words];
      }};
    });
    holder.replaceChildren(...views.map(({box}) => box));
  };
  // A scan at the slice that the slider shows, or at the only one that is there.
  const shownSlice = () => {
    const one = scans[scan], {whole} = one, at = depth.value;
    if (!whole) return one;
    const [rows, columns] = one.grey.shape, [height, count] = [whole.words.length, whole.maps.shape[0]];
    const maps = Array.from({length: count}, (_, k) => ui.slice(whole.maps, k, at).values);
    return {...one, words: whole.words[at], truth: ui.slice(whole.truth, at), grey: ui.slice({...whole.grey, shape: [height, rows, columns]}, at),
      maps: {shape: [count, rows, columns], values: Uint8Array.from(maps.flatMap((values) => [...values]))}};
  };
  // The slider starts at the slice that a scan without others shows.
  const setDepth = () => {
    const {whole, words} = scans[scan];
    depth.row.style.visibility = whole ? "" : "hidden";
    depth.input.max = whole ? whole.words.length - 1 : 1;
    depth.value = whole ? whole.words.indexOf(words) : 0;
  };
  const drawScan = () => {
    const one = shownSlice(), {grey, truth, maps, name, words, pixel} = one, place = words ? `${name}, ${words}` : name;
    makeViews(one);
    const white = {label: truth, lines: colours.map(() => "#fff"), width: 1.2, halo: "#000a"};
    const [own, other] = [mine, theirs].map(({value}, k) => {
      const row = rows[value], label = ui.slice(maps, value), verdict = {...label, values: judge(label.values, truth.values)};
      if (look.value === 2) {
        const wrong = errors(label, {truth, pixel});
        views[k].show([{grey}, {values: {values: wrong}, low: 0, high: 1, map: shade, alpha: 0.85}, {...white, width: 0.8, halo: null}], row.name, farWords(wrong, row.unit));
      } else views[k].show(look.value ? [{grey}, {label, colours, alpha: 0.4}, {label, lines: colours, dash: [5, 2.5]}, white]
        : [{grey}, {label: verdict, colours: judged, alpha: 0.6}, white], row.name, scores(row, scan));
      return `${row.name}: Dice ${number(row.dice[scan])}`;
    });
    views[2].show([{grey}, {label: truth, colours, alpha: 0.25}, {label: truth, lines: colours}], "Truth", place);
    const entries = look.value === 2 ? [[far.none, "predicted class is not in the slice's truth"]] : look.value ? colours.map((colour, k) => [colour, data.names[k + 1]]) : [[judged[0], "right"], [judged[1], "wrong"]];
    scale.hidden = look.value !== 2;
    if (!scale.hidden) note.textContent = `Distance within the slice, whose pixels are ${pixel.join(" x ")} ${rows[0].unit}, from a wrong pixel to the `
      + `true border of the class that was predicted there, or missed.${words ? " In the next slice the border may be nearer." : ""}`;
    key.replaceChildren(...ui.legend([...entries, ["#fff", "truth", "white"]]).children);
    const gains = scans.map((_, at) => difference(at)).filter((value) => value !== null), mean = gains.reduce((a, b) => a + b, 0) / gains.length;
    const better = gains.filter((value) => value > 0).length, worse = gains.filter((value) => value < 0).length;
    said.textContent = mine.value === theirs.value ? `${place}. ${own}. Choose another row to compare with.`
      : `${place}. ${own}; ${other}; difference ${number(difference(scan, (value) => Number(value.toFixed(3))), "+")}. ${rows[mine.value].name} is better on ${better} of ${gains.length} scans, worse on ${worse}; mean difference ${number(mean, "+")}.`;
  };
  const draw = () => { drawChart(); drawScan(); };
  const choose = (at, r = mine.value) => { if (scan !== (scan = at ?? 0)) setDepth(); mine.value = r; draw(); };

  chart.addEventListener("keydown", (event) => {
    const [across, down] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key] ?? [];
    if (across === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const {order} = rows[mine.value], row = mine.value + down;
    if (down) choose(scan, row in rows ? row : mine.value);
    else choose(order[order.indexOf(scan) + across] ?? scan);
  });
  chart.addEventListener("pointermove", (event) => hover(near(event)));
  chart.addEventListener("pointerleave", () => hover());
  chart.addEventListener("click", (event) => { const dot = near(event); if (dot) choose(dot.at, dot.r); });

  const list = (label, value) => ui.choice({label, options: rows.map(({name}) => name), value}, draw);
  const mine = list("row", data.chosen), theirs = list("compared with", data.reference);
  const look = ui.choice({label: "colours show", options: ["right and wrong", "classes", ...far ? [`distance in ${rows[0].unit}`] : []]}, draw);
  const depth = ui.slider({label: "slice", max: 1, words: (at) => {
    const {words, whole} = scans[scan ?? 0];
    return (whole ? whole.words[at] : words).replace(/^slice /, "");
  }}, () => drawScan());
  depth.row.hidden = !scans.some(({whole}) => whole);
  const key = ui.element("ul", {class: "legend"}), said = ui.line();
  const ends = (side) => `${side}, ${far.clip} ${rows[0].unit} or more`;
  const note = ui.element("small"), scale = ui.element("div", {style: "margin-top:.5rem"}, note);
  if (far) scale.prepend(ui.bar((part) => shade((2 * part - 1) * far.clip), [ends("missed"), "0", ends("predicted outside")]));
  const button = (label, find) => ui.button(label, () => { choose(find(rows[mine.value].order)); chart.focus({preventScroll: true}); });
  const median = (order) => order[(order.length - 1) >> 1];
  const extreme = (sign) => (order) => [...order].sort((a, b) => sign * ((difference(b) ?? 0) - (difference(a) ?? 0)))[0];
  scan = median(rows[data.chosen].order) ?? 0;
  setDepth();
  stage.append(chart, ui.element("small", {}, data.caption),
    ui.element("div", {class: "controls"}, ui.element("div", {class: "wide", role: "group", "aria-label": "Scans of the row"},
      button("Best", (order) => order.at(-1)), button("Median", median), button("Worst", ([first]) => first),
      button("Highest difference", extreme(1)), button("Lowest difference", extreme(-1)))),
    ui.element("div", {class: "controls"}, mine.row, theirs.row, look.row),
    holder, ui.element("div", {class: "controls"}, ui.element("div", {class: "wide"}, depth.row)), scale, key, said);
  stage.addEventListener("shown", () => {
    draw();
    new ResizeObserver(() => wide() !== width && drawChart()).observe(chart);
  });
};
