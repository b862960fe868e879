// Makes the pages live: forms without reloading, changes from the node as they come, drafts, files, drag and drop.
// Every page also works without it. Nothing here builds HTML: fragments come from the server, escaped there.
"use strict";

const page = document.body.dataset;
const at = (id) => document.getElementById(id);
const log = at("log");
const scroller = at("log-scroll");
const text = at("text");

document.documentElement.classList.add("scripts");

// --- Words for the person ---------------------------------------------------------------------------------------------

function notice(words, good = false) {
  at("notice-words").textContent = words;
  at("notice").classList.toggle("good", good);
  at("notice").hidden = false;
}

at("notice-close").addEventListener("click", () => { at("notice").hidden = true; });

function announce(words) {
  const place = at("announce");
  if (place) place.textContent = words;
}

// --- Forms ------------------------------------------------------------------------------------------------------------

async function post(action, body) {
  let response;
  try {
    response = await fetch(action, { method: "POST", body, headers: { "X-Starling-Token": page.token } });
  } catch {
    notice("Starling does not answer. Is it still running?");
    return null;
  }
  const answer = await response.json().catch(() => ({ error: "Starling answered with something unreadable." }));
  if (answer.error) {
    notice(answer.error);
    return null;
  }
  return answer;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post" || "plain" in form.dataset) return;
  event.preventDefault();
  if (form.dataset.busy) return;
  form.dataset.busy = "yes";
  at("notice").hidden = true;
  const sent = form.id === "composer" ? text.value : null;
  const answer = await post(form.getAttribute("action"), new URLSearchParams(new FormData(form)));
  delete form.dataset.busy;
  if (!answer) return;
  if (sent !== null && text.value === sent) { text.value = ""; keepDraft(); grow(); }
  if (answer.say) notice(answer.say, true);
  if (answer.go) location.assign(answer.go);
});

// --- Patching: make what is shown equal to a fragment, touching only what differs (focus and scroll position stay) ------

function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName || (old.id || "") !== (fresh.id || "")) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = fresh.nodeValue; return; }
  for (const name of old.getAttributeNames()) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const name of fresh.getAttributeNames()) {
    if (old.getAttribute(name) !== fresh.getAttribute(name)) old.setAttribute(name, fresh.getAttribute(name));
  }
  const children = [...fresh.childNodes];
  children.forEach((child, index) => {
    const there = child.id && [...old.childNodes].slice(index).find((node) => node.id === child.id);
    if (there && there !== old.childNodes[index]) old.insertBefore(there, old.childNodes[index]);
    const now = old.childNodes[index];
    if (now) morph(now, child); else old.append(child);
  });
  while (old.childNodes.length > children.length) old.lastChild.remove();
}

function fragments(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return [...holder.content.children];
}

function patch(html) {
  const focused = document.activeElement;
  const below = atBottom();
  let added = null;
  for (const fresh of fragments(html)) {
    const old = at(fresh.id);
    if (old) { morph(old, fresh); continue; }
    const list = fresh.dataset.into && at(fresh.dataset.into);
    if (!list) continue;
    if (list === log) { list.append(fresh); added = fresh; } else list.prepend(fresh);
  }
  // What had the focus may be gone (an answered call's button): the keyboard must not fall back to the page's start.
  if (focused !== document.body && document.activeElement === document.body) {
    ((focused.id && at(focused.id)) || text || at("main")).focus({ preventScroll: true });
  }
  headings();
  titleBadge();
  if (added) arrived(added, below);
  else if (below) toBottom();
}

function newestPage(html) {
  const fresh = fragments(html);
  const known = fresh.some((item) => at(item.id));
  if (log.children.length && fresh.length && !known) log.replaceChildren();
  const below = atBottom();
  for (const item of fresh) {
    const old = at(item.id);
    if (!old) { log.append(item); continue; }
    // The line above what was new when this page was opened stays until the page is left.
    if (old.querySelector("#first-unread")) continue;
    morph(old, item);
  }
  headings();
  if (below) toBottom();
}

// Every item carries its day's heading; only the first of a day shows it.
function headings() {
  if (!log) return;
  let day = "";
  for (const item of log.children) {
    const heading = item.querySelector(".day");
    if (heading) heading.hidden = item.dataset.day === day;
    day = item.dataset.day;
  }
  const empty = at("empty");
  if (empty && log.children.length) empty.remove();
}

function titleBadge() {
  const people = at("people");
  if (!people) return;
  const waiting = Number(people.dataset.unread) + Number(people.dataset.requests);
  const title = at("chat") ? document.querySelector("#chat-head h1")?.textContent || page.title : page.title;
  document.title = (waiting ? `(${waiting}) ` : "") + title + " · Starling";
}

