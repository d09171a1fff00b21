import type { EgressState } from "./address-proof.ts";
import type { Dialer, DialTarget } from "./dialer.ts";

/**
 * A dialer that looks first, and once more where it fails, whether the node may be left at all: that says more than that
 * one target can't be reached, and sends the caller elsewhere.
 *
 * It throws `node_out_of_service` besides what the dialer throws.
 */
export function provenDialer(dialer: Dialer, egress: EgressState): Dialer {
  async function proven<T>(target: DialTarget, dialing: () => Promise<T>): Promise<T> {
    egress.assertProven();
    try {
      return await dialing();
    } catch (error) {
      if (target.signal?.aborted !== true) egress.assertProven();
      throw error;
    }
  }
  return {
    dial: (request) => proven(request, () => dialer.dial(request)),
    dialBare: (target) => proven(target, () => dialer.dialBare(target)),
  };
}
