// What the server cannot do: drops and uploads, local times, copying, charts, and the keys of the review.
"use strict";

const token = document.querySelector('meta[name="console-token"]').content;
const parts = {month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit"};
const recent = new Intl.DateTimeFormat(undefined, {...parts, hour12: false});
const earlier = new Intl.DateTimeFormat(undefined, {...parts, hour12: false, year: "numeric"});

document.addEventListener("htmx:config:request", event => {
  event.detail.ctx.request.headers["X-Console-Token"] = token;
});

// The list's address keeps up with its filters, without those that are empty.
document.addEventListener("htmx:after:swap", event => {
  const form = event.target.closest?.("#filters, #what-if");
  if (!form) return;
  const query = new URLSearchParams([...new FormData(form)].filter(([name, value]) => value && !(name === "sort" && value === "newest")));
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
});

function localize(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    const text = (Date.now() - moment < 3e10 ? recent : earlier).format(moment);
    if (element.textContent !== text) element.textContent = text;
  }
}

// Copy and close buttons.
document.addEventListener("click", async event => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    await navigator.clipboard.writeText(copy.dataset.copy);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  }
  if (event.target.closest("[data-close]")) document.getElementById("answer").replaceChildren();
  // A link of the graph opens its step.
  const link = event.target.closest(".graph a");
  if (link) document.querySelector(link.getAttribute("href"))?.querySelector("details")?.setAttribute("open", "");
});

// Uploads: a few at a time, each as the body of one request. Only those that run or went wrong have a line.
const queue = [];
let sending = 0, tally = {files: 0, sent: 0, known: 0, failed: 0, folders: new Set()};

function tell() {
  const box = document.getElementById("sent"), {files, sent, known, failed, folders} = tally;
  const parts = [`${sent} of ${files} file${files === 1 ? "" : "s"} sent`];
  if (known) parts.push(`${known} ${known === 1 ? "was" : "were"} there already`);
  if (failed) parts.push(`${failed} could not be sent`);
  box.textContent = `${parts.join(", ")}.`;
  if (sent + known + failed < files) return;
  for (const folder of [...folders].slice(0, 5)) {
    const link = document.createElement("a");
    link.href = `/?${new URLSearchParams({prefix: folder})}`;
    link.textContent = `Show ${folder} as one table`;
    box.append(" ", link);
  }
}

async function send({name, file}) {
  const line = document.createElement("li");
  line.textContent = `${name}: sending …`;
  document.getElementById("uploads").append(line);
  try {
    const answer = await fetch(`/upload?${new URLSearchParams({name})}`, {
      method: "PUT", body: file, headers: {"X-Console-Token": token, "HX-Request": "true"},
    });
    if (!answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      throw new Error(page.body.textContent.trim() || answer.statusText);
    }
    tally[(await answer.json()).new ? "sent" : "known"]++;
    line.remove();
  } catch (error) {
    tally.failed++;
    line.className = "bad";
    line.textContent = `${name}: ${error.message}`;
  }
  tell();
}

async function drain() {
  while (queue.length && sending < 4) {
    sending++;
    send(queue.shift()).finally(() => { sending--; drain(); });
  }
}

function enqueue(name, file) {
  if (file.name.startsWith(".")) return;
  if (!queue.length && !sending) tally = {files: 0, sent: 0, known: 0, failed: 0, folders: tally.folders};
  tally.files++;
  if (name.includes("/")) tally.folders.add(name.slice(0, name.indexOf("/") + 1));
  queue.push({name, file});
  tell();
  drain();
}

addEventListener("beforeunload", event => { if (queue.length || sending) event.preventDefault(); });

async function walk(entry, path) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    enqueue(path + file.name, file);
  } else if (!entry.name.startsWith(".")) {
    const reader = entry.createReader();
    for (let some; (some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))).length;) {
      for (const inner of some) await walk(inner, `${path}${entry.name}/`);
    }
  }
}

