/** @file Visual prompts: compile, list, download, upload, delete; and describing what examples change. */
import { z } from "zod";
import { deletedSchema, describedSchema, listOf, promptSchema } from "../answers.ts";
import { checkExamples, examplesInForm } from "../asked-pictures.ts";
import { Failure } from "../failure.ts";
import { operation } from "../operation.ts";
import { samplePicture } from "../pictures.ts";
import { aboutPrompt, readPrompt } from "../prompt-store.ts";
import {
  compileForm,
  compileRequest,
  describeForm,
  describeRequest,
  type ExampleInput,
  uploadQuery,
} from "../schemas.ts";

const tag = "Visual prompts";
/** The media type of a .xprompt file. */
const FILE = "application/octet-stream";
const params = z.object({ id: z.string() });
const missing = { 404: { description: "There is no such prompt." } };

export const compile = operation({
  method: "post",
  path: "/v1/xprompts",
  summary: "Compile examples into a visual prompt",
  tag,
  json: compileRequest,
  example: { name: "nothing", examples: [{ input: samplePicture, output: samplePicture }] },
  form: compileForm,
  answers: {
    200: {
      description: "The prompt; with store: false, the .xprompt file.",
      schema: promptSchema,
      media: [FILE],
    },
  },
  isQueued: true,
  async handle({ body, client, signal }, services) {
    if (body.type === "bytes") throw new Failure(415, "expected JSON or a form");
    const examples = examplesIn(body);
    if (examples.length === 0)
      throw new Failure(400, "compiling: expected at least one example, got none", { param: "examples" });
    await checkExamples(examples, services);
    const { value } = await services.queue.run(
      (inner) => services.engine.compress(examples, { signal: inner }),
      { client, signal },
    );
    const { name, store = true } = body.fields;
    if (!store) return fileAnswer(await value.toBytes(), name || "prompt");
    return Response.json(await services.prompts.add(value, name));
  },
});

const fileAnswer = (bytes: Uint8Array<ArrayBuffer>, name: string): Response =>
  new Response(bytes, {
    headers: {
      "content-type": FILE,
      "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(name)}.xprompt`,
    },
  });

/** The examples in a body: pairs of files, then those in JSON. */
function examplesIn(
  body:
    | { readonly type: "json"; readonly fields: { readonly examples?: readonly ExampleInput[] } }
    | {
        readonly type: "form";
        readonly fields: Parameters<typeof examplesInForm>[0] & {
          readonly examples?: readonly ExampleInput[];
          readonly instruction?: string;
        };
      },
): ExampleInput[] {
  const listed = body.fields.examples ?? [];
  if (body.type === "json") return [...listed];
  const { instruction } = body.fields;
  return [...examplesInForm(body.fields).map((each) => ({ ...each, instruction })), ...listed];
}

export const list = operation({
  method: "get",
  path: "/v1/xprompts",
  summary: "The visual prompts of the server",
  tag,
  answers: { 200: { description: "Newest last.", schema: listOf(promptSchema) } },
  handle: (_asked, { prompts }) => Response.json({ object: "list", data: prompts.list() }),
});

export const get = operation({
  method: "get",
  path: "/v1/xprompts/{id}",
  summary: "Information about a visual prompt",
  tag,
  params,
  answers: { 200: { description: "The prompt.", schema: promptSchema }, ...missing },
  handle: ({ params: { id } }, { prompts }) => Response.json(prompts.get(id).info),
});

export const download = operation({
  method: "get",
  path: "/v1/xprompts/{id}/content",
  summary: "The .xprompt file",
  tag,
  params,
  answers: { 200: { description: "The file.", media: [FILE] }, ...missing },
  handle({ params: { id } }, { prompts }) {
    const { bytes, info } = prompts.get(id);
    return fileAnswer(bytes, info.id);
  },
});

export const upload = operation({
  method: "post",
  path: "/v1/xprompts/upload",
  summary: "Upload a .xprompt file of this model",
  tag,
  query: uploadQuery,
  bytes: FILE,
  answers: { 200: { description: "The prompt.", schema: promptSchema } },
  async handle({ body, query }, { prompts, engine }) {
    if (body.type !== "bytes") throw new Failure(415, `expected ${FILE}`);
    const prompt = await readPrompt(body.bytes, engine.fingerprint);
    if (query.store === "false") return Response.json(await aboutPrompt(prompt, query.name));
    return Response.json(await prompts.add(prompt, query.name));
  },
});

export const remove = operation({
  method: "delete",
  path: "/v1/xprompts/{id}",
  summary: "Delete a visual prompt",
  tag,
  params,
  answers: { 200: { description: "The prompt was deleted.", schema: deletedSchema }, ...missing },
  async handle({ params: { id } }, { prompts }) {
    await prompts.delete(id);
    return Response.json({ id, object: "xprompt", deleted: true });
  },
});

export const describe = operation({
  method: "post",
  path: "/v1/describe",
  summary: "Describe in words what examples change",
  tag,
  json: describeRequest,
  example: { examples: [{ input: samplePicture, output: samplePicture }] },
  form: describeForm,
  answers: { 200: { description: "The words.", schema: describedSchema } },
  isQueued: true,
  async handle({ body, client, signal }, services) {
    if (body.type === "bytes") throw new Failure(415, "expected JSON or a form");
    const { engine, prompts, queue, model } = services;
    const examples = examplesIn(body);
    const { seed, temperature, xprompt } = body.fields;
    const found = [xprompt ?? []].flat().map((reference) => prompts.find(reference, engine.fingerprint));
    const known = (await Promise.all(found)).map(({ prompt }) => prompt);
    if (examples.length + known.length === 0)
      throw new Failure(400, "describing: expected examples or an xprompt, got none", { param: "examples" });
    await checkExamples(examples, services);
    const { value, queued } = await queue.run(
      async (inner) => {
        const started = performance.now();
        const compiled = examples.length > 0 ? [await engine.compress(examples, { signal: inner })] : [];
        const prompt = [...known, ...compiled];
        const text = await engine.describe({ prompt }, { seed, temperature, signal: inner });
        return { text, total: performance.now() - started };
      },
      { client, signal },
    );
    return Response.json({ text: value.text, model, timings: { queued, total: value.total } });
  },
});
