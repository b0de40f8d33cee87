// The panel beside the slide. Text from the output is only ever set as text, never as HTML.

const FACTS = [
  ["area_um2", "Area", "µm²"],
  ["perimeter_um", "Perimeter", "µm"],
  ["eccentricity", "Eccentricity", ""],
  ["solidity", "Solidity", ""],
  ["h_od_mean", "Haematoxylin", "OD"],
  ["h_od_std", "± within it", "OD"],
  ["e_od_mean", "Second stain", "OD"],
  ["e_od_std", "± within it", "OD"],
];

export const byId = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Black or white, whichever contrasts more with a colour (relative luminance, WCAG 2).
export function inkOn(color) {
  const linear = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 ? "#000" : "#fff";
}

export function mark(text, color) {
  const made = element("span", { className: "mark", textContent: text });
  made.style.background = color;
  made.style.color = inkOn(color);
  return made;
}

// One row per class: shown or not, number, colour, name, count. `changed` is called after every edit.
export function classRows(classes, counts, labelled, changed) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const rows = classes.map((one, index) => {
    const shown = element("input", { type: "checkbox", checked: one.shown, ariaLabel: `Show class ${index}` });
    const color = element("input", { type: "color", value: one.color, ariaLabel: `Colour of class ${index}` });
    const name = element("input", {
      type: "text", value: one.name, ariaLabel: `Name of class ${index}`, readOnly: !labelled, spellcheck: false,
      autocomplete: "off", maxLength: 60, title: labelled ? "Letters, digits, _ and -" : "",
    });
    const number = mark(labelled ? String(index) : "", one.color);
    shown.addEventListener("change", () => { one.shown = shown.checked; changed(false); });
    color.addEventListener("input", () => {
      one.color = color.value;
      number.style.background = one.color;
      number.style.color = inkOn(one.color);
      changed(true);
    });
    name.addEventListener("input", () => {
      one.name = name.value.trim().replace(/\s+/g, "_");
      changed(true);
    });
    const share = total ? ` · ${((100 * counts[index]) / total).toFixed(1)} %` : "";
    const count = element("span", { className: "count", textContent: counts[index].toLocaleString("en") + share });
    return element("div", { className: "class" }, shown, number, color, name, count);
  });
  byId("classes").replaceChildren(...rows);
}

export function slideFacts(facts) {
  byId("name").textContent = facts.name;
  document.title = `${facts.name}: cells`;
  byId("facts").textContent =
    `${facts.cells.toLocaleString("en")} cells · ${facts.tissue_mm2.toFixed(2)} mm² of tissue · ` +
    `${facts.width.toLocaleString("en")} × ${facts.height.toLocaleString("en")} px at ${+facts.mpp.toPrecision(4)} µm`;
  byId("note").hidden = !facts.note;
  byId("note").textContent = facts.note;
  byId("warnings").hidden = facts.warnings.length === 0;
  byId("warnings").querySelector("ul").replaceChildren(
    ...facts.warnings.map((warning) => element("li", { textContent: warning })),
  );
}

export function cellFacts(cell, one, labelled) {
  const rows = [["Cell", String(cell.id)]];
  if (labelled) rows.push(["Confidence", cell.confidence.toFixed(3)]);
  for (const [key, title, unit] of FACTS) rows.push([title, `${+cell[key].toPrecision(3)} ${unit}`]);
  rows.push(["Place", `${cell.x_px.toFixed(0)}, ${cell.y_px.toFixed(0)} px`]);
  const list = element("dl");
  if (labelled) {
    const name = element("dd", {}, mark(String(cell.class), one.color), ` ${one.name}`);
    list.append(element("dt", { textContent: "Class" }), name);
  }
  for (const [title, value] of rows) {
    list.append(element("dt", { textContent: title }), element("dd", { textContent: value }));
  }
  byId("cell").replaceChildren(element("img", { src: cell.patch, alt: `Patch of cell ${cell.id}` }), list);
}

// Patches of one class, page by page; `pick` is called with the id of the one that is clicked.
export class Gallery {
  constructor(base, pick) {
    Object.assign(this, { base, pick, page: 0 });
    for (const id of ["gallery-class", "gallery-order"]) byId(id).onchange = () => this.turn(-this.page);
    byId("previous").onclick = () => this.turn(-1);
    byId("next").onclick = () => this.turn(1);
  }

  classes(classes, labelled) {
    const chosen = byId("gallery-class").value || "0";
    byId("gallery-class").replaceChildren(
      ...classes.map((one, i) => element("option", { value: i, textContent: labelled ? `${i} ${one.name}` : one.name })),
    );
    byId("gallery-class").value = chosen;
  }

  async turn(pages) {
    this.page += pages;
    const asked = `${byId("gallery-class").value}/${byId("gallery-order").value}/${this.page}`;
    const answer = await fetch(`${this.base}/gallery/${asked}.json`);
    if (!answer.ok) return;
    const found = await answer.json();
    const last = Math.max(0, Math.ceil(found.total / found.per_page) - 1);
    byId("page").textContent = `page ${this.page + 1} of ${last + 1}`;
    byId("previous").disabled = this.page <= 0;
    byId("next").disabled = this.page >= last;
    byId("gallery").replaceChildren(
      ...found.cells.map((cell) => {
        const picture = element("img", { src: cell.patch, alt: `Cell ${cell.id}, confidence ${cell.confidence}` });
        const button = element("button", { title: picture.alt }, picture);
        button.addEventListener("click", () => this.pick(cell.id));
        return button;
      }),
    );
  }
}
