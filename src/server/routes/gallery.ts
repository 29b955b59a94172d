/** @file The example pairs in the package. */
import { join } from "node:path";
import { z } from "zod";
import { Once } from "../../runtime/once.ts";
import { listOf, pairsSchema } from "../answers.ts";
import { Failure } from "../failure.ts";
import { fileResponse, filesBelow, packageFolder } from "../files.ts";
import { operation } from "../operation.ts";

type Entry = z.output<typeof pairsSchema>;

interface Gallery {
  readonly entries: readonly Entry[];
  /** Paths of the pictures, by "id/picture". */
  readonly pictures: ReadonlyMap<string, string>;
}

/** The package does not change at run time. */
const gallery = new Once(openGallery);

async function openGallery(): Promise<Gallery> {
  const files = await filesBelow(join(packageFolder, "examples"));
  const pictures = new Map<string, string>();
  const entries = new Map<string, Entry>();
  for (const [file, path] of [...files].sort(([a], [b]) => a.localeCompare(b))) {
    const [, group, id, picture] = /^(seen|unseen)\/([\w-]+)\/([\w-]+\.png)$/.exec(file) ?? [];
    if (group === undefined || id === undefined || picture === undefined) continue;
    const url = `/v1/gallery/${id}/${picture}`;
    pictures.set(`${id}/${picture}`, path);
    const entry = entries.get(id) ?? { id, group, before: "", after: "", queries: [] };
    entries.set(id, withPicture(entry, picture, url));
  }
  return { entries: [...entries.values()].filter(({ before, after }) => before && after), pictures };
}

/** Adds a picture. The truth of a query comes after it, in the order of names. */
function withPicture(entry: Entry, picture: string, url: string): Entry {
  const { queries } = entry;
  if (picture === "before.png") return { ...entry, before: url };
  if (picture === "after.png") return { ...entry, after: url };
  if (picture.startsWith("query")) return { ...entry, queries: [...queries, { input: url, truth: null }] };
  const input = url.replace("/truth", "/query");
  return {
    ...entry,
    queries: queries.map((query) => (query.input === input ? { input, truth: url } : query)),
  };
}

export const list = operation({
  method: "get",
  path: "/v1/gallery",
  summary: "Example pairs, with pictures to apply them to",
  tag: "Gallery",
  isPublic: true,
  answers: { 200: { description: "The pairs.", schema: listOf(pairsSchema) } },
  handle: async () => Response.json({ object: "list", data: (await gallery.get()).entries }),
});

export const picture = operation({
  method: "get",
  path: "/v1/gallery/{id}/{picture}",
  summary: "A picture of the gallery",
  tag: "Gallery",
  isPublic: true,
  params: z.object({ id: z.string(), picture: z.string() }),
  answers: {
    200: { description: "The picture.", media: ["image/png"] },
    404: { description: "There is no such picture." },
  },
  async handle({ params: { id, picture: name } }) {
    const path = (await gallery.get()).pictures.get(`${id}/${name}`);
    if (path === undefined)
      throw new Failure(404, "looking up a picture: expected one of /v1/gallery, got another");
    return fileResponse(path);
  },
});