// --- The event stream, with growing pauses between attempts -----------------------------------------------------------

let pause = 500;
let stream = null;

function listen() {
  const query = new URLSearchParams({ page: page.page });
  if (page.with) query.set("with", page.with);
  stream = new EventSource("live?" + query);
  stream.addEventListener("open", () => { pause = 500; at("lost").hidden = true; });
  stream.addEventListener("patch", (event) => patch(JSON.parse(event.data)));
  stream.addEventListener("log", (event) => { if (log && !history_shown()) newestPage(JSON.parse(event.data)); });
  stream.addEventListener("gone", () => {
    stream.close();
    at("lost").textContent = "Starling has stopped. To go on, start it again.";
    at("lost").hidden = false;
  });
  stream.addEventListener("error", () => {
    stream.close();
    if (pause > 500) at("lost").hidden = false;
    setTimeout(listen, pause);
    pause = Math.min(pause * 2, 30000);
  });
}

// A page of the past (opened without script, or from a bookmark) is not mixed with the newest messages.
function history_shown() { return new URLSearchParams(location.search).has("before"); }

if (page.page !== undefined) {
  listen();
  // A browser keeps left pages alive for a while, and allows few connections to one server.
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
}

// --- The log: stay at the bottom, page upwards, mark as read ----------------------------------------------------------

function atBottom() {
  return !!scroller && scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
}

function toBottom() {
  if (!scroller) return;
  scroller.scrollTop = scroller.scrollHeight;
  at("newest").hidden = true;
}

function arrived(item, below) {
  const own = item.classList.contains("out");
  if (own || below) toBottom(); else at("newest").hidden = false;
  if (own) return;
  announce(item.querySelector(".text, .file-name")?.textContent || "");
  unseen = true;
  markRead();
}

let unseen = false;

function markRead() {
  if (!unseen || document.visibilityState !== "visible" || !document.hasFocus()) return;
  unseen = false;
  post("chat-read", new URLSearchParams({ who: page.with }));
}

async function pageUp(link) {
  if (link.dataset.busy) return;
  link.dataset.busy = "yes";
  const response = await fetch(link.href).catch(() => null);
  if (!response?.ok) { delete link.dataset.busy; return; }
  const older = new DOMParser().parseFromString(await response.text(), "text/html");
  const height = scroller.scrollHeight;
  const items = [...older.querySelectorAll("#log > li")].filter((item) => !at(item.id));
  log.prepend(...items.map((item) => document.adoptNode(item)));
  const next = older.getElementById("earlier");
  if (next) morph(link, document.adoptNode(next)); else link.remove();
  delete link.dataset.busy;
  headings();
  scroller.scrollTop += scroller.scrollHeight - height;
}

if (scroller) {
  const unread = at("first-unread");
  if (unread) unread.scrollIntoView({ block: "center" }); else toBottom();
  at("newest").addEventListener("click", toBottom);
  scroller.addEventListener("scroll", () => {
    if (atBottom()) at("newest").hidden = true;
    const link = at("earlier");
    if (link && scroller.scrollTop < 200) pageUp(link);
  }, { passive: true });
  addEventListener("focus", markRead);
  // A window that changes its size (a keyboard on the screen, the call bar) keeps the newest message in sight.
  let wasBelow = true;
  scroller.addEventListener("scroll", () => { wasBelow = atBottom(); }, { passive: true });
  new ResizeObserver(() => { if (wasBelow) toBottom(); }).observe(scroller);
}

// --- The composer: Enter sends, Shift+Enter breaks the line, a draft per chat -------------------------------------------

function grow() {
  text.style.height = "auto";
  text.style.height = Math.min(text.scrollHeight + 2, 200) + "px";
}

function keepDraft() {
  const key = "draft " + page.with;
  if (text.value) localStorage.setItem(key, text.value); else localStorage.removeItem(key);
}

if (text) {
  text.value = localStorage.getItem("draft " + page.with) || "";
  grow();
  text.addEventListener("input", () => { keepDraft(); grow(); });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (text.value.trim()) text.form.requestSubmit();
  });
  if (matchMedia("(min-width: 700px)").matches) text.focus({ preventScroll: true });
}

// --- Files --------------------------------------------------------------------------------------------------------------

// How many files are on their way here; a page that is left would break them off.
let adding = 0;

addEventListener("beforeunload", (event) => { if (adding) event.preventDefault(); });

