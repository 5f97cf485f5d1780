"use strict";
// Everything works without this script; it adds comfort only.

const every = (selector) => Array.from(document.querySelectorAll(selector));

// The contents lie beside the text on wide screens and are folded on narrow ones.
const contents = document.querySelector(".contents details");
const wide = window.matchMedia("(min-width: 68rem)");
const arrange = () => { if (contents) contents.open = wide.matches; };
arrange();
wide.addEventListener("change", arrange);

// The contents mark the section that is being read: the last heading above the upper third.
const marks = every(".contents a").map((link) => [link, document.getElementById(link.hash.slice(1))])
  .filter(([, heading]) => heading);
const markPlace = () => {
  const passed = marks.filter(([, heading]) => heading.getBoundingClientRect().top < innerHeight / 3);
  const current = passed.length ? passed[passed.length - 1][0] : null;
  marks.forEach(([link]) => {
    if (link === current) link.setAttribute("aria-current", "location");
    else link.removeAttribute("aria-current");
  });
  const side = document.querySelector(".contents"); // it scrolls by itself on wide screens
  if (current && wide.matches) side.scrollTop = current.offsetTop - side.clientHeight / 2;
};
window.addEventListener("scroll", markPlace, { passive: true });
markPlace();

// One button opens or folds all code.
const allCode = document.getElementById("all-code");
if (allCode && document.querySelector("details.code")) {
  allCode.hidden = false;
  allCode.addEventListener("click", () => {
    const open = allCode.getAttribute("aria-pressed") !== "true";
    every("details.code").forEach((item) => { item.open = open; });
    allCode.setAttribute("aria-pressed", String(open));
    allCode.textContent = open ? "Hide all code" : "Show all code";
  });
}

// A line does not end between a number and its unit, nor within UA-MT; a minus sign is as
// long as a plus sign.
const UNIT = /(\d) (?=(?:%|mm|ml|px|kB|MB|ms|s|min|h)(?![\w]))/g, NAME = /(?<=\b[A-Z]{2,})-(?=[A-Z]{2,}\b)|(?<=\bnnU)-(?=Net\b)/g, MINUS = /(?<![^\s([])-(?=\.?\d)/g;
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const node = texts.currentNode, place = node.parentElement;
  if (place.closest("code, pre, script, style, svg, math, textarea, select, .ssl-piece")) continue;
  const shown = node.data.replace(UNIT, "$1\u00a0").replace(NAME, "\u2011").replace(MINUS, "\u2212");
  if (shown !== node.data) node.data = shown;
}
every("code").filter((code) => !code.closest("pre") && code.textContent.length < 24)
  .forEach((code) => { code.style.whiteSpace = "nowrap"; });

// Figures are numbered in the order of the page.
every(".ssl-caption").forEach((caption, place) => {
  caption.dataset.number = `Figure ${place + 1}. `;
});

// A tap on a picture shows it in a window of its own, large enough to be read on a telephone.
const large = document.createElement("dialog");
large.className = "large";
large.innerHTML = '<button type="button">Close</button>';
document.body.append(large);
large.addEventListener("click", () => large.close());
// One frame of a picture that holds several.
const frameOf = (picture) => {
  const {columns, rows, place} = picture.dataset, canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.naturalWidth / columns, picture.naturalHeight / rows];
  const left = place % columns, top = Math.floor(place / columns);
  canvas.getContext("2d").drawImage(picture, -left * canvas.width, -top * canvas.height);
  return canvas.toDataURL();
};
const enlarge = (picture) => {
  large.querySelector("img")?.remove();
  const copy = new Image();
  [copy.src, copy.alt] = [picture.dataset.place ? frameOf(picture) : picture.src, picture.alt];
  large.append(copy);
  large.showModal();
};
every("figure.output img").forEach((picture) => {
  const button = document.createElement("button");
  [button.type, button.className, button.title] = ["button", "enlarge", "Enlarge"];
  picture.replaceWith(button);
  button.append(picture);
  button.addEventListener("click", () => enlarge(picture));
});
every('[aria-label="Picture with sliders"]').forEach((box) => {
  const button = document.createElement("button");
  [button.type, button.className, button.textContent] = ["button", "still", "Enlarge"];
  const picture = box.querySelector("img");
  picture.style.cursor = "zoom-in";
  [button, picture].forEach((one) => one.addEventListener("click", () => enlarge(picture)));
  box.append(button);
});

// A copy button for each piece of code; where the clipboard is closed to pages, the old way.
const copied = async (code) => {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return "Copied";
  } catch {
    window.getSelection().selectAllChildren(code);
    return document.execCommand("copy") ? "Copied" : "Selected";
  }
};
every(".source").forEach((box) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    button.textContent = await copied(box.querySelector("pre"));
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  box.append(button);
});

// A link into a folded part opens it; paper shows everything but the code.
const reveal = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  for (let item = target; item; item = item.parentElement) {
    if (item.tagName === "DETAILS") item.open = true;
  }
};
window.addEventListener("hashchange", reveal);
reveal();
window.addEventListener("beforeprint", () => {
  every("details:not(.code):not(.stderr)").forEach((item) => { item.open = true; });
});
