import { run } from "./holdfast.ts";

/** The entry of the single-file binary, which `npm run build:binary` makes: no launcher, since Node is in the file. */
await run();
