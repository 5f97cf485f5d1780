// Surfaces of triangles in 3D: turned by a 3 x 3 matrix, drawn with a depth for every pixel.
const cross = ([a, b, c], [d, e, f]) => [b * f - c * e, c * d - a * f, a * e - b * d];
const times = (a, b) => a.map((_, i) => [0, 1, 2].reduce((sum, k) => sum + a[i - i % 3 + k] * b[3 * k + i % 3], 0));

// A matrix, turned further by two angles: what is in front moves to the right, and down.
ui.turned = (right, down, matrix) => {
  const [c, s, d, t] = [Math.cos(right), Math.sin(right), Math.cos(down), Math.sin(down)];
  return times([1, 0, 0, 0, d, -t, 0, t, d], times([c, 0, s, 0, 1, 0, -s, 0, c], matrix));
};

// A surface out of `vertices` (3, vertex) and `triangles` (3, triangle), both as differences to the one
// before; with a normal at every vertex.
ui.mesh = ({vertices, triangles}, scale) => {
  const points = ({shape: [, n], values}) => {
    const found = new Int32Array(3 * n);
    for (let k = 0; k < 3; k++) for (let i = 0, sum = 0; i < n; i++) found[3 * i + k] = sum += values[k * n + i];
    return found;
  };
  const places = Float32Array.from(points(vertices), (x) => x * scale), corners = points(triangles);
  const normals = new Float32Array(places.length), at = (v) => [0, 1, 2].map((k) => places[3 * v + k]);
  for (let t = 0; t < corners.length; t += 3) {
    const all = [...corners.subarray(t, t + 3)], [a, b, c] = all.map(at), minus = (p) => p.map((x, k) => x - a[k]);
    const normal = cross(minus(b), minus(c));
    for (const v of all) normal.forEach((x, k) => { normals[3 * v + k] += x; });
  }
  for (let v = 0; v < normals.length; v += 3) {
    const long = Math.hypot(normals[v], normals[v + 1], normals[v + 2]) || 1;
    for (let k = 0; k < 3; k++) normals[v + k] /= long;
  }
  return {places, corners, normals, count: places.length / 3};
};

