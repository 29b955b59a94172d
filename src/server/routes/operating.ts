/** @file For those who operate the server: whether it lives, whether it takes requests, what it counts. */
import { z } from "zod";
import { operation } from "../operation.ts";

const tag = "Operating";
const status = z.object({ status: z.string() });

export const healthz = operation({
  method: "get",
  path: "/healthz",
  summary: "Whether the process lives",
  tag,
  isPublic: true,
  answers: { 200: { description: "It does.", schema: status } },
  handle: () => Response.json({ status: "ok" }),
});

export const readyz = operation({
  method: "get",
  path: "/readyz",
  summary: "Whether requests are taken",
  tag,
  isPublic: true,
  answers: {
    200: { description: "They are.", schema: status },
    503: { description: "The server is shutting down.", schema: status },
  },
  handle: (_asked, { queue }) =>
    queue.isClosed
      ? Response.json({ status: "draining" }, { status: 503 })
      : Response.json({ status: "ready" }),
});

export const metrics = operation({
  method: "get",
  path: "/metrics",
  summary: "Counts in Prometheus's text format",
  tag,
  answers: { 200: { description: "The counts.", media: ["text/plain"] } },
  handle: (_asked, services) =>
    new Response(services.metrics.text(), {
      headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
    }),
});
