// Tables with a column of numbers are sorted by their headings: up, down, and back as they were.
document.querySelectorAll("table").forEach((table) => {
  if (table.closest(".ssl-piece")) return; // part of an interactive figure
  const body = table.tBodies[0];
  const rows = body ? Array.from(body.rows) : [];
  const headings = table.tHead ? Array.from(table.tHead.rows[0].cells) : [];
  const regular = [table.tHead?.rows[0], ...rows].every((row) =>
    row && row.cells.length === headings.length && Array.from(row.cells).every((cell) => cell.colSpan * cell.rowSpan === 1));
  if (rows.length < 3 || table.tHead?.rows.length !== 1 || !regular) return;

  const text = (row, column) => row.cells[column].textContent.trim();
  const missing = (value) => ["", "-", "–", "—"].includes(value) || /^n(an|\/a|one)$/i.test(value);
  const number = (value) => {
    const found = value.replace(/−/g, "-").replace(/(\d),(?=\d{3})/g, "$1").match(/^[<>≤≥~±]?\s*([+-]?\d*\.?\d+(e[+-]?\d+)?)(?![\w.])/i);
    return found ? Number(found[1]) : NaN;
  };
  const numeric = headings.map((_, column) => {
    const values = rows.map((row) => text(row, column)).filter((value) => !missing(value));
    return values.length > 1 && values.every((value) => !Number.isNaN(number(value)));
  });
  if (!numeric.some(Boolean)) return;

  const compare = (column, sign) => (one, other) => {
    const values = [text(one, column), text(other, column)], gone = values.map(missing);
    if (gone[0] || gone[1]) return gone[0] - gone[1];
    if (numeric[column]) return sign * (number(values[0]) - number(values[1]));
    return sign * values[0].localeCompare(values[1], "en", {numeric: true});
  };

  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.title = "Sort by this column";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const next = {ascending: "descending", descending: null}[heading.getAttribute("aria-sort")];
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      const order = next === undefined ? "ascending" : next;
      if (order) heading.setAttribute("aria-sort", order);
      body.append(...(order ? [...rows].sort(compare(column, order === "ascending" ? 1 : -1)) : rows));
    });
  });
});
