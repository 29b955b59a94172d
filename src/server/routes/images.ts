/** @file OpenAI's Images API: generations and edits, and the models. */
import { z } from "zod";
import { type ImagesResponse, imagesSchema, listOf, modelSchema } from "../answers.ts";
import { type AskedPictures, askedInForm, askedInJson } from "../asked-pictures.ts";
import { drawPictures, type Watching } from "../draw.ts";
import { Failure } from "../failure.ts";
import { checkModel } from "../named.ts";
import { type Asked, operation } from "../operation.ts";
import { samplePicture } from "../pictures.ts";
import type { Ticket } from "../queue.ts";
import { editForm, editRequest, generationRequest } from "../schemas.ts";
import type { Services } from "../services.ts";
import { streamPictures } from "../stream.ts";

/** Generates the pictures of a request when its turn in the queue comes. */
export async function drawInTurn(
  asked: AskedPictures,
  services: Services,
  ticket: Ticket & Omit<Watching, "signal">,
): Promise<ImagesResponse> {
  const { value, queued } = await services.queue.run(
    (signal) => drawPictures(asked, services, { ...ticket, signal }),
    ticket,
  );
  return { ...value, timings: { queued, ...value.timings } };
}

async function answer(
  asked: AskedPictures,
  { client, signal, id, keepBody }: Pick<Asked<never, never, never>, "client" | "signal" | "id" | "keepBody">,
  services: Services,
): Promise<Response> {
  if (asked.stream) return streamPictures(asked, services, { client, signal, id, release: keepBody() });
  return Response.json(await drawInTurn(asked, services, { client, signal }));
}

const pictures = {
  200: {
    description: "The pictures, or server-sent events with `stream`.",
    schema: imagesSchema,
    media: ["text/event-stream"],
  },
};

export const generations = operation({
  method: "post",
  path: "/v1/images/generations",
  summary: "Generate pictures from an instruction, examples, or both",
  tag: "Pictures",
  json: generationRequest,
  example: { prompt: "a red ball", seed: 1 },
  answers: pictures,
  isQueued: true,
  async handle({ body, ...rest }, services) {
    if (body.type !== "json") throw new Failure(415, "expected JSON");
    return answer(await askedInJson(body.fields, services), rest, services);
  },
});

export const edits = operation({
  method: "post",
  path: "/v1/images/edits",
  summary: "Change a picture by examples or an instruction",
  tag: "Pictures",
  json: editRequest,
  example: {
    images: [{ image_url: samplePicture }],
    examples: [{ input: samplePicture, output: samplePicture }],
    seed: 1,
  },
  form: editForm,
  answers: pictures,
  isQueued: true,
  async handle({ body, ...rest }, services) {
    return answer(await askedIn(body, services), rest, services);
  },
});

/** The request in a body, JSON or form. */
export function askedIn(
  body:
    | { readonly type: "json"; readonly fields: Parameters<typeof askedInJson>[0] }
    | { readonly type: "form"; readonly fields: Parameters<typeof askedInForm>[0] }
    | { readonly type: "bytes" },
  services: Services,
): Promise<AskedPictures> | AskedPictures {
  if (body.type === "json") return askedInJson(body.fields, services);
  if (body.type === "form") return askedInForm(body.fields, services);
  throw new Failure(415, "expected JSON or a form");
}

const modelOf = ({ model, engine, started, libraries }: Services) => ({
  id: model,
  object: "model" as const,
  created: started,
  owned_by: "xprompt",
  fingerprint: engine.fingerprint,
  resolution: engine.size,
  codes_per_image: engine.codesPerImage,
  libraries: [...libraries.keys()],
});

export const listModels = operation({
  method: "get",
  path: "/v1/models",
  summary: "The loaded model",
  tag: "Models",
  answers: { 200: { description: "A list with one model.", schema: listOf(modelSchema) } },
  handle: (_asked, services) => Response.json({ object: "list", data: [modelOf(services)] }),
});

export const getModel = operation({
  method: "get",
  path: "/v1/models/{id}",
  summary: "A model by name",
  tag: "Models",
  params: z.object({ id: z.string() }),
  answers: {
    200: { description: "The model.", schema: modelSchema },
    404: { description: "There is no such model." },
  },
  handle({ params }, services) {
    checkModel(params.id, "id", services);
    return Response.json(modelOf(services));
  },
});