if (document.getElementById("drop")) {
  document.addEventListener("dragover", event => { event.preventDefault(); document.body.classList.add("dropping"); });
  document.addEventListener("dragleave", event => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  document.addEventListener("drop", async event => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const entries = [...event.dataTransfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
    if (entries.length) for (const entry of entries) await walk(entry, "");
    else for (const file of event.dataTransfer.files) enqueue(file.name, file);
  });
}

document.addEventListener("change", event => {
  if (!event.target.matches("[data-upload]")) return;
  for (const file of event.target.files) enqueue(file.webkitRelativePath || file.name, file);
  event.target.value = "";
});

// The review: a label is sent while the next card, which is here already, is shown. The answer to the last label has the
// card that is shown by then, which stays as it is, and the one after it.
let labels = Promise.resolve(), labelled = 0;

function advance(form, label) {
  const next = document.querySelector("#review template"), card = document.querySelector("#review [data-card]");
  const {name, answer} = form.dataset;
  document.getElementById("said").textContent = label
    ? `${name} is labelled ${label}${label === answer ? ", as the model said" : `, not ${answer}`}.` : `${name} was passed over.`;
  if (next) {
    card.dataset.card = next.dataset.next;
    card.replaceChildren(next.content.cloneNode(true));
    next.remove();
  } else {
    card.setAttribute("aria-busy", "true");
    for (const button of card.querySelectorAll("button")) button.disabled = true;
  }
}

async function sendLabel(body, number) {
  const answer = await fetch("/review/label", {
    method: "POST", body, headers: {"X-Console-Token": token, "HX-Request": "true", "Content-Type": "application/x-www-form-urlencoded"},
  });
  const text = await answer.text();
  if (!answer.ok) {
    document.getElementById("said").textContent = "";
    document.getElementById("answer").innerHTML = text;
  } else if (number === labelled) {
    const page = document.createElement("template"), review = document.getElementById("review");
    page.innerHTML = text;
    const shown = review.querySelector("[data-card]:not([aria-busy])"), card = page.content.querySelector("[data-card]");
    if (!shown || card?.dataset.card !== shown.dataset.card) review.replaceChildren(page.content);
    else for (const part of ["p", "template", "img.preload"]) {
      review.querySelector(`:scope > ${part}`)?.remove();
      const fresh = page.content.querySelector(`:scope > ${part}`);
      if (fresh) review[part === "p" ? "prepend" : "append"](fresh);
    }
  }
}

document.addEventListener("submit", event => {
  const form = event.target.closest("#review form");
  if (!form) return;
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form, event.submitter)), number = ++labelled;
  advance(form, body.get("label").trim());
  labels = labels.then(() => sendLabel(body.toString(), number)).catch(error => {
    document.getElementById("said").textContent = `The label was not sent: ${error.message}`;
  });
});

document.addEventListener("keydown", event => {
  const review = document.querySelector("#review .review");
  if (!review || event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const on = event.target.closest("button, a, summary");
  const button = event.key === "Enter" ? (on ? null : review.querySelector("[data-enter]"))
    : review.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (button) { event.preventDefault(); button.click(); }
});

// Charts.
const colour = name => {
  const probe = document.createElement("span");
  probe.className = `state ${name}`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
};

function axes() {
  const ink = colour("waiting"), grid = {stroke: ink.replace("rgb(", "rgba(").replace(")", ", .18)"), width: 1};
  return [{stroke: ink, grid}, {stroke: ink, grid, size: 64}];
}

function forecast(box) {
  const line = colour("succeeded"), ahead = colour("running");
  const fill = ahead.replace("rgb(", "rgba(").replace(")", ", .18)");
  return [{
    series: [{}, {label: "high", stroke: "transparent", points: {show: false}}, {label: "low", stroke: "transparent", points: {show: false}},
      {label: box.dataset.name, stroke: line, width: 1.5, points: {show: false}}, {label: "forecast", stroke: ahead, width: 2, points: {show: false}}],
    bands: [{series: [1, 2], fill}], axes: axes(),
  }, JSON.parse(box.dataset.chart)];
}

function days(box) {
  const [names, usd] = JSON.parse(box.dataset.days);
  const stroke = colour("running");
  return [{
    series: [{}, {label: "USD, all in", stroke, fill: stroke.replace("rgb(", "rgba(").replace(")", ", .18)"), width: 2}], axes: axes(),
  }, [names.map(day => Date.parse(day) / 1000), usd]];
}

function draw(root) {
  for (const box of root.querySelectorAll("[data-chart], [data-days]")) {
    if (!window.uPlot || box.firstElementChild) continue;
    const [options, data] = box.dataset.chart ? forecast(box) : days(box);
    const plot = new uPlot({width: box.clientWidth, height: 260, cursor: {y: false}, ...options}, data, box);
    new ResizeObserver(() => plot.setSize({width: box.clientWidth, height: 260})).observe(box);
  }
}

const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => {
  for (const box of document.querySelectorAll("[data-chart], [data-days]")) box.replaceChildren();
  draw(document);
});

function refresh() { localize(document); draw(document); }
document.addEventListener("htmx:after:swap", refresh);
document.addEventListener("htmx:sse:after:message", refresh);
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", refresh); else refresh();
