// A network as a flat list of layers (written by layers.py), run on the numbers of one item.

const weigh = ({kind, steps, scale}) => {
  const [first, second, ...taps] = steps.shape, size = taps.reduce((a, b) => a * b, 1);
  return Float32Array.from(steps.values, (step, i) => {
    const block = Math.floor(i / size);
    return step * scale.values[kind === "transposed" ? block % second : Math.floor(block / second)];
  });
};
const biased = ({after, bias}) => {
  const output = new Float32Array(after.reduce((a, b) => a * b, 1)), each = output.length / after[0];
  return output.map((_, i) => bias.values[Math.floor(i / each)]);
};
// Pixel y of the smaller side meets pixel y * stride - padding + tap of the larger side. A
// convolution sums from the larger side to the smaller one, its transpose the other way.
const convolve = (layer, input) => {
  const {kind, steps, weights, before, after, stride, padding} = layer, down = kind === "convolution";
  const output = biased(layer), [first, second, tall, wide] = steps.shape;
  const [, rows, columns] = down ? after : before, [, high, long] = down ? before : after;
  const begin = (tap, axis) => Math.max(0, Math.ceil((padding[axis] - tap) / stride[axis]));
  const end = (tap, axis, small, large) =>
    Math.min(small - 1, Math.floor((large - 1 + padding[axis] - tap) / stride[axis]));
  for (let a = 0, at = 0; a < first; a++) for (let b = 0; b < second; b++) {
    for (let u = 0; u < tall; u++) for (let v = 0; v < wide; v++, at++) {
      const weight = weights[at], left = begin(v, 1), right = end(v, 1, columns, long), bottom = end(u, 0, rows, high);
      for (let y = begin(u, 0); y <= bottom; y++) {
        let small = (a * rows + y) * columns + left;
        let large = (b * high + y * stride[0] - padding[0] + u) * long + left * stride[1] - padding[1] + v;
        for (let x = left; x <= right; x++, small++, large += stride[1]) {
          if (down) output[small] += weight * input[large]; else output[large] += weight * input[small];
        }
      }
    }
  }
  return output;
};
const linear = (layer, input) => biased(layer).map((bias, o) => {
  let sum = bias;
  for (let i = 0, at = o * input.length; i < input.length; i++) sum += layer.weights[at + i] * input[i];
  return sum;
});
const leaky = ({slope}, input) => input.map((x) => x > 0 ? x : slope * x);
const RUNS = {convolution: convolve, transposed: convolve, linear, leaky};

ui.forward = (layers, input) => layers.reduce((values, layer) => {
  if (layer.steps) layer.weights ??= weigh(layer);
  return RUNS[layer.kind](layer, values);
}, input);
