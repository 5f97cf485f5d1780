kinds.matching = (stage, data, ui) => {
  const {beside, exhibits, columns, judged} = data, sound = beside[1], {element} = ui;
  const DASHES = ["2 3", "7 3", ""], options = exhibits.map((one) => one.answer).sort();
  const terms = [...new Set([...beside, ...exhibits].flatMap((row) => Object.keys(row.curves)))]
    .sort((a, b) => a.startsWith("validation") - b.startsWith("validation"));
  // What the reader did: the chosen option, the last verdict, the verdict of the first try, answers seen.
  const state = exhibits.map(() => ({chosen: -1, verdict: null, first: null, seen: false}));
  let now = 0;

  const chart = (term) => {
    const rows = [...beside, exhibits[now]].map((row, k) => ({...row, dash: DASHES[k], points: row.curves[term]}));
    const dice = term.startsWith("validation"), last = sound.curves["validation Dice"][0].at(-1);
    return ui.chart({title: term, curves: rows.filter((row) => row.points), x: "iteration", xTicks: [0, data.stage, last],
      zero: !dice, log: scale.value && !dice, stage: data.stage, now: moved ? times[moved.value] : undefined});
  };

  // --- snapshots

  const followed = [sound, ...exhibits].filter((row) => row.snapshots);
  const times = [...new Set(followed.flatMap((row) => row.snapshots.iterations))].sort((a, b) => a - b);
  for (const row of followed) {
    const [rows, width] = row.snapshots.grey.shape;
    row.picture = ui.picture({rows, columns: width, aspect: row.snapshots.aspect, alt: ""});
    row.said = element("small");
    const same = row === sound || row.snapshots.grey.values.every((value, i) => value === sound.snapshots?.grey.values[i]);
    row.box = ui.titled(same ? row.name : `${row.name} (another scan: compare no shares)`, row.picture, row.said, element("small", {}, row.snapshots.words));
  }
  const drawSnapshot = (row) => {
    const {snapshots} = row, place = Math.max(snapshots.iterations.findLastIndex((time) => time <= times[moved.value]), 0);
    const found = ui.judge(ui.slice(snapshots.label, place), ui.slice(snapshots.sure, place), snapshots.truth, 1);
    row.picture.draw([{grey: snapshots.grey}, {label: found.verdict, colours: judged, alpha: 0.6},
      {label: snapshots.truth, lines: snapshots.colours.map(() => "#fff"), width: 1.2, halo: "#000a"}]);
    row.said.textContent = found.said;
    row.picture.say(`${row.name} at iteration ${snapshots.iterations[place]}: ${found.said}`);
  };

  // --- what is drawn, and what the reader does

  const NUMBER = {class: "number", style: "white-space:nowrap"};
  const numbers = () => element("table", {},
    element("thead", {}, element("tr", {}, ...["", "Mean teacher", exhibits[now].letter].map((text) => element(text ? "th" : "td", text ? {scope: "col", class: "number"} : {}, text)))),
    element("tbody", {}, ...columns.map((name, k) => element("tr", {}, element("th", {scope: "row"}, name),
      element("td", NUMBER, sound.numbers[k]), element("td", NUMBER, exhibits[now].numbers[k])))));
  const answer = (one) => [element("p", {}, element("strong", {}, `Exhibit ${one.letter}: ${one.answer}. `), one.because),
    element("pre", {style: "white-space:pre-wrap;overflow-wrap:anywhere"}, one.lines.map((text, k) => `${"-+"[k]} ${text}`).join("\n")),
    element("p", {}, `Found by the test “${one.found}”.`)];
  const MARKS = {right: "✓", wrong: "✗", chosen: "?", seen: "–"};
  const standing = ({chosen, verdict, seen}) => seen ? "seen" : verdict !== null ? (verdict ? "right" : "wrong") : chosen >= 0 ? "chosen" : "";
  const WORDS = {right: ", right", wrong: ", not right", chosen: ", chosen, not checked", seen: ", answer shown", "": ""};

  const draw = () => {
    exhibits.forEach(({letter}, k) => {
      const at = standing(state[k]);
      letters[k].textContent = `${letter} ${MARKS[at] ?? ""}`.trim();
      letters[k].setAttribute("aria-label", `exhibit ${letter}${WORDS[at]}`);
      letters[k].setAttribute("aria-pressed", k === now);
      letters[k].tabIndex = k === now ? 0 : -1;
    });
    charts.replaceChildren(...terms.map(chart));
    table.replaceChildren(numbers());
    if (moved) {
      pictures.replaceChildren(...[sound, exhibits[now]].filter((row) => row.snapshots).map((row) => row.box));
      [sound, exhibits[now]].filter((row) => row.snapshots).forEach(drawSnapshot);
    }
    key.replaceChildren(...ui.legend([...beside, exhibits[now]].map((row, k) => [row.colour, row.name, ["dotted", "dashed", "line"][k]])).children);
    pick.row.firstChild.textContent = `defect of ${exhibits[now].letter}`;
    pick.value = state[now].chosen + 1;
    [...pick.input.options].slice(1).forEach((option, k) => {
      const taken = exhibits.filter((_, other) => other !== now && state[other].chosen === k).map((one) => one.letter);
      option.textContent = options[k] + (taken.length ? ` (chosen for ${taken.join(", ")})` : "");
    });
    told.replaceChildren(...(state[now].seen ? answer(exhibits[now]) : []));
    const tried = state.filter((one) => one.first !== null);
    score.textContent = `Right at the first try: ${tried.filter((one) => one.first).length}; tried: ${tried.length} of ${exhibits.length}`;
  };
  const check = () => {
    const judgedNow = state.map((one, k) => [one, exhibits[k]]).filter(([one]) => one.chosen >= 0 && !one.seen);
    for (const [one, {answer: right}] of judgedNow) {
      one.verdict = options[one.chosen] === right;
      one.first ??= one.verdict;
    }
    const named = (wanted) => judgedNow.filter(([one]) => one.verdict === wanted).map(([, exhibit]) => exhibit);
    const right = named(true), wrong = named(false), list = (some) => some.map((one) => one.letter).join(", ");
    said.textContent = !judgedNow.length ? "Choose a defect for at least one exhibit first."
      : `${right.length} of ${judgedNow.length} right${right.length ? `: ${list(right)}` : ""}.${wrong.length ? ` Look again at ${list(wrong)}:` : ""}`;
    hints.replaceChildren(...wrong.map((one) => element("li", {}, element("strong", {}, `${one.letter}: `), one.hint)));
    draw();
  };
  const reveal = () => {
    state[now].first ??= false;
    state[now].seen = true;
    said.textContent = "";
    hints.replaceChildren();
    draw();
  };

  const go = (k) => { now = (k + exhibits.length) % exhibits.length; draw(); };
  const letters = exhibits.map(({letter}, k) => ui.button(letter, () => go(k)));
  const row = element("div", {role: "toolbar", "aria-label": "exhibit", style: "display:flex;flex-wrap:wrap;gap:.3rem", "data-lm-suppress-shortcuts": "true"}, ...letters);
  letters.forEach((one) => { one.style.cssText = "min-width:3.2rem;padding-inline:.3rem"; });
  row.addEventListener("keydown", (event) => {
    const to = {ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: exhibits.length - 1}[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
    letters[now].focus();
  });
  const scale = ui.tick({label: "logarithmic losses", checked: false}, draw);
  const moved = followed.length ? ui.slider({label: "snapshot at iteration", texts: times.map(String), value: times.length - 1}, draw) : null;
  const pick = ui.choice({label: "defect of A", options: ["choose one", ...options]}, (place) => {
    Object.assign(state[now], {chosen: place - 1, verdict: null});
    draw();
  });
  const box = (style) => element("div", {style}), charts = box("display:grid;gap:.4rem;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));margin-top:.6rem");
  const pictures = element("div", {class: "pictures", style: "--columns:2;flex:2 1 20rem"}), table = box("flex:1 1 12rem");
  const key = element("ul", {class: "legend"}), said = ui.line(), told = box(""), score = element("span"), hints = element("ul");
  told.setAttribute("aria-live", "polite");
  stage.append(row, charts, element("div", {class: "wide"}, key, scale.row),
    element("div", {style: "display:flex;flex-wrap:wrap;gap:.4rem 1rem;margin-top:.6rem"}, ...(moved ? [pictures] : []), table),
    ...(moved ? [ui.legend(judged.map((colour, k) => [colour, ["right", "wrong, unsure", "confidently wrong"][k]]).concat([["#fff", "truth", "white"]])),
      element("div", {class: "controls"}, element("div", {class: "wide"}, moved.row, ui.player(moved, draw)))] : []),
    element("div", {class: "controls"}, element("div", {class: "wide"}, pick.row),
      element("div", {class: "wide"}, ui.button("Check", check), ui.button("Show the answer", reveal), score)),
    said, hints, told);
  stage.addEventListener("shown", draw);
};
