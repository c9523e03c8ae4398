// The page is complete without this script, which makes its tables easier to use.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    body.append(...rows.sort((one, two) => {
      const a = key(one), b = key(two);
      // A row without a value stays at the end, whichever way the table is sorted.
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = isNaN(a) || isNaN(b) ? a.localeCompare(b, "en", { numeric: true }) : a - b;
      return down ? -order : order;
    }));
  }));
  if (rows.length < 12) continue;
  const filter = document.createElement("p"), field = document.createElement("input");
  const count = document.createElement("output");
  filter.className = "filter";
  Object.assign(field, { type: "search", placeholder: "Filter rows", ariaLabel: "Filter rows" });
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(" ");
    for (const row of rows) {
      row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = field.value ? `${shown} of ${rows.length} rows` : "";
  });
  filter.append(field, count);
  table.parentElement.before(filter);
}
// Browsers differ in whether the keyboard reaches a box only because it scrolls.
const focusable = { tabindex: "0", role: "group", "aria-label": "Scrolls sideways" };
const observer = new ResizeObserver((entries) => entries.forEach(({ target }) => {
  const scrolls = target.scrollWidth > target.clientWidth;
  for (const [name, value] of Object.entries(focusable)) {
    if (scrolls) target.setAttribute(name, value);
    else target.removeAttribute(name);
  }
}));
for (const box of document.querySelectorAll(".scroll")) observer.observe(box);
