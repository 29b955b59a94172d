/**
 * @file A load run against a server that is running: usual clients beside slow, broken and abusive ones. Prints what came
 * back, and fails on a 5xx answer other than 503 and 504, or a server that does not recover.
 *
 * npx tsx tools/server/load.ts http://127.0.0.1:8000 60
 */

import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const [base = "http://127.0.0.1:8000", seconds = "60"] = process.argv.slice(2);
const end = Date.now() + Number(seconds) * 1000;
const { hostname, port } = new URL(base);
const folder = "examples/seen/depth";
const [before, after, query] = await Promise.all(
  ["before", "after", "query-1"].map(
    async (name) => new Blob([new Uint8Array(await readFile(`${folder}/${name}.png`))]),
  ),
);

const counts = new Map<string, number>();
const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
const durations: number[] = [];

function edit(more: Readonly<Record<string, string>> = {}): FormData {
  const form = new FormData();
  form.append("image[]", before!, "a.png");
  form.append("image[]", after!, "b.png");
  form.append("image[]", query!, "c.png");
  for (const [name, value] of Object.entries(more)) form.append(name, value);
  return form;
}

const post = (path: string, init: RequestInit) => fetch(`${base}${path}`, { method: "POST", ...init });

/** Does something over and over until the run ends; a client that is refused waits a little. */
async function client(name: string, work: () => Promise<Response | undefined>): Promise<void> {
  while (Date.now() < end) {
    try {
      const response = await work();
      if (!response) continue;
      count(`${name}: ${response.status}`);
      if (response.status === 429) await sleep(200);
    } catch (error) {
      count(`${name}: ${(error as Error).name}`);
      await sleep(50);
    }
  }
}

/** Sends bytes on a bare connection, and counts how it ended. Without `reads`, the answer stays in the network. */
function raw(name: string, parts: readonly string[], wait: number, reads = true): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let answer = "";
    const done = () => {
      count(`${name}: ${answer.slice(9, 12) || "closed"}`);
      socket.destroy();
      resolve();
    };
    if (reads)
      socket.on("data", (data) => {
        answer += data;
      });
    else socket.pause();
    socket.on("error", () => {});
    socket.on("close", done);
    void (async () => {
      for (const part of parts) {
        if (socket.destroyed) return;
        socket.write(part);
        await sleep(wait);
      }
      socket.end();
      await sleep(2000);
      socket.destroy();
    })();
  });
}

async function until(work: () => Promise<void>): Promise<void> {
  while (Date.now() < end) await work();
}

