/** @file The worker with the model: answers one question after another. */
import { VisualPrompt, type XPrompt } from "../../../../dist/web.js";
import type { Part } from "../backend.ts";
import type { Name, Question, Reply } from "./messages.ts";
import { draw, loadModel, pairOf } from "./model.ts";

let model: XPrompt | undefined;
/** Ends when all earlier questions are answered. */
let last: Promise<void> = Promise.resolve();
const stopping = new Map<number, AbortController>();

const tell = (reply: Reply) => postMessage(reply);

addEventListener("message", ({ data }: MessageEvent<Question>) => {
  const { id } = data;
  if (data.name === "stop") {
    stopping.get(id)?.abort();
    return;
  }
  const controller = new AbortController();
  stopping.set(id, controller);
  last = last.then(async () => {
    try {
      controller.signal.throwIfAborted();
      tell({ id, answer: await answer(data, controller.signal) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      tell({ id, failure: { message, part: partOf(message) } });
    } finally {
      stopping.delete(id);
    }
  });
});

async function answer(question: Extract<Question, { name: Name }>, signal: AbortSignal) {
  const { id } = question;
  if (question.name === "load") {
    model = await loadModel(question.asked, ({ bytes, total }) =>
      tell({ id, event: { kind: "loading", bytes, total } }),
    );
    return undefined;
  }
  if (!model) throw new Error("The model is not loaded.");
  switch (question.name) {
    case "generate":
      for await (const event of draw(model, question.asked, signal)) tell({ id, event });
      return undefined;
    case "describe":
      return model.describe(pairOf(question.asked), { signal });
    case "compile": {
      const prompt = await model.compress(question.asked.map(pairOf), { signal });
      return new Blob([await prompt.toBytes()]);
    }
    case "inspect":
      return (await VisualPrompt.fromBytes(await question.asked.arrayBuffer())).blocks.length;
  }
}

/** The part of the page that an error of the model is about. */
function partOf(message: string): Part {
  if (/prompt|examples/.test(message)) return "examples";
  if (/input|image/.test(message)) return "input";
  return /temperature|guidance|seed/.test(message) ? "settings" : "result";
}
