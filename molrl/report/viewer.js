"use strict";

// Ball-and-stick pictures of molecules that turn, on a 2D canvas. Every pixel is a ray along z at
// spheres and cylinders, and the nearest surface is kept. WebGL is not used: browsers allow about
// 16 of its contexts, and a report has hundreds of molecules.

const IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1]; // 3 x 3, row after row
const STICK_RADIUS = 0.105; // Å
const OUTLINE_STEP = 0.35; // Å; an edge is drawn dark where the depth changes by more
const MIN_REACH = 1.8; // Å from the middle at least, so that one atom does not fill the picture
const LIGHT = unit([-0.42, 0.55, 0.72]);
const HALFWAY = unit([LIGHT[0], LIGHT[1], LIGHT[2] + 1]); // between the light and the eye
const BEHIND = -1e9; // the depth of the background
const TURN_PER_PIXEL = 0.01; // radians
const GROWTH_MS = 220; // how long a new atom takes to appear
const SMOOTH_MS = 25; // a picture that takes longer is drawn with fewer rays while it moves
const SETTLE_MS = 150; // without a movement, before it is drawn with all of them

function unit(v) {
  const length = Math.hypot(...v);
  return v.map((x) => x / length);
}

/** The product of two 3 x 3 matrices, row after row. */
function multiply(a, b) {
  return a.map((_, i) => {
    const row = 3 * Math.floor(i / 3);
    return a[row] * b[i % 3] + a[row + 1] * b[3 + (i % 3)] + a[row + 2] * b[6 + (i % 3)];
  });
}

/** A picture of rays: colours, and the depth of the nearest surface, in pixels. */
class Raster {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.canvas = Object.assign(document.createElement("canvas"), { width, height });
    this.image = new ImageData(width, height);
    this.colors = this.image.data; // clamps what is written to it
    this.depth = new Float32Array(width * height);
  }

  clear() {
    this.colors.fill(0);
    this.depth.fill(BEHIND);
  }

  /** The first and the last column and row of a box around the middle, y upwards. */
  box(left, right, low, high) {
    return [
      Math.max(0, Math.floor(left + this.width / 2)),
      Math.min(this.width - 1, Math.ceil(right + this.width / 2)),
      Math.max(0, Math.floor(this.height / 2 - high)),
      Math.min(this.height - 1, Math.ceil(this.height / 2 - low)),
    ];
  }

  /** Keep the nearest point of a pixel so far, with Blinn-Phong shading by its normal. */
  put(pixel, depth, nx, ny, nz, color) {
    this.depth[pixel] = depth;
    const diffuse = Math.max(0, LIGHT[0] * nx + LIGHT[1] * ny + LIGHT[2] * nz);
    let shine = Math.max(0, HALFWAY[0] * nx + HALFWAY[1] * ny + HALFWAY[2] * nz);
    for (let k = 0; k < 5; k++) shine *= shine; // to the power of 32
    const lit = (0.52 + 0.5 * diffuse) * (1 - 0.45 * (1 - nz) * (1 - nz));
    this.colors[4 * pixel] = color[0] * lit + 90 * shine;
    this.colors[4 * pixel + 1] = color[1] * lit + 90 * shine;
    this.colors[4 * pixel + 2] = color[2] * lit + 90 * shine;
  }

  ball([cx, cy, cz], radius, color) {
    const [first, last, top, bottom] = this.box(cx - radius, cx + radius, cy - radius, cy + radius);
    for (let row = top; row <= bottom; row++) {
      const y = (this.height / 2 - row - 0.5 - cy) / radius;
      for (let column = first; column <= last; column++) {
        const x = (column + 0.5 - this.width / 2 - cx) / radius;
        const height = 1 - x * x - y * y;
        if (height <= 0) continue;
        const z = Math.sqrt(height);
        const pixel = row * this.width + column;
        if (cz + radius * z > this.depth[pixel]) this.put(pixel, cz + radius * z, x, y, z, color);
      }
    }
  }

  /** A cylinder from one point to another, without ends. */
  stick(from, to, radius, color) {
    const length = Math.hypot(to[0] - from[0], to[1] - from[1], to[2] - from[2]);
    if (length < 1e-6) return; // atoms in one place have no axis
    const [ax, ay, az] = from.map((x, i) => (to[i] - x) / length);
    const across = Math.max(ax * ax + ay * ay, 1e-6);
    const [first, last, top, bottom] = this.box(
      Math.min(from[0], to[0]) - radius, Math.max(from[0], to[0]) + radius,
      Math.min(from[1], to[1]) - radius, Math.max(from[1], to[1]) + radius);
    // A point p on the ray is on the cylinder if |p|² - (p·axis)² = radius²: a quadratic equation
    // in z, whose larger root faces the eye.
    for (let row = top; row <= bottom; row++) {
      const y = this.height / 2 - row - 0.5 - from[1];
      for (let column = first; column <= last; column++) {
        const x = column + 0.5 - this.width / 2 - from[0];
        const along = x * ax + y * ay;
        const c = x * x + y * y - along * along - radius * radius;
        const root = az * az * along * along - across * c;
        if (root <= 0) continue;
        const z = (az * along + Math.sqrt(root)) / across;
        const reach = along + az * z;
        const pixel = row * this.width + column;
        if (reach < 0 || reach > length || from[2] + z <= this.depth[pixel]) continue;
        const [nx, ny, nz] = [x - reach * ax, y - reach * ay, z - reach * az];
        this.put(pixel, from[2] + z, nx / radius, ny / radius, nz / radius, color);
      }
    }
  }

  /** Darken the outlines, and let what is far away fade into the page. */
  finish(scale) {
    const { depth, colors, width } = this;
    let front = BEHIND;
    let back = -BEHIND;
    for (let i = 0; i < depth.length; i++) {
      if (depth[i] === BEHIND) continue;
      if (depth[i] > front) front = depth[i];
      if (depth[i] < back) back = depth[i];
    }
    const fade = (0.3 * 255) / Math.max(front - back, 4 * scale);
    for (let i = 0; i < depth.length; i++) {
      if (depth[i] === BEHIND) continue;
      const limit = depth[i] - OUTLINE_STEP * scale;
      const isEdge = depth[i - 1] < limit || depth[i + 1] < limit ||
        depth[i - width] < limit || depth[i + width] < limit;
      for (let k = 4 * i; isEdge && k < 4 * i + 3; k++) colors[k] *= 0.35;
      colors[4 * i + 3] = 255 - fade * (front - depth[i]);
    }
    this.canvas.getContext("2d").putImageData(this.image, 0, 0);
  }
}

