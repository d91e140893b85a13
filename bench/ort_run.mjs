// Runs a model in ONNX Runtime over an .npy file, sample by sample, and writes its outputs:
//   node bench/ort_run.mjs MODEL.onnx INPUT.npy OUTPUT.npy [--level all|basic|disabled] [--threads N]
// MODEL.onnx --check only loads it, with shapes and types inferred strictly.
// Several outputs go to OUTPUT.npy, OUTPUT.1.npy, ... Prints the median time of a sample in ms.
// Needs onnxruntime-node: npm install --prefix bench onnxruntime-node --ignore-scripts
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(process.env.ORT_NODE_MODULES
  ? process.env.ORT_NODE_MODULES + '/x.js' : import.meta.url);
const ort = require('onnxruntime-node');

const types = {
  '<f4': ['float32', Float32Array], '|u1': ['uint8', Uint8Array], '|i1': ['int8', Int8Array],
  '<i4': ['int32', Int32Array], '<i8': ['int64', BigInt64Array], '|b1': ['bool', Uint8Array],
};

function readNpy(path) {
  const bytes = readFileSync(path);
  const wide = bytes[6] > 1;
  const length = wide ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8);
  const start = (wide ? 12 : 10) + length;
  const header = bytes.subarray(wide ? 12 : 10, start).toString();
  const [type, Kind] = types[/'descr': *'([^']*)'/.exec(header)[1]];
  const shape = /'shape': *\(([^)]*)\)/.exec(header)[1].split(',').filter((s) => s.trim()).map(Number);
  const copy = new Uint8Array(bytes.subarray(start)).buffer;
  return { type, shape, data: new Kind(copy) };
}

function writeNpy(path, type, shape, data) {
  const code = Object.keys(types).find((k) => types[k][0] === type);
  let header = `{'descr': '${code}', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  header = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + '\n';
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(header.length, 8);
  writeFileSync(path, Buffer.concat([head, Buffer.from(header), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]));
}

const option = (name, fallback) => {
  const i = process.argv.indexOf(name);
  return i > 0 ? process.argv[i + 1] : fallback;
};
const [model, inputPath, outputPath] = process.argv.slice(2);
const threads = Number(option('--threads', '1'));
const check = process.argv.includes('--check');
const session = await ort.InferenceSession.create(model, {
  graphOptimizationLevel: option('--level', 'all'), intraOpNumThreads: threads,
  interOpNumThreads: 1, logSeverityLevel: 3,
  // contradictions between stated and inferred shapes are errors then
  ...(check && { extra: { session: { strict_shape_type_inference: '1' } } }),
});
if (check) {
  process.exit(0);
}
const input = readNpy(inputPath);
const samples = input.shape[0];
const size = input.data.length / samples;
const collected = session.outputNames.map(() => []);
const times = [];
let shapes = [];
let outputTypes = [];
for (let i = 0; i < samples; i++) {
  const part = input.data.slice(i * size, (i + 1) * size);
  const feeds = { [session.inputNames[0]]: new ort.Tensor(input.type, part, [1, ...input.shape.slice(1)]) };
  const start = process.hrtime.bigint();
  const results = await session.run(feeds);
  times.push(Number(process.hrtime.bigint() - start) / 1e6);
  session.outputNames.forEach((name, k) => {
    collected[k].push(results[name].data.slice());
    shapes[k] = results[name].dims;
    outputTypes[k] = results[name].type;
  });
}
session.outputNames.forEach((name, k) => {
  const each = collected[k][0].length;
  const all = new collected[k][0].constructor(each * samples);
  collected[k].forEach((part, i) => all.set(part, i * each));
  const shape = shapes[k][0] === 1 ? [samples, ...shapes[k].slice(1)] : [samples, ...shapes[k]];
  writeNpy(k === 0 ? outputPath : outputPath.replace(/\.npy$/, `.${k}.npy`), outputTypes[k], shape, all);
});
times.sort((a, b) => a - b);
console.log(JSON.stringify({ samples, median_ms: times[times.length >> 1], total_ms: times.reduce((a, b) => a + b) }));
