/** @file A group of resources, released together in reverse order of opening. */

/** @example const session = resources.own(await Session.create(model)); */
export class Resources {
  private readonly held: (() => PromiseLike<unknown>)[] = [];

  /** Takes ownership of a resource, and returns it. */
  own<T extends AsyncDisposable>(resource: T): T {
    this.held.push(() => resource[Symbol.asyncDispose]());
    return resource;
  }

  /** Adds work to do at the release. */
  defer(work: () => Promise<unknown>): void {
    this.held.push(work);
  }

  /** Releases everything, even after a failure, and throws the first failure. Further calls do nothing. */
  async release(): Promise<void> {
    const failures: unknown[] = [];
    while (this.held.length > 0) {
      try {
        await this.held.pop()!();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

/** Builds an object from resources. If that fails, they are released; otherwise they belong to the object. */
export async function buildWith<T>(build: (resources: Resources) => Promise<T>): Promise<T> {
  const resources = new Resources();
  try {
    return await build(resources);
  } catch (error) {
    await resources.release().catch(() => {}); // report the error of the work
    throw error;
  }
}

/** Works with resources and releases them at the end, even after a failure. */
export async function workWith<T>(work: (resources: Resources) => Promise<T>): Promise<T> {
  return buildWith(async (resources) => {
    const result = await work(resources);
    await resources.release();
    return result;
  });
}
