"use strict";

const root = document.documentElement;
root.classList.add("has-script");

// The confusion matrix: in two orders, walked with the arrow keys, its clips one press away.
{
  const matrix = document.querySelector(".matrix");
  const table = matrix.querySelector("table");
  const panel = matrix.querySelector(".panel");
  const title = panel.querySelector("h3");
  const content = panel.querySelector(".content");
  const readout = matrix.querySelector(".readout");
  const hint = readout.textContent;
  const head = table.tHead.rows[0];
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, cells: [...row.cells] }));
  const heads = [...head.cells];
  const given = rows.map((_, id) => id);
  const orders = { given, ...JSON.parse(document.getElementById("orders").textContent) };
  const links = [...table.querySelectorAll("a")];
  let opened = null;

  const cellOf = (link) => link.parentElement;
  const rowOf = (link) => cellOf(link).parentElement.sectionRowIndex;
  const columnOf = (link) => cellOf(link).cellIndex;

  const arrange = (name) => {
    const order = orders[name];
    head.append(...order.map((id) => heads[id + 1]));
    for (const id of order) {
      const { row, cells } = rows[id];
      row.append(...order.map((other) => cells[other + 1]));
      table.tBodies[0].append(row);
    }
    for (const button of matrix.querySelectorAll(".order button")) {
      button.setAttribute("aria-pressed", String(button.dataset.order === name));
    }
  };

  // One stop for Tab; from there the arrow keys go to the next number, straight ahead if there is one.
  const enter = (link) => {
    for (const other of links) other.tabIndex = other === link ? 0 : -1;
  };
  const nearest = (link, along, across, step) => {
    const distance = (other) => step * (along(other) - along(link));
    const aside = (other) => Math.abs(across(other) - across(link));
    return links
      .filter((other) => distance(other) > 0)
      .sort((a, b) => (aside(a) > 0) - (aside(b) > 0) || distance(a) - distance(b) || aside(a) - aside(b))[0];
  };
  const moves = {
    ArrowRight: (link) => nearest(link, columnOf, rowOf, 1),
    ArrowLeft: (link) => nearest(link, columnOf, rowOf, -1),
    ArrowDown: (link) => nearest(link, rowOf, columnOf, 1),
    ArrowUp: (link) => nearest(link, rowOf, columnOf, -1),
  };

  const light = (link) => {
    for (const lit of table.querySelectorAll(".lit")) lit.classList.remove("lit");
    readout.textContent = link ? link.getAttribute("aria-label") : hint;
    if (!link) return;
    cellOf(link).parentElement.cells[0].classList.add("lit");
    head.cells[columnOf(link)].classList.add("lit");
  };

  // The clips are in the lists further down; what is shown here is a copy, with its sounds.
  const show = (link) => {
    const list = document.querySelector(link.getAttribute("href")).cloneNode(true);
    list.removeAttribute("id");
    title.replaceChildren(...list.caption.cloneNode(true).childNodes);
    for (const hear of list.querySelectorAll(".hear")) {
      hear.replaceWith(document.querySelector(`${hear.getAttribute("href")} audio`).cloneNode(true));
    }
    content.replaceChildren(list);
    content.scrollTop = 0;
    panel.hidden = false;
    root.classList.add("has-panel");
    if (opened) opened.removeAttribute("aria-current");
    opened = link;
    opened.setAttribute("aria-current", "true");
    enter(link);
    // The panel sticks to the bottom of the window, or comes to: out from behind it.
    const edge = Math.min(panel.getBoundingClientRect().top, innerHeight - panel.offsetHeight);
    scrollBy(0, Math.max(0, link.getBoundingClientRect().bottom + 24 - edge));
  };
  const close = () => {
    if (!opened) return;
    const back = opened;
    opened.removeAttribute("aria-current");
    opened = null;
    panel.hidden = true;
    content.replaceChildren();
    root.classList.remove("has-panel");
    back.focus();
  };

  for (const button of matrix.querySelectorAll(".order button")) {
    button.addEventListener("click", () => arrange(button.dataset.order));
  }
  table.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(link);
    if (event.detail === 0) title.focus({ preventScroll: true }); // pressed with a key
  });
  table.addEventListener("keydown", (event) => {
    const link = event.target.closest("a");
    if (!link || !(event.key in moves) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const next = moves[event.key](link);
    if (!next) return;
    enter(next);
    next.focus();
  });
  matrix.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  table.addEventListener("pointerover", (event) => light(event.target.closest("a")));
  table.addEventListener("pointerleave", () => light(null));
  table.addEventListener("focusin", (event) => light(event.target.closest("a")));
  panel.querySelector(".close").addEventListener("click", close);
  enter(links[0]);
}

// A link to clips within closed lists opens them, also where the browser does not do so by itself.
{
  const reveal = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (!target) return;
    let hidden = false;
    for (let list = target.closest("details"); list; list = list.parentElement.closest("details")) {
      hidden ||= !list.open;
      list.open = true;
    }
    if (hidden) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
}
