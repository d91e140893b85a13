// Makes docs/benchmarks.md of the lines that compare.mjs printed: node bench/table.mjs RESULTS.jsonl
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const rows = readFileSync(process.argv[2], 'utf8').trim().split('\n').map((line) => JSON.parse(line));
const titles = {
  int8: 'Int8, one thread, batch 1', int8_2_threads: 'Int8, two threads, batch 1',
  int8_batch_8: 'Int8, one thread, batch 8', small: 'Small int8 networks, one thread, batch 1',
  float: 'Float, one thread, batch 1',
};
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
opening the file to the first result. Memory: Octet's is that of the whole process, ONNX Runtime's what
its process grew by.`);
for (const [section, title] of Object.entries(titles)) {
  const part = rows.filter((row) => row.section === section);
  if (!part.length) continue;
  console.log(`\n## ${title}\n`);
  console.log('| network | GMAC | Octet ms | ONNX Runtime ms | ratio | peak | first, Octet / ONNX Runtime ms | memory MB |');
  console.log('|---|---|---|---|---|---|---|---|');
  for (const row of part) {
    if (row.error) {
      console.log(`| ${row.name} | | | | ${row.error} | | | |`);
      continue;
    }
    const digits = row.octet_ms < 1 ? 3 : 2;
    console.log(`| ${row.name} | ${fixed(row.gmac, 2)} | ${fixed(row.octet_ms, digits)} | ${fixed(row.ort_ms, digits)} | **${fixed(row.ratio, 2)}** | ${fixed(100 * row.peak_share, 0)} % | ${fixed(row.octet_first_ms, 0)} / ${fixed(row.ort_first_ms, 0)} | ${mega(row.octet_bytes)} / ${mega(row.ort_bytes)} |`);
  }
  const good = part.filter((row) => row.ratio > 0);
  const mean = Math.exp(good.reduce((sum, row) => sum + Math.log(row.ratio), 0) / good.length);
  console.log(`\nGeometric mean of the ratios: ${mean.toFixed(2)}.`);
}
