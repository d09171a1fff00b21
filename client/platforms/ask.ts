import { PLATFORM_ANSWER_MAX_BYTES } from "../limits.ts";
import { readText } from "../stream.ts";
import { platformFailure } from "./platform.ts";

/** One question to an endpoint of a platform's. */
export interface PlatformQuestion {
  /** Who is asked, for messages: the URL may hold what is nobody's business. */
  readonly who: string;
  readonly url: string;
  readonly method?: "GET" | "PUT" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** What it answered. */
export interface PlatformAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/**
 * Asks an endpoint of a platform's. Whatever it answers is an answer.
 *
 * @throws RelayError `platform_token_failed`, without a word of what was sent or answered
 */
export async function askPlatform(question: PlatformQuestion): Promise<PlatformAnswer> {
  const { who, url, method = "GET", headers = {}, body, signal } = question;
  try {
    const answer = await fetch(url, {
      method,
      headers: { ...headers },
      redirect: "manual",
      signal,
      ...(body !== undefined && { body }),
    });
    return { status: answer.status, headers: answer.headers, text: await readAnswer(who, answer.body) };
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof Error && cause.name === "RelayError") throw cause;
    throw platformFailure(`${who} gave no answer`, networkCause(cause));
  }
}

/** The same where anything but 200 is a failure. Returns the text. */
export async function askForText(question: PlatformQuestion): Promise<string> {
  const { status, text } = await askPlatform(question);
  if (status !== 200) throw platformFailure(`${question.who} answered ${status}`);
  return text;
}

/** Reads JSON, an object; what it holds stays out of the error. */
export function parseAnswer(who: string, text: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null) return parsed as Record<string, unknown>;
  } catch {
    // The parser's own message shows a piece of what it read.
  }
  throw platformFailure(`${who} answered what is no JSON object`);
}

async function readAnswer(who: string, body: Response["body"]): Promise<string> {
  const text = await readText(body, PLATFORM_ANSWER_MAX_BYTES);
  if (text.length <= PLATFORM_ANSWER_MAX_BYTES) return text;
  throw platformFailure(`${who} answered more than ${PLATFORM_ANSWER_MAX_BYTES} bytes`);
}

/** What the network said; any other error may quote the URL or a field. */
function networkCause(error: unknown): unknown {
  let root = error;
  while (root instanceof Error && root.cause instanceof Error) root = root.cause;
  return root instanceof Error && "syscall" in root ? root : undefined;
}
