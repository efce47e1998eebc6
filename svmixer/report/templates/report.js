"use strict";
(async () => {
  const root = document.documentElement;
  const views = JSON.parse(document.getElementById("figures").textContent);
  const clips = JSON.parse(document.getElementById("clips").textContent);
  const NAMES = ["ink", "faint", "0", "1", "2", "3", "4", "5", "6", "7"];
  const PRINTED_WIDTH = 640;
  const LARGEST_SQUARE = 560;
  // Two plots fit on a page.
  const PRINTED_SQUARE = 400;

  for (const player of document.querySelectorAll("audio[data-clip]")) player.src = clips[player.dataset.clip];

  for (const button of document.querySelectorAll("button.copy")) {
    button.addEventListener("click", async () => {
      const command = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(command.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(command);
      }
    });
  }

  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  function palette() {
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue(/\d/.test(name) ? "--c" + name : "--" + name).trim();
    const named = Object.fromEntries(NAMES.map((name) => ["$" + name, colour(name)]));
    return { named, rule: colour("rule"), paper: colour("paper"), ink: colour("ink") };
  }

  // A copy of a trace or layout with colours in the place of their names.
  function coloured(value, named, key) {
    if (key === "color" && typeof value === "string") return named[value] ?? value;
    if (Array.isArray(value)) return value;
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, coloured(item, named, name)]));
  }

  function laidOut(layout, colours, width) {
    const { square, height, ...rest } = layout;
    const side = Math.min(width, root.classList.contains("printing") ? PRINTED_SQUARE : LARGEST_SQUARE);
    const narrow = width < 480;
    const axis = {
      gridcolor: colours.rule, linecolor: colours.rule, zerolinecolor: colours.rule, automargin: true,
      title: { standoff: 8 },
    };
    const result = {
      width: square ? side : width,
      height: square ? side : height ?? 360,
      margin: { l: narrow ? 48 : 60, r: 14, t: 28, b: 48 },
      font: { color: colours.ink, size: narrow ? 11 : 13, family: getComputedStyle(document.body).fontFamily },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, dragmode: false,
      hovermode: "closest",
      hoverlabel: { bgcolor: colours.paper, font: { color: colours.ink } },
      ...rest,
    };
    for (const name of ["xaxis", ...Object.keys(rest).filter((key) => key.startsWith("yaxis"))]) {
      const own = rest[name] ?? {};
      result[name] = { ...axis, ...own, title: { ...axis.title, ...own.title } };
    }
    return result;
  }

  function legend(figure, view, colours) {
    const groups = new Map();
    const { traces } = view;
    let focused = null;
    view.first ??= new Set(traces.filter((trace) => trace.visible !== "legendonly").map((trace) => trace.legendgroup));
    for (const trace of traces) {
      if (trace.name && trace.showlegend !== false && !groups.has(trace.legendgroup)) groups.set(trace.legendgroup, trace);
    }
    const hadFocus = figure.legend.contains(document.activeElement) ? document.activeElement.textContent : null;
    const more = figure.legend.querySelector("details");
    figure.legend.replaceChildren();
    if (groups.size < 2) return;
    const folded = foldedPart(groups, view.first, more?.open);
    for (const [name, trace] of groups) {
      const button = document.createElement("button");
      button.type = "button";
      const shown = (trace.visible ?? true) === true;
      button.setAttribute("aria-pressed", String(shown));
      const colour = colours.named[(trace.line ?? trace.marker).color];
      const dash = { dash: "6 3", dot: "2 3", dashdot: "6 3 2 3", longdash: "9 4", longdashdot: "9 4 2 4" }[trace.line?.dash] ?? "";
      button.innerHTML =
        `<svg width="22" height="10" aria-hidden="true"><path d="M1 5h20" stroke="${colour}" stroke-width="3" ` +
        `stroke-dasharray="${dash}"/></svg><span></span>`;
      button.querySelector("span").textContent = name;
      button.addEventListener("click", () => {
        for (const one of traces) if (one.legendgroup === name) one.visible = shown ? "legendonly" : true;
        draw(figure);
      });
      (view.first.has(name) ? figure.legend : folded.lastChild).append(button);
      if (name === hadFocus) focused = button;
    }
    if (folded) figure.legend.append(folded);
    focused?.focus();
  }

  // What is not shown at first is folded away, so that many conditions leave room for the plot.
  function foldedPart(groups, first, open) {
    const hidden = [...groups.keys()].filter((name) => !first.has(name)).length;
    if (!hidden) return null;
    const folded = document.createElement("details");
    folded.open = Boolean(open);
    const summary = document.createElement("summary");
    summary.textContent = `${hidden} more`;
    const buttons = document.createElement("div");
    buttons.className = "legend";
    folded.append(summary, buttons);
    return folded;
  }

  function draw(figure) {
    const width = root.classList.contains("printing") ? PRINTED_WIDTH : Math.floor(figure.element.clientWidth);
    if (!width) return;
    const view = figure.views[figure.current];
    const colours = palette();
    figure.width = width;
    figure.note.textContent = view.note;
    legend(figure, view, colours);
    const traces = view.traces.map((trace) => coloured(trace, colours.named));
    const config = {
      displaylogo: false, displayModeBar: matchMedia("(hover: none)").matches ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    };
    Plotly.react(figure.plot, traces, coloured(laidOut(view.layout, colours, width), colours.named), config);
  }

  try {
    const script = document.createElement("script");
    script.textContent = await unpacked(document.getElementById("plotly").textContent);
    document.head.append(script);
  } catch {
    for (const plot of document.querySelectorAll(".plot")) {
      plot.textContent = "This browser cannot unpack the plots; their numbers are below.";
    }
    return;
  }
  const figures = [...document.querySelectorAll("figure")].map((element) => ({
    element, current: 0, width: 0, views: views[element.id],
    plot: element.querySelector(".plot"), legend: element.querySelector(".legend"), note: element.querySelector(".note"),
  }));
  const drawAll = () => figures.forEach(draw);
  for (const figure of figures) {
    const choice = figure.element.querySelector("select");
    // Browsers remember what was chosen when a page is loaded again.
    if (choice) choice.value = "0";
    choice?.addEventListener("change", () => {
      figure.current = Number(choice.value);
      draw(figure);
    });
    new ResizeObserver(() => {
      if (Math.floor(figure.element.clientWidth) !== figure.width && !root.classList.contains("printing")) draw(figure);
    }).observe(figure.element);
  }
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  let opened = [];
  addEventListener("beforeprint", () => {
    root.classList.add("printing");
    opened = [...document.querySelectorAll("details.print:not([open])")];
    for (const one of opened) one.open = true;
    drawAll();
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    for (const one of opened) one.open = false;
    drawAll();
  });
  root.dataset.drawn = "true";
})();
