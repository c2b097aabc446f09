// Cards of examples, by the filters above them. Texts are only ever set as text.
const data = JSON.parse(await unpacked()), words = data.words;
const [TASK, CHECKPOINT, DATASET] = [1, 2, 3];  // places in a card, whose first is its group
const filters = {task: TASK, checkpoint: CHECKPOINT, dataset: DATASET};
let group = 0, most = data.limit;

const counted = number => number.toLocaleString(document.documentElement.lang);
const percent = share => `${(100 * share).toFixed(share > 0 && share < .1 ? 1 : 0)} %`;
const text = (row, answer) => typeof answer === "number" ? row.choices[answer] : answer;
const modelName = arm => data.arms[arm] === "base" ? words.base : data.arms[arm];

function fold(summary, content, open = false) {
  return element("details", {open}, element("summary", {}, ...summary),
    element("pre", {textContent: content}));
}

function promptOf(card, format, several) {
  const row = data.rows[card[DATASET]][card[4]], shots = data.datasets[card[DATASET]].shots[format];
  const asked = row.prompts[format], name = several ? `${words.prompt} (${format})` : words.prompt;
  const glance = element("span", {className: "glance", textContent: asked});
  const folded = fold([element("b", {textContent: name}), " ", glance], asked);
  if (shots) folded.querySelector("pre").before(fold([words.shots], shots));
  if (row.choices) {
    const items = row.choices.map((choice, number) => element("li",
      {textContent: choice, className: number === row.gold ? "gold" : ""}));
    folded.append(element("ol", {}, ...items));
  }
  return folded;
}

// Words of an answer that another answer to the same prompt lacks, in this order, are marked.
function marked(said, others) {
  const quote = element("q", {}), split = text => text.split(/(\s+)/), words = split(said);
  const kept = others.map(other => common(words, split(other)));
  words.forEach((word, at) => {
    const lacks = word.trim() && kept.some(places => !places.has(at));
    quote.append(lacks ? element("mark", {textContent: word}) : word);
  });
  return quote;
}
// Places of the words in a longest common subsequence with other words.
function common(words, others) {
  const longest = Array.from({length: words.length + 1}, () => new Uint16Array(others.length + 1));
  for (let i = words.length - 1; i >= 0; i--)
    for (let j = others.length - 1; j >= 0; j--)
      longest[i][j] = words[i] === others[j] ? longest[i + 1][j + 1] + 1
        : Math.max(longest[i + 1][j], longest[i][j + 1]);
  const places = new Set();
  for (let i = 0, j = 0; i < words.length && j < others.length;)
    if (words[i] === others[j]) { places.add(i++); j++; }
    else if (longest[i + 1][j] >= longest[i][j + 1]) i++; else j++;
  return places;
}

function answerOf(card, answer, several) {
  const row = data.rows[card[DATASET]][card[4]];
  const [arm, format, said, score, isCut, own, gold, logprob] = answer;
  const choice = gold !== undefined, right = score === 1;
  const share = choice && own !== null ? ` ${percent(own)}` : "";
  const mark = choice ? element("span", {className: right ? "right" : "wrong",
    textContent: right ? `✓ ${words.right}` : `✗ ${words.wrong}`}) : null;
  const others = card[5].filter(other => other !== answer).map(other => text(row, other[2]));
  const bar = element("i", {});
  bar.style.width = `${100 * (choice ? gold : score)}%`;
  const number = choice ? `${words.gold}: ${percent(gold)}, log p ${minus(logprob.toFixed(2))}`
    : `${words.score}: ${score.toFixed(2)}`;
  return element("div", {className: "answer"},
    element("div", {className: "model"}, modelName(arm),
      several ? element("small", {textContent: ` ${format}`}) : null),
    element("div", {className: "said"}, marked(text(row, said), choice && !pair() ? [] : others), share, " ",
      mark, isCut ? element("small", {textContent: ` ${words.cut}`}) : null),
    element("span", {className: "track", ariaHidden: true}, bar),
    element("small", {textContent: number}));
}

