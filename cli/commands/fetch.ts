import { once } from "node:events";
import { createWriteStream } from "node:fs";
import type { Writable } from "node:stream";
import { createRelay, type Field, relayInfo, type RelayInfo } from "../../client/index.ts";
import { type Command, EXIT } from "../command.ts";
import { parseFetchArguments, type FetchArguments } from "../fetch-arguments.ts";
import { report } from "../report.ts";
import { initOf } from "../request-arguments.ts";
import { infoLines, shownField, tracedFetch } from "../trace.ts";

const help = `Usage: holdfast fetch [options] <url>

Makes one request from the relay's address and writes the answer's body to stdout, byte for byte.

  -X, --request METHOD   the method; default GET, with data POST
  -H, --header LINE      a field, as "Name: value"; may be repeated
  -d, --data DATA        the body: the text itself, @file, or @- for stdin; repeated ones are joined by &
      --data-raw DATA    the same, but a leading @ stands for itself
  -i, --include          write the status line and the fields before the body
  -v, --verbose          show fields, timings, node and egress address on stderr; credentials by their length alone
  -o, --output FILE      write to a file
  -L, --location         follow redirects
  -f, --fail             for a status from 400 on write no body, and exit with 22
      --node ID          a node that may make the request; may be repeated, or a comma list
      --idempotent       making it twice does no harm: it may be tried again at another node
      --receipt          have the node sign from where the request left, and verify it; -v shows it
      --expect-ip ADDR   fail unless a receipt proves that it left from this address; may be repeated, or a comma list
  -m, --max-time SECONDS give up after this long

Exit codes: 0 an answer came, 1 the relay failed, 2 wrong usage, 22 see --fail.
`;

/** `holdfast fetch`: one request through the relay, used like curl. */
export const fetchCommand: Command = {
  help,
  run: async (args) => {
    const asked = await parseFetchArguments(args);
    try {
      return await fetchOnce(asked);
    } catch (error) {
      return report(error, asked);
    }
  },
};

async function fetchOnce(asked: FetchArguments): Promise<number> {
  const note = (mark: string, lines: readonly string[]) => {
    if (asked.verbose) process.stderr.write(lines.map((line) => `${mark} ${line}\n`).join(""));
  };
  const relay = createRelay(process.env["HOLDFAST_URL"], {
    // The body goes out as the target sent it, coded or not.
    decompress: false,
    ...(asked.node !== undefined && { node: asked.node }),
    idempotent: asked.idempotent,
    receipt: asked.receipt,
    ...(asked.egress !== undefined && { egress: asked.egress }),
    ...(asked.verbose && { fetch: tracedFetch((fields) => note(">", [...fields.map(shownField), ""])) }),
  });
  note("*", [`client ${relay.clientId} by ${relay.edge}`]);
  note(">", [`${asked.method} ${asked.url}`]);
  const start = performance.now();
  const response = await relay.fetch(asked.url, {
    ...initOf(asked),
    redirect: asked.follow ? "follow" : "manual",
    ...(asked.maxTime !== undefined && { signal: AbortSignal.timeout(asked.maxTime * 1000) }),
  });
  const info = relayInfo(response);
  if (response.redirected) note("*", [`redirected to ${response.url}`]);
  note("<", [statusLine(response), ...fieldsOf(info).map(shownField), ""]);

  const isFailure = asked.fail && response.status >= 400;
  const out = asked.output === undefined ? process.stdout : createWriteStream(asked.output);
  await writeOut(out, response, { head: asked.include ? headText(response, info) : "", body: !isFailure });
  note("*", infoLines(info, performance.now() - start));
  if (isFailure) process.stderr.write(`holdfast: the target answered ${statusLine(response)}\n`);
  return isFailure ? EXIT.targetError : EXIT.ok;
}

/** Writes at the reader's pace. An output that fails rejects, and the exchange is cancelled. */
async function writeOut(
  out: Writable,
  { body }: Response,
  want: { head: string; body: boolean },
): Promise<void> {
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  out.on("error", failed.reject);
  const write = async (chunk: Uint8Array) => {
    if (!out.write(chunk)) await Promise.race([once(out, "drain"), failed.promise]);
  };
  try {
    if (want.head !== "") await write(Buffer.from(want.head, "latin1"));
    if (!want.body) await body?.cancel();
    else if (body !== null) for await (const chunk of body) await write(chunk);
    // Stdout is not closed: it may be shared with what called us.
    const { promise, resolve } = Promise.withResolvers<void>();
    if (out === process.stdout) out.write("", () => resolve());
    else out.end(() => resolve());
    await Promise.race([promise, failed.promise]);
  } catch (error) {
    if (out !== process.stdout) out.destroy();
    throw error;
  }
}

function statusLine({ status, statusText }: Response): string {
  return `HTTP/1.1 ${status}${statusText === "" ? "" : ` ${statusText}`}`;
}

function fieldsOf(info: RelayInfo | undefined): readonly Field[] {
  return info?.fields ?? [];
}

function headText(response: Response, info: RelayInfo | undefined): string {
  const lines = [statusLine(response), ...fieldsOf(info).map(([name, value]) => `${name}: ${value}`)];
  return `${lines.join("\r\n")}\r\n\r\n`;
}
