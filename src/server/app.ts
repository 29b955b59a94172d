/** @file The HTTP application, without a port: middleware, operations, static files. */
import { randomUUID } from "node:crypto";
import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import { checked, mediaTypeOf, parseForm, parseJson } from "./body.ts";
import { Failure, failureOf, isServerFault, responseOf, traceOf } from "./failure.ts";
import { fileResponse } from "./files.ts";
import { checkCaller, type GuardOptions } from "./guard.ts";
import type { McpOverHttp } from "./mcp/http.ts";
import { openApi } from "./openapi.ts";
import type { Asked, Body, Operation } from "./operation.ts";
import { operations } from "./operations.ts";
import type { Services } from "./services.ts";

export interface AppOptions extends GuardOptions {
  readonly services: Services;
  readonly version: string;
  /** The studio's files by name. */
  readonly studio: ReadonlyMap<string, string>;
  /** Milliseconds that a connection may be silent: while its request waits, and once the answer is on its way. */
  readonly silence: { readonly waiting: number; readonly answering: number };
  /** The tools of `xprompt mcp` over HTTP, if their package is installed. */
  readonly mcp?: McpOverHttp;
}

type Env = { Bindings: Partial<HttpBindings>; Variables: { id: string; route: string } };
type AppContext = Context<Env>;

export function createApp(options: AppOptions): Hono<Env> {
  const { services, origins, studio, version, silence, mcp } = options;
  const app = new Hono<Env>();
  app.use(observe(services));
  app.use(limitSilence(silence));
  if (origins.length > 0)
    app.use(cors({ origin: [...origins], exposeHeaders: ["x-request-id", "retry-after"], maxAge: 600 }));
  for (const operation of operations)
    app.on(operation.method.toUpperCase(), honoPath(operation.path), (c) => answer(c, operation, options));
  const document = openApi(operations, version);
  app.get("/openapi.json", (c) => {
    c.set("route", "/openapi.json");
    checkCaller(c.req.raw, true, options);
    return Response.json(document);
  });
  if (mcp)
    app.all("/mcp", (c) => {
      c.set("route", "/mcp");
      return mcp(c.req.raw, checkCaller(c.req.raw, false, options) ?? addressOf(c));
    });
  app.get("*", (c) => serveStudio(c, studio, options));
  app.notFound((c) => responseOf(notFound(c)));
  app.onError((error, c) => {
    const { signal } = c.req.raw;
    if (isServerFault(error, signal))
      services.log("error", "a request failed", { id: c.get("id"), trace: traceOf(error) });
    return responseOf(failureOf(error, signal));
  });
  return app;
}

/** Gives every request an id, counts it and logs it. */
function observe({ log, metrics }: Services) {
  return async (c: AppContext, next: () => Promise<void>): Promise<void> => {
    const started = performance.now();
    const given = c.req.header("x-request-id");
    const id = given !== undefined && /^[\w-]{1,64}$/.test(given) ? given : randomUUID();
    c.set("id", id);
    await next();
    const { status } = c.res;
    const route = c.get("route") ?? "other";
    const seconds = (performance.now() - started) / 1000;
    c.header("x-request-id", id);
    c.header("x-content-type-options", "nosniff");
    metrics.count("xprompt_requests_total", "Answered requests.", {
      route,
      method: c.req.method,
      status,
    });
    metrics.observe("xprompt_request_seconds", "Time to the start of a response.", { route }, seconds);
    log(status >= 500 ? "error" : "info", "request", {
      ...{ id, method: c.req.method, path: c.req.path.slice(0, 200), status },
      ...{ ms: Math.round(seconds * 1000), address: addressOf(c) },
    });
  };
}

/** Lets go of clients that never read their answers, which take memory until then. */
function limitSilence({ waiting, answering }: AppOptions["silence"]) {
  return async (c: AppContext, next: () => Promise<void>): Promise<void> => {
    const socket = c.env?.incoming?.socket;
    socket?.setTimeout(waiting);
    await next();
    socket?.setTimeout(answering);
  };
}

