import { answerQuestions } from "./conversation.ts";
import { startDnsServer } from "./dns-server.ts";

/** A host's process that tells names. Arguments: its own address, and a JSON object of addresses by name, one or a list each. */

const [own, names] = process.argv.slice(2) as [string, string];
const server = await startDnsServer(own, 53);
// Seconds: short, since a real pool's names would be too.
for (const [name, address] of Object.entries(
  JSON.parse(names) as Record<string, string | readonly string[]>,
)) {
  server.set(name, { A: [address].flat(), ttl: 30 });
}
answerQuestions(
  () => undefined,
  () => server.close(),
);