function cardOf(card) {
  const [, task, checkpoint, dataset, place, answers] = card, row = data.rows[dataset][place];
  const formats = [...new Set(answers.map(answer => answer[1]))], several = formats.length > 1;
  const where = [data.datasets[dataset].title, data.checkpoints[checkpoint],
    ...(task === null ? [] : [filled(words.tuned, {task: data.tasks[task]})])].join(" · ");
  return element("article", {}, element("h2", {textContent: where}),
    ...formats.map(format => promptOf(card, format, several)),
    element("p", {}, element("b", {textContent: `${words.gold}: `}), text(row, row.gold)),
    element("div", {className: "answers"},
      ...answers.map(answer => answerOf(card, answer, several))));
}

function matches(entry) {
  return (entry[0] === null || entry[0] === data.groups[group].number)
    && Object.entries(filters).every(([id, place]) => byId(id).value === ""
      || entry[place] === null || Number(byId(id).value) === entry[place]);
}

// The two models that are compared, or null: then the groups' cards are shown.
function pair() {
  const chosen = [byId("first").value, byId("second").value];
  return chosen.includes("") ? null : chosen.map(Number);
}
// Cards of all examples that both models answered; those that they answer otherwise come first.
function compared([first, second]) {
  const of = arm => new Map(data.samples.filter(sample => sample[2] === arm)
    .map(([checkpoint, dataset, , answers]) => [`${checkpoint} ${dataset}`, answers]));
  const others = of(second);
  const cards = [...of(first)].flatMap(([key, answers]) => {
    const [checkpoint, dataset] = key.split(" ").map(Number);
    return !others.has(key) || !matches([null, null, checkpoint, dataset]) ? []
      : answers.map(([place, ...answer], at) => [null, null, checkpoint, dataset, place,
        [[first, ...answer], [second, ...others.get(key)[at].slice(1)]]]);
  });
  return cards.sort((one, other) => differs(other) - differs(one));
}
const differs = card => card[5][0][2] !== card[5][1][2];

function draw() {
  const two = pair(), cards = two ? compared(two) : data.cards.filter(matches);
  const all = data.counts.filter(matches).reduce((sum, entry) => sum + entry[4], 0);
  document.querySelectorAll("#groups button").forEach((button, number) =>
    button.setAttribute("aria-pressed", !two && number === group));
  byId("about").textContent = two ? ""
    : document.querySelectorAll("#groups button")[group].dataset.about;
  const shown = Math.min(most, cards.length);
  byId("count").textContent = two
    ? filled(words.compared, {shown, all: cards.length, differ: cards.filter(differs).length})
    : filled(words.drawn, {shown, drawn: cards.length, all: counted(all)});
  byId("cards").replaceChildren(...cards.slice(0, most).map(cardOf));
  byId("more").hidden = cards.length <= most;
}

function again(change) {
  change();
  most = data.limit;
  draw();
}

document.querySelectorAll("#groups button").forEach((button, number) =>
  button.addEventListener("click", () => again(() => {
    group = number;
    byId("first").value = byId("second").value = "";
  })));
["first", "second"].forEach(id => {
  byId(id).append(element("option", {value: "", textContent: "\u2013"}),
    ...data.arms.map((_, arm) => element("option", {value: arm, textContent: modelName(arm)})));
  byId(id).addEventListener("change", () => again(() => {}));
});
Object.keys(filters).forEach(id => {
  const options = data[`${id}s`].map((each, number) =>
    element("option", {value: number, textContent: each.title ?? each}));
  if (id !== "task") options.unshift(element("option", {value: "", textContent: words.all}));
  byId(id).append(...options);
  byId(id).addEventListener("change", () => again(() => {}));
});
byId("more").addEventListener("click", () => {
  const first = most;
  most += data.limit;
  draw();
  // The reader goes on at the first new one, with the keyboard too.
  byId("cards").children[first].querySelector("summary").focus();
});
draw();
