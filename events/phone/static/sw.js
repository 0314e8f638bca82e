// The service worker: pages come from the network, and from what was kept of them where there is none. What was kept goes
// when somebody signs out, or is found to be signed out.
"use strict";

const kept = "carehub-1";
const patience = 4000; // for a page that was kept

self.addEventListener("install", event => {
  event.waitUntil(caches.open(kept).then(cache => cache.add(script)).catch(() => {}).then(() => self.skipWaiting()));
});

self.addEventListener("activate", event => {
  event.waitUntil(caches.keys().then(names => Promise.all(names.filter(name => name !== kept).map(name => caches.delete(name)))).then(() => self.clients.claim()));
});

// keeps reports whether a page is one to keep: those to log with and to phone from, and the card to show.
function keeps(url) {
  return url.pathname === "/" || url.pathname.startsWith("/log/") || /^\/p\/[^/]+\/card$/.test(url.pathname) || url.pathname.startsWith("/static/");
}

self.addEventListener("fetch", event => {
  const request = event.request, url = new URL(request.url);
  if (url.origin !== location.origin) return;
  if (request.method === "POST" && url.pathname === "/signout") {
    event.waitUntil(caches.delete(kept));
    return;
  }
  if (request.method !== "GET") return;
  if (keeps(url)) event.respondWith(url.pathname.startsWith("/static/") ? fromCache(request) : fromNetwork(request));
  else if (request.mode === "navigate") event.respondWith(fetch(request).catch(home));
});

// A page names what to keep for when there is no signal.
self.addEventListener("message", event => {
  event.waitUntil(Promise.allSettled(event.data.keep.map(path => freshen(new Request(path)))));
});

const freshFor = 10 * 60 * 1000;

// freshen keeps a page unless what is kept of it is new: each look at a card is on record at the hub.
async function freshen(request) {
  const have = await (await caches.open(kept)).match(request, {ignoreVary: true});
  if (!have || Math.abs(Date.now() - Date.parse(have.headers.get("Date"))) > freshFor) await fromNetwork(request);
}

async function fromCache(request) {
  const cache = await caches.open(kept);
  const have = await cache.match(request);
  if (have) return have;
  const answer = await fetch(request);
  if (answer.ok) await cache.put(request, answer.clone());
  return answer;
}

async function fromNetwork(request) {
  const cache = await caches.open(kept);
  const have = await cache.match(request, {ignoreVary: true});
  try {
    const answer = await (have ? Promise.race([fetch(request), late()]) : fetch(request));
    if (answer.type === "opaqueredirect" || answer.redirected && new URL(answer.url).pathname === "/signin") await caches.delete(kept);
    else if (answer.ok) await cache.put(request, answer.clone());
    return answer;
  } catch (problem) {
    if (have) return have;
    if (request.mode === "navigate") return home();
    throw problem;
  }
}

// home is the start as it was kept, where a page was not.
async function home() {
  return await (await caches.open(kept)).match("/", {ignoreVary: true}) || Response.error();
}

function late() {
  return new Promise((_, reject) => setTimeout(() => reject(new Error("no answer in time")), patience));
}

// A note says that there is a message, and no more: what it is about is behind its link, which leads nowhere but to this hub.
self.addEventListener("push", event => {
  let note = {};
  try {
    note = event.data.json();
  } catch {} // something must be shown, or the browser says that the site runs in the background
  event.waitUntil(self.registration.showNotification(note.title || "Care message", {body: note.text || "", tag: note.link || "", data: note.link || "/", icon: "/static/icon-192.png"}));
});

self.addEventListener("notificationclick", event => {
  event.notification.close();
  let to = new URL("/", location.origin);
  try {
    const link = new URL(event.notification.data, location.origin);
    if (link.origin === location.origin) to = link;
  } catch {} // home
  event.waitUntil(self.clients.openWindow(to));
});
