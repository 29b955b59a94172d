/** @file The tools of the MCP server (https://modelcontextprotocol.io): the same for standard input and HTTP. */
import type { CallToolResult, McpServer, ServerContext } from "@modelcontextprotocol/server";
import { z } from "zod";
import { wordsAlone } from "../../retrieval/index.ts";
import { settingsSchema } from "../answers.ts";
import { askedInJson, checkExamples } from "../asked-pictures.ts";
import { checked } from "../body.ts";
import { failureOf, isServerFault, ofServer, traceOf } from "../failure.ts";
import { libraryOf } from "../named.ts";
import { drawInTurn } from "../routes/images.ts";
import { jobRequest, MAX_EXAMPLES, MAX_PICTURES, MAX_TEXT, name as promptName } from "../schemas.ts";
import type { Services } from "../services.ts";
import type { ReadPicture } from "./pictures.ts";

export interface ToolOptions {
  readonly services: Services;
  /** The client: an address, or the name of a key. */
  readonly client: string;
  readonly read: ReadPicture;
  /** Description of the accepted picture arguments. */
  readonly pictures: string;
  /** Stores a picture, and returns its location. */
  readonly keep?: (base64: string, seed: number) => Promise<string>;
}

const pair = (picture: z.ZodString) =>
  z.object({ before: picture, after: picture }).describe("Two pictures: before and after the change");

