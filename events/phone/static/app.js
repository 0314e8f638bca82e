// What makes the carer's pages better than they are without scripts: rows that change by themselves, and a log that waits on
// the phone until the hub has it. Everything that is logged is kept here before the network is asked, with the key that
// makes two tries one event and the time of the tap.
"use strict";

const minute = 60 * 1000, hour = 60 * minute;
const askAfter = 12 * hour; // nobody wants news of yesterday sent without a question
const retryEvery = 30 * 1000;
const patience = 10 * 1000; // for one request
const patienceFiles = 2 * minute; // for one with files in it
const mostFiles = 5, mostBytes = 5 * 1024 * 1024; // that the hub takes; of more it gets as much as shows it that it is too much

// outbox runs one action on the store of what is not sent yet.
function outbox(mode, act) {
  return new Promise((resolve, reject) => {
    const open = indexedDB.open("carehub", 1);
    open.onupgradeneeded = () => open.result.createObjectStore("outbox", {keyPath: "key"});
    open.onerror = () => reject(open.error);
    open.onsuccess = () => {
      const tx = open.result.transaction("outbox", mode);
      const asked = act(tx.objectStore("outbox"));
      tx.oncomplete = () => { open.result.close(); resolve(asked.result); };
      tx.onerror = tx.onabort = () => { open.result.close(); reject(tx.error); };
    };
  });
}

const keep = entry => outbox("readwrite", store => store.put(entry));
// note changes what waits, if it still does: it may have been sent or dropped on another page meanwhile.
const note = (key, change) => outbox("readwrite", store => {
  const found = store.get(key);
  found.onsuccess = () => { if (found.result) store.put({...found.result, ...change}); };
  return found;
});
const drop = key => outbox("readwrite", store => store.delete(key));
const waiting = () => outbox("readonly", store => store.getAll());

const banner = document.getElementById("unsent");

function request(path, options = {}, wait = patience) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), wait);
  return fetch(path, {...options, signal: stop.signal, redirect: "manual"}).finally(() => clearTimeout(timer));
}

// reached reports whether the hub can be: by what everybody may have, and the worker does not keep.
function reached() {
  return request("/manifest.webmanifest", {cache: "no-store"}).then(answer => answer.ok, () => false);
}

// csrf is the proof of this page if it has one: that of a page from the cache may have ended with its session.
function csrf(entry) {
  const field = document.querySelector("input[name=csrf]");
  return field ? field.value : entry.fields.csrf;
}

// bodyOf is what is sent of an entry. Files come last, so that what is said about them is read first. A time that was given stays; of
// "just now" the hub is told how long ago it was, which a wrong clock does not change.
function bodyOf(entry) {
  const body = entry.files ? new FormData() : new URLSearchParams(), waited = Math.round((Date.now() - entry.tapped) / 1000);
  for (const [name, value] of Object.entries({...entry.fields, key: entry.key, csrf: csrf(entry), waited})) body.set(name, value);
  for (const id of entry.documents || []) body.append("document", id);
  (entry.files || []).forEach((file, n) => { if (n <= mostFiles) body.append("file", file.slice(0, n < mostFiles ? mostBytes + 1 : 1), "file"); });
  return body;
}

// send tries once, and returns the event if the hub has it, or what stands in the way.
async function send(entry) {
  if (entry.who !== banner.dataset.who) return {why: banner.dataset.who ? "other" : "session"};
  const body = bodyOf(entry);
  let answer;
  try {
    answer = await request(`/log/${entry.patient}/send`, {method: "POST", body, headers: {Accept: "application/json"}}, entry.files ? patienceFiles : patience);
  } catch {
    return {why: "offline"};
  }
  const said = await answer.json().catch(() => ({}));
  if (said.event) return {event: said.event, left: said.left || ""}; // also where an earlier try got through, and only its answer did not
  if (said.error === "repeat") return {repeat: true};
  if (answer.status === 401 || answer.status === 403 || answer.type === "opaqueredirect") return {why: "session"};
  return {why: answer.status === 422 || answer.status === 400 ? "refused" : "offline"};
}

let busy = false, again = false;

// flush sends what waits, oldest first, and what has files in it last: news does not wait for them. Whoever has just tapped is led to the page of their event.
async function flush() {
  again = true;
  if (busy) return;
  busy = true;
  try {
    while (again) {
      again = false;
      for (const entry of (await waiting()).sort((a, b) => !!a.files - !!b.files || a.tapped - b.tapped)) await tryOne(entry);
    }
  } finally {
    busy = false;
    await show();
  }
}

