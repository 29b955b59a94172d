/** @file A route, told once: from it come the checks, the handler and its part of the OpenAPI document. */
import type { z } from "zod";
import type { Services } from "./services.ts";

export type Method = "get" | "post" | "delete";

/** What a handler is given. */
export interface Asked<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** Names the request in answers and in the log. */
  readonly id: string;
  /** Who asks: the name of a key, or an address. */
  readonly client: string;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
  readonly request: Request;
  /** Keeps the memory of the body counted after the answer has begun, until what it returns is called. */
  keepBody(): () => void;
}

/** A body of one of the media types that the operation takes. */
export type Body<J, F> =
  | { readonly type: "json"; readonly fields: J }
  | { readonly type: "form"; readonly fields: F }
  | { readonly type: "bytes"; readonly bytes: Uint8Array<ArrayBuffer> };

export interface Answer {
  readonly description: string;
  /** Of a JSON answer. */
  readonly schema?: z.ZodType;
  /** Other media types of the answer. */
  readonly media?: readonly string[];
}

export interface Operation {
  readonly method: Method;
  /** As OpenAPI writes it: `/v1/jobs/{id}`. */
  readonly path: string;
  readonly summary: string;
  readonly tag: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly json?: z.ZodObject;
  readonly form?: z.ZodObject;
  /** A request in JSON, for the document. */
  readonly example?: object;
  /** Media type of a body that is taken as it is. */
  readonly bytes?: string;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Whether no key is needed. */
  readonly isPublic?: boolean;
  /** Whether the answer depends on the queue: it may be full, closed, or too slow. */
  readonly isQueued?: boolean;
  handle(asked: Asked<never, never, never>, services: Services): Response | Promise<Response>;
}

type Output<S> = S extends z.ZodType ? z.output<S> : undefined;

/** An operation whose handler gets what its schemas check. */
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