function put(file, query, progress, whole) {
  adding += 1;
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    request.upload.addEventListener("loadend", () => { adding -= 1; });
    request.open("PUT", "upload?" + new URLSearchParams(query));
    request.setRequestHeader("X-Starling-Token", page.token);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => progress(event.loaded / Math.max(event.total, 1)));
    request.upload.addEventListener("load", whole);
    const broken = { error: "The file could not be read, or Starling stopped." };
    request.addEventListener("load", () => done(request.response || broken));
    request.addEventListener("error", () => done(broken));
    request.send(file);
  });
}

async function sendFile(file) {
  const row = document.createElement("li");
  const bar = document.createElement("progress");
  const name = document.createElement("bdi");
  name.textContent = file.name;
  bar.max = 1;
  bar.value = 0;
  bar.setAttribute("aria-label", "Adding " + file.name);
  row.append("Adding ", name, " ", bar);
  at("uploads").append(row);
  // All of it is here; a large file takes a while to be read.
  const reading = () => {
    row.firstChild.nodeValue = "Reading ";
    bar.removeAttribute("value");
    bar.setAttribute("aria-label", "Reading " + file.name + " before it is offered");
    bar.before("before it is offered ");
  };
  const answer = await put(file, { name: file.name, who: page.with }, (part) => { bar.value = part; }, reading);
  row.remove();
  if (answer.error) notice(file.name + ": " + answer.error);
}

async function sendFiles(files) {
  for (const file of files) await sendFile(file);
}

at("attach")?.addEventListener("change", (event) => {
  sendFiles([...event.target.files]).then(() => { event.target.value = ""; });
});

if (at("composer")) {
  const carriesFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  let depth = 0;
  addEventListener("dragenter", (event) => { if (carriesFiles(event)) { depth += 1; at("drop").hidden = false; } });
  addEventListener("dragleave", (event) => {
    if (carriesFiles(event)) { depth -= 1; if (depth <= 0) at("drop").hidden = true; }
  });
  addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    at("drop").hidden = true;
    sendFiles([...event.dataTransfer.files]);
  });
  text?.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files || [])];
    if (files.length) { event.preventDefault(); sendFiles(files); }
  });
}

document.addEventListener("change", async (event) => {
  const input = event.target;
  const file = input.files?.[0];
  if (file && input.dataset.textInto) {
    if (file.size > 65536) return notice("This file is too large to be a network file.");
    at(input.dataset.textInto).value = await file.text();
  }
  if (file && input.dataset.uploadInto) {
    const answer = await put(file, { name: file.name }, () => {}, () => {});
    if (answer.error) notice(answer.error); else at(input.dataset.uploadInto).value = answer.path;
  }
});

// --- Small things -------------------------------------------------------------------------------------------------------

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    announce("Copied");
    const words = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = words; }, 1500);
  } catch {
    notice("The browser did not allow copying. Select the text and copy it by hand.");
  }
});

// The person is at the machine: said once a minute at most.
let saidActive = 0;
for (const kind of ["keydown", "pointerdown", "pointermove", "wheel"]) {
  addEventListener(kind, () => {
    if (Date.now() - saidActive < 60000 || !at("own")) return;
    saidActive = Date.now();
    fetch("presence-active", { method: "POST", body: new URLSearchParams(), headers: { "X-Starling-Token": page.token } }).catch(() => {});
  }, { passive: true });
}

// Ctrl+M: microphone off and on during a call.
addEventListener("keydown", (event) => {
  if (!event.ctrlKey || event.key.toLowerCase() !== "m") return;
  const form = document.querySelector('#calls-now form[action="call-mute"]');
  if (form) { event.preventDefault(); form.requestSubmit(); }
});

// Hold to talk: the microphone is on while the button is held down. The keyboard switches it, as the form does.
let holding = false;
let said = Promise.resolve();

function talk(on) {
  const form = document.querySelector('#calls-now form[action="call-talk"]');
  if (!form) return;
  const fields = new URLSearchParams(new FormData(form));
  fields.set("on", on);
  // One after the other, so that the last one counts.
  said = said.then(() => post("call-talk", fields));
}

document.addEventListener("pointerdown", (event) => {
  if (event.button || !event.target.closest?.("[data-hold]")) return;
  holding = true;
  talk(true);
});
for (const kind of ["pointerup", "pointercancel", "blur", "pagehide"]) {
  addEventListener(kind, () => {
    if (!holding) return;
    holding = false;
    talk(false);
  });
}
document.addEventListener("click", (event) => {
  if (event.detail && event.target.closest?.("[data-hold]")) event.preventDefault();
});

titleBadge();
