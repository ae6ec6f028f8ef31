/** The devices a model can compute on, and what one says of itself. */
import { z } from 'zod';

export const DeviceName = z.enum(['native', 'webgpu', 'webgpu-f16', 'tfjs-cpu', 'tfjs-wasm', 'tfjs-node', 'tfjs-node-gpu', 'cuda', 'cuda-bf16', 'reference']);
export type DeviceName = z.infer<typeof DeviceName>;

/** What a self-test found: right first, then fast. */
export type SelfTest = {
  /** Largest difference of a kernel's result from the reference's, relative to the largest number in it; of the kernel named. */
  worst: { kernel: string; error: number };
  /** Whether every result lies within what f32 sums, or sums of numbers rounded to bf16 or f16, may differ by. */
  agrees: boolean;
  /** f32 products of 512³, operations a second. */
  flopsPerSecond: number;
  /** Vectors added, bytes read and written a second. */
  bytesPerSecond: number;
};

/** `description` says what really runs; `problem` why it cannot, and what it would need. One of them is null. */
export type DeviceState = { name: DeviceName; description: string | null; problem: string | null; memoryBytes: number | null };
