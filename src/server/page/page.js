// The page of a Sextant server: search as you type, collections, jobs, models. Data only ever becomes text nodes.
"use strict";

const $ = (id) => document.getElementById(id);
const place = { query: $("query"), hits: $("hits"), summary: $("summary"), collection: $("collection") };

/* ---- Small things ---- */

// make("p", { class: "x" }, "text", child): texts and nodes go in as they are, never as markup.
function make(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {}))
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  node.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}
const numbers = new Intl.NumberFormat("en");
const number = (value) => numbers.format(Math.round(value));
function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit++; }
  return `${value < 10 && unit ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
function duration(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}
const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;

/* ---- Asking the server ---- */

let key = sessionStorage.getItem("key") || "";
async function ask(path, options = {}) {
  const headers = options.body ? { "content-type": "application/json" } : {};
  if (key) headers.authorization = "Bearer " + key;
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) askForKey();
  const body = await response.json();
  if (!response.ok) throw new Error((body.error && body.error.message) || `The server answered ${response.status}.`);
  return body;
}
function askForKey() {
  if (!$("key-dialog").open) $("key-dialog").showModal();
}
$("key-dialog").addEventListener("close", () => {
  if ($("key-dialog").returnValue !== "ok") return;
  key = $("key").value.trim();
  sessionStorage.setItem("key", key);
  refresh();
  search();
});

/* ---- Search ---- */

// Words that say nothing about a passage.
const empty = new Set("and are but can did does for from has have how its not the that then there these they this was what when where which who why will with you your".split(" "));

// The words of the query that a passage has, marked.
function marked(text, query) {
  const words = [...new Set(query.toLowerCase().match(/[\p{L}\p{N}_]{3,}/gu) || [])].filter((word) => !empty.has(word)).sort((a, b) => b.length - a.length);
  const parts = [];
  if (!words.length) return [text];
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}_])(?:${escaped.join("|")})(?:s|es|ed|ing)?(?![\\p{L}\\p{N}_])`, "giu");
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    parts.push(text.slice(at, match.index), make("mark", {}, match[0]));
    at = match.index + match[0].length;
  }
  parts.push(text.slice(at));
  return parts;
}

function why(hit) {
  const chips = [];
  if (hit.semantic_rank) chips.push(make("span", { class: "chip", title: "its place among the passages nearest in meaning" }, `meaning #${hit.semantic_rank}`));
  if (hit.keyword_rank) chips.push(make("span", { class: "chip", title: "its place among the passages with the query's words" }, `words #${hit.keyword_rank}`));
  if (hit.similarity !== null) chips.push(make("span", { class: "chip plain", title: "cosine of query and passage" }, `similarity ${hit.similarity.toFixed(3)}`));
  if (hit.why) chips.push(make("span", { class: "chip", title: "the frame of the stack trace that leads here" }, hit.why));
  if (hit.joined) chips.push(make("span", { class: "chip plain" }, `${plural(hit.joined, "neighbour")} joined`));
  if (hit.folded) chips.push(make("span", { class: "chip plain" }, `${plural(hit.folded, "equal passage")} elsewhere`));
  return chips;
}

function details(hit) {
  const list = make("dl", {});
  const add = (name, value) => list.append(make("dt", {}, name), make("dd", {}, String(value)));
  add("document", hit.root === "api:" ? hit.document : `${hit.root}/${hit.document}`);
  add("lines", `${hit.start_line}–${hit.end_line} (bytes ${hit.start}–${hit.end})`);
  for (const [name, value] of Object.entries(hit.metadata || {}))
    add(name, typeof value === "string" ? value : JSON.stringify(value));
  return list;
}

function toggle(node) {
  node.setAttribute("aria-expanded", String(node.classList.toggle("open")));
}

function hitNode(hit, query) {
  const node = make("li", { class: "hit", tabindex: "0", "aria-expanded": "false" },
    make("div", { class: "head" },
      make("span", { class: "source" }, hit.document, make("span", { class: "line" }, hit.start_line > 1 ? `:${hit.start_line}` : "")),
      make("span", { class: "score", title: "score: what the order goes by" }, hit.score.toFixed(3))),
    hit.headings.length > 0 && make("p", { class: "path" }, hit.headings.join(" › ")),
    make("p", { class: "text" }, ...marked(hit.text.trim(), query)),
    make("div", { class: "why" }, ...why(hit)),
    details(hit));
  node.addEventListener("click", () => { if (!String(getSelection())) toggle(node); });
  return node;
}

function say(text, bad) {
  place.summary.textContent = text;
  place.summary.classList.toggle("bad", Boolean(bad));
}

