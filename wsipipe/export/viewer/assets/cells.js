// The cells over the slide. Far out they are dots written straight into pixels, so that a million are drawn in one go;
// close up they are outlines, fetched square by square. Cells come sorted by y: what is in view is found by bisection.

import { inkOn } from "./panel.js";

const SQUARE_PX = 1024;
const SQUARES_KEPT = 256;
const OUTLINE_SIZE = 9; // css pixels that a nucleus must measure before its outline is drawn
const NUMBER_SIZE = 20;
const NUCLEUS_UM = 8;
const DASHES = [[], [6, 2], [2, 2], [8, 2, 2, 2], [4, 4], [1, 2]]; // not colour alone

export class Cells {
  constructor(buffer) {
    const n = new DataView(buffer).getUint32(0, true);
    this.count = n;
    this.x = new Float32Array(buffer, 4, n);
    this.y = new Float32Array(buffer, 4 + 4 * n, n);
    this.classes = new Uint8Array(buffer, 4 + 8 * n, n);
  }

  // First cell that is not above y.
  from(y) {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.y[middle] < y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // The cell nearest to a place, at most `reach` away, of those that are shown; -1 if there is none.
  nearest(x, y, reach, shown) {
    let best = -1;
    let least = reach * reach;
    for (let i = this.from(y - reach), end = this.from(y + reach); i < end; i++) {
      const distance = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
      if (distance <= least && shown[this.classes[i]]) [best, least] = [i, distance];
    }
    return best;
  }
}

export class CellLayer {
  constructor(canvas, base, cells, mpp, classes) {
    Object.assign(this, { canvas, base, cells, mpp, classes, numbers: false, selected: -1, redraw: () => {} });
    this.context = canvas.getContext("2d");
    this.squares = new Map();
  }

  // Draw what is in view. `view`: level-0 px of the top-left corner, and css pixels per level-0 pixel.
  draw(view) {
    const begun = performance.now();
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * ratio);
    const height = Math.round(this.canvas.clientHeight * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const frame = { left: view.left, top: view.top, scale: view.scale * ratio, ratio, width, height };
    const size = (NUCLEUS_UM / this.mpp) * view.scale;
    const squares = size >= OUTLINE_SIZE ? this.squaresIn(frame) : [];
    const there = squares.length > 0 && squares.every((square) => square.paths);
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    const drawn = this.dots(frame, !there);
    if (there) this.outlines(frame, squares, size >= NUMBER_SIZE);
    this.ring(frame, Math.max(6, 0.75 * size) * ratio);
    Object.assign(this.canvas.dataset, {
      cells: drawn,
      mode: there ? "outlines" : "dots",
      ms: (performance.now() - begun).toFixed(2),
    });
  }

  // Count the cells in view and, if they are wanted as dots, write them into the pixels of the canvas.
  dots(frame, wanted) {
    const { left, top, scale, ratio, width, height } = frame;
    const { x, y, classes } = this.cells;
    const first = this.cells.from(top);
    const end = this.cells.from(top + height / scale);
    const colors = this.palette();
    if (!this.image || this.image.width !== width || this.image.height !== height) {
      this.image = new ImageData(width, height);
    }
    const pixels = new Uint32Array(this.image.data.buffer);
    pixels.fill(0);
    const side = dotSide(end - first, width * height, ratio);
    const shape = wanted ? dotShape(side, width) : [];
    let drawn = 0;
    for (let i = first; i < end; i++) {
      const color = colors[classes[i]];
      if (color === 0) continue;
      const column = ((x[i] - left) * scale) | 0;
      const row = ((y[i] - top) * scale) | 0;
      if (column < 0 || row < 0 || column >= width || row >= height) continue;
      drawn++;
      const at = row * width + column;
      const whole = column >= side && column < width - side; // above and below, writes beyond the pixels are lost
      for (let k = 0; k < shape.length; k++) if (whole || shape[k] === 0) pixels[at + shape[k]] = color;
    }
    this.context.putImageData(this.image, 0, 0);
    return drawn;
  }