async function tryOne(entry) {
  if (entry.sent || Date.now() - entry.tapped > askAfter && !entry.sure) return;
  const done = await send(entry);
  const here = banner.dataset.here === entry.key;
  if (done.event && done.left && !here) { // somebody is to read which file was left out
    await note(entry.key, {sent: `/e/${done.event}${done.left}`, fields: {}, files: null, documents: null});
  } else if (done.event) {
    await drop(entry.key);
    if (here) location.replace(`/e/${done.event}${done.left}`);
  } else if (done.repeat && here && sending) { // the hub asks, with a page
    await drop(entry.key);
    sending.submit();
  } else if (done.repeat) { // nobody is here to be asked: it is marked
    await note(entry.key, {fields: {...entry.fields, another: "yes"}});
    again = true;
  } else {
    await note(entry.key, {why: done.why});
  }
}

// show says honestly what is not sent.
async function show() {
  if (!banner) return;
  const all = await waiting();
  banner.hidden = all.length === 0;
  const list = banner.querySelector("ul");
  list.replaceChildren(...all.map(entry => {
    const item = document.createElement("li");
    const old = Date.now() - entry.tapped > askAfter && !entry.sure && !entry.sent;
    const words = document.createElement("p");
    const at = new Date(entry.tapped).toLocaleString(document.documentElement.lang, {weekday: "long", hour: "2-digit", minute: "2-digit"});
    words.textContent = `${entry.title}, ${at}. ${banner.dataset[entry.sent ? "left" : old ? "old" : entry.why || "offline"]}`;
    const on = document.createElement("a");
    on.className = "target";
    on.href = entry.sent || `/log/${entry.patient}/phones`;
    on.textContent = banner.dataset[entry.sent ? "see" : "phones"];
    if (entry.sent) on.addEventListener("click", () => drop(entry.key));
    item.append(words, on);
    if (old || entry.why === "refused") {
      if (old) item.append(button(banner.dataset.sure, () => note(entry.key, {sure: true}).then(flush)));
      item.append(button(banner.dataset.drop, () => drop(entry.key).then(show)));
    }
    return item;
  }));
}

function button(text, act) {
  const b = document.createElement("button");
  b.type = "button";
  b.className = "plain";
  b.textContent = text;
  b.addEventListener("click", act);
  return b;
}

// entryOf is what a form logs. A time without a day is of this day, whenever it is sent.
function entryOf(form, patient) {
  const data = new FormData(form), documents = data.getAll("document"), files = data.getAll("file").filter(file => file.size > 0);
  for (const name of ["document", "file"]) data.delete(name);
  const fields = Object.fromEntries(data);
  if (fields.last) fields.place = fields.last;
  if (fields.time && !fields.day) fields.day = new Date().toLocaleDateString("sv"); // YYYY-MM-DD
  return {key: fields.key, who: banner.dataset.who, patient, fields, title: form.dataset.title, tapped: Date.now(), documents, ...(files.length > 0 && {files})};
}

let sending = null; // the form that this page sends

for (const form of document.querySelectorAll("form[data-send]")) {
  form.addEventListener("submit", async event => {
    event.preventDefault();
    const entry = entryOf(form, form.dataset.send);
    form.querySelector("button").disabled = true;
    try {
      await keep(entry);
    } catch { // a browser that keeps nothing
      form.submit();
      return;
    }
    sending = form;
    banner.dataset.here = entry.key;
    await flush();
    banner.scrollIntoView();
  });
}

const freshKey = "phone-" + Array.from(crypto.getRandomValues(new Uint8Array(16)), b => b.toString(16).padStart(2, "0")).join("");

for (const form of document.querySelectorAll("form[data-log]")) {
  if (form.dataset.fresh) form.elements.namedItem("key").value = freshKey; // a page from the cache has an old one
  form.addEventListener("submit", async event => {
    event.preventDefault();
    if (event.submitter && event.submitter.name) { // which submit() would leave out
      const field = document.createElement("input");
      Object.assign(field, {type: "hidden", name: event.submitter.name, value: event.submitter.value});
      form.append(field);
    }
    if (await reached()) {
      form.submit();
      return;
    }
    const entry = entryOf(form, form.dataset.log);
    await keep(entry);
    banner.dataset.here = entry.key;
    for (const other of document.querySelectorAll("main form, main h2")) other.hidden = true;
    await flush();
    banner.scrollIntoView();
  });
}

// Signing out takes what is kept on the phone with it, so what is not sent is asked about first.
for (const form of document.querySelectorAll('form[action="/signout"]')) {
  form.addEventListener("submit", async event => {
    event.preventDefault();
    const unsent = (await waiting().catch(() => [])).filter(entry => !entry.sent);
    if (unsent.length > 0 && !confirm(banner.dataset.out)) return;
    indexedDB.deleteDatabase("carehub");
    await quiet();
    if ("caches" in window) for (const name of await caches.keys()) await caches.delete(name);
    form.submit();
  });
}

