import { Socket } from "node:net";
import { RelayError } from "../protocol/errors.ts";
import type { TlsRules } from "../protocol/tls-rules.ts";
import type { Cancel } from "./cancellation.ts";
import type { Guard } from "./guard.ts";
import { isSameIp, parseIp } from "./ip-address.ts";
import { CONNECT_ADDRESSES_MAX, CONNECT_DEADLINE_MS, LOCAL_PORT_TRIES, TLS_DEADLINE_MS } from "./limits.ts";
import { isPortTaken, LocalPorts } from "./local-ports.ts";
import { connectFirst } from "./connect-first.ts";
import { BareSocket } from "./tcp/bare-socket.ts";
import type { Connection } from "./tcp/connection.ts";
import type { Resolution, ResolvedAddress, Resolver } from "./resolver.ts";
import { createTlsClient } from "./tls-client.ts";

/** What a dialer is made of. */
export interface DialerOptions {
  readonly resolver: Resolver;
  readonly guard: Guard;
  /** The local addresses that connections are bound to. A family without one is not dialled. */
  readonly egress: { readonly ipv4?: string | undefined; readonly ipv6?: string | undefined };
  /** Whether a family may be dialled now: asked for each connection, before it and after. Always where left out. */
  readonly mayLeave?: ((family: 4 | 6) => boolean) | undefined;
  /** Which local ports connections have: by default those of this system, or as it chooses where it doesn't tell them. */
  readonly ports?: LocalPorts | undefined;
  /** PEM certificates of authorities that are trusted besides the default roots. */
  readonly ca?: readonly string[] | undefined;
  /** For reaching any of a name's addresses, in milliseconds. */
  readonly connectDeadlineMs?: number | undefined;
  /** For the TLS handshake, in milliseconds. */
  readonly tlsDeadlineMs?: number | undefined;
  /** Milliseconds, from any origin that does not jump: ages TLS sessions. `performance.now` by default. */
  readonly now?: (() => number) | undefined;
}

/** Told the milliseconds of a stage when it ends, also where it fails. */
export type OnStage = (stage: keyof Dialed["timings"], ms: number) => void;

/** Where to. */
export interface DialTarget {
  /** A DNS name, or an IP literal without brackets. */
  readonly host: string;
  readonly port: number;
  readonly signal?: Cancel | undefined;
  readonly onStage?: OnStage | undefined;
}

/** One connection to open. */
export interface DialRequest extends DialTarget {
  readonly signal?: AbortSignal | undefined;
  /** `alpn` may be empty: no protocol is negotiated then. `rules` ask for more than the verification that is always made. */
  readonly tls: false | { readonly alpn: readonly string[]; readonly rules?: TlsRules | undefined };
  /** Whose TLS sessions may be resumed: different keys, and different rules, never share one. Without a key none is kept. */
  readonly sessionKey?: string | undefined;
  /** Whether the socket stays writable once the target has ended its side. */
  readonly allowHalfOpen?: boolean | undefined;
}

/**
 * An open connection; the caller owns the socket. An error that comes before the caller listens does not end
 * the process: the socket is destroyed then, and says so.
 */
export interface Dialed<Connected = Socket> {
  /** A `TLSSocket` where `tls` was asked for; TCP_NODELAY is set. */
  readonly socket: Connected;
  /** The target's address that was dialled. */
  readonly address: string;
  readonly port: number;
  readonly family: 4 | 6;
  /** The local address that the connection left from. */
  readonly egress: string;
  /** The protocol that was negotiated. */
  readonly alpn: string | undefined;
  /** For instance `TLSv1.3`. */
  readonly tlsVersion: string | undefined;
  readonly tlsResumed: boolean;
  readonly dnsCached: boolean;
  /** Milliseconds; `tls` is 0 without TLS. */
  readonly timings: { readonly dns: number; readonly connect: number; readonly tls: number };
}

/** Opens outgoing connections. */
export interface Dialer {
  /**
   * @throws RelayError `dns_failed`, `dns_timeout`, `address_refused`, `connect_refused`, `connect_timeout`,
   * `connect_failed`, `tls_certificate`, `tls_failed`; or the signal's reason
   */
  dial(request: DialRequest): Promise<Dialed>;
  /** The same without TLS, for a socket without streams, where this Node has them. It is half-open capable. */
  dialBare(request: DialTarget): Promise<Dialed<BareSocket>>;
}

