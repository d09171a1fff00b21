import { answerQuestions } from "../support/conversation.ts";
import { startDnsServer } from "../support/dns-server.ts";
import { HOSTS, NAMES } from "./hosts.ts";

/** The `dns` host: a process that tells the names of the others. */

const server = await startDnsServer(HOSTS.dns, 53);
// Seconds: short, since a real pool's names would be too.
for (const [name, address] of Object.entries(NAMES)) server.set(name, { A: [address], ttl: 30 });
answerQuestions(
  () => undefined,
  () => server.close(),
);