let running = null;
async function search() {
  const query = place.query.value.trim(), collection = place.collection.value;
  if (running) running.abort();
  remember();
  if (!query || !collection) {
    place.hits.replaceChildren();
    place.hits.classList.remove("stale");
    say(query && !collection ? "There is no collection to search yet." : "");
    return;
  }
  const control = running = new AbortController(), path = `/v1/collections/${encodeURIComponent(collection)}/search`;
  const wanted = { query, mode: $("mode").value, type: $("type").value, count: Number($("count").value) };
  let complete = false;
  place.hits.classList.add("stale");
  const show = (found, note) => {
    place.hits.replaceChildren(...found.hits.map((hit) => hitNode(hit, query)));
    place.hits.classList.remove("stale");
    say(found.hits.length ? `${plural(found.hits.length, "passage")} in ${found.ms.toFixed(1)} ms${note}` : `Nothing found${note}.`);
    if (found.hits.length && !note) place.summary.append(" · ", make("a", { href: `/page/map.html?in=${encodeURIComponent(collection)}&q=${encodeURIComponent(query)}` }, "on the map"));
  };
  const send = (body) => ask(path, { method: "POST", body: JSON.stringify(body), signal: control.signal });
  // Words are found at once; what is found by meaning takes its place when it is there.
  if (wanted.mode === "hybrid" && !place.hits.childElementCount)
    send({ ...wanted, mode: "keyword" }).then((found) => { if (!complete && found.hits.length) show(found, ", by words so far"); }, () => {});
  try {
    const found = await send(wanted);
    complete = true;
    show(found, "");
  } catch (error) {
    if (error.name === "AbortError") return;
    complete = true;
    place.hits.replaceChildren();
    say(error.message, true);
  }
}

// The address says what was looked for, so that it can be kept and sent.
function remember() {
  const parameters = new URLSearchParams();
  const query = place.query.value.trim();
  if (query) parameters.set("q", query);
  if (place.collection.value && place.collection.selectedIndex > 0) parameters.set("in", place.collection.value);
  if ($("mode").value !== "hybrid") parameters.set("mode", $("mode").value);
  if ($("type").value !== "general") parameters.set("type", $("type").value);
  history.replaceState(null, "", (parameters.size ? `?${parameters}` : "/") + location.hash);
}

let timer = 0;
place.query.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 120); });
for (const id of ["collection", "mode", "type", "count"]) $(id).addEventListener("change", search);
$("form").addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(timer); search(); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("key-dialog").open) return;
  const at = document.activeElement, hits = [...place.hits.children], index = hits.indexOf(at);
  const inText = at && /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName);
  if (event.key === "/" && !inText) place.query.focus(), place.query.select();
  else if (event.key === "ArrowDown" && (at === place.query || index >= 0 || !inText) && hits.length) hits[Math.min(index + 1, hits.length - 1)].focus();
  else if (event.key === "ArrowUp" && index > 0) hits[index - 1].focus();
  else if (event.key === "ArrowUp" && index === 0) place.query.focus();
  else if ((event.key === "Enter" || event.key === " ") && index >= 0) toggle(at);
  else if (event.key === "Escape" && index >= 0 && at.classList.contains("open")) toggle(at);
  else if (event.key === "Escape" && (index >= 0 || at === place.query)) place.query.focus(), place.query.select();
  else return;
  event.preventDefault();
});

/* ---- What there is ---- */