/**
 * The only place that opens an outgoing connection: resolves, judges every address, binds the egress address,
 * connects to the literal that was judged, and secures the connection. The guard is asked once more for the
 * very address right before each connect, and the peer is compared with it after.
 *
 * @throws Error naming an egress address that is none of its family
 * @example
 * const dialer = createDialer({ resolver, guard, egress: { ipv4: "203.0.113.7" } });
 * const { socket } = await dialer.dial({ host: "api.bank.com", port: 443, tls: { alpn: ["http/1.1"] } });
 */
export function createDialer(options: DialerOptions): Dialer {
  const { resolver, guard, mayLeave = always, connectDeadlineMs = CONNECT_DEADLINE_MS } = options;
  const egress = { 4: options.egress.ipv4, 6: options.egress.ipv6 } as const;
  const ports = options.ports ?? LocalPorts.ofSystem();
  const portTries = ports === undefined ? 0 : LOCAL_PORT_TRIES;
  for (const family of [4, 6] as const) {
    const address = egress[family];
    if (address !== undefined && parseIp(address)?.family !== family) {
      throw new Error(`${JSON.stringify(address)} is no IPv${family} address to leave from`);
    }
  }
  const tlsClient = createTlsClient({
    ca: options.ca ?? [],
    deadlineMs: options.tlsDeadlineMs ?? TLS_DEADLINE_MS,
    now: options.now ?? (() => performance.now()),
  });

  function judge(host: string, address: string): void {
    const verdict = guard.judge(address);
    if (verdict.allowed) return;
    const what =
      parseIp(host) === undefined ? `${host} has an address that is refused` : `${host} is refused`;
    throw new RelayError("address_refused", `${what}: ${verdict.reason}`);
  }

  /** All answers are judged, also those never dialled: a bad one among good ones is how rebinding looks. */
  function admit(host: string, addresses: readonly ResolvedAddress[]): readonly ResolvedAddress[] {
    for (const { address } of addresses) judge(host, address);
    const usable = addresses
      .filter(({ family }) => egress[family] !== undefined && mayLeave(family))
      .slice(0, CONNECT_ADDRESSES_MAX);
    if (usable.length === 0) {
      const families = [...new Set(addresses.map(({ family }) => `IPv${family}`))].join(" and ");
      throw new RelayError(
        "connect_failed",
        `${host} has ${families} addresses alone, and this node has no such egress in service`,
      );
    }
    return usable;
  }

  /** An address may be found to have drifted at any moment of a dial: nothing more is sent over the connection then. */
  function admitFamily(host: string, family: 4 | 6, socket?: Opened): void {
    if (mayLeave(family)) return;
    socket?.destroy();
    throw new RelayError("connect_failed", `${host} was given up: the IPv${family} egress is out of service`);
  }

  /** Where a connection to a judged address leaves from: right before it is made. */
  function leave(target: DialTarget, { address, family }: ResolvedAddress, tried: number) {
    judge(target.host, address);
    admitFamily(target.host, family);
    const localAddress = egress[family]!;
    const localPort = tried < portTries ? ports!.next(localAddress, address, target.port) : 0;
    return { port: target.port, family, localAddress, localPort };
  }

  function open(request: DialRequest, candidate: ResolvedAddress, tried: number): Socket {
    const from = leave(request, candidate, tried);
    const socket = new Socket({ allowHalfOpen: request.allowHalfOpen ?? false });
    // What is written goes at once: Nagle's algorithm against delayed ACKs costs 40 ms a turn.
    socket.setNoDelay(true);
    try {
      return socket.connect({ host: candidate.address, ...from, autoSelectFamily: false });
    } catch (error) {
      // connect() throws on a bad port only after it has made the handle.
      socket.destroy();
      throw error;
    }
  }

  function openBare(target: DialTarget, candidate: ResolvedAddress, tried: number): BareSocket {
    return BareSocket.connect({ address: candidate.address, ...leave(target, candidate, tried) });
  }

  /** What is known of its addresses without waiting. */
  function known({ host, onStage }: DialTarget, timings: Timings) {
    const began = performance.now();
    let resolution: Resolution | undefined;
    try {
      resolution = resolver.known?.(host);
    } catch {
      // Told of by what waits for it.
    }
    if (resolution === undefined) return undefined;
    timings.dns = performance.now() - began;
    onStage?.("dns", timings.dns);
    return resolution;
  }

  /** Reaches an address of the target's, by connections that `make` begins. */
  async function reach<Made extends Opened, Target extends DialTarget>(
    target: Target,
    make: (target: Target, candidate: ResolvedAddress, tried: number) => Made,
    timings: Timings,
  ) {
    const { host, port, signal } = target;
    const { addresses, cached } =
      known(target, timings) ?? (await timed("dns", timings, target, resolver.resolve(host, signal)));
    const candidates = admit(host, addresses);
    signal?.throwIfAborted();
    // An address is tried again where its local port alone was in the way, in the end with one that the system chooses.
    const connecting = connectFirst<ResolvedAddress, Made>({
      what: `${host} port ${port}`,
      candidates,
      open: (candidate, tried) => make(target, candidate, tried),
      again: (error, tried) => tried < portTries && isPortTaken(error),
      deadlineMs: connectDeadlineMs,
      signal,
    });
    const { socket, candidate } = await timed("connect", timings, target, connecting);
    socket.on("error", ignore);
    const { address, family } = candidate;
    // One that is bound to an address leaves from no other.
    const local = socket instanceof Socket ? socket.localAddress : undefined;
    checkPeer(socket, host, address);
    admitFamily(host, family, socket);
    return { socket, address, port, family, egress: local ?? egress[family]!, dnsCached: cached };
  }

  return {
    async dial(request) {
      const { host, port, tls, sessionKey, signal } = request;
      const timings = noTimings();
      const { socket: plain, ...dialed } = await reach(request, open, timings);
      if (tls === false) return { ...dialed, ...WITHOUT_TLS, socket: plain, timings };
      const handshake = tlsClient.secure(plain, { host, port, ...tls, sessionKey, signal });
      const secured = await timed("tls", timings, request, handshake).catch((error: unknown) => {
        // Also where the handshake could not even begin, for instance with an ALPN name that is too long.
        plain.destroy();
        throw error;
      });
      secured.socket.on("error", ignore);
      admitFamily(host, dialed.family, secured.socket);
      return { ...dialed, ...secured, timings };
    },

    async dialBare(target) {
      const timings = noTimings();
      return Object.assign(await reach(target, openBare, timings), WITHOUT_TLS, { timings });
    },
  };
}

