/** Gradient clipping by global norm, as torch.nn.utils.clip_grad_norm_: here a factor, for adamw takes it along in its one pass over memory. */

/** The factor that brings a gradient of this norm down to maxGradNorm; 1 when it is below, or when maxGradNorm is 0 (off). */
export function clipScale(norm: number, maxGradNorm: number): number {
  return maxGradNorm === 0 ? 1 : Math.min(1, maxGradNorm / (norm + 1e-6));
}
