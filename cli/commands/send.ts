import { parseArgs } from "node:util";
import {
  createRelay,
  type DeliveryAsk,
  type DeliveryDetail,
  type DeliveryOptions,
  type Relay,
} from "../../client/index.ts";
import { type Command, EXIT, UsageError } from "../command.ts";
import { tell } from "../credential.ts";
import { scheduleSeconds } from "../duration.ts";
import { report, reportFailure } from "../report.ts";
import {
  initOf,
  parseSeconds,
  readRequestArguments,
  REQUEST_OPTIONS,
  type RequestArguments,
} from "../request-arguments.ts";

const help = `Usage: holdfast send [options] <url>
       holdfast send --show ID [--wait] [--json] [-m SECONDS]

Hands one request over that the relay makes later, and makes again until the target takes it. Writes the delivery's id to stdout.

  -X, --request METHOD   the method; default GET, with data POST
  -H, --header LINE      a field, as "Name: value"; may be repeated
  -d, --data DATA        the body: the text itself, @file, or @- for stdin; repeated ones are joined by &
      --data-raw DATA    the same, but a leading @ stands for itself
      --key KEY          the same key makes the same delivery: a second request with it is not stored
      --lane LANE        of one lane, each is made when those before it have ended
      --schedule TIMES   before each attempt, as in 0,5s,5m,2h; default ten attempts over three days
      --callback URL     where the outcome is posted to
      --wait             wait until it has ended, and tell how
      --show ID          hand nothing over: tell how this delivery is
      --json             write what the edge says, as JSON
  -m, --max-time SECONDS give up after this long; what was handed over goes on

Exit codes: 0 it was handed over, with --wait delivered; 1 the relay failed; 2 wrong usage; 22 it was given up.
`;

/** Between two looks at a delivery that is waited for. */
const LOOK_MS = 500;

type SendArguments = {
  readonly delivery: DeliveryOptions;
  readonly wait: boolean;
  readonly json: boolean;
} & (
  | { readonly request: RequestArguments; readonly show: undefined }
  | { readonly request: undefined; readonly show: string }
);

/** `holdfast send`: one durable request. */
export const sendCommand: Command = {
  help,
  run: async (args) => {
    const { asked, maxTime } = await parse(args);
    try {
      const signal = maxTime === undefined ? undefined : AbortSignal.timeout(maxTime * 1_000);
      return await send(asked, createRelay(process.env["HOLDFAST_URL"]), signal);
    } catch (error) {
      if (asked.request === undefined) return reportFailure(error, maxTime);
      const code = report(error, { maxTime, verbose: false });
      if (isTimeout(error)) {
        tell("it is stored, or not: with a --key it can be handed over again, and is made once");
      }
      return code;
    }
  },
};

async function send(asked: SendArguments, relay: Relay, signal: AbortSignal | undefined): Promise<number> {
  const { request, wait, json } = asked;
  const ask = signal === undefined ? {} : { signal };
  let id = asked.show;
  if (request !== undefined) {
    const accepted = await relay.enqueue(request.url, { ...initOf(request), ...ask, ...asked.delivery });
    ({ id } = accepted);
    // Whoever waits is told at the end; who is interrupted knows what to ask for.
    if (wait || !json) tell(accepted.status);
    if (!wait) {
      process.stdout.write(json ? `${JSON.stringify(accepted)}\n` : `${id}\n`);
      return EXIT.ok;
    }
    if (!json) process.stdout.write(`${id}\n`);
  }
  const detail = wait ? await untilEnded(relay, id!, ask) : await relay.delivery(id!, ask);
  if (detail === undefined) {
    tell(`${id} has not ended yet, and goes on: \`holdfast send --show ${id}\` tells how it is`);
    return EXIT.failed;
  }
  process.stdout.write(json ? `${JSON.stringify(detail)}\n` : told(detail));
  return detail.state === "dead" ? EXIT.targetError : EXIT.ok;
}

/** @returns undefined where there is no more time to wait */
async function untilEnded(relay: Relay, id: string, ask: DeliveryAsk): Promise<DeliveryDetail | undefined> {
  while (!ask.signal?.aborted) {
    const detail = await relay.delivery(id, ask).catch((error: unknown) => {
      if (ask.signal?.aborted) return undefined;
      throw error;
    });
    if (detail?.state !== "pending") return detail;
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
  return undefined;
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === "TimeoutError";
}

/** How a delivery is, for people. */
export function told(detail: DeliveryDetail): string {
  const { state, reason, due } = detail;
  const next = due === null ? "" : `, next at ${new Date(due).toISOString()}`;
  const why = reason === null ? "" : `: ${reason}`;
  const lines = detail.attempts.map(({ n, started, result, status, code, node, egress }) =>
    [
      `  ${n}. ${new Date(started).toISOString()}`,
      result === "answered" ? `HTTP ${status}` : (code ?? result ?? "under way"),
      ...(node === null ? [] : [`by ${node}${egress === null ? "" : ` from ${egress}`}`]),
    ].join("  "),
  );
  return [`${state}${next}${why}`, ...lines, ""].join("\n");
}

/** What goes with `--show`. */
const SHOWING = new Set(["show", "wait", "json", "max-time"]);

/** @throws UsageError */
async function parse(args: readonly string[]) {
  const parsed = parseOptions(args);
  const { key, lane, callback, schedule, show, wait = false, json = false } = parsed.values;
  const delivery = {
    ...(key !== undefined && { key }),
    ...(lane !== undefined && { lane }),
    ...(callback !== undefined && { callback }),
    ...(schedule !== undefined && { schedule: scheduleIn(schedule) }),
  };
  if (show === undefined) {
    const request = await readRequestArguments(parsed);
    return { asked: { request, delivery, wait, json, show }, maxTime: request.maxTime };
  }
  const { tokens, positionals } = parsed;
  const others = tokens.filter((token) => token.kind === "option" && !SHOWING.has(token.name));
  if (others.length > 0 || positionals.length > 0) {
    throw new UsageError(
      "--show tells of what was handed over: give nothing with it but --wait, --json and -m",
    );
  }
  return {
    asked: { request: undefined, delivery, wait, json, show },
    maxTime: parseSeconds(parsed.values["max-time"]),
  };
}

/** @throws UsageError */
function scheduleIn(text: string): number[] {
  const schedule = scheduleSeconds(text);
  if (schedule !== undefined) return schedule;
  throw new UsageError("--schedule takes the time before each attempt, as in 0,5s,5m,2h");
}

function parseOptions(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      tokens: true,
      options: {
        ...REQUEST_OPTIONS,
        key: { type: "string" },
        lane: { type: "string" },
        schedule: { type: "string" },
        callback: { type: "string" },
        wait: { type: "boolean" },
        show: { type: "string" },
        json: { type: "boolean" },
      },
    });
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
