/** @file Searching and viewing the examples of the server's libraries. */
import { z } from "zod";
import {
  type ExampleLibrary,
  type Facts,
  type Found,
  type StoredExample,
  wordsAlone,
} from "../../retrieval/index.ts";
import { libraryExampleSchema, listOf } from "../answers.ts";
import { Failure, ofServer } from "../failure.ts";
import { libraryOf } from "../named.ts";
import { operation } from "../operation.ts";

const tag = "Example libraries";
const missing = { 404: { description: "There is no such library, or no such example." } };

export const search = operation({
  method: "get",
  path: "/v1/libraries/{library}/examples",
  summary: "The examples of a library, those with the most words of the query first",
  tag,
  params: z.object({ library: z.string() }),
  query: z.object({
    query: z
      .string()
      .max(500)
      .optional()
      .meta({ description: "Words to search for. Without them, all examples in their order." }),
    limit: z.coerce.number().int().min(1).max(100).default(20),
  }),
  answers: { 200: { description: "The examples.", schema: listOf(libraryExampleSchema) }, ...missing },
  async handle({ params: { library: name }, query: { query = "", limit } }, services) {
    const library = libraryOf(name, services);
    const words = query.trim();
    const found = await ofServer<Facts[] | Found[]>(
      words === ""
        ? library.list({ limit })
        : library.search({ instruction: words }, undefined, wordsAlone, limit),
    );
    const data = found.map(({ id, instruction, ...rest }) => {
      const place = `/v1/libraries/${encodeURIComponent(name)}/examples/${id}`;
      const similarity = "similarity" in rest ? rest.similarity : null;
      return { id, instruction, before: `${place}/before`, after: `${place}/after`, similarity };
    });
    return Response.json({ object: "list", data });
  },
});

export const picture = operation({
  method: "get",
  path: "/v1/libraries/{library}/examples/{id}/{side}",
  summary: "A picture of an example",
  tag,
  params: z.object({
    library: z.string(),
    id: z.string().regex(/^[0-9a-f]{32}$/, "expected 32 hexadecimal digits"),
    side: z.enum(["before", "after"]),
  }),
  answers: {
    200: { description: "The picture.", media: ["image/png", "image/jpeg"] },
    ...missing,
  },
  async handle({ params: { library: name, id, side } }, services) {
    const example = await exampleOf(libraryOf(name, services), id);
    const bytes = new Uint8Array(side === "before" ? example.input : example.output);
    return new Response(bytes, { headers: { "content-type": typeOf(bytes) } });
  },
});

async function exampleOf(library: ExampleLibrary, id: string): Promise<StoredExample> {
  const found = await ofServer(library.find(id));
  if (found) return found;
  throw new Failure(404, `looking up an example: expected the id of one in the library, got ${id}`, {
    code: "example_not_found",
  });
}

/** The media type from the first byte: libraries contain only PNG and JPEG files. */
const typeOf = ([first]: Uint8Array): string => (first === 0xff ? "image/jpeg" : "image/png");
