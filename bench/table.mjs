// Makes docs/benchmarks.md of the lines that compare.mjs printed: node bench/table.mjs RESULTS.jsonl
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const rows = readFileSync(process.argv[2], 'utf8').trim().split('\n').map((line) => JSON.parse(line));
const titles = {
  int8: 'Int8, one thread, batch 1', int8_2_threads: 'Int8, two threads, batch 1',
  int8_batch_8: 'Int8, one thread, batch 8', small: 'Small int8 networks, one thread, batch 1',
  float: 'Float, one thread, batch 1',
};
// What must hold (ratios of ONNX Runtime's time over Octet's).
const floors = {
  int8: {
    resnet18: 1.10, resnet50: 1.10, vgg16: 1.03, squeezenet1_1: 1.2, mobilenet_v2: 1.4,
    mobilenet_v3_large: 1.9, efficientnet_b0: 1.9, shufflenet_v2_x1_0: 1.8, densenet121: 1.4, vit_b_16: 1.2,
  },
  int8_2_threads: 1.0, int8_batch_8: 1.0, small: 1.5, float: 0.95, onednn: 1.0,
};
const floorOf = (section, name) => floors[section][name] ?? floors[section];
const below = [];
const fixed = (value, digits) => (value === undefined ? '' : value.toFixed(digits));
const mega = (bytes) => (bytes / 1e6).toFixed(0);
const cpu = /model name\s*: (.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown';
const level = JSON.parse(execFileSync('build/octet', ['version', '--json'])).cpu;

console.log(`# Speed beside ONNX Runtime

Written by \`make bench\`, which repeats it. ${cpu}, kernels ${level}. Octet and ONNX Runtime 1.30
(onnxruntime-node) run the same QDQ file, quantized by \`octet quantize\`, in turns: a round of one, a
round of the other. Times are medians over all rounds, the ratio is the median of the rounds' ratios
(ONNX Runtime's time over Octet's; above 1 Octet is faster). The cost of a call through ONNX Runtime's
binding, timed on an identity model, is taken off its times. The networks are torchvision's with
random weights: speed does not depend on what they have learnt.

"peak" is the share of the core's own measured peak of multiply-accumulates. "first" is the time from
opening the file to the first result, the file being in the page cache. Memory: Octet's is that of the
whole process, ONNX Runtime's what its process grew by.`);
for (const [section, title] of Object.entries(titles)) {
  const part = rows.filter((row) => row.section === section);
  if (!part.length) continue;
  console.log(`\n## ${title}\n`);
  console.log('| network | GMAC | Octet ms | ONNX Runtime ms | ratio | at least | peak | first, Octet / ONNX Runtime ms | memory, Octet / ONNX Runtime MB |');
  console.log('|---|---|---|---|---|---|---|---|---|');
  for (const row of part) {
    if (row.error) {
      console.log(`| ${row.name} | | | | ${row.error} | | | | |`);
      continue;
    }
    const floor = floorOf(section, row.name);
    if (row.ratio < floor) below.push(`${title}, ${row.name}: ${fixed(row.ratio, 2)} where ${fixed(floor, 2)} is wanted`);
    if (section === 'int8') {
      if (row.octet_bytes > 0.7 * row.ort_bytes) {
        below.push(`${row.name}: ${fixed(100 * row.octet_bytes / row.ort_bytes, 0)} % of ONNX Runtime's memory where 70 % is wanted`);
      }
      if (row.name === 'resnet50' && row.octet_first_ms > row.ort_first_ms / 3) {
        below.push(`${row.name}: ${fixed(row.octet_first_ms / row.ort_first_ms, 2)} of ONNX Runtime's time to the first result where 0.33 is wanted`);
      }
    }
    const digits = row.octet_ms < 1 ? 3 : 2;
    console.log(`| ${row.name} | ${fixed(row.gmac, 2)} | ${fixed(row.octet_ms, digits)} | ${fixed(row.ort_ms, digits)} | **${fixed(row.ratio, 2)}** | ${fixed(floor, 2)} | ${fixed(100 * row.peak_share, 0)} % | ${fixed(row.octet_first_ms, 0)} / ${fixed(row.ort_first_ms, 0)} | ${mega(row.octet_bytes)} / ${mega(row.ort_bytes)} |`);
  }
  const good = part.filter((row) => row.ratio > 0);
  const mean = Math.exp(good.reduce((sum, row) => sum + Math.log(row.ratio), 0) / good.length);
  console.log(`\nGeometric mean of the ratios: ${mean.toFixed(2)}.`);
}

const layers = rows.filter((row) => row.section === 'onednn');
if (layers.length) {
  console.log(`
## Beside oneDNN, layer by layer

All convolutions of two networks (u8 x s8 -> u8 with bias and ReLU, channels-last, one thread; Debian's oneDNN 2.6):
its kernels and Octet's on the same data in one process, in turns. The ratio is oneDNN's time over Octet's, the
median of the rounds. A 3x3 convolution at 7x7 has a fifth of its multiplications with padding; oneDNN leaves them
out, which can take it above the peak.`);
  for (const network of new Set(layers.map((row) => row.network))) {
    const part = layers.filter((row) => row.network === network);
    const count = part.reduce((sum, row) => sum + row.count, 0);
    const mean = Math.exp(part.reduce((sum, row) => sum + row.count * Math.log(row.ratio), 0) / count);
    if (mean < floors.onednn) below.push(`${network} beside oneDNN: ${fixed(mean, 2)} where 1.00 is wanted`);
    console.log(`\n${network}: geometric mean of ${count} ratios **${fixed(mean, 3)}** (at least 1.0). Slower in: ` +
      `${part.filter((row) => row.ratio < 1).map((row) => `${row.layer} (${fixed(row.ratio, 2)})`).join(', ') || 'none'}.\n`);
    console.log('| layer | times | Octet GMAC/s | oneDNN GMAC/s | ratio |');
    console.log('|---|---|---|---|---|');
    for (const row of part) {
      console.log(`| ${row.layer} | ${row.count} | ${fixed(row.octet_gmacs, 0)} | ${fixed(row.onednn_gmacs, 0)} | ${fixed(row.ratio, 2)} |`);
    }
  }
}

const overhead = rows.filter((row) => row.section === 'overhead');
const checks = rows.filter((row) => row.section === 'checks');
if (overhead.length || checks.length) {
  console.log('\n## Other figures\n\n| what | figure | wanted | |');
  console.log('|---|---|---|---|');
  for (const row of overhead) {
    if (row.nanoseconds >= 1000) below.push(`a node costs ${fixed(row.nanoseconds, 0)} ns where 1000 are wanted`);
    console.log(`| ns a node in a chain, kernel included: ${row.chain} | ${fixed(row.nanoseconds, 0)} | below 1000 | ${row.nanoseconds < 1000 ? 'holds' : 'does not hold'} |`);
  }
  for (const row of checks) {
    const bound = `${row.atLeast ? 'at least' : 'at most'} ${row.bound}`;
    if (!row.holds) below.push(`${row.what}: ${fixed(row.figure, 2)} where ${bound} is wanted`);
    console.log(`| ${row.what} | ${fixed(row.figure, 2)} | ${bound} | ${row.holds ? 'holds' : 'does not hold'} |`);
  }
}

console.log(below.length
  ? `\n## What does not hold\n\n${below.map((line) => `- ${line}`).join('\n')}`
  : '\nEverything that is wanted holds.');
