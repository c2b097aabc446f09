const data = JSON.parse(await unpacked()), words = data.words;
const [checkpoint, method, format, other] =
  ["checkpoint", "method", "format", "other"].map(byId);
// Columns to rows: a score of a tuned model each.
const scores = data.scores.map(values =>
  Object.fromEntries(data.columns.map((name, at) => [name, values[at]])));
const pairs = new Map(data.pairs.map(([first, second, ...pair]) => [`${first} ${second}`, pair]));
const key = (...parts) => parts.join(" ");
const place = new Map(scores.map((score, at) =>
  [key(score.format, score.checkpoint, score.method, score.task, score.dataset), at]));
const at = (checkpoint, method, task, dataset) =>
  place.get(key(format.value, checkpoint, method, task, dataset));

const points = (change, digits) => {
  const rounded = Number((100 * change).toFixed(digits));
  return (rounded > 0 ? "+" : "") + minus((rounded + 0).toFixed(digits));
};
const score = value => minus((100 * value).toFixed(1));

function options(select, entries) {
  const kept = select.value;
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
  if (entries.some(([value]) => String(value) === kept)) select.value = kept;
}
function group(label, entries) {
  const found = document.createElement("optgroup");
  found.label = label;
  found.append(...entries.map(([value, text]) => new Option(text, value)));
  return entries.length ? [found] : [];
}
const compact = new Intl.NumberFormat(document.documentElement.lang,
  {notation: "compact", maximumSignificantDigits: 2});
const checkpoints = data.checkpoints.map(({name, tokens}, at) => [at, tokens === null ? name :
  filled(words.tokens, {checkpoint: name, tokens: compact.format(tokens)})]);
const methods = data.methods.map((name, at) => [at, name]);

// What the chosen model can be compared with: one choice differs, not both.
function offer() {
  const kept = other.value, but = (entries, select) =>
    entries.filter(([value]) => String(value) !== select.value);
  other.replaceChildren(new Option(words.base, "base"),
    ...group(words.checkpoints, but(checkpoints, checkpoint)
      .map(([value, text]) => [`checkpoint ${value}`, text])),
    ...group(words.methods, but(methods, method)
      .map(([value, text]) => [`method ${value}`, text])));
  const known = [...other.options].some(option => option.value === kept);
  other.value = known ? kept : "base";
}

// What a cell says: the chosen model's score against the other's; null where one is missing.
function compared(task, dataset) {
  const own = at(checkpoint.value, method.value, task, dataset);
  if (own === undefined) return null;
  const mine = scores[own], [what, value] = other.value.split(" ");
  if (what === "base") {
    const known = mine.gained !== null && mine.n !== null;
    const [wins, losses] = known ? [mine.gained * mine.n, mine.lost * mine.n] : [null, null];
    return {...mine, against: mine.base, wins, losses};
  }
  const theirs = what === "checkpoint" ? at(value, method.value, task, dataset)
    : at(checkpoint.value, value, task, dataset);
  if (theirs === undefined) return null;
  const turned = own > theirs, against = scores[theirs].tuned;
  let [low, high] = pairs.get(`${Math.min(own, theirs)} ${Math.max(own, theirs)}`);
  if (turned && low !== null) [low, high] = [-high, -low];
  return {...mine, against, difference: mine.tuned - against, low, high};
}

