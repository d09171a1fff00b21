import { mapByHosts } from "../../cli/agent/hosts-map.ts";

/**
 * An agent that does nothing but lead names to addresses by a hosts file: `names-agent.ts <file> <host>=<address>…`. It says
 * "ready", and leaves when its stdin ends.
 */
const [path, ...entries] = process.argv.slice(2);
const map = await mapByHosts(
  entries.map((entry) => {
    const [host, address] = entry.split("=") as [string, string];
    return { host, address };
  }),
  path,
);
process.stdout.write("ready\n");
process.stdin.resume();
process.stdin.once("end", () => void map.close());
