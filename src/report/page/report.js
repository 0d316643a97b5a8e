"use strict";
// Adds to the grids: movement with the arrow keys, details of a cell, and a filter by condition.
// The page is complete without this script. It must not contain characters that are markup in XML.
document.querySelectorAll(".source").forEach(function (source) {
  const detail = source.querySelector(".detail");
  const grids = Array.from(source.querySelectorAll(".grid"));
  const cells = Array.from(source.querySelectorAll(".grid a"));
  if (cells.length === 0) { return; }
  const say = function (cell) {
    const lines = cell.getAttribute("aria-label").split("\n");
    const name = document.createElement("b");
    name.textContent = lines[0];
    detail.replaceChildren(name, lines.slice(1).join(" \u00b7 "));
  };
  cells.forEach(function (cell) {
    // Without this, the browser would show the same text again as a tooltip.
    cell.setAttribute("aria-label", cell.title);
    cell.removeAttribute("title");
    cell.tabIndex = -1;
    if (cell.hasAttribute("href") === false) { cell.setAttribute("role", "img"); }
  });
  detail.hidden = false;
  detail.textContent = "Point at a cell, or move with the arrow keys; Enter opens the file.";
  grids.forEach(function (grid) {
    const rows = Array.from(grid.tBodies[0].rows);
    const at = function (row, column) {
      const place = rows[row] ? rows[row].cells[column] : null;
      return place ? place.querySelector("a") : null;
    };
    const first = grid.querySelector("a");
    if (first) { first.tabIndex = 0; }
    const move = function (cell) {
      const old = grid.querySelector("a[tabindex='0']");
      if (old) { old.tabIndex = -1; }
      cell.tabIndex = 0;
      cell.focus();
    };
    const walk = function (cell, down, across) {
      const place = cell.parentNode;
      let row = place.parentNode.sectionRowIndex + down;
      let column = place.cellIndex + across;
      // Skip places without an entry.
      while (rows[row] ? column > 0 ? rows[row].cells.length > column : false : false) {
        const next = at(row, column);
        if (next) { move(next); return; }
        row += down;
        column += across;
      }
    };
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    grid.addEventListener("keydown", function (event) {
      const cell = event.target.closest("a");
      if (cell === null) { return; }
      if (event.altKey || event.ctrlKey || event.metaKey) { return; }
      const step = steps[event.key];
      if (step) {
        event.preventDefault();
        walk(cell, step[0], step[1]);
      } else if (event.key === "Home" || event.key === "End") {
        event.preventDefault();
        const own = cell.closest("tr").querySelectorAll("a");
        move(event.key === "Home" ? own[0] : own[own.length - 1]);
      }
    });
    ["mouseover", "focusin"].forEach(function (kind) {
      grid.addEventListener(kind, function (event) {
        const cell = event.target.closest("a");
        if (cell) { say(cell); }
      });
    });
  });
  const search = source.querySelector(".search");
  if (search) {
    const count = search.querySelector("output");
    search.hidden = false;
    search.querySelector("input").addEventListener("input", function (event) {
      const wanted = event.target.value.trim().toLowerCase();
      let found = 0;
      cells.forEach(function (cell) {
        const fits = cell.getAttribute("aria-label").split("\n")[0].toLowerCase().includes(wanted);
        cell.classList.toggle("dim", fits === false);
        found += fits ? 1 : 0;
      });
      count.textContent = wanted === "" ? "" : found === 1 ? "1 cell" : found + " cells";
    });
  }
});
document.querySelectorAll(".legend li").forEach(function (item) {
  const kind = item.dataset.kind;
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-pressed", "false");
  button.append(...item.childNodes);
  item.replaceChildren(button);
  item.classList.add("live");
  button.addEventListener("click", function () {
    const on = button.getAttribute("aria-pressed") === "false";
    document.querySelectorAll(".legend button").forEach(function (other) {
      other.setAttribute("aria-pressed", String(on ? other === button : false));
    });
    document.querySelectorAll(".grid a").forEach(function (cell) {
      const fits = cell.classList.contains(kind) || cell.classList.contains("h" + kind);
      cell.classList.toggle("dim", on ? fits === false : false);
    });
  });
});
document.documentElement.dataset.ready = "yes";
