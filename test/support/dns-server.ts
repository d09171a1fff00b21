import { createSocket } from "node:dgram";
import { once } from "node:events";

/** What a query of one type is answered with; a list of addresses may be empty (no data). */
export type DnsReply = readonly string[] | "nxdomain" | "servfail" | "refused" | "drop";

/** A name's answers. A type that is left out has no data. */
export interface DnsRecord {
  readonly A?: DnsReply;
  readonly AAAA?: DnsReply;
  /** `port host` each, as a zone has them behind priority and weight. */
  readonly SRV?: DnsReply;
  /** One string each. */
  readonly TXT?: DnsReply;
  /** Seconds; 60 by default. */
  readonly ttl?: number;
  /** Milliseconds before the answer is sent, for both types or for each. */
  readonly delayMs?: number | { readonly A?: number; readonly AAAA?: number };
}

/** A name server of the test's own, over UDP. */
export interface DnsServer {
  /** `address:port`, as `setServers` takes it. */
  readonly address: string;
  /** Every query that came, in order; names in lower case. */
  readonly queries: readonly { readonly name: string; readonly type: DnsType | "other" }[];
  /** Sets what a name answers from now on; undefined takes it away. Unknown names are NXDOMAIN. */
  set(name: string, record: DnsRecord | undefined): void;
  /** How many queries came for a name. */
  count(name: string, type?: DnsType): number;
  close(): Promise<void>;
}

type DnsType = "A" | "AAAA" | "SRV" | "TXT";

const TYPES: Readonly<Record<number, DnsType>> = { 1: "A", 16: "TXT", 28: "AAAA", 33: "SRV" };
const RCODES = { nxdomain: 3, servfail: 2, refused: 5 } as const;

/**
 * Listens on a loopback port unless told where else.
 *
 * @example
 * const server = await startDnsServer();
 * server.set("api.example.test", { A: ["127.0.0.1"], ttl: 1 });
 */
export async function startDnsServer(host = "127.0.0.1", port = 0): Promise<DnsServer> {
  const table = new Map<string, DnsRecord>();
  const queries: { name: string; type: DnsType | "other" }[] = [];
  const timers = new Set<NodeJS.Timeout>();
  const socket = createSocket("udp4");
  socket.bind(port, host);
  await once(socket, "listening");

  socket.on("message", (query, peer) => {
    const { name, end } = readName(query);
    const type = TYPES[query.readUInt16BE(end)];
    queries.push({ name, type: type ?? "other" });
    const record = table.get(name);
    const reply = record === undefined ? "nxdomain" : ((type && record[type]) ?? []);
    if (reply === "drop") return;
    const answer = encode(query.subarray(0, end + 4), reply, record?.ttl ?? 60);
    const { delayMs } = record ?? {};
    const delay =
      typeof delayMs === "object" ? (type === "A" || type === "AAAA" ? delayMs[type] : undefined) : delayMs;
    if (delay === undefined) {
      socket.send(answer, peer.port, peer.address);
      return;
    }
    const timer = setTimeout(() => {
      timers.delete(timer);
      socket.send(answer, peer.port, peer.address);
    }, delay);
    timers.add(timer);
  });

  return {
    address: `${host}:${socket.address().port}`,
    queries,
    set(name, record) {
      if (record === undefined) table.delete(name);
      else table.set(name, record);
    },
    count: (name, type) =>
      queries.filter((query) => query.name === name && (type === undefined || query.type === type)).length,
    async close() {
      for (const timer of timers) clearTimeout(timer);
      socket.close();
      await once(socket, "close");
    },
  };
}

/** The question's name, and where it ends. */
function readName(query: Buffer): { name: string; end: number } {
  const labels: string[] = [];
  let at = 12;
  while (query[at] !== 0) {
    const length = query[at]!;
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), end: at + 1 };
}

/** Answers the header and question of a query (RFC 1035 section 4). */
function encode(question: Buffer, reply: Exclude<DnsReply, "drop">, ttl: number): Buffer {
  const values = typeof reply === "string" ? [] : reply;
  const type = question.readUInt16BE(question.length - 4);
  const head = Buffer.from(question);
  // A response, authoritative, recursion as it was asked for and available.
  head.writeUInt16BE(
    0x8480 | (question.readUInt16BE(2) & 0x0100) | (typeof reply === "string" ? RCODES[reply] : 0),
    2,
  );
  head.writeUInt16BE(values.length, 6);
  head.writeUInt32BE(0, 8);
  const records = values.map((value) => {
    const data = ENCODERS[TYPES[type]!](value);
    const fixed = Buffer.alloc(12);
    fixed.writeUInt16BE(0xc00c, 0);
    fixed.writeUInt16BE(type, 2);
    fixed.writeUInt16BE(1, 4);
    fixed.writeUInt32BE(ttl, 6);
    fixed.writeUInt16BE(data.length, 10);
    return Buffer.concat([fixed, data]);
  });
  return Buffer.concat([head, ...records]);
}

const ENCODERS: Readonly<Record<DnsType, (value: string) => Buffer>> = {
  A: (address) => Buffer.from(address.split(".").map(Number)),
  AAAA: ipv6Bytes,
  TXT: (text) => Buffer.concat((text.match(/.{1,255}/gs) ?? [""]).map((part) => labelBytes(part))),
  SRV(value) {
    const [port, host] = value.split(" ");
    const fixed = Buffer.alloc(6);
    fixed.writeUInt16BE(Number(port), 4);
    return Buffer.concat([fixed, ...host!.split(".").map((part) => labelBytes(part)), Buffer.alloc(1)]);
  },
};

function labelBytes(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text, "latin1")]);
}

function ipv6Bytes(address: string): Buffer {
  const [head = "", tail = ""] = address.split("::");
  const before = head.split(":").filter(Boolean);
  const after = tail.split(":").filter(Boolean);
  const groups = [...before, ...Array<string>(8 - before.length - after.length).fill("0"), ...after];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}
