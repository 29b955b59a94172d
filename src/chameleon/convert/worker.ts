/** @file The worker thread of a conversion: receives parts of tensors and returns them converted. */
import { parentPort } from "node:worker_threads";
import { answerTo, type Part } from "./part.ts";

const port = parentPort!;
port.on("message", (part: Part) => {
  const answer = answerTo(part);
  const buffers = "parts" in answer ? answer.parts.map(({ buffer }) => buffer) : [];
  port.postMessage(answer, buffers);
});
