/** @file The tools of the MCP server (https://modelcontextprotocol.io): the same for standard input and HTTP. */
import type { CallToolResult, McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";
import { wordsAlone } from "../../retrieval/index.ts";
import { ofServer } from "../failure.ts";
import { libraryOf } from "../named.ts";
import { MAX_TEXT, name as promptName } from "../schemas.ts";
import { addApplyChange } from "./apply-change.ts";
import { type ToolKit, type ToolOptions, toolKit } from "./tool-kit.ts";

export function addTools(server: McpServer, options: ToolOptions): void {
  const kit = toolKit(options);
  addApplyChange(server, kit);
  addCompilePrompt(server, kit);
  addDescribeChange(server, kit);
  if (options.services.libraries.size > 0) addSearchExamples(server, kit);
}

function addCompilePrompt(server: McpServer, { services, client, pairs, readPairs, guarded }: ToolKit): void {
  const { engine, queue, prompts } = services;
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
}

function addDescribeChange(
  server: McpServer,
  { services, client, pairs, readPairs, guarded }: ToolKit,
): void {
  const { engine, queue, model } = services;
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
}

function addSearchExamples(server: McpServer, { services, guarded }: ToolKit): void {
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
