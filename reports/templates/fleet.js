"use strict";
// The table of machines: filtered and sorted from the data in the page; every text is set as text, never as markup.
(function () {
  const STEP = 50;
  const LETTERS = "cusn?";
  const data = JSON.parse(document.getElementById("data").textContent);
  const section = document.getElementById("machines");
  const form = document.getElementById("fleet-filters");
  const table = document.getElementById("fleet-table");
  const count = document.getElementById("fleet-count");
  const more = document.getElementById("fleet-more");
  let shown = STEP;
  let sorting = { column: "host", down: false };
  function lang() { return document.documentElement.lang === "en" ? "en" : "ko"; }
  function words() { return data.words[lang()]; }
  function fill(name, labels) {
    const select = form.elements[name];
    const chosen = Math.max(select.selectedIndex, 0);
    select.replaceChildren(...labels.map(function (label, value) { return new Option(label, String(value)); }));
    select.selectedIndex = chosen;
  }
  function fillAll() {
    const say = words();
    fill("model", [say.model_any].concat(data.models));
    fill("show", [say.show_runs, say.show_usable, say.show_comfortable]);
    fill("gpu", [say.any, say.with_gpu, say.without_gpu]);
    fill("system", [say.any].concat(data.systems));
    form.elements.search.placeholder = say.search_hint;
  }
  function rows() {
    const model = form.elements.model.selectedIndex - 1;
    const worst = 2 - form.elements.show.selectedIndex;
    const gpu = form.elements.gpu.selectedIndex;
    const system = form.elements.system.selectedIndex - 1;
    const wanted = form.elements.search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const found = [];
    for (const machine of data.machines) {
      if (gpu === 1 && !machine.gpu || gpu === 2 && machine.gpu) { continue; }
      if (system >= 0 && machine.system !== system) { continue; }
      const hardware = machine.hardware[lang()];
      const text = (machine.host + " " + hardware).toLowerCase();
      if (!wanted.every(function (word) { return text.includes(word); })) { continue; }
      const place = model < 0 ? machine.best : LETTERS.indexOf(machine.verdicts[model] || "?");
      if (model >= 0 && place > worst) { continue; }
      found.push({
        machine: machine, host: machine.host.toLowerCase(), hardware: hardware.toLowerCase(), ram: machine.ram,
        largest: machine.params, speed: model < 0 ? machine.speed : machine.speeds[model],
        verdict: place, wish: machine.wish ? machine.wish[lang()].toLowerCase() : null, age: machine.age,
      });
    }
    return found;
  }
  function compare(a, b) {
    const x = a[sorting.column], y = b[sorting.column];
    let order;
    if (x === null || x === undefined || y === null || y === undefined) {
      order = (x === null || x === undefined) - (y === null || y === undefined);
    } else {
      order = typeof x === "string" ? x.localeCompare(y) : x - y;
      if (sorting.down) { order = -order; }
    }
    return order || a.host.localeCompare(b.host);
  }
  function speedText(speed) {
    if (speed === null || speed === undefined) { return "-"; }
    return speed < 1 ? speed.toFixed(2) : speed < 10 ? speed.toFixed(1) : Math.round(speed).toLocaleString("en");
  }
  function cell(text, kind) {
    const made = document.createElement(kind || "td");
    made.textContent = text;
    return made;
  }
  function right(made) { made.className = "right"; return made; }
  function rowOf(entry, say) {
    const machine = entry.machine;
    const row = document.createElement("tr");
    const name = cell(machine.host, "th");
    name.scope = "row";
    const verdict = document.createElement("td");
    const pill = document.createElement("span");
    pill.className = "pill pill-" + data.verdicts[entry.verdict];
    pill.textContent = say.verdicts[entry.verdict];
    verdict.append(pill);
    const wish = cell(machine.wish ? machine.wish[lang()] : "");
    if (machine.address) {
      wish.append(document.createElement("br"));
      wish.append(cell(machine.address, "code"));
    }
    const age = right(cell(machine.age < 0 ? say.ahead : machine.age === 0 ? say.today : say.days.replace("{count}", machine.age)));
    if (machine.stale) { age.classList.add("tone-poor"); }
    row.append(
      name, cell(machine.hardware[lang()]), right(cell(machine.ram === null ? "-" : machine.ram + " GiB")),
      cell(machine.largest || "-"), right(cell(speedText(entry.speed))), verdict, wish, age
    );
    return row;
  }
  function draw() {
    const say = words();
    const found = rows().sort(compare);
    table.tBodies[0].replaceChildren(...found.slice(0, shown).map(function (entry) { return rowOf(entry, say); }));
    count.textContent = found.length
      ? say.count.replace("{shown}", found.length).replace("{count}", data.machines.length)
      : say.nothing;
    more.hidden = found.length <= shown;
    for (const head of table.tHead.rows[0].cells) {
      if (head.dataset.column === sorting.column) {
        head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
      } else {
        head.removeAttribute("aria-sort");
      }
    }
  }
  for (const kind of ["input", "change"]) {
    form.addEventListener(kind, function () { shown = STEP; draw(); });
  }
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  more.addEventListener("click", function () { shown += STEP * 4; draw(); });
  table.tHead.addEventListener("click", function (event) {
    const button = event.target.closest("button[data-sort]");
    if (!button) { return; }
    const column = button.dataset.sort;
    const downFirst = column === "speed" || column === "ram" || column === "largest";
    sorting = { column: column, down: sorting.column === column ? !sorting.down : downFirst };
    draw();
  });
  document.addEventListener("languagechange", function () { fillAll(); draw(); });
  fillAll();
  draw();
  section.hidden = false;
  const list = document.getElementById("members");
  if (list) { list.classList.add("print-only"); }
})();