async function answer(c: AppContext, operation: Operation, options: AppOptions): Promise<Response> {
  const { services } = options;
  c.set("route", operation.path);
  const request = c.req.raw;
  const key = checkCaller(request, operation.isPublic ?? false, options);
  const doing = "reading the request";
  const params = operation.params && checked(operation.params, c.req.param(), doing);
  const query = operation.query && checked(operation.query, c.req.query(), doing);
  const body = await bodyOf(request, operation, services);
  let isKept = false;
  try {
    const asked: Asked<unknown, unknown, unknown> = {
      ...{ params, query, body: body?.body, request },
      ...{ id: c.get("id"), client: key ?? addressOf(c), signal: request.signal },
      keepBody: () => {
        isKept = true;
        return body?.release ?? (() => {});
      },
    };
    return await operation.handle(asked as Asked<never, never, never>, services);
  } catch (error) {
    isKept = false;
    // Of a closed connection the signal's reason is a text, and Hono handles only Errors.
    throw error instanceof Error ? error : failureOf(error, request.signal);
  } finally {
    if (!isKept) body?.release();
  }
}

/** Parses and checks the body by the operation's schemas. @throws Failure 415 for another media type */
async function bodyOf(
  request: Request,
  { json, form, bytes: type }: Operation,
  { bodies }: Services,
): Promise<{ readonly body: Body<unknown, unknown>; release(): void } | undefined> {
  const media = mediaTypeOf(request);
  const taken = [json && "application/json", form && "multipart/form-data", type].filter(
    (each) => each !== undefined,
  );
  if (taken.length === 0) return undefined;
  if (!taken.includes(media))
    throw new Failure(
      415,
      `reading the body: expected ${taken.join(" or ")}, got ${JSON.stringify(media.slice(0, 60))}`,
    );
  const { bytes, release } = await bodies.read(request);
  try {
    const doing = "reading the request";
    if (media === type) return { body: { type: "bytes", bytes }, release };
    if (media === "application/json")
      return { body: { type: "json", fields: checked(json!, parseJson(bytes), doing) }, release };
    const fields = await parseForm(bytes, request.headers.get("content-type")!, form!);
    return { body: { type: "form", fields: checked(form!, fields, doing) }, release };
  } catch (error) {
    release();
    throw error;
  }
}

async function serveStudio(
  c: AppContext,
  studio: ReadonlyMap<string, string>,
  options: AppOptions,
): Promise<Response> {
  const path = studio.get(c.req.path === "/" ? "index.html" : c.req.path.slice(1));
  if (path === undefined) return responseOf(c.req.path === "/" ? noStudio : notFound(c));
  c.set("route", "studio");
  checkCaller(c.req.raw, true, options);
  return fileResponse(path, c.req.path.startsWith("/assets/") ? "immutable" : "no-cache");
}

/** A server from source, before the studio is built. */
const noStudio = new Failure(
  404,
  "the studio is not built (npm run build:studio; the API is in /openapi.json)",
  { code: "not_found" },
);

/** 405 for a path that exists with other methods, else 404. */
function notFound(c: AppContext): Failure {
  const { path, method } = c.req;
  const allowed = operations
    .filter((each) => matches(each.path, path))
    .map((each) => each.method.toUpperCase());
  if (allowed.length > 0)
    return new Failure(405, `expected ${allowed.join(" or ")} for ${path.slice(0, 100)}, got ${method}`, {
      allow: allowed.join(", "),
    });
  return new Failure(404, `there is no ${method} ${path.slice(0, 100)} (see /openapi.json)`, {
    code: "not_found",
  });
}

const matches = (pattern: string, path: string): boolean =>
  new RegExp(`^${pattern.replace(/[.]/g, "\\.").replace(/\{\w+\}/g, "[^/]+")}$`).test(path);

/** Converts `/v1/jobs/{id}` to hono's form: `/v1/jobs/:id`. */
const honoPath = (path: string): string => path.replace(/\{(\w+)\}/g, ":$1");

const addressOf = (c: AppContext): string => c.env?.incoming?.socket.remoteAddress ?? "local";
