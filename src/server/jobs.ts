/** @file Jobs: requests for pictures in the background. Their results are kept for a while. */
import { randomBytes } from "node:crypto";
import type { ImagesResponse, JobInfo } from "./answers.ts";
import { now } from "./clock.ts";
import { bodyOf, Failure, failureOf, isServerFault, traceOf } from "./failure.ts";
import type { Log } from "./log.ts";

/** Seconds for which the result of a job is kept. */
const KEPT_FOR = 600;
/** The most jobs that are kept, and the most bytes of their results. */
const [MOST_JOBS, MOST_BYTES] = [1000, 512 * 2 ** 20];

/** Callbacks with which a job reports its progress. */
export interface Report {
  readonly signal: AbortSignal;
  onPosition(position: number): void;
  onProgress(progress: JobInfo["progress"]): void;
}

interface Job {
  readonly client: string;
  readonly controller: AbortController;
  info: JobInfo;
}

export class Jobs {
  private readonly jobs = new Map<string, Job>();
  /** The ids of those that have finished, in that order. */
  private readonly finished = new Set<string>();

  constructor(private readonly log: Log) {}

  /** Starts `work`, which waits for its turn. @throws Failure 429 for too many jobs that have not finished */
  submit(client: string, images: number, work: (report: Report) => Promise<ImagesResponse>): JobInfo {
    this.forgetOld();
    if (this.jobs.size >= MOST_JOBS) this.forgetOldest();
    if (this.jobs.size >= MOST_JOBS)
      throw new Failure(
        429,
        `submitting a job: expected at most ${MOST_JOBS} unfinished jobs, got more (cancel some with POST /v1/jobs/ID/cancel)`,
        {
          code: "too_many_jobs",
          retryAfter: 60,
        },
      );
    const id = `job_${randomBytes(12).toString("hex")}`;
    const job: Job = {
      client,
      controller: new AbortController(),
      info: {
        ...{ id, object: "job", status: "queued", position: null },
        progress: { image: 0, images, row: 0, rows: 0 },
        ...{ created_at: now(), started_at: null, finished_at: null, result: null, error: null },
      },
    };
    this.jobs.set(id, job);
    void this.run(id, job, work);
    return job.info;
  }

  /** The jobs of a client, newest last, without their results. */
  list(client: string): JobInfo[] {
    this.forgetOld();
    return [...this.jobs.values()]
      .filter((job) => job.client === client)
      .map(({ info }) => ({ ...info, result: null }));
  }

  get size(): number {
    return this.jobs.size;
  }

  /** @throws Failure 404 for a job that is unknown, or of another client */
  get(client: string, id: string): JobInfo {
    return this.find(client, id).info;
  }

  cancel(client: string, id: string): JobInfo {
    const job = this.find(client, id);
    if (job.info.finished_at === null) {
      this.end(job, { status: "cancelled" });
      job.controller.abort(new Failure(409, "the job was cancelled"));
    }
    return job.info;
  }

  delete(client: string, id: string): void {
    this.cancel(client, id);
    this.forget(id);
  }

  private async run(id: string, job: Job, work: (report: Report) => Promise<ImagesResponse>): Promise<void> {
    const update = (change: Partial<JobInfo>) => {
      if (job.info.finished_at === null) job.info = { ...job.info, ...change };
    };
    try {
      const result = await work({
        signal: job.controller.signal,
        onPosition: (position) =>
          update(position > 0 ? { position } : { status: "running", position: null, started_at: now() }),
        onProgress: (progress) => update({ progress }),
      });
      this.end(job, { status: "completed", result });
    } catch (error) {
      if (isServerFault(error)) this.log("error", "a job failed", { id, trace: traceOf(error) });
      this.end(job, { status: "failed", error: bodyOf(failureOf(error)).error });
    }
    this.forgetOld();
  }

  private end(job: Job, change: Partial<JobInfo>): void {
    if (job.info.finished_at !== null) return;
    job.info = { ...job.info, position: null, finished_at: now(), ...change };
    this.finished.add(job.info.id);
  }

  private forget(id: string): void {
    this.jobs.delete(id);
    this.finished.delete(id);
  }

  private find(client: string, id: string): Job {
    this.forgetOld();
    const job = this.jobs.get(id);
    if (job?.client === client) return job;
    throw new Failure(
      404,
      `looking up a job: expected one of /v1/jobs, got ${JSON.stringify(id.slice(0, 60))}`,
      {
        code: "job_not_found",
      },
    );
  }

  /** Deletes the job that finished first, if one has. */
  private forgetOldest(): void {
    const [oldest] = this.finished;
    if (oldest !== undefined) this.forget(oldest);
  }

  /** Deletes old results, and those of the jobs that finished first if all are too large together; never the newest. */
  private forgetOld(): void {
    let bytes = 0;
    for (const [age, id] of [...this.finished].reverse().entries()) {
      const { result, finished_at } = this.jobs.get(id)!.info;
      bytes += bytesOf(result);
      if ((age > 0 && bytes > MOST_BYTES) || now() - finished_at! > KEPT_FOR) this.forget(id);
    }
  }
}

const bytesOf = (result: ImagesResponse | null): number =>
  (result?.data ?? []).reduce((sum, { b64_json = "", url = "" }) => sum + b64_json.length + url.length, 0);
