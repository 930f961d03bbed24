// The map of a collection on the server (?in=NAME&q=QUERY): its data, and searches by meaning on it.
"use strict";

const parameters = new URLSearchParams(location.search), collection = parameters.get("in") || "default";
const path = `/v1/collections/${encodeURIComponent(collection)}`, key = sessionStorage.getItem("key");

async function ask(address, body) {
  const headers = key ? { authorization: "Bearer " + key } : {};
  if (body) headers["content-type"] = "application/json";
  const response = await fetch(address, body ? { method: "POST", body: JSON.stringify(body), headers } : { headers });
  const answer = await response.json();
  if (!response.ok) throw new Error((answer.error && answer.error.message) || `The server answered ${response.status}.`);
  return answer;
}

// Places tell passages of a search from others as well as ids would, and are what an answer has.
const place = (root, file, line) => JSON.stringify([root, file, line]);
async function search(query) {
  const hits = (await ask(path + "/search", { query, count: 20, keep_duplicates: true })).hits;
  const places = new Set(hits.map((hit) => place(hit.root, hit.document, hit.start_line)));
  return (point) => places.has(place(point.root, point.document, point.line));
}

async function show() {
  document.title = `${collection} - map - Sextant`;
  try {
    const data = await ask(path + "/map"), shown = data.points.length, format = new Intl.NumberFormat("en").format;
    const passages = shown < data.passages ? `${format(shown)} of ${format(data.passages)} passages` : `${format(shown)} ${shown === 1 ? "passage" : "passages"}`;
    showMap(data, { title: data.collection, subtitle: `${passages}, ${data.model}`, back: "/?in=" + encodeURIComponent(collection), search, query: parameters.get("q") });
  } catch (error) {
    document.getElementById("notice").textContent = error.message;
  }
}
show();
