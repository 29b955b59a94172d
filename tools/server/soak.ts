/**
 * @file Many requests against a server that is running, eight at a time, each with its own seed: prints the resident memory
 * of the server now and then. It should stay flat.
 *
 * npx tsx tools/server/soak.ts http://127.0.0.1:8000 10000
 */
import { readFile } from "node:fs/promises";

const [base = "http://127.0.0.1:8000", requests = "10000"] = process.argv.slice(2);
const AT_ONCE = 8;
const LINES = 10;
const total = Number(requests);
const folder = "examples/seen/depth";
const pictures = await Promise.all(
  ["before", "after", "query-1"].map(
    async (name) => new Blob([new Uint8Array(await readFile(`${folder}/${name}.png`))]),
  ),
);

async function residentMiB(): Promise<number> {
  const text = await (await fetch(`${base}/metrics`)).text();
  const [, bytes] = /^process_resident_memory_bytes ([\d.e+]+)$/m.exec(text) ?? [];
  if (bytes === undefined) throw new Error("expected process_resident_memory_bytes in /metrics");
  return Math.round(Number(bytes) / 2 ** 20);
}

let begun = 0;
let done = 0;
const started = performance.now();
async function client(): Promise<void> {
  while (begun < total) {
    const form = new FormData();
    for (const [i, picture] of pictures.entries()) form.append("image[]", picture, `${i}.png`);
    form.append("seed", String(begun++));
    const response = await fetch(`${base}/v1/images/edits`, { method: "POST", body: form });
    const body = await response.text();
    if (response.status !== 200)
      throw new Error(`expected 200, got ${response.status}: ${body.slice(0, 200)}`);
    if (++done % Math.ceil(total / LINES) === 0) {
      const rate = (1000 * done) / (performance.now() - started);
      console.log(`${done} requests, ${await residentMiB()} MiB resident, ${rate.toFixed(1)} requests/s`);
    }
  }
}
await Promise.all(Array.from({ length: AT_ONCE }, client));
