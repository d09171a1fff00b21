import type { RelayError } from "../../client/index.ts";
import type { ProxyUrls } from "./child-env.ts";
import { type LocalProxies, startLocalProxies } from "./local-proxies.ts";
import { relayFailure } from "./messages.ts";
import type { Opener } from "./opener.ts";
import { patientOpener } from "./patient-opener.ts";
import { awaitRelay, watchRefusals } from "./refusal-watch.ts";
import { checkRelay } from "./relay-check.ts";
import { relayOpener } from "./relay-opener.ts";
import type { Settings } from "./settings.ts";
import { startTunnel, type Tunnel } from "./tunnel.ts";

/** How an agent is started. */
export interface AgentOptions {
  readonly settings: Settings;
  /** As HOLDFAST_URL holds it. */
  readonly relayUrl: string;
  /** Whether the local proxies are wanted. */
  readonly proxies: boolean;
  /** Whether the agent may start while the relay can't be reached. */
  readonly requireRelay: boolean;
  readonly stopped: AbortSignal;
  /** Gets what is worth knowing, a line at a time, and what goes wrong. */
  readonly note: (line: string) => void;
  readonly warn: (line: string) => void;
}

/** Everything that a command needs is ready. */
export interface Agent {
  readonly proxies: ProxyUrls | undefined;
  /** Over the command's environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Resolves when the relay refuses the client's token; never where it doesn't. */
  readonly refused: Promise<RelayError>;
  readonly close: () => Promise<void>;
}

/**
 * Makes sure of the relay, then starts listeners, names and proxies. What was begun is undone when it rejects.
 *
 * @throws RelayError a refusal, or why the relay can't be reached where it is required; AgentError and the system's errors
 * where this machine can't do it; the signal's reason
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { settings, relayUrl, stopped, note, warn } = options;
  for (const line of settings.notes) note(line);
  const plain = relayOpener(relayUrl);
  const refused = Promise.withResolvers<RelayError>();
  const open = patientOpener(watchRefusals(plain, refused.resolve));
  const ended = new AbortController();
  await makeSure(plain, options, () => followUp(plain, ended.signal, { warn, refused: refused.resolve }));
  let tunnel: Tunnel | undefined;
  let proxies: LocalProxies | undefined;
  const close = async () => {
    ended.abort();
    await tunnel?.close();
    await proxies?.close();
  };
  try {
    tunnel = await startTunnel(settings, {
      open,
      relayUrl,
      env: ofCommand(process.env),
      log: warn,
      signal: stopped,
    });
    stopped.throwIfAborted();
    for (const line of tunnel.lines) note(line);
    if (options.proxies) {
      const destinations = tunnel.state().map(({ destination }) => destination);
      proxies = await startLocalProxies({ open, hosts: settings.hosts, destinations });
    }
    stopped.throwIfAborted();
    return { proxies: proxies?.urls, env: tunnel.env, refused: refused.promise, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @throws RelayError where the relay refuses the token, or is required and can't be reached */
async function makeSure(
  open: Opener,
  { requireRelay, stopped, warn }: AgentOptions,
  unreachable: () => void,
): Promise<void> {
  const verdict = await checkRelay(open, stopped);
  if (verdict.kind === "accepted") return;
  if (verdict.kind === "refused" || requireRelay) throw verdict.error;
  warn(`the relay can't be reached, and is tried again. ${relayFailure(verdict.error)}`);
  unreachable();
}

/** Goes on asking a relay that could not be reached at the start. */
function followUp(
  open: Opener,
  signal: AbortSignal,
  { warn, refused }: { readonly warn: (line: string) => void; readonly refused: (error: RelayError) => void },
): void {
  awaitRelay(open, signal).then(
    (verdict) => {
      if (verdict.kind === "accepted") warn("the relay is reached now");
      if (verdict.kind === "refused") refused(verdict.error);
    },
    () => {},
  );
}

/** The environment without what speaks to the agent itself: no host in there is to be rewritten. */
function ofCommand(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(HOLDFAST|QGTUNNEL)_/.test(name)));
}
