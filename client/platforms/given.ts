import { PLATFORM_TOKEN_MAX_BYTES } from "../limits.ts";
import { nodeFs, valueOf } from "./environment.ts";
import { type Platform, platformFailure } from "./platform.ts";

const FILE = "HOLDFAST_ID_TOKEN_FILE";
const VARIABLE = "HOLDFAST_ID_TOKEN";

/** A file that something else keeps fresh, such as Kubernetes' projected tokens; it is read anew each time. */
export const tokenFile: Platform = {
  title: FILE,
  knownBy: FILE,
  isHere: (env) => valueOf(env, FILE) !== undefined,
  token: async ({ env }) => {
    const path = valueOf(env, FILE);
    const fs = nodeFs();
    if (path === undefined || fs === undefined) throw platformFailure("this runtime can't read files");
    try {
      // What is far longer than a token may be anything, or have no end.
      const handle = await fs.promises.open(path, "r");
      try {
        const buffer = new Uint8Array(PLATFORM_TOKEN_MAX_BYTES + 1);
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
        return new TextDecoder().decode(buffer.subarray(0, bytesRead));
      } finally {
        await handle.close();
      }
    } catch (cause) {
      throw platformFailure(`${FILE} names a file that can't be read`, cause);
    }
  },
};

/** The token itself, for what lives shorter than it. */
export const tokenVariable: Platform = {
  title: VARIABLE,
  knownBy: VARIABLE,
  isHere: (env) => valueOf(env, VARIABLE) !== undefined,
  token: async ({ env }) => valueOf(env, VARIABLE) ?? "",
};
