/** @file Jobs: submit, look up, cancel, delete. */
import { z } from "zod";
import { deletedSchema, jobSchema, listOf } from "../answers.ts";
import { operation } from "../operation.ts";
import { editForm, jobRequest } from "../schemas.ts";
import { askedIn, drawInTurn } from "./images.ts";

const tag = "Jobs";
const params = z.object({ id: z.string() });
const found = {
  200: { description: "The job.", schema: jobSchema },
  404: { description: "There is no such job." },
};

export const submit = operation({
  method: "post",
  path: "/v1/jobs",
  summary: "Generate pictures in the background",
  tag,
  json: jobRequest,
  example: { prompt: "a red ball", seed: 1 },
  form: editForm,
  answers: { 202: { description: "The queued job.", schema: jobSchema } },
  isQueued: true,
  async handle({ body, client, keepBody }, services) {
    const asked = await askedIn(body, services);
    services.queue.admit(client);
    const release = keepBody();
    const job = services.jobs.submit(client, asked.count, ({ signal, onPosition, onProgress }) =>
      drawInTurn(asked, services, {
        ...{ client, signal, onPosition },
        onRow({ images, rows, done }) {
          // As if the pictures, which are drawn together, were drawn one after another.
          const image = Math.floor((done - 1) / rows);
          onProgress({ image, images, row: done - image * rows, rows });
        },
      }).finally(release),
    );
    return Response.json(job, { status: 202 });
  },
});

export const list = operation({
  method: "get",
  path: "/v1/jobs",
  summary: "Your jobs, without their results",
  tag,
  answers: { 200: { description: "Newest last.", schema: listOf(jobSchema) } },
  handle: ({ client }, { jobs }) => Response.json({ object: "list", data: jobs.list(client) }),
});

export const get = operation({
  method: "get",
  path: "/v1/jobs/{id}",
  summary: "A job, with its result after completion",
  tag,
  params,
  answers: found,
  handle: ({ params: { id }, client }, { jobs }) => Response.json(jobs.get(client, id)),
});

export const cancel = operation({
  method: "post",
  path: "/v1/jobs/{id}/cancel",
  summary: "Cancel a job",
  tag,
  params,
  answers: found,
  handle: ({ params: { id }, client }, { jobs }) => Response.json(jobs.cancel(client, id)),
});

export const remove = operation({
  method: "delete",
  path: "/v1/jobs/{id}",
  summary: "Cancel and delete a job",
  tag,
  params,
  answers: { 200: { description: "The job was deleted.", schema: deletedSchema }, 404: found[404] },
  handle({ params: { id }, client }, { jobs }) {
    jobs.delete(client, id);
    return Response.json({ id, object: "job", deleted: true });
  },
});
