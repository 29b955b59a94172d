/** @file Request bodies: reads them within limits, parses JSON or forms, and checks them. */
import { z } from "zod";
import { joinBytes } from "../bytes.ts";
import { innermost, plainError } from "../schema-words.ts";
import { Failure } from "./failure.ts";

/** The most parts of a form. */
const MAX_PARTS = 200;

/** Limits the bytes of bodies in memory, over all requests. */
export class BodyBudget {
  private used = 0;

  constructor(
    readonly perRequest: number,
    private readonly total: number,
  ) {}

  get bytes(): number {
    return this.used;
  }

  /**
   * Reads a whole body. Its bytes count towards the budget until `release` is called.
   * @throws Failure 413 for a body over the limit, 429 when all bodies together exceed the budget
   */
  async read(request: Request): Promise<{ readonly bytes: Uint8Array<ArrayBuffer>; release(): void }> {
    const { perRequest, total } = this;
    let size = 0;
    const release = () => {
      this.used -= size;
      size = 0;
    };
    const tooLarge = () =>
      new Failure(
        413,
        `reading the body: expected at most ${perRequest} bytes, got more (send smaller pictures)`,
        {
          code: "body_too_large",
        },
      );
    if (Number(request.headers.get("content-length") ?? 0) > perRequest) throw tooLarge();
    const chunks: Uint8Array[] = [];
    try {
      for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
        size += chunk.length;
        this.used += chunk.length;
        if (size > perRequest) throw tooLarge();
        if (this.used > total)
          throw new Failure(
            429,
            "reading the body: expected free memory, got none, because of other requests (try again later)",
            {
              code: "busy",
              retryAfter: 5,
            },
          );
        chunks.push(chunk);
      }
      return { bytes: joinBytes(chunks), release };
    } catch (error) {
      release();
      if (error instanceof Failure) throw error;
      throw new Failure(
        400,
        "reading the body: expected the complete body, got a part (the connection was interrupted)",
      );
    }
  }
}

/** The media type of a request, without its parameters. */
export const mediaTypeOf = (request: Request): string =>
  (request.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();

export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new Failure(400, "reading the body: expected JSON in UTF-8, got something else", {
      code: "invalid_json",
    });
  }
}

/**
 * Parses a form to an object with the fields of `schema`: files become bytes, texts become values of the field's type.
 */
export async function parseForm(
  bytes: Uint8Array<ArrayBuffer>,
  contentType: string,
  schema: z.ZodObject,
): Promise<Record<string, unknown>> {
  const form = await formOf(bytes, contentType);
  const fields: Record<string, unknown> = {};
  /** Objects that are made of parts such as `guidance[image]`. */
  const groups = new Set<unknown>();
  for (const [key, value] of form) {
    const [, base = key, inner] = /^([^[\]]+)\[([^[\]]*)\]$/.exec(key) ?? [];
    const isListed = Object.hasOwn(schema.shape, key);
    const name = isListed ? key : base;
    const former = fields[name];
    const isPart = Boolean(inner) && !isListed;
    const fits = !isPart || former === undefined || groups.has(former);
    if (!Object.hasOwn(schema.shape, name) || !fits) {
      fields[key] = null; // for the schema to refuse by name
      continue;
    }
    const read =
      typeof value === "string"
        ? readText(value, schema.shape[name]!)
        : new Uint8Array(await value.arrayBuffer());
    if (isPart) {
      fields[name] = { ...(former as object), [inner!]: read };
      groups.add(fields[name]);
    } else if (Array.isArray(former)) former.push(read);
    else if (former !== undefined) fields[name] = [former, read];
    else fields[name] = key.endsWith("[]") ? [read] : read;
  }
  return fields;
}

async function formOf(bytes: Uint8Array<ArrayBuffer>, contentType: string): Promise<FormData> {
  const broken = () =>
    new Failure(400, "reading the body: expected a complete form, got a broken one", {
      code: "invalid_form",
    });
  const boundary = /boundary="?([^";]+)"?/i.exec(contentType)?.[1];
  if (boundary === undefined) throw broken();
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let parts = 0;
  for (let at = buffer.indexOf(boundary); at >= 0; at = buffer.indexOf(boundary, at + boundary.length))
    if (++parts > MAX_PARTS + 1)
      throw new Failure(400, `reading the body: expected at most ${MAX_PARTS} parts of a form, got more`, {
        code: "invalid_form",
      });
  try {
    return await new Response(bytes, { headers: { "content-type": contentType } }).formData();
  } catch {
    throw broken();
  }
}

const typesOf = new Map<z.ZodType, ReadonlySet<string>>();

/** The JSON types that a field allows. */
function jsonTypes(field: z.ZodType): ReadonlySet<string> {
  let types = typesOf.get(field);
  if (!types) {
    const found = new Set<string>();
    const visit = (schema: z.core.JSONSchema.JSONSchema) => {
      for (const each of schema.anyOf ?? schema.oneOf ?? []) visit(each as z.core.JSONSchema.JSONSchema);
      for (const type of [schema.type ?? []].flat()) found.add(type);
    };
    visit(z.toJSONSchema(field, { io: "input", unrepresentable: "any" }));
    types = found;
    typesOf.set(field, types);
  }
  return types;
}

/** The value of a form text for a field that may be a number, a list and so on; undefined if it is empty. */
function readText(text: string, field: z.ZodType): unknown {
  const types = jsonTypes(field);
  const trimmed = text.trim();
  if (trimmed === "" && !types.has("string")) return undefined;
  if (types.has("boolean") && (trimmed === "true" || trimmed === "false")) return trimmed === "true";
  if ((types.has("integer") || types.has("number")) && trimmed !== "" && Number.isFinite(Number(trimmed)))
    return Number(trimmed);
  if ((types.has("array") && trimmed.startsWith("[")) || (types.has("object") && trimmed.startsWith("{")))
    try {
      return JSON.parse(trimmed);
    } catch {
      return text;
    }
  return text;
}

/** Checks a part of a request with `schema`. @throws Failure 400 naming the field */
export function checked<S extends z.ZodType>(schema: S, value: unknown, doing: string): z.output<S> {
  const parsed = schema.safeParse(value, { error: plainError });
  if (parsed.success) return parsed.data;
  const { path, message } = innermost(parsed.error.issues[0]!);
  const param = path.map(String).join(".");
  throw new Failure(400, `${doing}: ${param && `${param}: `}${message.slice(0, 500)}`, {
    param: param.slice(0, 100) || undefined,
    code: "invalid_value",
  });
}
