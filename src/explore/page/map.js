// A map of passages to explore: a canvas, a list of groups, a box to find words in. Pointer, keyboard and touch; light and dark. What stands in
// the data reaches the page by textContent and fillText alone, never as markup.
"use strict";

// node("p", { id: "x" }, "text", child)
function node(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Fills the page. options: title; subtitle; back (an address that the title leads to); search (asks for the passages nearest in meaning to a text:
// a promise of a function that says of a point whether it is among them); query (looked for at once, by search).
function showMap(data, options) {
  const root = document.documentElement, points = data.points, groups = data.groups, hidden = new Set();
  const lower = points.map((p) => `${p.document} ${p.title || ""} ${p.text}`.toLowerCase());
  let width = 0, height = 0, scale = 1, left = 0, top = 0, chosen = -1, matches = null, planned = false, asked = 0, held = null;
  let theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";

  const canvas = node("canvas", { id: "map", tabIndex: 0 }), pen = canvas.getContext("2d"), card = node("div", { id: "card" });
  const box = node("input", { id: "search", type: "search", placeholder: options.search ? "Find words; Enter: by meaning  ( / )" : "Find words ( / )" });
  const found = node("span", { id: "found" }), list = node("aside", { id: "groups" });
  const whole = node("button", { id: "whole", title: "Show all (0)" }, "Show all"), themes = node("button", { id: "theme", title: "Light or dark" }, "Light / dark");
  canvas.setAttribute("aria-label", "Map of passages. Arrow keys move, plus and minus zoom, n goes to the next passage.");
  box.setAttribute("aria-label", "Find words in the passages");
  list.setAttribute("aria-label", "Groups");
  for (const told of [card, found]) told.setAttribute("role", "status");
  const title = node("h1", {}, options.back ? node("a", { href: options.back, title: "To the search" }, "← " + options.title) : options.title);
  document.body.replaceChildren(
    node("header", {}, title, node("p", {}, options.subtitle), box, found, whole, themes),
    node("main", {}, canvas, card, node("div", { id: "help" }, "drag, arrows: move · wheel, + −: zoom · n, p: next, previous passage · 0: show all · /: find")),
    list);

  /* ---- Drawing ---- */

  function plan() {
    if (!planned) { planned = true; requestAnimationFrame(() => { planned = false; draw(); }); }
  }
  function showAll() {
    const edge = width < 500 ? 20 : 48;
    scale = Math.min((width - 2 * edge) / (data.width || 1e-3), (height - 2 * edge) / (data.height || 1e-3));
    if (!(scale > 0)) scale = 1;
    left = (width - data.width * scale) / 2;
    top = (height - data.height * scale) / 2;
    choose(-1);
  }
  const visible = (i) => !hidden.has(points[i].group);
  function radius() {
    const base = Math.min(6, Math.max(1.8, Math.sqrt(width * height * 0.1 / Math.PI / Math.max(1, points.length))));
    const fit = Math.min(width / (data.width || 1), height / (data.height || 1)) || 1;
    return Math.min(11, base * Math.max(1, Math.pow(scale / fit, 0.45)));
  }
  function circle(i, r) {
    pen.beginPath();
    pen.arc(left + points[i].x * scale, top + points[i].y * scale, r, 0, 7);
  }
  function draw() {
    const colors = getComputedStyle(root), r = radius();
    pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const paint = (i, size, alpha) => {
      const x = left + points[i].x * scale, y = top + points[i].y * scale;
      if (!visible(i) || x < -size || y < -size || x > width + size || y > height + size) return;
      pen.globalAlpha = alpha;
      pen.fillStyle = groups[points[i].group][theme];
      circle(i, size);
      pen.fill();
    };
    for (let i = 0; i < points.length; i++) paint(i, r, matches && !matches.has(i) ? 0.08 : 0.7);
    for (const i of matches || []) paint(i, r * 1.45, 1);
    pen.globalAlpha = 1;
    if (chosen >= 0) {
      pen.strokeStyle = colors.getPropertyValue("--text");
      pen.lineWidth = 2;
      circle(chosen, r + 4);
      pen.stroke();
    }
    if (groups.length > 1) drawNames(colors);
  }
  function drawNames(colors) {
    const taken = [];
    pen.font = "600 13px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.lineJoin = "round";
    pen.lineWidth = 4;
    pen.strokeStyle = colors.getPropertyValue("--ground");
    pen.fillStyle = colors.getPropertyValue("--text");
    groups.forEach((group, number) => {
      if (hidden.has(number)) return;
      const name = group.name.length > 38 ? group.name.slice(0, 37) + "…" : group.name, half = pen.measureText(name).width / 2 + 3;
      const x = Math.min(Math.max(left + group.x * scale, half), Math.max(half, width - half));
      for (const move of [0, -1, 1, -2, 2, -3, 3]) {
        const y = top + group.y * scale + move * 15;
        if (taken.some((t) => x - half < t.x + t.half && t.x - t.half < x + half && Math.abs(t.y - y) < 15)) continue;
        taken.push({ x, y, half });
        pen.strokeText(name, x, y);
        pen.fillText(name, x, y);
        break;
      }
    });
  }

  /* ---- One passage ---- */

  function choose(i, centre) {
    chosen = i;
    plan();
    card.style.visibility = i < 0 ? "hidden" : "visible";
    if (i < 0) return;
    const p = points[i];
    let x = left + p.x * scale, y = top + p.y * scale;
    if (centre && (x < 40 || y < 40 || x > width - 40 || y > height - 40)) {
      left += width / 2 - x;
      top += height / 2 - y;
      [x, y] = [width / 2, height / 2];
    }
    card.replaceChildren(node("b", {}, p.title || p.document), node("small", {}, `${p.document}, line ${p.line} · ${groups[p.group].name}`),
      node("span", {}, p.text + (p.whole ? "" : " …")));
    card.style.left = Math.max(6, Math.min(x + 400 > width ? x - card.offsetWidth - 14 : x + 14, width - card.offsetWidth - 6)) + "px";
    card.style.top = Math.max(6, Math.min(y + 12, height - card.offsetHeight - 8)) + "px";
  }
  const canBeChosen = (i) => visible(i) && (!matches || matches.has(i));
  function nearest(x, y) {
    let best = -1, least = 16 * 16;
    for (let i = 0; i < points.length; i++) {
      if (!canBeChosen(i)) continue;
      const dx = left + points[i].x * scale - x, dy = top + points[i].y * scale - y, distance = dx * dx + dy * dy;
      if (distance < least) { least = distance; best = i; }
    }
    return best;
  }
  function step(by) {
    for (let n = 0, i = chosen; n < points.length; n++) {
      i = i < 0 && by < 0 ? points.length - 1 : (i + by + points.length) % points.length;
      if (canBeChosen(i)) { choose(i, true); return; }
    }
  }
  function zoom(factor, x, y) {
    const next = Math.min(1e6, Math.max(30, scale * factor));
    left = x - (x - left) * next / scale;
    top = y - (y - top) * next / scale;
    scale = next;
    choose(-1);
  }

  /* ---- Finding ---- */

  function tell(text, bad) {
    found.textContent = text;
    found.classList.toggle("bad", Boolean(bad));
  }
  function match(fits, how) {
    matches = fits ? new Set([...points.keys()].filter(fits)) : null;
    tell(matches ? `${matches.size} ${matches.size === 1 ? "passage" : "passages"}${how}` : "");
    choose(-1);
  }
  function findWords() {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    asked++;
    match(words.length > 0 && ((i) => words.every((word) => lower[i].includes(word))), "");
  }
  async function findMeaning() {
    const number = ++asked;
    tell("…");
    try {
      const isFound = await options.search(box.value);
      if (number === asked) match((i) => isFound(points[i]), " nearest");
    } catch (error) {
      if (number === asked) tell(error.message, true);
    }
  }

  /* ---- Groups, pointer, keys ---- */

  function listGroups() {
    list.replaceChildren(...groups.map((group, number) => {
      const dot = node("i", {}), button = node("button", {}, dot, node("span", {}, group.name), node("small", {}, group.count));
      dot.style.background = group[theme];
      button.setAttribute("aria-pressed", !hidden.has(number));
      button.onclick = () => {
        if (!hidden.delete(number)) hidden.add(number);
        button.setAttribute("aria-pressed", !hidden.has(number));
        choose(-1);
      };
      return button;
    }));
  }
  function showTheme() {
    root.dataset.theme = theme;
    listGroups();
    plan();
  }
  canvas.onpointerdown = (e) => {
    held = { x: e.offsetX, y: e.offsetY };
    canvas.setPointerCapture(e.pointerId);
    canvas.classList.add("held");
    choose(-1);
  };
  canvas.onpointerup = canvas.onpointercancel = (e) => {
    held = null;
    canvas.classList.remove("held");
    choose(nearest(e.offsetX, e.offsetY));
  };
  canvas.onpointermove = (e) => {
    if (!held) { choose(nearest(e.offsetX, e.offsetY)); return; }
    left += e.offsetX - held.x;
    top += e.offsetY - held.y;
    held = { x: e.offsetX, y: e.offsetY };
    plan();
  };
  canvas.onpointerleave = () => choose(-1);
  canvas.addEventListener("wheel", (e) => { e.preventDefault(); zoom(Math.exp(-e.deltaY * 0.0016), e.offsetX, e.offsetY); }, { passive: false });
  box.oninput = findWords;
  whole.onclick = showAll;
  themes.onclick = () => { theme = theme === "dark" ? "light" : "dark"; showTheme(); };
  addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.target === box) {
      if (e.key === "Escape") { box.value = ""; findWords(); canvas.focus(); }
      else if (e.key === "Enter" && options.search && box.value.trim()) findMeaning();
      else if (e.key === "Enter") step(1);
      return;
    }
    if (e.target !== canvas && /^(Enter| )$/.test(e.key)) return; // a button's
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (moves[e.key]) { left += moves[e.key][0]; top += moves[e.key][1]; choose(-1); }
    else if (e.key === "+" || e.key === "=") zoom(1.3, width / 2, height / 2);
    else if (e.key === "-") zoom(1 / 1.3, width / 2, height / 2);
    else if (e.key === "0") showAll();
    else if (e.key === "n") step(1);
    else if (e.key === "p") step(-1);
    else if (e.key === "/") box.focus();
    else if (e.key === "Escape") choose(-1);
    else return;
    e.preventDefault();
  });
  new ResizeObserver(() => {
    const area = canvas.parentElement.getBoundingClientRect(), first = !width;
    width = area.width;
    height = area.height;
    canvas.width = width * devicePixelRatio;
    canvas.height = height * devicePixelRatio;
    if (first) showAll(); else plan();
  }).observe(canvas.parentElement);
  showTheme();
  if (options.query && options.search) {
    box.value = options.query;
    findMeaning();
  }
}
