// A table that sorts and filters; `table` says which columns are numbers, and how many rows are drawn.
// Records of a CSV, its head first; null for nothing, which is not the empty text "".
function read(csv) {
  const records = [[]];
  for (const [, quoted, bare, end] of csv.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))([,\n])/g)) {
    records.at(-1).push(quoted?.replaceAll('""', '"') ?? (bare || null));
    if (end === "\n") records.push([]);
  }
  return records.slice(0, -1);
}
// Numbers as numbers; texts without the apostrophe by which a spreadsheet takes them for texts.
const valueOf = (text, column) => text === null ? null :
  table.numbers.includes(column) ? Number(text) : text.replace(/^'(?=[=+\-@\t\r])/, "");
const csv = await unpacked(), [columns, ...records] = read(csv);
const rows = records.map(record => record.map((text, column) => valueOf(text, columns[column])));
const body = document.querySelector("tbody"), state = {column: null, up: true};
const show = value => value === null ? "" :
  typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : String(value);
function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return state.up ? order : -order;
}
function draw() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/);
  const found = rows.filter(row => {
    const text = row.map(show).join(" ").toLowerCase();
    return words.every(word => text.includes(word));
  });
  if (state.column !== null)
    found.sort((a, b) => compare(a[state.column], b[state.column]));
  document.getElementById("count").textContent =
    `${Math.min(found.length, table.limit)} / ${found.length}`;
  body.replaceChildren(...found.slice(0, table.limit).map(row => {
    const line = document.createElement("tr");
    row.forEach(value => {
      const cell = document.createElement("td");
      cell.textContent = show(value);
      if (typeof value === "number") cell.className = "number";
      line.append(cell);
    });
    return line;
  }));
}
document.querySelectorAll("th").forEach((head, column) => {
  head.querySelector("button").addEventListener("click", () => {
    state.up = state.column === column ? !state.up : true;
    state.column = column;
    document.querySelectorAll("th").forEach(th => th.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", state.up ? "ascending" : "descending");
    draw();
  });
});
document.getElementById("filter").addEventListener("input", draw);
document.querySelector("a[download]").href = URL.createObjectURL(new Blob([csv], {type: "text/csv"}));
draw();
