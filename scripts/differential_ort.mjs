// Runs models in ONNX Runtime for differential.py.
// usage: node differential_ort.mjs FOLDER-OF-onnxruntime-node JOBS.json
// JOBS is a list of {model, inputs: {name: {dims, file}}, folder, level}; files hold raw f32, level is
// that of the graph optimizations, "all" if it is left out. Prints a list
// of {outputs: {name: {dims, type, file}}} or {error}.
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';

const ort = createRequire(import.meta.url)(resolve(process.argv[2]));
const types = { float32: 'float32', int64: 'int64', int32: 'int32', uint8: 'uint8', int8: 'int8',
                bool: 'bool' };
const results = [];
for (const job of JSON.parse(readFileSync(process.argv[3], 'utf8'))) {
  try {
    const session = await ort.InferenceSession.create(
        job.model, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 4,
                     graphOptimizationLevel: job.level ?? 'all' });
    const feeds = {};
    for (const [name, input] of Object.entries(job.inputs)) {
      const bytes = readFileSync(input.file);
      const own = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
      feeds[name] = new ort.Tensor('float32', new Float32Array(own), input.dims);
    }
    const outputs = {};
    const made = await session.run(feeds);
    let index = 0;
    for (const name of session.outputNames) {
      const tensor = made[name];
      const file = `${job.folder}/expected${index++}.bin`;
      const data = tensor.data;
      writeFileSync(file, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
      outputs[name] = { dims: tensor.dims, type: types[tensor.type], file };
    }
    await session.release();
    results.push({ outputs });
  } catch (error) {
    results.push({ error: String(error) });
  }
}
console.log(JSON.stringify(results));
