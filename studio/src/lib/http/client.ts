/** @file Requests to `xprompt serve`: checked answers, and errors that say what to do. */
import { z } from "zod/mini";
import { BackendError, type Part } from "../backend.ts";
import { errorSchema } from "./schemas.ts";

export class Client {
  /** @param base address of the server, such as `http://127.0.0.1:8000` */
  constructor(private readonly base: string) {}

  address = (path: string): string => new URL(path, this.base).href;

  async get<Schema extends z.ZodMiniType>(
    path: string,
    schema: Schema,
    signal?: AbortSignal,
  ): Promise<z.infer<Schema>> {
    return check(await this.send(path, { signal }), schema);
  }

  async post<Schema extends z.ZodMiniType>(
    path: string,
    body: object,
    schema: Schema,
    signal?: AbortSignal,
  ): Promise<z.infer<Schema>> {
    return check(await this.postRaw(path, body, signal), schema);
  }

  /** Blobs are sent as bytes, other bodies as JSON. */
  postRaw(path: string, body: object, signal?: AbortSignal): Promise<Response> {
    const [type, data] =
      body instanceof Blob ? ["application/octet-stream", body] : ["application/json", JSON.stringify(body)];
    return this.send(path, { method: "POST", headers: { "content-type": type }, body: data, signal });
  }

  async send(path: string, init: RequestInit): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(this.address(path), init);
    } catch (cause) {
      init.signal?.throwIfAborted();
      throw new BackendError("The server does not answer. Is xprompt serve still running?", "result", {
        cause,
      });
    }
    if (response.ok) return response;
    throw failure(await response.json().catch(() => undefined), response.status);
  }
}

/** @throws BackendError for an answer of another shape: page and server are of different versions */
async function check<Schema extends z.ZodMiniType>(
  response: Response,
  schema: Schema,
): Promise<z.infer<Schema>> {
  return parse(schema, await response.json());
}

export function parse<Schema extends z.ZodMiniType>(schema: Schema, value: unknown): z.infer<Schema> {
  const parsed = z.safeParse(schema, value);
  if (parsed.success) return parsed.data;
  throw new BackendError("The server's answer is not what this page expects. Reload the page.", "result", {
    cause: parsed.error,
  });
}

/** What an error of the server says, at the part of the page that it is about. */
export function failure(body: unknown, status?: number): BackendError {
  const parsed = z.safeParse(errorSchema, body);
  if (!parsed.success) return new BackendError(`The server failed (status ${status}).`);
  const { message, param } = parsed.data.error;
  return new BackendError(message, partOf(param ?? ""));
}

function partOf(field: string): Part {
  const name = field.replace(/[[.].*$/, "");
  if (["examples", "example_input", "example_output", "xprompt", "library"].includes(name)) return "examples";
  if (["image", "images", "mask"].includes(name)) return "input";
  if (name === "prompt") return "instruction";
  if (["seed", "temperature", "guidance", "n"].includes(name)) return "settings";
  return "result";
}
