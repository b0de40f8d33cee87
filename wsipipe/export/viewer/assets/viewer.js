// The viewer: OpenSeadragon shows the slide, a canvas over it the cells, the panel beside it everything else.

import { Cells, CellLayer } from "./cells.js";
import { byId, cellFacts, classRows, element, Gallery, slideFacts } from "./panel.js";

/* global OpenSeadragon */

const TILE_PX = 512;
const REACH_CSS_PX = 12;
const CLOSE_UM = 120; // width of the view when a cell of the gallery is looked up

const state = { slide: 0, classes: [], saved: [], labelled: false, facts: null, viewer: null, layer: null, gallery: null };

async function json(address, options) {
  const answer = await fetch(address, options);
  const found = await answer.json().catch(() => ({ error: "the program behind this page has stopped" }));
  if (!answer.ok) throw new Error(found.error || `${answer.status}`);
  return found;
}

async function start() {
  const overview = await json("overview.json");
  state.labelled = overview.labelled;
  takeClasses(overview.classes);
  byId("slides").replaceChildren(...overview.slides.map((name, i) => element("option", { value: i, textContent: name })));
  byId("slides").parentElement.hidden = overview.slides.length < 2;
  byId("slides").addEventListener("change", () => guarded(() => show(Number(byId("slides").value))));
  byId("save").addEventListener("click", () => guarded(save));
  byId("all").addEventListener("click", showAll);
  byId("numbers").addEventListener("change", () => { state.layer.numbers = byId("numbers").checked; draw(); });
  byId("strength").addEventListener("input", () => { byId("cells").style.opacity = byId("strength").value / 100; });
  window.addEventListener("beforeunload", (event) => { if (!byId("save").disabled) event.preventDefault(); });
  await show(0);
}

function takeClasses(classes) {
  const shown = state.classes.map((one) => one.shown);
  state.saved = classes.map(({ name, color }) => ({ name, color: color.toLowerCase() }));
  state.classes.splice(0, Infinity, ...state.saved.map((one, i) => ({ ...one, shown: shown[i] ?? true })));
}

async function show(slide) {
  state.slide = slide;
  byId("status").textContent = "Loading the cells …";
  state.facts = await json(`${slide}/slide.json`);
  const cells = new Cells(await (await fetch(`${slide}/cells.bin`)).arrayBuffer());
  slideFacts(state.facts);
  const base = { url: String(slide), width: state.facts.width, height: state.facts.height };
  state.layer = new CellLayer(byId("cells"), base, cells, state.facts.mpp, state.classes);
  state.layer.redraw = draw;
  state.layer.numbers = byId("numbers").checked;
  openSlide(slide);
  rows();
  state.gallery = new Gallery(String(slide), (id) => guarded(() => select(id, true)));
  state.gallery.classes(state.classes, state.labelled);
  await state.gallery.turn(0);
  byId("status").textContent = "";
  document.body.dataset.ready = slide;
}

function openSlide(slide) {
  const { width, height, bounds } = state.facts;
  const maxLevel = Math.ceil(Math.log2(Math.max(width, height)));
  byId("stage").append(byId("cells"));
  state.viewer?.destroy();
  const viewer = OpenSeadragon({
    element: byId("slide"),
    drawer: "canvas",
    showNavigationControl: false,
    showNavigator: true,
    navigatorPosition: "BOTTOM_LEFT",
    navigatorAutoFade: false,
    navigatorOpacity: 1,
    navigatorBackground: "#fff",
    navigatorBorderColor: "#999",
    navigatorDisplayRegionColor: "#2f6fdb",
    animationTime: 0.4,
    maxZoomPixelRatio: 6,
    visibilityRatio: 0.3,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    tileSources: {
      width, height, tileSize: TILE_PX, tileOverlap: 0, minLevel: Math.min(9, maxLevel), maxLevel,
      getTileUrl: (level, x, y) => `${slide}/tile/${level}/${x}/${y}.jpg`,
    },
  });
  state.viewer = viewer;
  viewer.canvas.append(byId("cells")); // under the navigator, and gone with the viewer
  const home = () => viewer.viewport.fitBounds(viewer.viewport.imageToViewportRectangle(...bounds), true);
  viewer.addHandler("open", () => { home(); draw(); });
  viewer.addHandler("update-viewport", draw);
  viewer.addHandler("canvas-click", (event) => { if (event.quick) guarded(() => pick(event.position)); });
  byId("zoom-in").onclick = () => viewer.viewport.zoomBy(1.6).applyConstraints();
  byId("zoom-out").onclick = () => viewer.viewport.zoomBy(1 / 1.6).applyConstraints();
  byId("home").onclick = home;
}

