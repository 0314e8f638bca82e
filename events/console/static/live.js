// Keeps the start page as it is now: by a stream, or where none gets through by looking again.
"use strict";

const feed = document.getElementById("feed"), sum = document.getElementById("sum");
const config = document.getElementById("config"), news = document.getElementById("config-news");
const stale = document.getElementById("stale");
const lookAgain = 15 * 1000;

function put(node, html) {
  if (node.dataset.html === html) return;
  if (node.dataset.html !== undefined || node.innerHTML.trim() !== html) node.innerHTML = html; // made by the hub's own templates
  node.dataset.html = html;
}

// behind says since when the page is no longer kept as it is.
function behind() {
  if (!stale.hidden) return;
  stale.querySelector("time").textContent = new Date().toLocaleTimeString(document.documentElement.lang, {hour: "2-digit", minute: "2-digit"});
  stale.hidden = false;
}

// apply keeps what has the focus in its place: somebody may be about to open it.
function apply(now) {
  stale.hidden = true;
  if (!sum.contains(document.activeElement)) put(sum, now.summary);
  put(config, now.config);
  put(news, now.news);
  if (feed.contains(document.activeElement)) return;
  now.rows.forEach((html, n) => put(feed.children[n] || feed.appendChild(document.createElement("li")), html));
  while (feed.children.length > now.rows.length) feed.lastElementChild.remove();
}

function poll() {
  fetch("/admin/rows", {redirect: "manual", cache: "no-store"}).then(answer => answer.ok ? answer.json() : Promise.reject()).then(apply).catch(behind)
    .finally(() => setTimeout(poll, lookAgain));
}

if (!window.EventSource) poll();
else {
  const live = new EventSource("/admin/live");
  live.addEventListener("now", event => apply(JSON.parse(event.data)));
  live.addEventListener("error", () => {
    behind();
    if (live.readyState === EventSource.CLOSED) poll(); // a proxy in between that does not let it through
  });
  addEventListener("pagehide", () => live.close());
}
