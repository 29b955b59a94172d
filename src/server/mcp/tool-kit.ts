/** @file What the tools of the MCP server share. */
import type { CallToolResult, ServerContext } from "@modelcontextprotocol/server";
import { z } from "zod";
import { checkExamples } from "../asked-pictures.ts";
import { failureOf, isServerFault, traceOf } from "../failure.ts";
import { MAX_EXAMPLES } from "../schemas.ts";
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

export type ToolKit = ReturnType<typeof toolKit>;

export function toolKit(options: ToolOptions) {
  const { services, read } = options;
  const picture = z.string().describe(options.pictures);
  const pair = z.object({ before: picture, after: picture });
  const pairs = z.array(pair.describe("Two pictures: before and after the change")).max(MAX_EXAMPLES);
  return {
    ...options,
    /** Schemas of the arguments. */
    picture,
    pairs,
    async readPairs(given: z.output<typeof pairs>, instruction?: string) {
      const examples = [];
      for (const { before, after } of given)
        examples.push({ input: await read(before), output: await read(after), instruction });
      await checkExamples(examples, services);
      return examples;
    },
    /** A tool whose failures are results, as the protocol wants. */
    guarded:
      <A>(work: (given: A, context: ServerContext) => Promise<CallToolResult>) =>
      async (given: A, context: ServerContext): Promise<CallToolResult> => {
        try {
          return await work(given, context);
        } catch (error) {
          const { signal } = context.mcpReq;
          if (isServerFault(error, signal)) services.log("error", "a tool failed", { trace: traceOf(error) });
          return { isError: true, content: [{ type: "text", text: failureOf(error, signal).message }] };
        }
      },
  };
}
