// What jaxbp wrote into the page, its numbers unpacked; its traces look like those of the engine.

// Reads numbers that were written as their bytes: exact, and half as long as digits.
export function reader(base64, bits = 64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const numbers = bits === 32 ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer);
  let next = 0;
  const row = (size) => Array.from(numbers.subarray(next, (next += size)));
  const rows = (count, size) => Array.from({ length: count }, () => row(size));
  const layers = ({ sizes, bias }) =>
    sizes
      .slice(1)
      .map((size, k) => ({ weight: rows(sizes[k], size), bias: bias ? row(size) : null }));
  return { row, rows, layers };
}

export function readData(data) {
  const { mlp, numSamples } = data;
  const { sizes } = mlp;
  const readTrace = (packed, count) => {
    const from = reader(packed);
    const each = () => [null, ...sizes.slice(1).map((size) => from.rows(count, size))];
    return {
      preactivations: each(),
      activations: each(),
      activationErrors: each(),
      nodeErrors: each(),
      gradient: from.layers(mlp),
      loss: from.row(1)[0]
    };
  };
  return {
    ...data,
    params: reader(data.params).layers(mlp),
    inputs: reader(data.inputs).rows(numSamples, sizes[0]),
    targets: reader(data.targets).rows(numSamples, sizes.at(-1)),
    traces: data.traces.map((packed) => readTrace(packed, 1)),
    batch: readTrace(data.batch, data.traces.length)
  };
}
