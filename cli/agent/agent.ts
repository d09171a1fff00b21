import type { RelayError } from "../../client/index.ts";
import type { ProxyUrls } from "./child-env.ts";
import { type LocalProxies, startLocalProxies } from "./local-proxies.ts";
import { accessRelay, type RelayAccessOptions } from "./relay-access.ts";
import type { Settings } from "./settings.ts";
import { startTunnel, type Tunnel } from "./tunnel.ts";

/** How an agent is started. */
export interface AgentOptions extends Omit<RelayAccessOptions, "via"> {
  readonly settings: Settings;
  /** Whether the local proxies are wanted. */
  readonly proxies: boolean;
  /** Gets what is worth knowing, a line at a time. */
  readonly note: (line: string) => void;
}

/** Everything that a command needs is ready. */
export interface Agent {
  readonly proxies: ProxyUrls | undefined;
  /** Over the command's environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Resolves when the relay refuses the client's token; never where it doesn't. */
  readonly refused: Promise<RelayError>;
  /** Resolves once what the command has written has arrived, as a system sees to it for a program that is gone; or can't. */
  readonly drained: () => Promise<void>;
  /** Takes everything back. */
  readonly close: () => Promise<void>;
}

/**
 * Makes sure of the relay, then starts listeners, names and proxies. What was begun is undone when it rejects.
 *
 * @throws RelayError a refusal, or why the relay can't be reached where it is needed; AgentError and the system's errors
 * where this machine can't do it; the signal's reason
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { settings, relayUrl, stopped, note, warn } = options;
  for (const line of settings.notes) note(line);
  const relay = await accessRelay({ ...options, via: settings.via });
  const { open } = relay;
  let tunnel: Tunnel | undefined;
  let proxies: LocalProxies | undefined;
  const drained = async () => {
    await tunnel?.drained();
    await relay.settled();
  };
  const close = async () => {
    relay.close();
    await tunnel?.close();
    await proxies?.close();
  };
  try {
    const env = ofCommand(process.env);
    tunnel = await startTunnel(settings, { open, relayUrl, env, log: warn, signal: stopped });
    stopped.throwIfAborted();
    for (const line of tunnel.lines) note(line);
    if (settings.ahead) for (const { destination } of tunnel.state()) relay.expect(destination);
    if (options.proxies) {
      const destinations = tunnel.state().map(({ destination }) => destination);
      proxies = await startLocalProxies({ open, hosts: settings.hosts, destinations });
    }
    stopped.throwIfAborted();
    return { proxies: proxies?.urls, env: tunnel.env, refused: relay.refused, drained, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The environment without what speaks to the agent itself: no host in there is to be rewritten. A path to a library holds none. */
function ofCommand(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(HOLDFAST_(?!NSS_WRAPPER$)|QGTUNNEL_)/.test(name)),
  );
}
