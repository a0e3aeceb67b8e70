"use strict";
// The table of models: filtered and sorted from the data in the page, every figure computed beforehand.
(function () {
  const STEP = 25;
  const data = JSON.parse(document.getElementById("data").textContent);
  const section = document.getElementById("models");
  const form = document.getElementById("model-filters");
  const table = document.getElementById("model-table");
  const body = table.tBodies[0];
  const count = document.getElementById("model-count");
  const more = document.getElementById("model-more");
  const NAME = 0, COMMAND = 1, TOTAL = 2, ACTIVE = 3, PURPOSES = 4, ANSWERS = 5;
  const VERDICT = 0, QUANTIZATION = 1, SPEED = 2, MEMORY = 3;
  const COMFORTABLE = 0, SLOW = 2;
  const GENERAL = 0;
  let shown = STEP;
  let sorting = { column: "verdict", down: false };
  function words() { return data.words[document.documentElement.lang] || data.words.en; }
  function fill(name, labels) {
    const select = form.elements[name];
    const chosen = select.selectedIndex;
    select.replaceChildren(...labels.map(function (label, value) { return new Option(label, String(value)); }));
    return function (first) { select.selectedIndex = chosen >= 0 ? chosen : first; };
  }
  function fillAll() {
    const say = words();
    fill("purpose", [say.purpose_any].concat(say.purposes))(0);
    fill("context", say.contexts)(data.context);
    fill("quantization", [say.quantization_best].concat(data.quantizations))(0);
    fill("show", [say.show_runs, say.show_good, say.show_all])(0);
    form.elements.search.placeholder = say.search_hint;
  }
  function qualityOf(model, purpose) {
    return model[PURPOSES].find(function (entry) { return entry[0] === (purpose < 0 ? GENERAL : purpose); });
  }
  function rows() {
    const purpose = form.elements.purpose.selectedIndex - 1;
    const context = form.elements.context.selectedIndex;
    const quantization = form.elements.quantization.selectedIndex;
    const show = form.elements.show.selectedIndex;
    const wanted = form.elements.search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const found = [];
    for (const model of data.models) {
      if (purpose >= 0 && !model[PURPOSES].some(function (entry) { return entry[0] === purpose; })) { continue; }
      const answer = model[ANSWERS][context][quantization];
      if (!answer) { continue; }
      if (show === 0 && answer[VERDICT] > SLOW || show === 1 && answer[VERDICT] !== COMFORTABLE) { continue; }
      const text = (model[NAME] + " " + model[COMMAND]).toLowerCase();
      if (!wanted.every(function (word) { return text.includes(word); })) { continue; }
      const quality = qualityOf(model, purpose);
      found.push({
        model: model, answer: answer, quality: quality,
        name: text, size: model[TOTAL], quantization: data.names[answer[QUANTIZATION]],
        verdict: answer[VERDICT], speed: answer[SPEED], memory: answer[MEMORY],
        points: quality ? quality[1] : null,
      });
    }
    return found;
  }
  function compare(a, b) {
    const key = sorting.column === "quality" ? "points" : sorting.column;
    const x = a[key], y = b[key];
    let order;
    if (x === null || y === null) { order = (x === null) - (y === null); }
    else {
      order = typeof x === "string" ? x.localeCompare(y) : x - y;
      if (sorting.down) { order = -order; }
    }
    return order || (b.points || 0) - (a.points || 0) || b.size - a.size || a.name.localeCompare(b.name);
  }
  function billions(millions) {
    return millions >= 1e5 ? Math.round(millions / 1000) + "B" : millions >= 1000 ? (millions / 1000).toFixed(1) + "B" : millions + "M";
  }
  function sizeText(model) {
    if (!model[TOTAL]) { return "?"; }
    const total = billions(model[TOTAL]);
    if (!model[ACTIVE] || model[ACTIVE] >= 0.9 * model[TOTAL]) { return total; }
    return total + " · A" + billions(model[ACTIVE]);
  }
  function speedText(speed) {
    if (speed === null) { return "-"; }
    return speed < 1 ? speed.toFixed(2) : speed < 10 ? speed.toFixed(1) : String(Math.round(speed));
  }
  function cell(text, right, kind) {
    const made = document.createElement(kind || "td");
    made.textContent = text;
    if (right) { made.className = "right"; }
    return made;
  }
  function rowOf(entry, say) {
    const row = document.createElement("tr");
    const name = cell(entry.model[NAME], false, "th");
    name.scope = "row";
    name.title = "probe check " + entry.model[COMMAND];
    const verdict = document.createElement("td");
    const pill = document.createElement("span");
    pill.className = "pill pill-" + data.verdicts[entry.verdict];
    pill.textContent = say.verdicts[entry.verdict];
    verdict.append(pill);
    const quality = entry.quality && entry.quality[1] ? entry.quality[1] + (entry.quality[2] ? "" : "*") : "-";
    row.append(
      name, cell(sizeText(entry.model), true), cell(quality, true), cell(entry.quantization, false),
      cell(speedText(entry.speed), true), cell(entry.memory === null ? "-" : entry.memory.toFixed(1) + " GiB", true), verdict
    );
    return row;
  }
  function draw() {
    const say = words();
    const found = rows().sort(compare);
    body.replaceChildren(...found.slice(0, shown).map(function (entry) { return rowOf(entry, say); }));
    count.textContent = found.length
      ? say.count.replace("{shown}", found.length).replace("{count}", data.models.length)
      : say.empty;
    more.hidden = found.length <= shown;
    for (const head of table.tHead.rows[0].cells) {
      if (head.dataset.column === sorting.column) {
        head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
      } else {
        head.removeAttribute("aria-sort");
      }
    }
  }
  for (const event of ["input", "change"]) {
    form.addEventListener(event, function () { shown = STEP; draw(); });
  }
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  more.addEventListener("click", function () { shown += STEP * 4; draw(); });
  table.tHead.addEventListener("click", function (event) {
    const button = event.target.closest("button[data-sort]");
    if (!button) { return; }
    const column = button.dataset.sort;
    const downFirst = column === "speed" || column === "quality" || column === "size";
    sorting = { column: column, down: sorting.column === column ? !sorting.down : downFirst };
    draw();
  });
  document.addEventListener("languagechange", function () { fillAll(); draw(); });
  fillAll();
  draw();
  section.hidden = false;
  const list = document.getElementById("by_verdict");
  if (list) { list.classList.add("print-only"); }
})();
