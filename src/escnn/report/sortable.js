// Tables that are sorted by the column whose heading is pressed; pressed again, the other way round.
for (const table of document.querySelectorAll(".sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => Number.parseFloat(row.cells[column].dataset.value); // NaN: undefined, always last

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const sign = descending ? -1 : 1;
      const rows = [...table.tBodies[0].rows];
      const known = rows.filter((row) => !Number.isNaN(value(row, column)));
      const unknown = rows.filter((row) => Number.isNaN(value(row, column)));
      known.sort((a, b) => sign * (value(a, column) - value(b, column)));
      table.tBodies[0].append(...known, ...unknown);
    });
  });
}
