// Octet beside ONNX Runtime on the same files, alternating: a round of one, a round of the other.
//   node bench/compare.mjs OCTET FOLDER [--threads N] [--batch N] [--rounds N] [--runs N] [NAME ...]
// FOLDER holds the models. Prints one JSON line a network: medians and minimums in ms, peak memory,
// time from opening the file to the first result. The cost of a call through the binding is timed
// on an identity model and taken off ONNX Runtime's times.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(import.meta.url);
const require = createRequire(process.env.ORT_NODE_MODULES
  ? process.env.ORT_NODE_MODULES + '/x.js' : import.meta.url);
const ort = require('onnxruntime-node');

const words = process.argv.slice(2);
const options = {};
const operands = [];
for (let i = 0; i < words.length; i++) {
  if (words[i].startsWith('--')) options[words[i].slice(2)] = words[++i];
  else operands.push(words[i]);
}
const threads = Number(options.threads ?? 1);
const batch = Number(options.batch ?? 1);
const rounds = Number(options.rounds ?? 7);
const runs = Number(options.runs ?? 10);

const milliseconds = () => Number(process.hrtime.bigint()) / 1e6;
const median = (list) => {
  const sorted = [...list].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};

const sessionOptions = {
  intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all',
  logSeverityLevel: 3,
};

function makeFeeds(session) {
  const feeds = {};
  for (const input of session.inputMetadata) {
    const shape = input.shape.map((d, i) => (typeof d === 'number' ? d : i === 0 ? batch : 1));
    const size = shape.reduce((a, b) => a * b, 1);
    const kinds = { float32: Float32Array, uint8: Uint8Array, int8: Int8Array, int64: BigInt64Array };
    const data = new kinds[input.type](size);
    if (input.type === 'float32') for (let i = 0; i < size; i++) data[i] = Math.sin(i * 12.9898) ;
    feeds[input.name] = new ort.Tensor(input.type, data, shape);
  }
  return feeds;
}

// A model of one Identity on one float, written by hand: what remains is the binding.
async function bindingOverhead() {
  const text = (s) => [...Buffer.from(s)];
  const field = (n, bytes) => [n << 3 | 2, bytes.length, ...bytes];
  const type = field(2, field(1, [8, 1, ...field(2, field(1, [8, 1]))]));
  const value = (name) => [...field(1, text(name)), ...type];
  const node = [...field(1, text('x')), ...field(2, text('y')), ...field(4, text('Identity'))];
  const graph = [...field(1, node), ...field(2, text('g')), ...field(11, value('x')), ...field(12, value('y'))];
  const model = [8, 8, ...field(7, graph), ...field(8, [16, 13])];
  const session = await ort.InferenceSession.create(Uint8Array.from(model), sessionOptions);
  const feeds = { x: new ort.Tensor('float32', new Float32Array(1), [1]) };
  const times = [];
  for (let i = 0; i < 2000; i++) {
    const start = milliseconds();
    await session.run(feeds);
    times.push(milliseconds() - start);
  }
  return median(times);
}

// The peer in a process of its own, for its memory and its start.
async function child(model) {
  const before = process.memoryUsage.rss();
  const start = milliseconds();
  const session = await ort.InferenceSession.create(model, sessionOptions);
  await session.run(makeFeeds(session));
  const first = milliseconds() - start;
  const feeds = makeFeeds(session);
  for (let i = 0; i < 5; i++) await session.run(feeds);
  const status = require('node:fs').readFileSync('/proc/self/status', 'utf8');
  const peak = Number(/VmHWM:\s+(\d+)/.exec(status)[1]) * 1024;
  console.log(JSON.stringify({ first, bytes: peak - before }));
}

// The peer's threads go on spinning for a while after a run, and would take a core from Octet.
const settle = () => new Promise((done) => setTimeout(done, threads > 1 ? 1000 : 0));

function octetBench(octet, model, shape) {
  const args = ['bench', model, '--json', '--threads', String(threads), '--runs', String(runs)];
  if (shape) args.push('--shape', shape);
  return JSON.parse(execFileSync(octet, args, { stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 26 }));
}

async function compare(octet, model, overhead) {
  const session = await ort.InferenceSession.create(model, sessionOptions);
  const feeds = makeFeeds(session);
  const [name] = Object.keys(feeds);
  const shape = `${name}=${feeds[name].dims.join('x')}`;
  const ours = [], theirs = [], ratios = [];
  const first = [];
  const shares = [];
  let octetBytes = 0;
  let last;
  for (let i = 0; i < 3; i++) await session.run(feeds);
  for (let round = 0; round < rounds; round++) {
    await settle();
    last = octetBench(octet, model, shape);
    ours.push(last.median_ms);
    shares.push(last.peak_share);
    first.push(last.load_ms + last.first_run_ms);
    octetBytes = last.peak_rss_bytes;
    const times = [];
    for (let i = 0; i < runs; i++) {
      const start = milliseconds();
      await session.run(feeds);
      times.push(milliseconds() - start - overhead);
    }
    theirs.push(median(times));
    ratios.push(theirs[round] / ours[round]);
  }
  const peers = Array.from({ length: 3 }, () => JSON.parse(execFileSync(process.execPath,
    [script, '--child', model, '--threads', String(threads), '--batch', String(batch)],
    { env: process.env, stdio: ['ignore', 'pipe', 'ignore'] })));
  const peer = {
    first: median(peers.map((p) => p.first)), bytes: median(peers.map((p) => p.bytes)),
  };
  console.log(JSON.stringify({
    name: basename(model, '.onnx'), threads, batch, octet_ms: median(ours), ort_ms: median(theirs),
    ratio: median(ratios), octet_min_ms: Math.min(...ours), ort_min_ms: Math.min(...theirs),
    peak_share: median(shares), octet_first_ms: median(first), ort_first_ms: peer.first,
    octet_bytes: octetBytes, ort_bytes: peer.bytes,
    gmac: (last.int8_macs + last.float_macs) * 1e-9,
  }));
}

if (options.child) {
  await child(options.child);
} else {
  const [octet, folder, ...names] = operands;
  const overhead = await bindingOverhead();
  const files = readdirSync(folder).filter((f) => f.endsWith('.onnx')).map((f) => basename(f, '.onnx'));
  for (const name of names.length ? names : files) {
    try {
      await compare(octet, join(folder, name + '.onnx'), overhead);
    } catch (error) {
      console.log(JSON.stringify({ name, threads, batch, error: String(error).split('\n')[0] }));
    }
  }
}
