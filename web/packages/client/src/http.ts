import { httpError, PgbellError } from './errors.js';

/**
 * Asks with a token. Resolves with an answer that is a success; everything else
 * is a {@link PgbellError}.
 */
export async function ask(
  doFetch: typeof fetch,
  url: URL,
  token: string,
  init: RequestInit,
): Promise<Response> {
  let answer: Response;
  try {
    answer = await doFetch(url, {
      cache: 'no-store',
      ...init,
      headers: { Authorization: `Bearer ${token}`, ...(init.headers as Record<string, string>) },
    });
  } catch (error) {
    throw new PgbellError('network', String(error));
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null);
  throw httpError(answer.status, body, answer.headers.get('Retry-After'));
}

/** Reads the JSON of an answer; null if it is empty. */
export async function json<T>(answer: Response, parse: (text: string) => unknown): Promise<T> {
  let text: string;
  try {
    text = await answer.text();
  } catch (error) {
    throw new PgbellError('network', String(error)); // It was cut off in the middle.
  }
  try {
    return (text ? parse(text) : null) as T;
  } catch {
    throw new PgbellError('bad_answer', 'The answer is not JSON.');
  }
}
