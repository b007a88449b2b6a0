"use strict";
// Sorts every table of data and filters the table of all gains. Only text is ever put into the page, never markup.

const SHOWN = 200; // rows of the table of all gains that are drawn at a time
const LINK = "#explore?";
const collator = new Intl.Collator("en", { numeric: true });

/** What a cell is sorted by: its number (an interval's is its lower end) or text; null: none. */
function sortKey(text, numeric) {
  if (text === "" || text === "–") return null;
  if (!numeric) return text;
  const found = text.replace(/−/g, "-").match(/-?\d+(\.\d+)?/);
  return found && Number(found[0]);
}

/** The items by key, stable; those without a key come last in either direction (1 or -1; 0: as they are). */
function sorted(items, keyOf, direction) {
  if (!direction) return [...items];
  const compare = (a, b) => (typeof a === "number" ? a - b : collator.compare(a, b));
  return items
    .map((item) => [keyOf(item), item])
    .sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : direction * compare(a, b)))
    .map(([, item]) => item);
}

/** Shows the first cell of a row only where it differs from that of the row above, as the page does unsorted. */
function regroup(rows) {
  let above = null;
  for (const row of rows) {
    const own = row.cells[0].textContent;
    row.classList.toggle("new", own !== above);
    row.cells[0].classList.toggle("repeated", own === above);
    above = own;
  }
}

const DIRECTIONS = new Map([["ascending", 1], ["descending", -1], ["", 0]]);

/** Says which column is sorted how; `order` is ascending, descending or "". */
function showOrder(table, column, order) {
  [...table.tHead.rows[0].cells].forEach((cell, i) => {
    if (order && i === column) cell.setAttribute("aria-sort", order);
    else cell.removeAttribute("aria-sort");
  });
}

/** Makes column headings buttons: numbers fall first and texts rise, then the other way, then as it was. */
function sortable(table, act) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const cycle = ["", "ascending", "descending", ""];
    if (cell.classList.contains("n")) cycle.reverse();
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const order = cycle[cycle.indexOf(cell.getAttribute("aria-sort") ?? "") + 1];
      showOrder(table, column, order);
      act(column, order);
    });
  });
}

/** Sorts the rows that stand in a table. */
function sortRows(table) {
  const rows = [...table.tBodies[0].rows];
  sortable(table, (column, order) => {
    const numeric = table.tHead.rows[0].cells[column].classList.contains("n");
    const ordered = sorted(rows, (row) => sortKey(row.cells[column].textContent, numeric), DIRECTIONS.get(order));
    regroup(ordered);
    table.tBodies[0].append(...ordered);
  });
}

/** A number in tenths as it is printed elsewhere. */
const tenths = (n, plus = "") =>
  n === null ? "–" : (n < 0 ? "−" : n > 0 ? plus : "") + (Math.abs(n) / 10).toFixed(1);

const count = (n) => n.toLocaleString("en");

/** Filters, sorts and draws the table of all gains; its state stands in the address, so that a view can be linked. */
function explore(section) {
  const data = JSON.parse(section.querySelector("script").textContent);
  const [form, table, status] = ["form", "table", "[role=status]"].map((name) => section.querySelector(name));
  const more = section.querySelector("[name=more]");
  const selects = [...form.querySelectorAll("select")];
  const headings = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const indices = [...data.looks].map((_, i) => i);
  let found = [], sort = { column: 0, order: "" };

  const spanOf = (i) => (data.low[i] === null ? "–" : `[${tenths(data.low[i])}, ${tenths(data.high[i])}]`);
  const texts = (i) => [
    ...selects.map(({ name }) => data.titles[name][data.codes[name][i]]),
    tenths(data.gain[i], "+") + (data.looks[i] & 2 ? data.mark : ""), spanOf(i),
    tenths(data.baseline[i]), tenths(data.score[i]), String(data.seeds[i]),
  ];
  const ranks = selects.map(({ name }) => {
    const titles = data.titles[name];
    const rank = new Map(sorted([...titles.keys()], (code) => titles[code], 1).map((code, place) => [code, place]));
    return (i) => rank.get(data.codes[name][i]);
  });
  const keys = [...ranks, ...["gain", "low", "baseline", "score", "seeds"].map((name) => (i) => data[name][i])];

  const draw = (from) => {
    const rows = found.slice(from, from + SHOWN).map((i) => {
      const row = document.createElement("tr");
      texts(i).forEach((text, column) => {
        const cell = document.createElement(column ? "td" : "th");
        if (!column) cell.scope = "row";
        cell.textContent = text;
        cell.classList.toggle("n", column >= selects.length);
        cell.classList.toggle("strong", (column === 4 || column === 5) && Boolean(data.looks[i] & 1));
        row.append(cell);
      });
      return row;
    });
    const body = table.tBodies[0];
    if (from) body.append(...rows);
    else body.replaceChildren(...rows);
    regroup(body.rows);
    const shown = body.rows.length;
    more.hidden = shown === found.length;
    status.textContent = `${count(found.length)} of ${count(indices.length)} gains` +
      (more.hidden ? "." : `, the first ${count(shown)} shown.`) + (found.length ? "" : " Nothing fits these filters.");
  };
  const update = () => {
    const tests = selects.filter((select) => select.selectedOptions[0].dataset.codes).map((select) => {
      const wanted = new Set(select.selectedOptions[0].dataset.codes.split(" ").map(Number));
      const codes = data.codes[select.name];
      return (i) => wanted.has(codes[i]);
    });
    const fitting = indices.filter((i) => tests.every((test) => test(i)));
    found = sorted(fitting, keys[sort.column], DIRECTIONS.get(sort.order));
    draw(0);
  };
  const changed = () => {
    update();
    const state = new URLSearchParams(selects.map(({ name, value }) => [name, value]));
    if (sort.order) {
      state.set("sort", headings[sort.column]);
      state.set("order", sort.order);
    }
    history.replaceState(null, "", LINK + state);
  };
  const reset = () => {
    form.reset();
    sort = { column: 0, order: "" };
  };
  const read = () => {
    if (!location.hash.startsWith(LINK)) return;
    const state = new URLSearchParams(location.hash.slice(LINK.length));
    reset();
    for (const select of selects) {
      const option = [...select.options].find(({ value }) => value === state.get(select.name));
      if (option) option.selected = true;
    }
    const column = headings.indexOf(state.get("sort")), order = state.get("order");
    if (column >= 0 && DIRECTIONS.has(order)) sort = { column, order };
    showOrder(table, sort.column, sort.order);
    update();
    section.scrollIntoView();
  };

  sortable(table, (column, order) => {
    sort = { column, order };
    changed();
  });
  form.addEventListener("change", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("button").addEventListener("click", () => {
    reset();
    showOrder(table, 0, "");
    changed();
  });
  more.addEventListener("click", () => {
    draw(table.tBodies[0].rows.length);
    if (more.hidden) table.parentElement.focus(); // the button that had the focus is gone
  });
  addEventListener("hashchange", read);
  form.hidden = false;
  update();
  read();
}

const section = document.getElementById("explore");
for (const table of document.querySelectorAll("table")) {
  if (table.tBodies[0].rows.length > 1 && !section?.contains(table)) sortRows(table);
}
if (section) explore(section);
