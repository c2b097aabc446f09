// Contents that follow the reader, figures that answer, tables that sort; the page reads without it.
const data = JSON.parse(await unpacked());
const ROWS = 300;  // drawn at a time; sorting, filtering and the download cover the whole table

const links = new Map([...document.querySelectorAll(".contents a[href^='#']")]
  .map(link => [link.hash.slice(1), link]));
const inView = new Set();
const watcher = new IntersectionObserver(entries => {
  entries.forEach(({target, isIntersecting}) => inView[isIntersecting ? "add" : "delete"](target.id));
  const now = [...links.keys()].find(id => inView.has(id));
  if (now) links.forEach((link, id) => id === now ? link.setAttribute("aria-current", "true")
    : link.removeAttribute("aria-current"));
}, {rootMargin: "-5% 0px -70% 0px"});
links.forEach((_, id) => byId(id) && watcher.observe(byId(id)));
if (matchMedia("(max-width: 64rem)").matches) document.querySelector(".contents details").open = false;
addEventListener("beforeprint", () =>
  document.querySelectorAll("main details:not([hidden])").forEach(fold => { fold.open = true; }));

// Figures: one stop of the tab key each, arrow keys from point to point.
const tip = byId("tip");
function tell(point) {
  const box = point.getBoundingClientRect();
  tip.textContent = point.getAttribute("aria-label");
  tip.hidden = false;
  const left = Math.min(box.left + box.width / 2, innerWidth - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 8;
  tip.style.left = `${scrollX + Math.max(8, left)}px`;
  tip.style.top = `${scrollY + (above < 0 ? box.bottom + 8 : above)}px`;
}
function nearest(points, {clientX, clientY}) {
  let best = null, least = 24;
  points.forEach(point => {
    const box = point.getBoundingClientRect();
    const away = Math.hypot(Math.max(box.left - clientX, clientX - box.right, 0),
      Math.max(box.top - clientY, clientY - box.bottom, 0));
    if (away < least) [best, least] = [point, away];
  });
  return best;
}
document.querySelectorAll("figure.asked").forEach(figure => {
  const points = [...figure.querySelectorAll(".point")], svg = figure.querySelector("svg");
  points.forEach((point, at) => point.setAttribute("tabindex", at ? -1 : 0));
  const ask = event => {
    const point = nearest(points, event);
    if (point) tell(point); else tip.hidden = true;
  };
  svg.addEventListener("pointermove", ask);
  svg.addEventListener("pointerdown", ask);  // a finger does not move
  svg.addEventListener("pointerleave", event => {
    if (event.pointerType === "mouse") tip.hidden = true;
  });
  // One series alone, by a click on it or its name in the legend, or by the enter key; again: all.
  const isolate = series => {
    const chosen = [...figure.querySelectorAll("[data-series]")]
      .filter(line => line.dataset.series === series);
    const alone = chosen.length && !chosen[0].classList.contains("chosen");
    figure.querySelectorAll(".chosen").forEach(line => line.classList.remove("chosen"));
    figure.classList.toggle("one", alone);
    if (alone) chosen.forEach(line => line.classList.add("chosen"));
  };
  const seriesOf = point => point?.closest("[data-series]").dataset.series;
  svg.addEventListener("click", event =>
    isolate(event.target.closest("[data-names]")?.dataset.names ?? seriesOf(nearest(points, event))));
  points.forEach((point, at) => {
    point.addEventListener("focus", () => tell(point));
    point.addEventListener("blur", () => { tip.hidden = true; });
    point.addEventListener("keydown", event => {
      const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
      const next = step && points[at + step];
      if (event.key === "Escape") tip.hidden = true;
      if (event.key === "Enter") isolate(seriesOf(point));
      if (!next) return;
      event.preventDefault();
      point.setAttribute("tabindex", -1);
      next.setAttribute("tabindex", 0);
      next.focus();
    });
  });
});

// Tables. Records of a CSV, its head first; null for nothing, which is not the empty text "".
function read(csv) {
  const records = [[]];
  for (const [, quoted, bare, end] of csv.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))([,\n])/g)) {
    records.at(-1).push(quoted?.replaceAll('""', '"') ?? (bare || null));
    if (end === "\n") records.push([]);
  }
  return records.slice(0, -1);
}
// Numbers as numbers; texts without the apostrophe by which a spreadsheet takes them for texts.
function tableOf(name) {
  const [columns, ...records] = read(data[name].csv);
  const numbers = columns.map(column => data[name].numbers.includes(column));
  return [columns, ...records.map(record => record.map((text, at) => text === null ? null :
    numbers[at] ? Number(text) : text.replace(/^'(?=[=+\-@\t\r])/, "")))];
}
const file = name => URL.createObjectURL(new Blob([data[name].csv], {type: "text/csv"}));
const show = value => value === null ? "" :
  typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : String(value);
const sorted = {column: null, up: true};
let columns = [], rows = [];

// Flags of scores: of a row's own model, and of its base model.
const PLACE = ["checkpoint", "dataset", "format", "shots"];
const ARM = ["method", "train_task", "setting"];
const named = (columns, row) => Object.fromEntries(columns.map((name, at) => [name, row[at]]));
const [scored, ...scores] = data.suspicious ? tableOf("suspicious") : [[]];
const flagged = scores.map(row => named(scored, row));
function flagsOf(row) {
  const own = named(columns, row);
  if (!("checkpoint" in own && "dataset" in own) || "flag" in own) return [];
  const found = flagged.filter(score =>
    PLACE.every(key => !(key in own) || own[key] === score[key])
    && (score.method === null || ARM.every(key => (own[key] ?? null) === score[key])));
  return [...new Set(found.map(score => score.flag))];
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return sorted.up ? order : -order;
}
function drawRows() {
  const words = byId("table-filter").value.toLowerCase().split(/\s+/);
  const found = rows.filter(row => {
    const text = row.map(show).join(" ").toLowerCase();
    return words.every(word => text.includes(word));
  });
  if (sorted.column !== null) found.sort((a, b) => compare(a[sorted.column], b[sorted.column]));
  byId("table-count").textContent = `${Math.min(found.length, ROWS)} / ${found.length}`;
  document.querySelector("#table tbody").replaceChildren(...found.slice(0, ROWS).map(row => {
    const line = element("tr", {}, ...row.map(value =>
      element("td", {className: typeof value === "number" ? "number" : ""}, show(value))));
    const flags = flagsOf(row);
    if (flags.length) line.cells[columns.indexOf("dataset")].append(
      element("small", {className: "flag"}, `\u26a0 ${flags.join(", ")}`));
    return line;
  }));
}
function sortBy(head, column) {
  sorted.up = sorted.column === column ? !sorted.up : true;
  sorted.column = column;
  document.querySelectorAll("#table th").forEach(th => th.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", sorted.up ? "ascending" : "descending");
  drawRows();
}
function open(name) {
  [columns, ...rows] = tableOf(name);
  sorted.column = null;
  const heads = columns.map((name, at) => {
    const button = element("button", {type: "button"}, name);
    const head = element("th", {scope: "col"}, button);
    button.addEventListener("click", () => sortBy(head, at));
    return head;
  });
  document.querySelector("#table thead").replaceChildren(element("tr", {}, ...heads));
  document.querySelectorAll("details.columns").forEach(fold => {
    fold.hidden = fold.dataset.about !== name;
  });
  byId("table-name").value = name;
  byId("table-csv").href = file(name);
  byId("table-csv").download = `${name}.csv`;
  drawRows();
}
byId("table-name").addEventListener("change", event => open(event.target.value));
byId("table-filter").addEventListener("input", drawRows);
document.querySelectorAll("a[data-table]").forEach(link =>
  link.addEventListener("click", () => open(link.dataset.table)));
document.querySelectorAll("a[data-csv]").forEach(link => {
  link.download = `${link.dataset.csv}.csv`;
  link.href = file(link.dataset.csv);
});
if (byId("table-name").value) open(byId("table-name").value);