let raster = new Raster(1, 1); // one for all viewers, which draw one after another

/** A molecule on a canvas: its frame, orientation and zoom; redraw() makes its first picture. */
class Viewer {
  constructor(canvas, molecule, scenes) {
    this.canvas = canvas;
    this.molecule = molecule;
    this.elements = scenes.elements;
    this.unit = 1 / scenes.perAngstrom;
    this.reach = Math.max(MIN_REACH, ...molecule.map((frame) => this.reachOf(frame)));
    this.frame = molecule.length - 1;
    this.appeared = Infinity; // atoms from this index on are growing
    this.since = -GROWTH_MS; // when they began to
    this.cost = 0; // ms, of the last picture with all rays
    this.rotation = IDENTITY;
    this.zoom = 1;
    this.listen();
  }

  reachOf(frame) {
    return Math.max(0, ...frame.z.map((number, i) => {
      const xyz = frame.x.slice(3 * i, 3 * i + 3).map((x) => x * this.unit);
      return Math.hypot(...xyz) + this.elements[number].radius;
    }));
  }

  reset() {
    this.rotation = IDENTITY;
    this.zoom = 1;
    this.redraw();
  }

  turn(right, down) {
    const [cx, sx, cy, sy] = [Math.cos(down), Math.sin(down), Math.cos(right), Math.sin(right)];
    this.rotation = multiply([1, 0, 0, 0, cx, -sx, 0, sx, cx], this.rotation);
    this.rotation = multiply([cy, 0, sy, 0, 1, 0, -sy, 0, cy], this.rotation);
    this.redraw(true);
  }

