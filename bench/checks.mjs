// Figures of Octet alone, each beside what it must reach:
//   node bench/checks.mjs OCTET FLOAT_FOLDER INT8_FOLDER [--rounds N] [NAME ...]
// NAMEs select checks: avx2, portable, threads, calibration, packed. What is compared runs in turns;
// the figure is the median of the rounds' ratios. Prints one JSON line a check.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const words = process.argv.slice(2);
let rounds = 5;
const operands = [];
while (words.length) {
  const word = words.shift();
  if (word === '--rounds') rounds = Number(words.shift());
  else operands.push(word);
}
const [octet, floatFolder, int8Folder, ...names] = operands;
const work = mkdtempSync(join(tmpdir(), 'octet-bench-'));

const run = (args, env = {}) => JSON.parse(execFileSync(octet, [...args, '--json'], {
  env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 26,
}));
const bench = (model, runs, args = [], env = {}) =>
  run(['bench', model, '--runs', String(runs), ...args], env);
const median = (list) => {
  const sorted = [...list].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};
const medianOf = (count, measure) => median(Array.from({ length: count }, measure));
const float = (name) => join(floatFolder, name + '.onnx');
const int8 = (name) => join(int8Folder, name + '.onnx');

function print(what, figure, bound, atLeast) {
  const holds = atLeast ? figure >= bound : figure <= bound;
  console.log(JSON.stringify({ section: 'checks', what, figure, bound, atLeast, holds }));
}

// How many times as fast as float int8 is at a lower level.
function level(cpu, name, runs, bound) {
  const env = { OCTET_CPU: cpu };
  const ratio = medianOf(rounds, () => {
    const fast = bench(int8(name), runs, ['--warmup', '1'], env).median_ms;
    return bench(float(name), runs, ['--warmup', '1'], env).median_ms / fast;
  });
  print(`${name} at OCTET_CPU=${cpu}: speed of int8 over float`, ratio, bound, true);
}

// Two runs with different numbers of images: what is subtracted is opening and converting.
function calibration(name) {
  const seconds = (samples) => run(['quantize', float(name), '--calib',
    join(floatFolder, 'samples.npy'), '--samples', String(samples), '--threads', '1', '--quiet',
    '--output', join(work, 'int8.onnx')]).calibration_seconds;
  const least = (samples) => Math.min(seconds(samples), seconds(samples), seconds(samples));
  const ratio = medianOf(rounds, () => {
    const image = (least(16) - least(4)) / 12 * 1e3;
    return image / bench(float(name), 12).median_ms;
  });
  print(`calibrating ${name}: time an image over a run in float`, ratio, 1.15, false);
}

const checks = {
  avx2: () => level('avx2', 'resnet50', 5, 1.4),
  portable: () => level('portable', 'squeezenet1_1', 1, 1.0),
  threads: () => {
    const ratio = medianOf(rounds, () => {
      const one = bench(int8('resnet50'), 20).median_ms;
      return one / bench(int8('resnet50'), 20, ['--threads', '2']).median_ms;
    });
    print('resnet50: speed of two threads over one', ratio, 1.85, true);
  },
  calibration: () => ['resnet50', 'mobilenet_v2', 'squeezenet1_1'].forEach(calibration),
  packed: () => {
    const packed = join(work, 'packed.onnx');
    execFileSync(octet, ['pack', int8('resnet50'), '--output', packed, '--quiet']);
    for (const [threads, words] of [['2', 'two threads'], ['1', 'one thread']]) {
      const results = Array.from({ length: 3 * rounds }, () =>
        bench(packed, 3, ['--threads', threads]));
      const first = median(results.map((r) => r.load_ms + r.first_run_ms));
      const opening = median(results.map((r) => r.load_ms + r.first_run_ms - r.median_ms));
      const what = `resnet50 from a packed file, ${words}: ms from opening to the first result`;
      print(what, first, 20, false);
      print(`${what}, without the run itself`, opening, 20, false);
    }
  },
};

for (const name of names.length ? names : Object.keys(checks)) checks[name]();
rmSync(work, { recursive: true });
