import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../support/run.ts";

/** What `git` and `apt` get from a target that serves files. */

/** What the repository's one file says, and the package's. */
export const CONTENT = "it came through the door\n";

const PACKAGE = "through-the-door";

/** Makes a bare repository, as a web server without any CGI serves it. */
export async function makeGitRepository(files: string): Promise<void> {
  const work = join(files, "work");
  await must("git", ["init", "--quiet", "--initial-branch=main", work]);
  writeFileSync(join(work, "file"), CONTENT);
  const git = ["-C", work, "-c", "user.name=Tests", "-c", "user.email=tests@example.test"];
  await must("git", [...git, "add", "file"]);
  await must("git", [...git, "commit", "--quiet", "--message=One file"]);
  await must("git", ["clone", "--quiet", "--bare", work, join(files, "repository.git")]);
  await must("git", ["-C", join(files, "repository.git"), "update-server-info"]);
}

/** Makes a repository of Debian's kind with one package in it. */
export async function makeAptRepository(files: string): Promise<void> {
  const root = join(files, "package");
  const repository = join(files, "apt");
  mkdirSync(join(root, "DEBIAN"), { recursive: true });
  mkdirSync(repository);
  const control = [
    `Package: ${PACKAGE}`,
    "Version: 1",
    "Architecture: all",
    "Maintainer: Tests <tests@example.test>",
    "Description: a file",
  ];
  writeFileSync(join(root, "DEBIAN/control"), `${control.join("\n")}\n`);
  writeFileSync(join(root, "file"), CONTENT);
  const file = `${PACKAGE}_1_all.deb`;
  await must("dpkg-deb", ["--build", "--root-owner-group", root, join(repository, file)]);
  const deb = readFileSync(join(repository, file));
  const packages = [
    ...control,
    `Filename: ./${file}`,
    `Size: ${deb.length}`,
    `SHA256: ${sha256(deb)}`,
    "",
  ].join("\n");
  writeFileSync(join(repository, "Packages"), packages);
  const sum = ` ${sha256(Buffer.from(packages))} ${packages.length} Packages`;
  writeFileSync(join(repository, "Release"), `Date: ${new Date().toUTCString()}\nSHA256:\n${sum}\n`);
}

/** A shell script that has apt fetch the package into the working folder; `$1` is the origin of the target, `$2` the proxy. */
export const APT_SCRIPT = `
set -e
mkdir -p state/lists/partial cache/archives/partial
: > status
echo "deb [trusted=yes] $1/files/apt ./" > sources.list
cat > apt.conf <<CONF
Dir::Etc::sourcelist "$PWD/sources.list";
Dir::Etc::sourceparts "-";
Dir::State "$PWD/state";
Dir::State::status "$PWD/status";
Dir::Cache "$PWD/cache";
APT::Sandbox::User "root";
Acquire::Retries "0";
Acquire::http::Proxy "$2";
Acquire::https::Proxy "$2";
CONF
export APT_CONFIG="$PWD/apt.conf"
apt-get -q update
apt-get -q download ${PACKAGE}
dpkg-deb --fsys-tarfile ${PACKAGE}_1_all.deb | tar -xO ./file
`;

async function must(file: string, args: readonly string[]): Promise<void> {
  const { code, stderr } = await run(file, args);
  if (code !== 0) throw new Error(`${file} ended with ${code}: ${stderr}`);
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