// Where the slide lies on the screen: level-0 px of the top-left corner, and css pixels per level-0 pixel.
function view() {
  const port = state.viewer.viewport;
  const [origin, along] = [[0, 0], [1000, 0]].map(([x, y]) => port.imageToViewerElementCoordinates(new OpenSeadragon.Point(x, y)));
  const scale = (along.x - origin.x) / 1000;
  return { left: -origin.x / scale, top: -origin.y / scale, scale };
}

function draw() {
  if (!state.viewer?.world.getItemCount()) return;
  const place = view();
  state.layer.draw(place);
  scaleBar(state.facts.mpp / place.scale);
}

function scaleBar(umPerPx) {
  const limit = 130 * umPerPx;
  const power = 10 ** Math.floor(Math.log10(limit));
  const length = [5, 2, 1].find((step) => step * power <= limit) * power;
  const bar = byId("scale").firstElementChild;
  bar.style.width = `${length / umPerPx}px`;
  bar.textContent = length >= 1000 ? `${length / 1000} mm` : `${+length.toPrecision(1)} µm`;
}

async function pick(position) {
  const place = view();
  const shown = state.classes.map((one) => one.shown);
  const [x, y] = [place.left + position.x / place.scale, place.top + position.y / place.scale];
  const found = state.layer.cells.nearest(x, y, REACH_CSS_PX / place.scale, shown);
  if (found >= 0) await select(found, false);
}

async function select(id, go) {
  state.layer.selected = id;
  if (go) goTo(state.layer.cells.x[id], state.layer.cells.y[id]);
  draw();
  const cell = await json(`${state.slide}/cell/${id}.json`);
  cellFacts(cell, state.classes[cell.class], state.labelled);
}

function goTo(x, y) {
  const side = CLOSE_UM / state.facts.mpp;
  const box = state.viewer.viewport.imageToViewportRectangle(x - side / 2, y - side / 2, side, side);
  state.viewer.viewport.fitBounds(box, false);
}

function rows() {
  classRows(state.classes, state.facts.counts, state.labelled, (edited) => {
    if (edited) byId("save").disabled = !(state.labelled && differs());
    if (edited) byId("status").textContent = "";
    draw();
  });
}

function differs() {
  return state.classes.some((one, i) => one.name !== state.saved[i].name || one.color !== state.saved[i].color);
}

function showAll() {
  for (const one of state.classes) one.shown = true;
  rows();
  draw();
}

async function save() {
  const wishes = { names: {}, colors: {} };
  state.classes.forEach((one, i) => {
    if (one.name !== state.saved[i].name) wishes.names[i] = one.name;
    if (one.color !== state.saved[i].color) wishes.colors[i] = one.color;
  });
  byId("save").disabled = true;
  byId("status").textContent = "Saving, and writing every table again …";
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(wishes) };
  let answer;
  try {
    answer = await json("classes", options);
    takeClasses(answer.classes);
  } catch (error) {
    byId("save").disabled = false;
    throw error;
  }
  rows();
  draw();
  state.gallery.classes(state.classes, state.labelled);
  const alike = answer.alike ? ` Their colours look alike: ${answer.alike}.` : "";
  byId("status").textContent = `Saved, in every table and report too.${alike}`;
}

async function guarded(work) {
  try {
    await work();
  } catch (error) {
    byId("status").textContent = error.message;
  }
}

guarded(start);
