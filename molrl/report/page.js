// The page around the viewers: cards, animations, the enlarged molecule, maps and tables.

const N_SHOWN = 24; // molecules of a section before the button that shows the others
const scenes = JSON.parse(document.getElementById("scenes").textContent);
const viewers = new Map(); // of each canvas that is on the page

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  if (properties.label) made.setAttribute("aria-label", properties.label);
  made.append(...children);
  return made;
}

function button(text, label, action) {
  return element("button", { type: "button", title: label, label, onclick: action }, text);
}

// A picture is made when it comes near the window, and freed when it leaves.
const sight = new IntersectionObserver((changes) => {
  for (const { target, isIntersecting } of changes) {
    if (!target.isConnected) continue;
    if (isIntersecting) viewers.get(target)?.redraw();
    else viewers.get(target)?.release();
  }
}, { rootMargin: "300px" });
const sizes = new ResizeObserver((changes) => {
  for (const { target } of changes) if (target.width) viewers.get(target)?.redraw();
});

/** Put the viewer of an entry into a figure with a caption, with its buttons. */
function mount(figure, number) {
  const title = figure.querySelector("h3").textContent;
  const canvas = element("canvas", {
    tabIndex: 0,
    label: `3D picture of ${title}. Arrow keys turn it, plus and minus zoom, 0 resets.`,
  });
  canvas.setAttribute("role", "img");
  const stage = element("div", { className: "stage" }, canvas);
  const viewer = new Viewer(canvas, scenes.molecules[number], scenes);
  viewers.set(canvas, viewer);
  sight.observe(canvas);
  sizes.observe(canvas);
  if (!figure.closest("dialog")) {
    stage.append(button("⤢", `Enlarge ${title}`, () => enlarge(number)));
    stage.lastChild.className = "enlarge";
  }
  figure.prepend(stage);
  if (viewer.molecule.length > 1) stage.after(player(viewer, title));
}

/** Show the caption and the viewer of an entry in another figure. */
function open(figure, number) {
  for (const canvas of figure.querySelectorAll("canvas")) {
    sight.unobserve(canvas);
    sizes.unobserve(canvas);
    viewers.delete(canvas);
  }
  const caption = document.querySelector(`[data-entry="${number}"] > figcaption`);
  figure.replaceChildren(caption.cloneNode(true));
  mount(figure, number);
}

/** Return the buttons of an animation. */
function player(viewer, title) {
  const last = viewer.molecule.length - 1;
  const pause = Math.max(80, Math.min(600, 12000 / last)); // ms
  const slider = element("input", {
    type: "range", min: 0, max: last, value: last, label: `Frame of ${title}`,
  });
  const place = element("output", {}, `${last + 1} / ${last + 1}`);
  let timer = null;
  const show = (frame, growing) => {
    slider.value = frame;
    place.textContent = `${frame + 1} / ${last + 1}`;
    viewer.show(frame, growing);
  };
  const stop = () => {
    clearTimeout(timer);
    timer = null;
    label();
  };
  const step = () => {
    show(viewer.frame + 1, !matchMedia("(prefers-reduced-motion: reduce)").matches);
    if (viewer.frame < last && viewer.canvas.isConnected) timer = setTimeout(step, pause);
    else stop();
  };
  const play = button("", "", () => {
    if (timer) return stop();
    if (viewer.frame === last) show(0, false);
    timer = setTimeout(step, pause);
    label();
  });
  const label = () => {
    play.textContent = timer ? "❚❚" : "▶";
    play.title = `${timer ? "Pause" : "Play"} ${title}`;
    play.setAttribute("aria-label", play.title);
  };
  label();
  slider.addEventListener("input", () => {
    stop();
    show(Number(slider.value), false);
  });
  return element("div", { className: "player" }, play, slider, place);
}

// One molecule in a large window over the page, with the next and the one before.
const enlarged = element("figure", { className: "card" });
let shown = 0;
const step = (by) => enlarge((shown + by + scenes.molecules.length) % scenes.molecules.length);
const dialog = element("dialog", { label: "Enlarged molecule" },
  element("div", { className: "bar" },
    button("‹", "The molecule before", () => step(-1)),
    button("›", "The next molecule", () => step(1)),
    button("×", "Close", () => dialog.close())),
  enlarged);
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
document.body.append(dialog);

function enlarge(number) {
  shown = number;
  if (!dialog.open) dialog.showModal();
  open(enlarged, number);
}

for (const card of document.querySelectorAll("[data-entry]")) {
  mount(card, Number(card.dataset.entry));
}

// Cells of tables that name a molecule open it.
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#entry-"]');
  if (!link) return;
  event.preventDefault();
  enlarge(Number(link.hash.slice("#entry-".length)));
});

for (const gallery of document.querySelectorAll(".gallery")) {
  const others = [...gallery.children].slice(N_SHOWN);
  if (!others.length) continue;
  for (const card of others) card.hidden = true;
  const more = button(`Show all ${gallery.children.length}`, "Show all molecules", () => {
    for (const card of others) card.hidden = false;
    more.remove();
    others[0].querySelector("canvas").focus();
  });
  more.className = "more";
  gallery.after(more);
}

// The points of a map: one of them is reached by Tab, the others by the arrow keys, from left to
// right.
for (const map of document.querySelectorAll(".map")) {
  const place = (point) => parseFloat(point.style.left);
  const points = [...map.querySelectorAll("[data-opens]")].sort((a, b) => place(a) - place(b));
  const choose = (point) => {
    for (const each of points) {
      each.tabIndex = each === point ? 0 : -1;
      each.setAttribute("aria-pressed", each === point);
    }
    open(map.querySelector(".opened"), Number(point.dataset.opens));
  };
  points.forEach((point, i) => {
    point.title = point.getAttribute("aria-label").replaceAll("; ", "\n");
    point.addEventListener("click", () => choose(point));
    point.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const next = points[(i + by + points.length) % points.length];
      next.focus();
      choose(next);
    });
  });
  choose(points.reduce((low, each) =>
    parseFloat(each.style.bottom) < parseFloat(low.style.bottom) ? each : low));
}

// A click on a heading sorts a table, another one turns the order around.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const order = (cell) => ("order" in cell.dataset ? Number(cell.dataset.order) : cell.textContent);
  const compare = (a, b) => (typeof a === typeof b
    ? (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }))
    : typeof a === "number" ? -1 : 1);
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    heading.firstChild.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) =>
        (down ? -1 : 1) * compare(order(a.cells[column]), order(b.cells[column])));
      body.append(...rows);
    });
  });
}
