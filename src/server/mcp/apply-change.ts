/** @file The tool that draws. */
import type { McpServer, ServerContext } from "@modelcontextprotocol/server";
import { z } from "zod";
import { settingsSchema } from "../answers.ts";
import { askedInJson } from "../asked-pictures.ts";
import { checked } from "../body.ts";
import type { Row } from "../draw.ts";
import { drawInTurn } from "../routes/images.ts";
import { jobRequest, MAX_PICTURES, MAX_TEXT } from "../schemas.ts";
import type { ToolKit } from "./tool-kit.ts";

export function addApplyChange(
  server: McpServer,
  { services, client, read, keep, picture, pairs, readPairs, guarded }: ToolKit,
): void {
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
      const { signal } = context.mcpReq;
      const answer = await drawInTurn(asked, services, { client, signal, onRow: progressOf(context) });
      const drawn = [];
      for (const { b64_json, seed } of answer.data)
        drawn.push({ seed, size: answer.size, ...(keep && { path: await keep(b64_json!, seed) }) });
      return {
        content: [
          ...answer.data.map(({ b64_json }) => imageOf(b64_json!)),
          { type: "text", text: drawn.map(lineOf).join("\n") },
        ],
        structuredContent: { pictures: drawn, model: answer.model, settings: answer.settings },
      };
    }),
  );
}

/** Reports finished rows to a client that asked for it. */
function progressOf({ mcpReq: { notify, _meta } }: ServerContext) {
  const progressToken = _meta?.progressToken;
  /** A worker may begin again, but reported numbers may only grow. */
  let told = 0;
  return async ({ images, rows, done }: Row): Promise<void> => {
    if (progressToken === undefined || done <= told) return;
    told = done;
    const total = images * rows;
    const params = { progressToken, progress: done, total, message: `row ${done} of ${total}` };
    await notify({ method: "notifications/progress", params });
  };
}

const imageOf = (data: string) => ({ type: "image" as const, data, mimeType: "image/png" });

const lineOf = ({ seed, path }: { readonly seed: number; readonly path?: string }): string =>
  path ? `${path} (seed ${seed})` : `seed ${seed}`;
