import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { HOSTS, SERVERS } from "../hosts.ts";
import { startServer } from "../server-process.ts";
import type { TunnelStack } from "../stack.ts";

/** An OpenSSH server of the tests' own, for files alone, opened by a key. */
export interface Sftp {
  /** `-o` options of a client that knows the server's key and no other. */
  readonly options: readonly string[];
  /** The folder that the server's files are in. */
  readonly files: string;
  /** The addresses that a key was accepted from. */
  addresses(): string[];
  stop(): Promise<void>;
}

const { name: HOST, port: PORT } = SERVERS.sftp;

/** Makes keys and starts it. */
export async function startSftp({ dir }: TunnelStack): Promise<Sftp> {
  const home = join(dir, "sftp");
  const files = join(home, "files");
  mkdirSync(files, { recursive: true, mode: 0o700 });
  const newKey = async (name: string) => {
    const file = join(home, name);
    await promisify(execFile)("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file]);
    return file;
  };
  const [hostKey, clientKey] = [await newKey("host"), await newKey("client")];
  copyFileSync(`${clientKey}.pub`, join(home, "authorized_keys"));
  const known = join(home, "known_hosts");
  writeFileSync(known, `${HOST} ${readFileSync(`${hostKey}.pub`, "utf8")}`);
  const conf = join(home, "sshd_config");
  writeFileSync(
    conf,
    `ListenAddress ${HOSTS.db}
Port ${PORT}
HostKey ${hostKey}
PidFile none
AuthorizedKeysFile ${join(home, "authorized_keys")}
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
Subsystem sftp internal-sftp -d ${files}
ForceCommand internal-sftp -d ${files}
`,
  );
  // Where the server locks up its unprivileged half.
  mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const log = join(dir, "sshd.log");
  const { stop } = await startServer(["/usr/sbin/sshd", "-D", "-e", "-f", conf], log, async () =>
    readFileSync(log, "utf8").includes("Server listening"),
  );
  const options = [
    `IdentityFile=${clientKey}`,
    `UserKnownHostsFile=${known}`,
    "IdentitiesOnly=yes",
    "StrictHostKeyChecking=yes",
    "BatchMode=yes",
  ];
  return {
    options: options.flatMap((option) => ["-o", option]),
    files,
    addresses: () =>
      [...readFileSync(log, "utf8").matchAll(/Accepted publickey for root from (\S+)/g)].map(
        (one) => one[1]!,
      ),
    stop,
  };
}
