/** @file The OpenAPI document (https://spec.openapis.org/oas/v3.1.0), derived from the schemas that check requests. */
import { z } from "zod";
import { errorSchema } from "./failure.ts";
import type { Answer, Operation } from "./operation.ts";

type Json = Record<string, unknown>;

/** Error responses of an operation, besides its declared responses. */
const failures = (operation: Operation): Readonly<Partial<Record<number, string>>> => ({
  ...(!operation.isPublic && { 401: "An API key is required." }),
  403: "The request comes from a web page of another origin, or names another host.",
  ...(hasBody(operation) && {
    400: "The request is invalid.",
    404: "The model, library or visual prompt does not exist.",
    413: "The body or a picture is too large.",
    415: "The body has an unsupported media type.",
  }),
  ...((operation.query ?? operation.params) && { 400: "The request is invalid." }),
  ...((operation.isQueued || hasBody(operation)) && {
    429: "The queue is full: try again after Retry-After.",
  }),
  ...(operation.isQueued && {
    503: "The server is shutting down, lacks memory, or cannot reach its queue: try again later.",
    504: "The request exceeded the time limit.",
  }),
});

const hasBody = ({ json, form, bytes }: Operation): boolean => Boolean(json ?? form ?? bytes);

export function openApi(operations: readonly Operation[], version: string): Json {
  const schemas: Json = {};
  const schemaOf = (schema: z.ZodType, io: "input" | "output"): Json => {
    const { $defs = {}, $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
    Object.assign(schemas, $defs);
    return referring(rest);
  };
  const error = schemaOf(errorSchema.meta({ id: "Error" }), "output");
  const paths: Record<string, Json> = {};
  for (const operation of operations) {
    const { path, method, summary, tag, params, query, json, form, example, bytes, answers, isPublic } =
      operation;
    const parameters = [...parametersOf(params, "path", schemaOf), ...parametersOf(query, "query", schemaOf)];
    const contents: Json = {
      ...(json && { "application/json": { schema: schemaOf(json, "input"), ...(example && { example }) } }),
      ...(form && { "multipart/form-data": { schema: schemaOf(form, "input") } }),
      ...(bytes && { [bytes]: { schema: { type: "string", format: "binary" } } }),
    };
    const failed = Object.fromEntries(
      Object.entries(failures(operation)).map(([status, description]) => [
        status,
        { description, content: { "application/json": { schema: error } } },
      ]),
    );
    const answered = Object.fromEntries(
      Object.entries(answers).map(([status, answer]) => [
        status,
        answerOf(answer, Number(status), error, schemaOf),
      ]),
    );
    paths[path] = {
      ...paths[path],
      [method]: {
        ...{ operationId: `${method}${path.replace(/[^a-zA-Z0-9]+/g, "_")}`, summary, tags: [tag] },
        ...(parameters.length > 0 && { parameters }),
        ...(hasBody(operation) && { requestBody: { required: true, content: contents } }),
        responses: { ...failed, ...answered },
        ...(!isPublic && { security: [{}, { key: [] }] }),
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "xprompt",
      version,
      description: "In-context image generation.",
      license: { name: "Apache-2.0" },
    },
    paths,
    components: {
      schemas: referring(schemas),
      securitySchemes: { key: { type: "http", scheme: "bearer" } },
    },
  };
}

type SchemaOf = (schema: z.ZodType, io: "input" | "output") => Json;

function parametersOf(schema: z.ZodObject | undefined, place: "path" | "query", schemaOf: SchemaOf): Json[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = schemaOf(schema, "input") as {
    readonly properties?: Record<string, Json>;
    readonly required?: readonly string[];
  };
  return Object.entries(properties).map(([name, each]) => ({
    ...{ name, in: place, schema: each },
    required: place === "path" || required.includes(name),
  }));
}

function answerOf(
  { description, schema, media = [] }: Answer,
  status: number,
  error: Json,
  schemaOf: SchemaOf,
): Json {
  const json = schema ? schemaOf(schema, "output") : status >= 400 ? error : undefined;
  return {
    description,
    content: {
      ...(json && { "application/json": { schema: json } }),
      ...Object.fromEntries(media.map((each) => [each, { schema: { type: "string" } }])),
    },
  };
}

/** Replaces references to definitions beside a schema by references to the document's components. */
const referring = (value: Json): Json =>
  JSON.parse(JSON.stringify(value).replaceAll('"#/$defs/', '"#/components/schemas/'));
