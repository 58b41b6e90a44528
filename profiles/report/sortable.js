// Tables of class "sortable" sort by their headings and are filtered by the field above them.
// Without this script they are plain tables, and the field stays hidden.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];

  const number = (text) => (text === "∞" ? Infinity : parseFloat(text));
  const sort = (column, sign) => {
    const numeric = heads[column].classList.contains("number");
    const rows = [...body.rows].map((row) => [row, row.cells[column].textContent]);
    const known = rows.filter(([, text]) => text !== "–");
    const order = new Intl.Collator("en", { numeric: true });
    known.sort(([, a], [, b]) =>
      sign * (numeric ? (number(a) > number(b)) - (number(a) < number(b)) : order.compare(a, b)));
    body.append(...[...known, ...rows.filter(([, text]) => text === "–")].map(([row]) => row));
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = head.ariaSort === "ascending" ? "descending" : "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.ariaSort = order;
      sort(column, order === "ascending" ? 1 : -1);
    });
  });

  const field = document.getElementById("filter");
  const count = document.getElementById("count");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${body.rows.length} shown`;
  });
  field.parentElement.hidden = false;
}