// Colour of a change, and black or white on it, whichever can be read.
function colours(change) {
  const steps = data.colours.length - 1, limit = data.limits[format.value];
  const where = (Math.max(-1, Math.min(1, change / limit)) + 1) / 2 * steps;
  const left = Math.min(steps - 1, Math.floor(where)), share = where - left;
  const rgb = data.colours[left].map((from, i) =>
    Math.round(from + share * (data.colours[left + 1][i] - from)));
  const linear = rgb.map(c => c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return [`rgb(${rgb.join(",")})`, light > 0.179 ? "#000" : "#fff"];
}

function examples(found) {
  if (found.wins === null) return words.noExamples;
  const wins = Math.round(found.wins), losses = Math.round(found.losses);
  const said = filled(words.examples, {wins, losses, ties: found.n - wins - losses, n: found.n});
  return found.seeds > 1 ? said + words.seeds : said;
}
function tell(cell) {
  document.querySelectorAll("td.chosen").forEach(td => td.classList.remove("chosen"));
  cell.classList.add("chosen");
  const lines = cell.said.map((text, at) => {
    const line = document.createElement(at ? "p" : "h2");
    line.textContent = text;
    return line;
  });
  byId("details").replaceChildren(...lines);
}
function describe(cell, task, dataset, hidden) {
  const found = compared(task, dataset);
  const names = {task: data.tasks[task], dataset: data.datasets[dataset].name};
  const head = filled(words.cell, names);
  cell.said = [head, words.missing];
  if (found === null) {
    cell.textContent = "·";
  } else {
    const known = found.low !== null;
    const change = filled(known ? words.change : words.changeOnly, {
      points: points(found.difference, 1),
      ...(known ? {low: points(found.low, 1), high: points(found.high, 1)} : {})});
    cell.textContent = points(found.difference, 0);
    cell.said = [head, change, filled(words.scores, {
      metric: found.metric, shots: found.shots, tuned: score(found.tuned),
      against: score(found.against), other: other.selectedOptions[0].textContent})];
    if ("wins" in found) cell.said.push(examples(found));
    if (hidden) cell.said.push(words.hidden);
    else [cell.style.background, cell.style.color] = colours(found.difference);
  }
  cell.setAttribute("aria-label", [cell.textContent, ...cell.said].join(" "));
}

function heads(columns) {
  const families = element("tr", {}, element("td", {ariaHidden: "true"}));
  const names = element("tr", {}, element("th", {scope: "col"}, words.tunedOn));
  columns.forEach((dataset, at) => {
    const {family, name} = data.datasets[dataset];
    if (at === 0 || family !== data.datasets[columns[at - 1]].family) {
      const span = columns.filter(column => data.datasets[column].family === family).length;
      families.append(element("th", {scope: "colgroup", colSpan: span}, data.families[family]));
    }
    names.append(element("th", {scope: "col"}, name));
  });
  byId("heads").replaceChildren(families, names);
}
function draw() {
  offer();
  const shown = scores.filter(found => found.format === format.value);
  const columns = data.datasets.map((_, at) => at)
    .filter(dataset => shown.some(found => found.dataset === dataset));
  const tasks = data.tasks.map((_, at) => at).filter(task => shown.some(found =>
    found.task === task && String(found.method) === method.value));
  heads(columns);
  byId("rows").replaceChildren(...tasks.map(task => {
    const line = element("tr", {}, element("th", {scope: "row"}, data.tasks[task]));
    columns.forEach(dataset => {
      const cell = element("td", {tabIndex: -1, role: "gridcell"});
      describe(cell, task, dataset, data.datasets[dataset].hidden);
      ["focus", "mouseenter", "click"].forEach(event => cell.addEventListener(event, () => tell(cell)));
      line.append(cell);
    });
    return line;
  }));
  const first = document.querySelector("#rows td");
  if (first) { first.tabIndex = 0; tell(first); }
  const limit = (100 * data.limits[format.value]).toFixed(0);
  byId("low").textContent = `−${limit}`;
  byId("high").textContent = `+${limit}`;
}

// One stop of the tab key for the whole matrix; arrow keys move in it.
byId("matrix").addEventListener("keydown", event => {
  const step = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0]}[event.key];
  const cell = event.target.closest("td[tabindex]");
  if (!step || !cell) return;
  event.preventDefault();
  const rows = [...byId("rows").rows], row = rows[rows.indexOf(cell.parentElement) + step[0]];
  const next = row && row.querySelectorAll("td")[cell.cellIndex - 1 + step[1]];
  if (!next) return;
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});

options(checkpoint, checkpoints);
options(method, methods);
options(format, data.formats.map(name => [name, name]));
checkpoint.value = checkpoints.length - 1;
[checkpoint, method, format, other].forEach(select => select.addEventListener("change", draw));
draw();
