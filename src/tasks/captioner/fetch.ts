/** @file Requests that carry a user's pictures: they go to the named server alone, and answers are of a bounded size. */

/** The most bytes of an answer: a caption has some thousand. */
const MAX_ANSWER = 4 * 2 ** 20;

/**
 * `fetch` that resolves with the whole body, so that the caller's time limit covers it. A redirect is not followed: it
 * becomes an answer of its status that says where it leads. A body of more than 4 MiB becomes one of status 413.
 */
export async function fetchWhole(...[url, init]: Parameters<typeof fetch>): Promise<Response> {
  const response = await fetch(url, { ...init, redirect: "manual" });
  const { status, statusText, headers } = response;
  const location = headers.get("location");
  if (status >= 300 && status < 400 && location !== null) {
    await response.body?.cancel();
    return refusal(status, `redirected to ${location}, where no pictures are sent (give that address)`);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_ANSWER) return refusal(413, `expected an answer of at most ${MAX_ANSWER} bytes, got more`);
    chunks.push(chunk);
  }
  return new Response(size > 0 ? Buffer.concat(chunks) : null, { status, statusText, headers });
}

/** An answer as OpenAI's protocol reports errors. */
const refusal = (status: number, message: string): Response =>
  Response.json({ error: { message } }, { status });
