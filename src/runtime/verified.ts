/** @file Work with data that is still being verified. */

/** A verification that is under way. */
export interface Verification {
  /** Rejects for damaged data. */
  readonly verified: Promise<void>;
}

/** The result of work with data, once they are verified. Damage is what is reported, whatever else it causes. */
export async function onceVerified<Made extends { release(): Promise<void> }>(
  work: Promise<Made>,
  { verified }: Partial<Verification>,
): Promise<Made> {
  const [made, check] = await Promise.allSettled([work, verified]);
  if (check.status === "rejected") {
    if (made.status === "fulfilled") await made.value.release();
    throw check.reason;
  }
  return work;
}