  zoomBy(factor) {
    this.zoom = Math.min(6, Math.max(0.4, this.zoom * factor));
    this.redraw(true);
  }

  /** Show a frame; atoms that the one before does not have grow if they are to. */
  show(frame, growing = false) {
    this.appeared = growing && frame ? this.molecule[frame - 1].z.length : Infinity;
    this.since = growing ? performance.now() : -GROWTH_MS;
    this.frame = frame;
    this.redraw();
  }

  /** Draw before the next frame of the browser; with fewer rays if it moves and is slow. */
  redraw(moving = false) {
    clearTimeout(this.settling);
    if (moving) this.settling = setTimeout(() => this.redraw(), SETTLE_MS);
    this.moving = moving;
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.draw();
    });
  }

  /** Free the memory of the picture. */
  release() {
    clearTimeout(this.settling);
    this.canvas.width = this.canvas.height = 0;
  }

  draw() {
    const { canvas } = this;
    const started = performance.now();
    const isCoarse = this.moving && this.cost > SMOOTH_MS;
    const density = isCoarse ? 1 : devicePixelRatio;
    const width = Math.round(canvas.clientWidth * density);
    const height = Math.round(canvas.clientHeight * density);
    if (!width || !height) return;
    const rays = density < 2 && !isCoarse ? 2 : 1; // along each side of a pixel
    if (raster.width !== width * rays || raster.height !== height * rays) {
      raster = new Raster(width * rays, height * rays);
    }
    const growth = Math.min(1, (started - this.since) / GROWTH_MS);
    const scale = (this.zoom * Math.min(width, height) * rays) / 2 / this.reach;
    raster.clear();
    this.drawFrame(this.molecule[this.frame], scale, growth);
    raster.finish(scale);
    [canvas.width, canvas.height] = [width, height];
    canvas.getContext("2d").drawImage(raster.canvas, 0, 0, width, height);
    if (!isCoarse) this.cost = performance.now() - started;
    if (growth < 1) this.redraw(true);
  }

  drawFrame(frame, scale, growth) {
    const r = this.rotation.map((x) => x * scale * this.unit);
    const points = frame.z.map((_, i) => {
      const [x, y, z] = frame.x.slice(3 * i, 3 * i + 3);
      return [0, 3, 6].map((k) => r[k] * x + r[k + 1] * y + r[k + 2] * z);
    });
    const grown = (i) => (i >= this.appeared ? growth : 1);
    frame.z.forEach((number, i) => {
      const { radius, color } = this.elements[number];
      raster.ball(points[i], grown(i) * radius * scale, color);
    });
    for (let k = 0; k < frame.b.length; k += 2) {
      const [i, j] = frame.b.slice(k, k + 2);
      const middle = points[i].map((x, axis) => (x + points[j][axis]) / 2);
      const radius = Math.min(grown(i), grown(j)) * STICK_RADIUS * scale;
      for (const atom of [i, j]) {
        const color = this.elements[frame.z[atom]].color.map((x) => 0.93 * x);
        if (radius) raster.stick(points[atom], middle, radius, color);
      }
    }
  }

  listen() {
    const { canvas } = this;
    const pointers = new Map();
    const spread = () => {
      const [a, b] = pointers.values();
      return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, event);
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const wide = pointers.size === 2 ? spread() : 0;
      pointers.set(event.pointerId, event);
      if (wide) this.zoomBy(spread() / wide);
      else {
        const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
        this.turn(dx * TURN_PER_PIXEL, dy * TURN_PER_PIXEL);
      }
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
    }
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !canvas.closest("dialog")) return; // the page scrolls
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400));
    }, { passive: false });
    const keys = {
      ArrowLeft: () => this.turn(-0.2, 0),
      ArrowRight: () => this.turn(0.2, 0),
      ArrowUp: () => this.turn(0, -0.2),
      ArrowDown: () => this.turn(0, 0.2),
      "+": () => this.zoomBy(1.2),
      "-": () => this.zoomBy(1 / 1.2),
      0: () => this.reset(),
    };
    canvas.addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    canvas.addEventListener("dblclick", () => this.reset());
  }
}
