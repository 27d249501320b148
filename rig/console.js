// The page of a pipeline as an SVG: its cards where they are, each line of text in its place, the drawings as they are.
// Colours are classes of the picture (`of-good`), so that it follows the reader's light or dark.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const CARDS = "main > section.card, .grid > section.card";
const COLOURS = ["ink", "soft", "line", "water", "good", "bad", "wait"];

function made(name, attributes, ...inside) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...inside);
  return element;
}

/** Where something is on the page, from the corner of `main`. */
function placed(rect) {
  const main = document.querySelector("main").getBoundingClientRect();
  const [x, y, width, height] = [rect.x - main.x, rect.y - main.y, rect.width, rect.height].map(Math.round);
  return { x, y, width, height };
}

const known = new Map(COLOURS.map((name) => {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(--${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return [found, name];
}));

function colourOf(element) {
  return `of-${known.get(getComputedStyle(element).color) || "ink"}`;
}

/** The lines of a text node, as the page breaks them. */
function linesOf(node) {
  const lines = [];
  for (const word of node.data.matchAll(/\S+/g)) {
    const range = document.createRange();
    range.setStart(node, word.index);
    range.setEnd(node, word.index + word[0].length);
    const { x, y, width, height } = placed(range.getBoundingClientRect());
    const line = lines.at(-1);
    if (line && Math.abs(line.y - y) < 3) Object.assign(line, { text: `${line.text} ${word[0]}`, right: x + width });
    else lines.push({ text: word[0], x, y, height, right: x + width });
  }
  return lines;
}

function textsOf(node) {
  const [parent, style] = [node.parentElement, getComputedStyle(node.parentElement)];
  const toTheRight = style.textAlign === "right";
  return linesOf(node).map(({ text, x, y, height, right }) => made("text", {
    class: `${colourOf(parent)}${style.fontFamily.includes("monospace") ? " mono" : ""}${toTheRight ? " right" : ""}`,
    x: toTheRight ? right : x,
    y: Math.round(y + height * 0.79),
    "font-size": parseFloat(style.fontSize),
    "font-weight": style.fontWeight,
  }, text));
}

function drawingOf(svg) {
  const copy = svg.cloneNode(true);
  for (const title of copy.querySelectorAll("title")) title.remove();
  for (const link of copy.querySelectorAll("a")) link.replaceWith(...link.childNodes);
  for (const each of [copy, ...copy.querySelectorAll("*")]) {
    for (const { name } of [...each.attributes]) if (name === "role" || name.startsWith("aria-")) each.removeAttribute(name);
  }
  const place = placed(svg.getBoundingClientRect());
  for (const [name, value] of Object.entries(place)) copy.setAttribute(name, value);
  // The sheet's own width is that of the place on the page.
  Object.assign(copy.style, { width: `${place.width}px`, height: `${place.height}px` });
  return copy;
}

/** What the style sheet draws around or beside a text. */
function ornamentsOf(element) {
  const { x, y, width, height } = placed(element.getBoundingClientRect());
  const dot = (cx, cy, r) => made("circle", { class: colourOf(element), cx, cy, r });
  if (element.matches("section.card")) return [made("rect", { class: "page", x, y, width, height, rx: 14 })];
  if (element.matches(".chips a")) {
    return [made("rect", { class: "chip", x, y, width, height, rx: height / 2 }), dot(x + 16, y + height / 2, 4)];
  }
  if (element.matches(".dot")) return [dot(x + width / 2, y + height / 2, 5)];
  if (element.matches("tbody tr")) return [made("path", { class: "rule", d: `M${x} ${y}H${x + width}` })];
  return [];
}

function drawn(element) {
  if (!element.getClientRects().length) return [];
  if (element.namespaceURI === SVG) return [drawingOf(element)];
  const inside = [...element.childNodes].flatMap((node) => {
    if (node.nodeType === Node.TEXT_NODE) return textsOf(node);
    return node.nodeType === Node.ELEMENT_NODE ? drawn(node) : [];
  });
  const all = [...ornamentsOf(element), ...inside];
  return element.matches("section, tr, li, p") ? [made("g", {}, ...all)] : all;
}

function picture() {
  const cards = [...document.querySelectorAll(CARDS)];
  const bottom = Math.max(...cards.map((card) => placed(card.getBoundingClientRect())).map(({ y, height }) => y + height));
  return made("svg", { height: bottom }, ...cards.flatMap(drawn));
}

/** The rules of the sheet that a picture needs: its colours, and what selects something that is drawn in it. */
function rulesFor(root) {
  const used = (rule) => rule.selectorText.split(",").some((each) => each.trim() === ":root" || root.querySelector(each));
  const kept = (rules) => [...rules].flatMap((rule) => {
    if (rule instanceof CSSKeyframesRule) return [rule.cssText];
    if (rule instanceof CSSStyleRule) return rule.selectorText !== "*" && used(rule) ? [rule.cssText] : [];
    if (!(rule instanceof CSSMediaRule) || !rule.conditionText.includes("prefers-")) return [];
    const inside = kept(rule.cssRules);
    return inside.length ? [`@media ${rule.conditionText} {`, ...inside, "}"] : [];
  });
  return kept(document.styleSheets[0].cssRules);
}

/** Takes a picture whenever the page has changed, until `filmed` asks for them. */
function film() {
  const [start, frames] = [performance.now(), []];
  const take = () => frames.push({ at_s: (performance.now() - start) / 1000, picture: picture() });
  let due = false;
  const observer = new MutationObserver(() => {
    if (!due) requestAnimationFrame(() => { due = false; take(); });
    due = true;
  });
  const everything = { subtree: true, childList: true, characterData: true, attributes: true };
  observer.observe(document.querySelector("main"), everything);
  take();
  window.filmed = () => {
    observer.disconnect();
    const written = frames.map((each) => ({ at_s: each.at_s, svg: new XMLSerializer().serializeToString(each.picture) }));
    return { frames: written, rules: rulesFor(made("g", {}, ...frames.map((each) => each.picture))) };
  };
}
