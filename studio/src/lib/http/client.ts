/** @file Requests to `xprompt serve`: checked answers, and errors that say what to do. */
import { z } from "zod/mini";
import { type Address, BackendError, KeyNeeded, type Part } from "../backend.ts";
import { keep, recall } from "../kept.ts";
import { errorSchema } from "./schemas.ts";

/** Name of the server's key in the storage of the tab. */
const KEY = "key";

export class Client {
  /** Called with the reason whenever a request fails for want of a key, or of another one. */
  onKeyNeeded: (why: string) => void = () => {};
  private key = recall(() => sessionStorage, KEY) ?? "";

  /** @param base address of the server, such as `http://127.0.0.1:8000` */
  constructor(private readonly base: string) {}

  address = (path: string): Address => new URL(path, this.base).href;

  useKey(key: string): void {
    this.key = key;
  }

  /** Keeps the key in the tab. */
  keepKey(): void {
    keep(() => sessionStorage, KEY, this.key);
  }

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

  async getBlob(path: string, signal?: AbortSignal): Promise<Blob> {
    return (await this.send(path, { signal })).blob();
  }

  /** Blobs are sent as bytes, other bodies as JSON. */
  postRaw(path: string, body: object, signal?: AbortSignal): Promise<Response> {
    const [type, data] =
      body instanceof Blob ? ["application/octet-stream", body] : ["application/json", JSON.stringify(body)];
    return this.send(path, { method: "POST", headers: { "content-type": type }, body: data, signal });
  }

  async send(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = this.headersOf(init);
    let response: Response;
    try {
      response = await fetch(this.address(path), { ...init, headers });
    } catch (cause) {
      init.signal?.throwIfAborted();
      throw new BackendError("The server does not answer. Is xprompt serve still running?", "result", {
        cause,
      });
    }
    if (response.ok) return response;
    if (response.status === 401) throw this.keyNeeded();
    throw failure(await response.json().catch(() => undefined), response.status);
  }

  /** @throws KeyNeeded for a key with characters that no header can have: it is no key of a server */
  private headersOf(init: RequestInit): Headers {
    const headers = new Headers(init.headers);
    try {
      if (this.key) headers.set("authorization", `Bearer ${this.key}`);
    } catch {
      throw this.keyNeeded();
    }
    return headers;
  }

  private keyNeeded(): KeyNeeded {
    const error = new KeyNeeded(
      this.key ? "The server does not know this key." : "The server asks for a key.",
    );
    this.onKeyNeeded(error.message);
    return error;
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
