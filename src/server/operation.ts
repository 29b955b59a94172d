/** @file A route in one declaration, from which the checks, the handler and the OpenAPI document are derived. */
import type { z } from "zod";
import type { Services } from "./services.ts";

export type Method = "get" | "post" | "delete";

/** The arguments of a handler. */
export interface Asked<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** Identifies the request in responses and in the log. */
  readonly id: string;
  /** The client: the name of a key, or an address. */
  readonly client: string;
  /** Aborts when the client disconnects. */
  readonly signal: AbortSignal;
  readonly request: Request;
  /** Keeps the body's bytes in the budget after the response has started, until the returned function is called. */
  keepBody(): () => void;
}

/** A body in one of the media types of the operation. */
export type Body<J, F> =
  | { readonly type: "json"; readonly fields: J }
  | { readonly type: "form"; readonly fields: F }
  | { readonly type: "bytes"; readonly bytes: Uint8Array<ArrayBuffer> };

export interface Answer {
  readonly description: string;
  /** Schema of a JSON response. */
  readonly schema?: z.ZodType;
  /** Other media types of the response. */
  readonly media?: readonly string[];
}

export interface Operation {
  readonly method: Method;
  /** In OpenAPI's form: `/v1/jobs/{id}`. */
  readonly path: string;
  readonly summary: string;
  readonly tag: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly json?: z.ZodObject;
  readonly form?: z.ZodObject;
  /** An example request in JSON, for the document. */
  readonly example?: object;
  /** Media type of a body that is passed on unchanged. */
  readonly bytes?: string;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Whether no API key is required. */
  readonly isPublic?: boolean;
  /** Whether the response depends on the queue, which may be full, closed, or too slow. */
  readonly isQueued?: boolean;
  handle(asked: Asked<never, never, never>, services: Services): Response | Promise<Response>;
}

type Output<S> = S extends z.ZodType ? z.output<S> : undefined;

/** An operation whose handler gets checked arguments. */
export function operation<
  P extends z.ZodObject | undefined = undefined,
  Q extends z.ZodObject | undefined = undefined,
  J extends z.ZodObject | undefined = undefined,
  F extends z.ZodObject | undefined = undefined,
>(
  spec: Omit<Operation, "params" | "query" | "json" | "form" | "handle"> & {
    readonly params?: P;
    readonly query?: Q;
    readonly json?: J;
    readonly form?: F;
    handle(
      asked: Asked<Output<P>, Output<Q>, Body<Output<J>, Output<F>>>,
      services: Services,
    ): Response | Promise<Response>;
  },
): Operation {
  return spec as unknown as Operation;
}
