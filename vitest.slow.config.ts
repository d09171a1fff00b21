import { SLOW_FILES } from "./test/slow-files.ts";
import base from "./vitest.config.ts";

/** What `npm test` leaves out, in the same way. */
export default {
  ...base,
  test: { ...base.test, include: [...SLOW_FILES], exclude: [] },
};