function figures(...pairs) {
  return make("dl", { class: "figures" }, ...pairs.filter(Boolean).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function showCollections(list) {
  const names = list.map((item) => item.name), chosen = place.collection.value || new URLSearchParams(location.search).get("in");
  if (names.join("\n") !== [...place.collection.options].map((option) => option.value).join("\n")) {
    place.collection.replaceChildren(...names.map((name) => make("option", { value: name, selected: name === chosen }, name)));
    if (!names.length) place.collection.append(make("option", { value: "" }, "no collection"));
  }
  $("collection-list").replaceChildren(...list.map((item) => make("article", { class: "card" },
    make("h3", {}, item.name, make("span", { class: "state" + (item.failed ? " bad" : "") },
      item.moving_to ? `moving to ${item.moving_to}` : item.failed ? `${plural(item.failed, "document")} failed` : item.pending ? `${number(item.pending)} pending` : "")),
    make("p", {}, `${item.model}, ${item.dimensions} dimensions`),
    figures([item.documents === 1 ? "document" : "documents", number(item.documents)], [item.chunks === 1 ? "passage" : "passages", number(item.chunks)], ["size", bytes(item.bytes)]),
    item.vectors > 0 && make("p", {}, make("a", { href: "/page/map.html?in=" + encodeURIComponent(item.name) }, "Map of its passages")))));
  if (!list.length)
    $("collection-list").append(make("p", { class: "empty" }, "No collection yet. ", make("code", {}, "sextant index FOLDER"), " makes one, and so does ", make("code", {}, "POST /v1/collections"), "."));
}

const states = { queued: "queued", running: "running", done: "done", failed: "failed", stopped: "stopped" };
function jobCard(job) {
  const progress = job.progress, result = job.result, card = make("article", { class: "card" },
    make("h3", {}, job.source === job.collection ? job.source : `${job.source} → ${job.collection}`,
      make("span", { class: "state" + (job.state === "done" ? " good" : job.state === "failed" ? " bad" : "") }, states[job.state] || job.state),
      (job.state === "running" || job.state === "queued") && make("button", { class: "small", click: () => act(`/v1/jobs/${job.id}`, { method: "DELETE" }) }, "Stop")));
  if (progress) {
    const bar = make("progress", { max: "1", "aria-label": progress.phase });
    // by time where it is known: files differ in size
    if (progress.seconds_left !== null) bar.value = progress.seconds / (progress.seconds + progress.seconds_left || 1);
    else if (progress.total) bar.value = Math.min(1, progress.done / progress.total);
    const left = progress.seconds_left === null ? "" : `, ${duration(progress.seconds_left)} left`;
    const rate = progress.rate > 0 ? `, ${number(progress.rate)} a second` : "";
    card.append(bar, make("p", {}, `${progress.phase}: ${number(progress.done)} of ${plural(progress.total, progress.unit.replace(/s$/, ""))}${rate}${left}`));
  } else if (result) {
    const told = [[result.documents.added, "added"], [result.documents.changed, "changed"], [result.documents.removed, "removed"], [result.documents.unchanged, "unchanged"], [result.documents.skipped, "skipped"], [result.documents.failed, "failed"]];
    const words = told.filter(([count]) => count).map(([count, word]) => `${number(count)} ${word}`).join(", ");
    card.append(make("p", {}, `${words || "no documents"} in ${result.seconds < 10 ? result.seconds.toFixed(1) + " s" : duration(result.seconds)}`));
  }
  if (job.error) card.append(make("p", { class: "bad" }, job.error.message));
  return card;
}

function showJobs(list, sources) {
  $("sources").replaceChildren(...sources.map((name) =>
    make("button", { click: () => act("/v1/jobs", { method: "POST", body: JSON.stringify({ source: name }) }) }, `Index ${name}`)));
  $("job-list").replaceChildren(...list.slice(0, 12).map(jobCard));
  if (!list.length)
    $("job-list").append(make("p", { class: "empty" }, sources.length ? "No job has run since the server was started." : "The server has no sources to index: ", !sources.length && make("code", {}, "sextant serve --source NAME=FOLDER"), !sources.length && " gives it one."));
}

async function act(path, options) {
  try {
    await ask(path, options);
  } catch (error) {
    say(error.message, true);
  }
  refresh();
}

let before = null;
function showModels(status) {
  const now = performance.now();
  $("model-list").replaceChildren(...status.models.map((model) => {
    const old = before && before.models.find((other) => other.name === model.name);
    const rate = old ? Math.max(0, (model.tokens - old.tokens) / ((now - before.at) / 1000)) : 0;
    const about = [model.family, model.precision, model.parameters && `${number(model.parameters / 1e6)} M parameters`].filter(Boolean).join(", ");
    return make("article", { class: "card" },
      make("h3", {}, model.name, make("span", { class: "state" + (model.loaded ? " good" : "") }, model.loaded ? "loaded" : "on demand")),
      make("p", {}, about || "not loaded yet"),
      figures(model.dimensions > 0 && ["dimensions", number(model.dimensions)], model.max_length > 0 && ["tokens at most", number(model.max_length)],
        ["texts", number(model.texts)], ["tokens/s now", number(rate)], model.queued > 0 && ["waiting", number(model.queued)]));
  }));
  before = { at: now, models: status.models };
  $("server").textContent = `Sextant ${status.version}, up ${duration(status.uptime)}, ${plural(status.connections, "connection")}`;
}

/* ---- Keeping up ---- */

let started = false, stale = true, busy = false;
async function refresh() {
  try {
    const [status, jobs] = await Promise.all([ask("/v1/status"), ask("/v1/jobs")]);
    const works = jobs.jobs.some((job) => job.state === "running" || job.state === "queued");
    showModels(status);
    showJobs(jobs.jobs, jobs.sources);
    if (stale || works || busy) showCollections((await ask("/v1/collections")).collections);
    stale = false;
    busy = works;
    if (!started && place.query.value) search();
    started = true;
  } catch (error) {
    $("server").textContent = `The server does not answer: ${error.message}`;
  }
}
let rounds = 0;
setInterval(() => {
  if (document.hidden) return;
  rounds++;
  if (rounds % 20 === 0) stale = true; // others may have changed something
  if (busy || rounds % 2 === 0) refresh();
}, 1000);

const parameters = new URLSearchParams(location.search);
place.query.value = parameters.get("q") || "";
for (const id of ["mode", "type"]) if (parameters.get(id)) $(id).value = parameters.get(id);
refresh();
