/** @file How long a connection may be silent. */
import type { HttpBindings } from "@hono/node-server";
import { expect, test } from "vitest";
import { createApp } from "../../src/server/app.ts";
import { startServer, tinyEngine } from "./kit.ts";

test("a client may wait long for its answer, but must then read it", async () => {
  const { engine } = await tinyEngine();
  const { services } = await startServer(engine);
  const limits: number[] = [];
  const app = createApp({
    ...{ services, origins: [], version: "0", studio: new Map(), silence: { waiting: 3000, answering: 120 } },
  });
  const incoming = { socket: { setTimeout: (ms: number) => limits.push(ms), remoteAddress: "::1" } };
  const env = { incoming } as unknown as HttpBindings;
  for (const path of ["/healthz", "/nowhere"]) await app.fetch(new Request(`http://localhost${path}`), env);
  expect(limits).toEqual([3000, 120, 3000, 120]);
});
