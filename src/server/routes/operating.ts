/** @file Health checks and metrics for operators. */
import { z } from "zod";
import { operation } from "../operation.ts";

const tag = "Operating";
const status = z.object({ status: z.string() });

export const healthz = operation({
  method: "get",
  path: "/healthz",
  summary: "Whether the process is alive",
  tag,
  isPublic: true,
  answers: { 200: { description: "It is.", schema: status } },
  handle: () => Response.json({ status: "ok" }),
});

export const readyz = operation({
  method: "get",
  path: "/readyz",
  summary: "Whether requests are accepted",
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
  summary: "Metrics in Prometheus's text format",
  tag,
  answers: { 200: { description: "The metrics.", media: ["text/plain"] } },
  handle: (_asked, services) =>
    new Response(services.metrics.text(), {
      headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
    }),
});
