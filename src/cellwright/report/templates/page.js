"use strict";
(() => {
  // ---- tables: a click on a heading sorts; numbers by value, names as people count; empty cells and failures stay last
  const names = new Intl.Collator("en", { numeric: true });

  function valueOf(row, column) {
    const cell = row.classList.contains("failed") && column > 0 ? null : row.cells[column];
    return cell ? cell.dataset.value ?? "" : "";
  }

  function compare(a, b, numeric, sign) {
    if (a === "" || b === "") return (a === "") - (b === "");
    return sign * (numeric ? Number(a) - Number(b) : names.compare(a, b));
  }

  function sortBy(header) {
    const table = header.closest("table"), body = table.tBodies[0], column = header.cellIndex;
    const opposite = { ascending: "descending", descending: "ascending" };
    const order = opposite[header.getAttribute("aria-sort")] ?? header.dataset.first ?? "ascending";
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    const numeric = header.classList.contains("number"), sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
    rows.sort((a, b) => a[1].classList.contains("failed") - b[1].classList.contains("failed") || compare(a[0], b[0], numeric, sign));
    body.append(...rows.map((pair) => pair[1]));
  }

  for (const button of document.querySelectorAll("table.sortable thead button")) {
    button.addEventListener("click", () => sortBy(button.closest("th")));
  }

  // ---- buttons: one of a group is pressed
  function press(button) {
    for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
  }

  for (const button of document.querySelectorAll("button[data-block]")) {
    button.addEventListener("click", () => {
      press(button);
      const prefix = button.dataset.block + "-";
      for (const other of button.parentElement.children) {
        document.getElementById(prefix + other.dataset.view).hidden = other !== button;
      }
    });
  }

  // ---- figures: views come ready for plotly, except maps of cells, whose traces are made from codes and coordinates
  const config = {
    responsive: true, displaylogo: false, scrollZoom: false,
    modeBarButtonsToRemove: ["sendDataToCloud", "sendChartToCloud", "select2d", "lasso2d", "autoScale2d"],
  };
  const figures = new Map();

  function hasWebGL() {
    const context = document.createElement("canvas").getContext("webgl");
    context?.getExtension("WEBGL_lose_context")?.loseContext();
    return context !== null;
  }
  const scatter = hasWebGL() ? "scattergl" : "scatter";

  function hover(panel, keys, cell) {
    const lines = Object.entries(panel.codes).map(([role, codes]) => `${role}: ${keys[role].categories[codes[cell]] ?? "none"}`);
    return [...(panel.names ? [`<b>${panel.names[cell]}</b>`] : []), ...lines].join("<br>");
  }

  function trace(panel, keys, cells, rest) {
    return {
      type: scatter, mode: "markers", xaxis: panel.axes[0], yaxis: panel.axes[1],
      x: cells.map((cell) => panel.x[cell]), y: cells.map((cell) => panel.y[cell]),
      text: cells.map((cell) => hover(panel, keys, cell)), hovertemplate: "%{text}<extra></extra>", ...rest,
    };
  }

  // a view shows all panels, or those that it lists; a panel with a key of its own shares only the colours of the view's
  function cellTraces({ panels, keys }, { key, panels: chosen }) {
    const { categories, colours, none } = keys[key], inLegend = new Set(), traces = [];
    for (const panel of chosen ? chosen.map((at) => panels[at]) : panels) {
      const size = panel.size ?? Math.min(7, Math.max(2.5, 180 / Math.sqrt(panel.x.length))), members = new Map();
      panel.x.forEach((_, cell) => {
        const code = panel.codes[panel.key ?? key]?.[cell] ?? -1;
        if (!members.has(code)) members.set(code, []);
        members.get(code).push(cell);
      });
      for (const code of [...members.keys()].sort((a, b) => a - b)) {
        traces.push(trace(panel, keys, members.get(code), {
          name: categories[code] ?? "none", legendgroup: `${code}`, legendrank: code < 0 ? 2000 : 1000 + code / 100,
          showlegend: categories.length > 0 && !inLegend.has(code),
          marker: { color: colours[code] ?? none, size, opacity: 0.8 },
        }));
        inLegend.add(code);
      }
    }
    return traces;
  }

  // predicted means of genes against real ones, and where the genes were without the treatment
  function geneTraces({ panels, looks }, { key }) {
    return panels.flatMap((panel, index) => Object.entries(looks).map(([of, look]) => ({
      type: scatter, mode: "markers", xaxis: panel.axes[0], yaxis: panel.axes[1], showlegend: index === 0, name: look.name,
      legendgroup: of, x: panel.treated, y: of === "control" ? panel.control : panel.predicted[key] ?? [], text: panel.genes,
      marker: look.marker, hovertemplate: `<b>%{text}</b><br>real %{x:.2f}, ${look.said} %{y:.2f}<extra></extra>`,
    })));
  }

  const phone = matchMedia("(max-width: 640px)"), drawn = new Map();

  function show(id, index) {
    const { kind, shared, views } = figures.get(id), view = views[index];
    const makers = { cells: cellTraces, genes: geneTraces };
    const data = makers[kind] ? makers[kind](shared, view) : view.data;
    drawn.set(id, index);
    const narrow = phone.matches && view.narrow;
    // plotly writes into what it is given; a view is drawn more than once. Its tools would cover a narrow figure
    return Plotly.react(id, data, structuredClone(narrow || view.layout), { ...config, displayModeBar: narrow ? false : "hover" });
  }

  phone.addEventListener("change", () => {
    for (const [id, index] of drawn) if (figures.get(id).views[index].narrow) show(id, index);
  });

  for (const script of document.querySelectorAll('script[type="application/json"]')) {
    figures.set(script.dataset.for, JSON.parse(script.textContent));
    show(script.dataset.for, 0);
  }

  for (const button of document.querySelectorAll("button[data-figure]")) {
    button.addEventListener("click", () => { press(button); show(button.dataset.figure, Number(button.dataset.view)); });
  }

  for (const list of document.querySelectorAll("select[data-figure]")) {
    list.addEventListener("change", () => show(list.dataset.figure, Number(list.value)));
  }

  // ---- contents: the section in view is marked
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) for (const [id, link] of links) link.classList.toggle("here", id === entry.target.id);
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  for (const section of document.querySelectorAll("section[id]")) seen.observe(section);
})();