  outlines(frame, squares, numbered) {
    const { left, top, scale, ratio } = frame;
    const context = this.context;
    context.lineJoin = "round";
    for (const square of squares) {
      context.setTransform(scale, 0, 0, scale, (square.left - left) * scale, (square.top - top) * scale);
      for (const [index, path] of square.paths) {
        if (!this.classes[index].shown) continue;
        const around = inkOn(this.classes[index].color) === "#fff" ? "rgb(255 255 255 / 0.7)" : "rgb(0 0 0 / 0.45)";
        this.stroke(path, around, (3.6 * ratio) / scale, []);
        const dash = DASHES[index % DASHES.length].map((length) => (length * ratio) / scale);
        this.stroke(path, this.classes[index].color, (2 * ratio) / scale, dash);
      }
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.setLineDash([]);
    if (numbered && this.numbers) this.numbersOn(frame);
  }

  stroke(path, style, width, dash) {
    this.context.strokeStyle = style;
    this.context.lineWidth = width;
    this.context.setLineDash(dash);
    this.context.stroke(path);
  }

  numbersOn({ left, top, scale, ratio, width, height }) {
    const { x, y, classes } = this.cells;
    const context = this.context;
    context.font = `${11 * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 3 * ratio;
    context.strokeStyle = "#fff";
    context.fillStyle = "#111";
    for (let i = this.cells.from(top), end = this.cells.from(top + height / scale); i < end; i++) {
      const column = (x[i] - left) * scale;
      if (column < 0 || column > width || !this.classes[classes[i]].shown) continue;
      context.strokeText(classes[i], column, (y[i] - top) * scale);
      context.fillText(classes[i], column, (y[i] - top) * scale);
    }
  }

  ring({ left, top, scale, ratio }, radius) {
    if (this.selected < 0) return;
    const context = this.context;
    const place = [(this.cells.x[this.selected] - left) * scale, (this.cells.y[this.selected] - top) * scale];
    for (const [style, width] of [["#fff", 5], ["#111", 2]]) {
      context.beginPath();
      context.arc(...place, radius, 0, 2 * Math.PI);
      context.strokeStyle = style;
      context.lineWidth = width * ratio;
      context.stroke();
    }
  }

  // Squares in view, asked for when they are not there yet.
  squaresIn({ left, top, scale, width, height }) {
    const found = [];
    const lastColumn = Math.floor((left + width / scale) / SQUARE_PX);
    const lastRow = Math.floor((top + height / scale) / SQUARE_PX);
    for (let row = Math.max(0, Math.floor(top / SQUARE_PX)); row <= lastRow; row++) {
      for (let column = Math.max(0, Math.floor(left / SQUARE_PX)); column <= lastColumn; column++) {
        if (column * SQUARE_PX < this.base.width && row * SQUARE_PX < this.base.height) {
          found.push(this.square(column, row));
        }
      }
    }
    return found;
  }

  square(column, row) {
    const key = `${column}/${row}`;
    const square = this.squares.get(key) || { left: column * SQUARE_PX, top: row * SQUARE_PX, paths: null };
    if (!this.squares.has(key)) this.fetch(key, square);
    this.squares.delete(key); // the last used comes last
    this.squares.set(key, square);
    if (this.squares.size > SQUARES_KEPT) this.squares.delete(this.squares.keys().next().value);
    return square;
  }

  async fetch(key, square) {
    const answer = await fetch(`${this.base.url}/outlines/${key}.bin`);
    if (!answer.ok) return;
    square.paths = pathsOf(await answer.arrayBuffer(), this.cells.classes);
    this.redraw();
  }

  // Colour of every class as the pixels hold it (ABGR); 0 where it is hidden.
  palette() {
    return Uint32Array.from(this.classes, ({ color, shown }) => {
      const rgb = Number.parseInt(color.slice(1), 16);
      return shown ? (0xff000000 | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0 : 0;
    });
  }
}

function dotSide(count, area, ratio) {
  const free = Math.sqrt(area / Math.max(1, count));
  return Math.round(Math.min(5 * ratio, Math.max(2 * ratio, 0.36 * free)));
}

// Offsets in the pixels of a round dot.
function dotShape(side, width) {
  const shape = [];
  const middle = (side - 1) / 2;
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const distance = (row - middle) ** 2 + (column - middle) ** 2;
      if (side < 3 || distance <= (side / 2) ** 2) shape.push((row - (side >> 1)) * width + column - (side >> 1));
    }
  }
  return shape;
}

// One path per class, in level-0 pixels from the corner of the square.
function pathsOf(buffer, classes) {
  const n = new DataView(buffer).getUint32(0, true);
  const ids = new Uint32Array(buffer, 4, n);
  const ends = new Uint32Array(buffer, 4 + 4 * n, n);
  const xy = new Float32Array(buffer, 4 + 8 * n);
  const paths = new Map();
  for (let i = 0, vertex = 0; i < n; i++) {
    const index = classes[ids[i]];
    if (!paths.has(index)) paths.set(index, new Path2D());
    const path = paths.get(index);
    for (let first = true; vertex < ends[i]; vertex++, first = false) {
      if (first) path.moveTo(xy[2 * vertex], xy[2 * vertex + 1]);
      else path.lineTo(xy[2 * vertex], xy[2 * vertex + 1]);
    }
    path.closePath();
  }
  return paths;
}
