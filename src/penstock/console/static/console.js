// Keeps the parts of a page that are marked `data-live` as the server sees them, and says so when it no longer can.
"use strict";

const STALE_AFTER_MS = 12000;

/** Makes `old` like `fresh` without replacing what is the same: focus, selection and running animations stay. */
function morph(old, fresh) {
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const wanted = [...fresh.childNodes];
  wanted.forEach((node, index) => {
    const there = old.childNodes[index];
    if (!there) old.append(node);
    else if (there.nodeType !== node.nodeType || there.nodeName !== node.nodeName) there.replaceWith(node);
    else if (node.nodeType !== Node.ELEMENT_NODE) { if (there.nodeValue !== node.nodeValue) there.nodeValue = node.nodeValue; }
    else morph(there, node);
  });
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
}

function show(id, html) {
  const place = document.getElementById(id);
  const template = document.createElement("template");
  template.innerHTML = html;
  if (place) morphChildren(place, template.content);
}

function watch() {
  const parts = [...document.querySelectorAll("[data-live]")].map((place) => place.id);
  const note = document.getElementById("stale");
  let at = new Date();
  let source, timer;
  const stale = () => {
    note.textContent = `Stale since ${at.toLocaleTimeString()}: the console does not answer. What is shown was true then.`;
    note.hidden = false;
  };
  const heard = () => {
    note.hidden = true;
    clearTimeout(timer);
    timer = setTimeout(stale, STALE_AFTER_MS);
  };
  const listen = () => {
    source = new EventSource(`/events?parts=${parts.map(encodeURIComponent).join(",")}`);
    source.onmessage = ({ data }) => {
      const news = JSON.parse(data);
      at = new Date(news.at);
      // Another pipeline is declared, or one is gone.
      const drawn = document.querySelector("[data-pipelines]");
      if (drawn && drawn.dataset.pipelines !== news.pipelines.join()) location.reload();
      for (const [id, html] of Object.entries(news.parts)) show(id, html);
      heard();
    };
    source.onerror = () => {
      stale();
      // A browser gives up for ever where an answer was an error.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || listen(), 3000);
    };
  };
  // A browser has six connections to one place: a page that nobody sees must not keep one from those that are seen.
  document.addEventListener("visibilitychange", () => {
    source.close();
    clearTimeout(timer);
    if (!document.hidden) listen();
  });
  heard();
  listen();
}

function judgeAsTyped() {
  const form = document.querySelector("form[data-check]");
  if (!form) return;
  const verdict = document.getElementById("verdict");
  const [area, button] = [form.elements.value, form.querySelector("button")];
  let timer, number = 0;
  const judge = async () => {
    const mine = ++number;
    const answer = await fetch(form.dataset.check, { method: "POST", body: new URLSearchParams({ value: area.value }) });
    const problem = answer.ok ? (await answer.json()).problem : `not judged: the console answered ${answer.status}`;
    if (mine !== number) return;
    verdict.textContent = problem || "This is a record.";
    verdict.classList.toggle("bad", Boolean(problem));
    verdict.classList.toggle("good", !problem);
    button.disabled = Boolean(problem);
  };
  area.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(judge, 200); });
  judge();
}

/** A letter that was replayed: looked at again until the stream has stored it, or rejected it once more. */
function untilResolved() {
  if (!document.querySelector("[data-until-resolved]")) return;
  const look = async () => {
    const answer = await fetch(location.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [fresh, old] = [page.getElementById("outcome"), document.getElementById("outcome")];
    if (fresh && old) morph(old, fresh);
    if (fresh && fresh.hasAttribute("data-until-resolved")) setTimeout(look, 1500);
    else location.replace(location.pathname);
  };
  setTimeout(look, 1000);
}

watch();
judgeAsTyped();
untilResolved();
