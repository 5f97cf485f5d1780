kinds.wipe = (stage, data, ui) => {
  const {scans, maps, names, colours} = data;
  const truth = maps.length - 1;
  const stack = ui.element("div", {class: "wipe"});
  const tags = [0, 1].map(() => ui.element("span", {class: "tag"}));
  const handle = ui.element("span", {class: "handle", "aria-hidden": "true"});
  let pictures = [];

  // Two pictures on top of each other; the second one is cut off left of the handle.
  const build = () => {
    const {grey, aspect} = scans[scan.value], [rows, columns] = grey.shape;
    pictures = [0, 1].map(() => ui.picture({rows, columns, aspect, alt: ""}));
    stack.replaceChildren(...pictures.map(({canvas}) => canvas), handle, ...tags);
    draw();
  };
  const draw = () => {
    const {grey, maps: labels, dice} = scans[scan.value], at = place.value;
    [left.value, right.value].forEach((chosen, side) => {
      const label = ui.slice(labels, chosen), known = ui.slice(labels, truth);
      const white = outline.value && chosen !== truth
        ? [{label: known, lines: colours.map(() => "#fff"), width: 0.8, halo: "#0008"}] : [];
      pictures[side].draw([{grey}, {label, colours, alpha: 0.45}, {label, lines: colours, width: 1}, ...white]);
      const score = chosen === truth ? "" : `: ${dice[chosen].toFixed(2)}`;
      tags[side].textContent = maps[chosen] + score;
      pictures[side].say(`${side ? "right" : "left"}: ${maps[chosen]}${score}`);
    });
    pictures[1].canvas.style.clipPath = `inset(0 0 0 ${at}%)`;
    handle.style.left = `${at}%`;
    tags[0].style.visibility = at < 12 ? "hidden" : "visible";
    tags[1].style.visibility = at > 88 ? "hidden" : "visible";
    line.textContent = `${scans[scan.value].words}${scans[scan.value].slice ? `, ${scans[scan.value].slice}` : ""}; the numbers are Dice of this scan${outline.value ? "; white: the expert's outline" : ""}.`;
  };
  const move = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    if (event.type === "pointerdown") stack.setPointerCapture(event.pointerId);
    const box = stack.getBoundingClientRect();
    place.value = Math.min(Math.max(Math.round(100 * (event.clientX - box.left) / box.width), 0), 100);
    draw();
  };
  ["pointerdown", "pointermove"].forEach((kind) => stack.addEventListener(kind, move));

  const place = ui.slider({label: "handle", max: 100, value: 50, words: (v) => `${v}\u00a0%`}, draw);
  const left = ui.choice({label: "left", options: maps, value: 0}, draw);
  const right = ui.choice({label: "right", options: maps, value: Math.min(1, truth)}, draw);
  const scan = ui.choice({label: "test scan", options: scans.map(({words}) => words)}, build);
  const outline = ui.tick({label: "the expert's outline in white"}, draw);
  const line = ui.line();
  stage.append(stack, ui.legend(colours.map((colour, k) => [colour, names[k + 1]])), line,
    ui.element("div", {class: "controls"}, place.row, scan.row),
    ui.element("details", {}, ui.element("summary", {}, "More"), ui.element("div", {class: "controls"}, left.row, right.row, outline.row)));
  build();
  stage.addEventListener("shown", draw);
};