const head = (length: number) =>
  `POST /v1/images/generations HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
const noise = () => Buffer.from(Array.from({ length: 3000 }, () => Math.floor(Math.random() * 256)));
const jsonOf = (body: unknown): RequestInit => ({
  body: JSON.stringify(body),
  headers: { "content-type": "application/json" },
});

const greedy = JSON.stringify({ prompt: "a red ball", stream: true, every_row: true, n: 10 });

const clients: Promise<void>[] = [
  // Usual clients.
  ...[1, 2, 3].map(() =>
    client("edit", async () => {
      const started = performance.now();
      const response = await post("/v1/images/edits", { body: edit() });
      await response.arrayBuffer();
      if (response.ok) durations.push(performance.now() - started);
      return response;
    }),
  ),
  client("stream", async () => {
    const response = await post("/v1/images/edits", { body: edit({ stream: "true", every_row: "true" }) });
    await response.text();
    return response;
  }),
  client("health", async () => {
    await sleep(100);
    const started = performance.now();
    const response = await fetch(`${base}/healthz`);
    const took = performance.now() - started;
    if (took > 1000) count("health: over 1 s");
    return response;
  }),
  // Clients that leave: at once, after a while, in the middle of a stream.
  ...[0, 50, 400].map((after) =>
    client(`leaves after ${after} ms`, async () => {
      await sleep(50);
      return post("/v1/images/edits", { body: edit({ n: "4" }), signal: AbortSignal.timeout(after + 1) });
    }),
  ),
  client("leaves a stream", async () => {
    const response = await post("/v1/images/edits", { body: edit({ stream: "true", every_row: "true" }) });
    await response.body?.cancel();
    return response;
  }),
  // A client that never reads what it asked for.
  until(() => raw("never reads", [head(greedy.length) + greedy], 1500, false)),
  // Slow and broken ones.
  until(() => raw("slow body", [head(40), ...'{"prompt":"a red ball"'.split("")], 100)),
  until(() => raw("breaks off", [head(4000), '{"prompt":'], 50)),
  until(() => raw("no HTTP", ["\x16\x03\x01 hello\r\n\r\n"], 50)),
  until(() =>
    raw("long head", [`GET / HTTP/1.1\r\nHost: ${hostname}\r\nX: ${"x".repeat(40_000)}\r\n\r\n`], 50),
  ),
  // Abusive ones: large bodies, many parts, noise, deep JSON, wrong pictures.
  client("large body", () =>
    post("/v1/images/generations", {
      body: new Uint8Array(40 * 2 ** 20),
      headers: { "content-type": "application/json" },
    }),
  ),
  client("many parts", async () => {
    const form = new FormData();
    for (let i = 0; i < 5000; i++) form.append("x", "y");
    return post("/v1/images/edits", { body: form });
  }),
  client("noise", async () => {
    const form = edit();
    form.append("mask", new Blob([new Uint8Array(noise())]), "mask.png");
    return post("/v1/images/edits", { body: form });
  }),
  client("cut picture", async () => {
    const form = new FormData();
    form.append("image", query!.slice(0, 500), "c.png");
    form.append("prompt", "x");
    return post("/v1/images/edits", { body: form });
  }),
  client("deep JSON", () =>
    post("/v1/images/generations", {
      body: "[".repeat(200_000),
      headers: { "content-type": "application/json" },
    }),
  ),
  client("long prompt", () =>
    post("/v1/images/generations", jsonOf({ prompt: "many words ".repeat(360), n: 1 })),
  ),
  client("jobs", async () => {
    const response = await post("/v1/jobs", jsonOf({ prompt: "a red ball", n: 2 }));
    if (response.ok && Math.random() < 0.5) {
      const { id } = (await response.json()) as { id: string };
      await fetch(`${base}/v1/jobs/${id}`, { method: "DELETE" });
    }
    await sleep(100);
    return response;
  }),
];
await Promise.all(clients);

for (const [what, times] of [...counts].sort()) console.log(`${String(times).padStart(6)}  ${what}`);
durations.sort((a, b) => a - b);
const at = (share: number) => Math.round(durations[Math.floor(share * (durations.length - 1))] ?? 0);
console.log(`edits that were answered: ${durations.length}, median ${at(0.5)} ms, 95% within ${at(0.95)} ms`);

const gauge = async (name: string) => {
  const text = await (await fetch(`${base}/metrics`)).text();
  const found = new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1];
  const value = Number(found);
  if (!Number.isFinite(value))
    throw new Error(`reading /metrics: expected a number for ${name}, got ${found ?? "none"}`);
  return value;
};
let [waiting, running, bytes] = [1, 1, 1];
for (let i = 0; i < 60 && waiting + running + bytes > 0; i++) {
  await sleep(1000);
  [waiting, running, bytes] = [
    await gauge("xprompt_queue_waiting"),
    await gauge("xprompt_queue_running"),
    await gauge("xprompt_body_bytes"),
  ];
}
console.log(
  `afterwards: ${waiting} waiting, ${running} running, ${bytes} bytes of bodies, ${Math.round((await gauge("process_resident_memory_bytes")) / 2 ** 20)} MiB`,
);
console.log(
  `the server's event loop was late by ${Math.round((await gauge("xprompt_event_loop_delay_seconds")) * 1000)} ms in 99% of turns at most`,
);
const failed = [...counts.keys()].filter((what) => /: 5(?!03|04)\d\d$/.test(what));
const last = await post("/v1/images/edits", { body: edit() });
console.log(`a last edit: ${last.status}`);
if (failed.length > 0 || !last.ok || waiting + running + bytes > 0) {
  console.error(
    `expected no 5xx answers and a server that recovers, got ${failed.join(", ") || "one that does not"}`,
  );
  process.exitCode = 1;
}