/** A connection that was made, of either kind. */
type Opened = Connection & { readonly remoteAddress?: string | undefined };

type Timings = Record<keyof Dialed["timings"], number>;

const WITHOUT_TLS = { alpn: undefined, tlsVersion: undefined, tlsResumed: false } as const;

function noTimings(): Timings {
  return { dns: 0, connect: 0, tls: 0 };
}

async function timed<T>(
  stage: keyof Timings,
  timings: Timings,
  { onStage }: Pick<DialTarget, "onStage">,
  work: Promise<T>,
): Promise<T> {
  const began = performance.now();
  try {
    return await work;
  } finally {
    timings[stage] = performance.now() - began;
    onStage?.(stage, timings[stage]);
  }
}

function ignore(): void {}

function always(): boolean {
  return true;
}

/** What the kernel says of the peer is the last word; it has none once the peer has already gone. */
function checkPeer(socket: Opened, host: string, judged: string): void {
  const { remoteAddress } = socket;
  if (remoteAddress === judged) return;
  const peer = parseIp(remoteAddress ?? "");
  if (peer !== undefined && isSameIp(peer, parseIp(judged)!)) return;
  socket.destroy();
  if (peer === undefined) {
    throw new RelayError("connect_failed", `${host} closed the connection as it was opened`);
  }
  throw new RelayError("address_refused", `${host} was reached at another address than the one judged`);
}
