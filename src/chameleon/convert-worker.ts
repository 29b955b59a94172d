/** @file The thread behind a conversion: receives parts of tensors, answers with what they become. */
import { parentPort } from "node:worker_threads";
import { type ConvertedPart, convertPart, type Part } from "./convert-part.ts";

/** What a thread answers to a part. */
export type PartAnswer = { readonly parts: ConvertedPart } | { readonly refused: string };

const port = parentPort!;
port.on("message", (part: Part) => {
  try {
    const parts = convertPart(part);
    port.postMessage({ parts } satisfies PartAnswer, [...new Set(parts.map(({ buffer }) => buffer))]);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    port.postMessage({ refused: error.message } satisfies PartAnswer);
  }
});
