import { networkInterfaces } from "node:os";
import { type CountingTarget, startCountingTarget } from "./counting-target.ts";
import { answerQuestions } from "./conversation.ts";
import { type DnsRecord, startDnsServer } from "./dns-server.ts";
import { startRefusalStack } from "./refusal-stack.ts";
import { startWitness } from "./witness.ts";

/**
 * Runs by `startIsolated`: a whole stack whose nodes ask a name server of this process, and a target that listens on
 * every address there is.
 */

/** What can be asked. */
export type Question =
  | { readonly what: "names"; readonly records: Readonly<Record<string, DnsRecord>> }
  | { readonly what: "get"; readonly url: string; readonly node?: string }
  | { readonly what: "queries"; readonly name: string }
  | { readonly what: "connections" }
  | { readonly what: "alive" };

/** What became of one request. */
export interface Got {
  readonly status: number | undefined;
  /** Relay-Error, else Relay-Status. */
  readonly mark: string | undefined;
  readonly reached: string | undefined;
  readonly detail: string | undefined;
  /** Connections to any address until the answer was there. */
  readonly connections: number;
  /** The addresses that were connected to by then and right after, sorted. */
  readonly connectedTo: readonly string[];
}

/** The port on which every address answers. */
export const TARGET_PORT = 8080;

/** A spare connection is there by then. */
const SPARE_MS = 20;

/** Opened ranges, and what they must not open with them. */
const NODE_CONFIG = {
  open: ["127.0.0.8/29", "10.20.0.0/16", "100.100.0.0/16", "198.51.100.0/24", "fd12::/16", "fd00:ec2::/32"],
  egress: { ipv4: { bind: "127.0.0.2", public: "198.51.100.7" }, ipv6: { bind: "::1", public: "fd12::7" } },
};

if (Object.keys(networkInterfaces()).some((name) => name !== "lo")) {
  throw new Error("this is no namespace of its own: there is more than the loopback interface");
}

const dns = await startDnsServer();
// Edge and peers see the bound addresses, as nothing here translates them: those who see what is published must not be fewer.
const translated = await startWitness({
  host: "::",
  tell: (seen) => (seen.includes(":") ? NODE_CONFIG.egress.ipv6.public : NODE_CONFIG.egress.ipv4.public),
});
const relay = await startRefusalStack(["TARGET", `http://*:${TARGET_PORT}`, `https://*:${TARGET_PORT}`], {
  ...NODE_CONFIG,
  nameServers: [dns.address],
  witnesses: ["1", "2"].map((name) => `http://localhost:${translated.port}/${name}`),
});
const target: CountingTarget = await startCountingTarget({
  host: "::",
  port: TARGET_PORT,
  // A warm connection would spare the next request its look-up.
  answer: (request, response) =>
    response
      .writeHead(request.url === "/redirect" ? 302 : 200, {
        Connection: "close",
        Location: "http://127.0.0.1:8080/",
      })
      .end("ok"),
});

async function get(url: string, node: string | undefined): Promise<Got> {
  const before = target.addresses.length;
  const got = await relay.ask({ claims: { url, ...(node !== undefined && { node }) } });
  const connections = target.connections - before;
  // A connection that is made ahead for what comes next is this one's.
  if (got?.field("relay-status") === "target") await new Promise((done) => setTimeout(done, SPARE_MS));
  const problem = got?.field("relay-error") === undefined ? {} : (JSON.parse(got.body) as Partial<Got>);
  return {
    status: got?.status,
    mark: got?.field("relay-error") ?? got?.field("relay-status"),
    reached: problem.reached,
    detail: problem.detail,
    connections,
    connectedTo: [...new Set(target.addresses.slice(before))].toSorted(),
  };
}

function answerTo(question: Question): unknown {
  switch (question.what) {
    case "names":
      for (const [name, record] of Object.entries(question.records)) dns.set(name, record);
      return undefined;
    case "get":
      return get(question.url, question.node);
    case "queries":
      return dns.count(question.name);
    case "connections":
      return target.addresses.length;
    case "alive":
      return relay.isAlive() && relay.relayedAllTheSame().length === 0;
  }
}

answerQuestions(answerTo, () => Promise.all([relay.stop(), target.close(), dns.close(), translated.close()]));