// A canvas for surfaces within `radius` of the middle; `flat` lights every triangle for itself.
ui.solid = ({radius, flat}) => {
  const canvas = ui.element("canvas", {tabindex: 0, role: "application", "data-lm-suppress-shortcuts": "true",
    style: "aspect-ratio:5/4;touch-action:none;cursor:grab"});
  let width = 0, height = 0, sheet, depth, pixels, shown = [];
  const lit = (x, y, z) => 0.5 + 0.5 * Math.max(0, 0.8 * z + 0.45 * y - 0.4 * x);
  const project = (mesh, [a, b, c, d, e, f, g, h, i], zoom) => {
    const {places: p, normals: n, count} = mesh, size = 0.49 * height / radius * zoom;
    const [x, y, z, light] = [0, 1, 2, 3].map(() => new Float32Array(count));
    for (let v = 0, k = 0; v < count; v++, k += 3) {
      x[v] = width / 2 + size * (a * p[k] + b * p[k + 1] + c * p[k + 2]);
      y[v] = height / 2 - size * (d * p[k] + e * p[k + 1] + f * p[k + 2]);
      z[v] = size * (g * p[k] + h * p[k + 1] + i * p[k + 2]);
      light[v] = lit(a * n[k] + b * n[k + 1] + c * n[k + 2], d * n[k] + e * n[k + 1] + f * n[k + 2],
        g * n[k] + h * n[k + 1] + i * n[k + 2]);
    }
    return {x, y, z, light};
  };
  // `shades` are red, green, blue one after the other; `steps` says which of them a vertex has.
  const faces = ({corners}, {x, y, z, light}, steps, shades) => {
    for (let t = 0; t < corners.length; t += 3) {
      const a = corners[t], b = corners[t + 1], c = corners[t + 2], left = x[a], top = y[a];
      const bx = x[b] - left, by = y[b] - top, cx = x[c] - left, cy = y[c] - top, area = by * cx - bx * cy;
      if (area <= 0) continue; // seen from behind
      const bz = z[b] - z[a], cz = z[c] - z[a], nx = bz * cy - by * cz, ny = bz * cx - bx * cz, long = Math.hypot(nx, ny, area);
      const l = flat ? lit(nx / long, ny / long, area / long) : light[a], lb = flat ? 0 : light[b] - l, lc = flat ? 0 : light[c] - l;
      const s = steps[a], sb = steps[b] - s, sc = steps[c] - s;
      const x0 = Math.max(Math.ceil(left + Math.min(0, bx, cx)), 0), x1 = Math.min(left + Math.max(0, bx, cx), width - 1);
      const y0 = Math.max(Math.ceil(top + Math.min(0, by, cy)), 0), y1 = Math.min(top + Math.max(0, by, cy), height - 1);
      for (let j = y0; j <= y1; j++) {
        let u = ((j - top) * cx - (x0 - left) * cy) / area, v = ((x0 - left) * by - (j - top) * bx) / area;
        for (let i = x0; i <= x1; i++, u -= cy / area, v += by / area) {
          if (u < -1e-6 || v < -1e-6 || u + v > 1.000001) continue;
          const at = j * width + i, near = z[a] + u * bz + v * cz;
          if (near <= depth[at]) continue;
          depth[at] = near;
          const bright = l + u * lb + v * lc, k = 3 * Math.round(s + u * sb + v * sc);
          pixels[at] = 0xff000000 | shades[k + 2] * bright << 16 | shades[k + 1] * bright << 8 | shades[k] * bright;
        }
      }
    }
  };
  // The edges of its quadrilaterals, where nothing lies in front of them.
  const edges = ({corners}, {x, y, z}, [red, green, blue]) => {
    const slack = 0.015 * height, line = (0xff000000 | blue << 16 | green << 8 | red) >>> 0;
    for (let t = 0; t < corners.length; t++) {
      if (t % 3 === 2) continue; // a diagonal
      const a = corners[t], b = corners[t + 1], dx = x[b] - x[a], dy = y[b] - y[a], long = Math.ceil(Math.max(Math.abs(dx), Math.abs(dy), 1));
      for (let s = 0; s < long; s++) {
        const i = Math.round(x[a] + s / long * dx), j = Math.round(y[a] + s / long * dy);
        if (i < 0 || j < 0 || i >= width || j >= height) continue;
        if (z[a] + s / long * (z[b] - z[a]) >= depth[j * width + i] - slack) pixels[j * width + i] = line;
      }
    }
  };
  return {
    canvas,
    // solids: {mesh, steps, shades, ...}; wires: {mesh, line}. Twice as fine as a plain screen.
    draw: (view, zoom, solids, wires = []) => {
      const wide = Math.min(Math.round(canvas.clientWidth * Math.max(window.devicePixelRatio || 1, 2)), 800);
      if (!wide) return;
      if (wide !== width) {
        [width, height] = [wide, Math.round(0.8 * wide)];
        Object.assign(canvas, {width, height});
        [sheet, depth] = [new ImageData(width, height), new Float32Array(width * height)];
        pixels = new Uint32Array(sheet.data.buffer);
      }
      depth.fill(-Infinity);
      pixels.fill(0);
      shown = solids.map((one) => ({...one, ...project(one.mesh, view, zoom)}));
      for (const one of shown) faces(one.mesh, one, one.steps, one.shades);
      for (const {mesh, line} of wires) edges(mesh, project(mesh, view, zoom), line);
      canvas.getContext("2d").putImageData(sheet, 0, 0);
    },
    // The visible vertex nearest to the pointer, as the solid and the vertex's number.
    nearest: (event) => {
      const box = canvas.getBoundingClientRect();
      const i = (event.clientX - box.left) / box.width * width, j = (event.clientY - box.top) / box.height * height;
      let best = null, least = (0.04 * width) ** 2;
      for (const one of shown) for (let v = 0; v < one.mesh.count; v++) {
        const away = (one.x[v] - i) ** 2 + (one.y[v] - j) ** 2;
        if (away >= least || one.z[v] < depth[Math.round(one.y[v]) * width + Math.round(one.x[v])] - 0.015 * height) continue;
        [best, least] = [{...one, vertex: v}, away];
      }
      return best;
    },
  };
};