// A page that was kept says so: what it tells of who has been told may be old.
const stale = document.getElementById("stale");
if (stale) {
  reached().then(there => { stale.hidden = there; });
}

// Live rows.
const rows = document.getElementById("rows");

function apply(part) {
  part.rows.forEach((html, n) => {
    const item = rows.children[n] || rows.appendChild(document.createElement("li"));
    if (item.dataset.html === html) return;
    item.dataset.html = html;
    item.innerHTML = html; // made by the hub's own templates
  });
  rows.dataset.settled = part.settled;
  rows.dataset.open = part.open;
  if (held && !part.held) held.hidden = true;
}

// Undo is offered for as long as it works.
const held = document.getElementById("held");
if (held) {
  const says = held.querySelector("p"), until = Date.now() + held.dataset.left * 1000;
  const tick = setInterval(() => {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left > 0) says.textContent = says.textContent.replace(/[0-9]+/, left);
    else clearInterval(tick);
  }, 1000);
}

function poll() {
  request(`/e/${rows.dataset.event}/rows`).then(answer => answer.ok ? answer.json() : Promise.reject()).then(apply).catch(() => {}).finally(() => {
    if (rows.dataset.open === "true") setTimeout(poll, 5000);
  });
}

if (rows && rows.dataset.open === "true") {
  if (!window.EventSource) poll();
  else {
    const live = new EventSource(`/e/${rows.dataset.event}/live`);
    live.addEventListener("rows", event => apply(JSON.parse(event.data)));
    live.addEventListener("error", () => { // a proxy in between that does not let it through
      if (live.readyState === EventSource.CLOSED) poll();
    });
    addEventListener("pagehide", () => live.close());
  }
}

// Without signal: what was kept before, and the pages to log with.
if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("/sw.js").then(() => navigator.serviceWorker.ready).then(worker => {
    const paths = Array.from(document.querySelectorAll("a[data-offline]"), link => link.dataset.offline.split(" ")).flat();
    if (paths.length > 0) worker.active.postMessage({keep: ["/", ...paths]}); // also where this page came before the worker
  }).catch(() => {});
}

// Notes on this phone. What was turned on is told the hub again each time: it forgets who has signed out.
const bell = document.getElementById("push");

function devices(method, subscription) {
  const field = document.querySelector("input[name=csrf]");
  return request("/push/devices", {method, body: JSON.stringify(subscription), headers: {"Content-Type": "application/json", "X-CSRF-Token": field ? field.value : ""}})
    .then(answer => answer.ok ? answer : Promise.reject(new Error("refused")));
}

// quiet ends the notes on this phone, whoever they are for.
async function quiet() {
  const worker = "serviceWorker" in navigator && await navigator.serviceWorker.getRegistration().catch(() => null);
  const subscription = worker && worker.pushManager && await worker.pushManager.getSubscription().catch(() => null);
  if (!subscription) return;
  await devices("DELETE", subscription).catch(() => {});
  await subscription.unsubscribe().catch(() => {}); // its push service then says that it is gone
}

async function turnOn(worker) {
  const {key} = await (await request("/push/key")).json();
  const subscription = await worker.pushManager.subscribe({userVisibleOnly: true, applicationServerKey: key});
  try {
    await devices("POST", subscription);
  } catch (problem) {
    await subscription.unsubscribe();
    throw problem;
  }
}

async function ring() {
  const worker = await navigator.serviceWorker.ready, [words] = bell.getElementsByTagName("p"), toggle = bell.querySelector("button");
  const draw = (on, said) => {
    words.textContent = said || bell.dataset[on ? "told" : "ask"];
    toggle.textContent = bell.dataset[on ? "off" : "on"];
    toggle.onclick = async () => {
      toggle.disabled = true;
      try {
        if (on) await quiet(); else await turnOn(worker);
        draw(!on);
      } catch {
        draw(on, bell.dataset[Notification.permission === "denied" ? "denied" : "failed"]);
      } finally {
        toggle.disabled = false;
      }
    };
  };
  const subscription = await worker.pushManager.getSubscription();
  draw(!!subscription && await devices("POST", subscription).then(() => true, () => false));
  bell.hidden = false;
}

if (bell && "serviceWorker" in navigator && "PushManager" in window) ring().catch(() => {});

const install = document.getElementById("install");
addEventListener("beforeinstallprompt", event => {
  if (!install) return;
  event.preventDefault();
  install.hidden = false;
  install.querySelector("button").addEventListener("click", () => event.prompt());
});

if (banner) {
  for (const signal of ["online", "pageshow"]) addEventListener(signal, flush);
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") flush(); });
  setInterval(flush, retryEvery);
}