export function addTools(server: McpServer, options: ToolOptions): void {
  const { services, client, read, keep } = options;
  const { engine, queue, prompts, model } = services;
  const picture = z.string().describe(options.pictures);
  const pairs = z.array(pair(picture)).max(MAX_EXAMPLES);

  const readPairs = async (given: readonly { before: string; after: string }[], instruction?: string) => {
    const examples = [];
    for (const { before, after } of given)
      examples.push({ input: await read(before), output: await read(after), instruction });
    await checkExamples(examples, services);
    return examples;
  };
  const guarded =
    <A>(work: (given: A, context: ServerContext) => Promise<CallToolResult>) =>
    async (given: A, context: ServerContext): Promise<CallToolResult> => {
      try {
        return await work(given, context);
      } catch (error) {
        const { signal } = context.mcpReq;
        if (isServerFault(error, signal)) services.log("error", "a tool failed", { trace: traceOf(error) });
        return { isError: true, content: [{ type: "text", text: failureOf(error, signal).message }] };
      }
    };

  server.registerTool(
    "apply_change",
    {
      title: "Apply a change by example",
      description:
        "Apply the change between two pictures to another picture. Pass one or more before/after pairs, or a compiled prompt, and the picture to change. Without a picture, generates one from the instruction.",
      inputSchema: z.object({
        picture: picture.optional(),
        examples: pairs.optional().describe("Pairs that show the change"),
        prompt: z.string().optional().describe("Id of a prompt from compile_prompt"),
        instruction: z.string().max(MAX_TEXT).optional().describe("The change in words, optional"),
        count: z.int().min(1).max(MAX_PICTURES).default(1).describe("Number of pictures to generate"),
        seed: z.int().min(0).optional().describe("The same seed and count give the same pictures"),
        use_library: z.boolean().default(false).describe("Use the nearest example of the server's library"),
      }),
      outputSchema: z.object({
        pictures: z.array(z.object({ seed: z.int(), size: z.string(), path: z.string().optional() })),
        model: z.string(),
        settings: settingsSchema,
      }),
      annotations: { readOnlyHint: keep === undefined, destructiveHint: false, idempotentHint: false },
    },
    guarded(async (given, context) => {
      const { signal, notify } = context.mcpReq;
      const token = context.mcpReq._meta?.progressToken;
      /** The rows that were reported. A worker may begin again, but reported numbers may only grow. */
      let told = 0;
      const wanted = {
        ...{ prompt: given.instruction, n: given.count, seed: given.seed },
        ...{ xprompt: given.prompt, library: given.use_library },
      };
      const fields = checked(jobRequest, wanted, "applying a change");
      const asked = await askedInJson(
        {
          ...fields,
          images: given.picture === undefined ? undefined : [{ image_url: await read(given.picture) }],
          examples: await readPairs(given.examples ?? []),
        },
        services,
      );
      const answer = await drawInTurn(asked, services, {
        ...{ client, signal },
        onRow: async ({ images, rows, done }) => {
          if (token === undefined || done <= told) return;
          told = done;
          const total = images * rows;
          const params = {
            progressToken: token,
            progress: done,
            total,
            message: `row ${done} of ${total}`,
          };
          await notify({ method: "notifications/progress", params });
        },
      });
      const drawn = [];
      for (const { b64_json, seed } of answer.data)
        drawn.push({ seed, size: answer.size, ...(keep && { path: await keep(b64_json!, seed) }) });
      return {
        content: [
          ...answer.data.map(({ b64_json }) => ({
            type: "image" as const,
            data: b64_json!,
            mimeType: "image/png",
          })),
          {
            type: "text",
            text: drawn
              .map(({ seed, path }) => (path ? `${path} (seed ${seed})` : `seed ${seed}`))
              .join("\n"),
          },
        ],
        structuredContent: { pictures: drawn, model: answer.model, settings: answer.settings },
      };
    }),
  );

  server.registerTool(
    "compile_prompt",
    {
      title: "Compile a visual prompt",
      description: "Compile before/after pairs once, and get an id to pass to apply_change instead of them.",
      inputSchema: z.object({
        examples: pairs.min(1),
        instruction: z.string().max(MAX_TEXT).optional().describe("The change in words"),
        name: promptName.optional(),
      }),
      outputSchema: z.object({ id: z.string(), name: z.string(), examples: z.int(), bytes: z.int() }),
      annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true },
    },
    guarded(async (given, context) => {
      const examples = await readPairs(given.examples, given.instruction);
      const { value } = await queue.run((signal) => engine.compress(examples, { signal }), {
        client,
        signal: context.mcpReq.signal,
      });
      const { id, name, examples: count, bytes } = await prompts.add(value, given.name);
      return structured({ id, name, examples: count, bytes });
    }),
  );

  server.registerTool(
    "describe_change",
    {
      title: "Describe a change",
      description:
        "Describe in words what changes from the first to the second picture of a pair, or what several pairs share.",
      inputSchema: z.object({ examples: pairs.min(1) }),
      outputSchema: z.object({ text: z.string(), model: z.string() }),
      annotations: { readOnlyHint: true, idempotentHint: true },
    },
    guarded(async (given, context) => {
      const examples = await readPairs(given.examples);
      const { value: text } = await queue.run(
        async (signal) =>
          engine.describe({ prompt: await engine.compress(examples, { signal }) }, { signal }),
        { client, signal: context.mcpReq.signal },
      );
      return structured({ text, model });
    }),
  );

  if (services.libraries.size === 0) return;
  server.registerTool(
    "search_examples",
    {
      title: "Search the example library",
      description: "Find before/after pairs whose instructions are nearest to some words.",
      inputSchema: z.object({
        instruction: z.string().min(1).max(MAX_TEXT),
        k: z.int().min(1).max(20).default(5),
        library: z.string().optional().describe("Name of the library. Defaults to the first"),
      }),
      outputSchema: z.object({
        examples: z.array(
          z.object({ id: z.string(), instruction: z.string(), source: z.string(), similarity: z.number() }),
        ),
      }),
      annotations: { readOnlyHint: true, idempotentHint: true },
    },
    guarded(async ({ instruction, k, library }) => {
      const searched = libraryOf(library ?? true, services);
      const found = await ofServer(searched.search({ instruction }, undefined, wordsAlone, k));
      const examples = found.map(({ id, instruction: text, source, similarity }) => ({
        id,
        instruction: text,
        source,
        similarity,
      }));
      return structured({ examples });
    }),
  );
}

/** A result as data, and as text for clients that do not support data. */
const structured = (data: Record<string, unknown>): CallToolResult => ({
  content: [{ type: "text", text: JSON.stringify(data) }],
  structuredContent: data,
});
