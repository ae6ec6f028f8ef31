/**
 * The WebGPU device: device.ts's kernels in WGSL, through Dawn (the npm package `webgpu`), on any vendor's graphics card. As `webgpu` it multiplies f32, as
 * `webgpu-f16`, where a card has f16, matrix products (linear layers, the head) round their operands to f16 and sum in f32. Calls of kernels are gathered into
 * submissions of some layers' worth; nothing comes back from the GPU but what is read. Same inputs give the same bits on one graphics card and driver;
 * another one's exponentials and fused multiplications may round otherwise.
 */
import type { Device } from '../device.ts';
import { createActivationKernels } from './activations.ts';
import { createAttentionKernels } from './attention.ts';
import { createExpertKernels } from './experts.ts';
import { openGpu, type Trial } from './gpu.ts';
import { createLinearKernels, createProducts } from './linear.ts';
import { createLogprobKernels } from './logprob.ts';
import { createMemory } from './memory.ts';
import { createNormKernels } from './norms.ts';
import { createRowKernels } from './rows.ts';
import { createVectorKernels } from './vectors.ts';

export type WebgpuName = 'webgpu' | 'webgpu-f16';

/** `trial`: for tests, what a graphics card is taken to have or not: f16 played by rounding, no subgroups. */
export async function createWebgpuDevice(name: WebgpuName = 'webgpu', trial: Trial = {}): Promise<Device> {
  const gpu = await openGpu(name, trial);
  const memory = createMemory(gpu);
  const multiply = createProducts(gpu, memory);
  return {
    name,
    description: `${name}, ${gpu.info}`,

    alloc: (length, storage = 'f32') => memory.alloc(length, storage),
    free: (x) => memory.free(x),
    view: (x, offset, length, storage = 'f32') => memory.view(x, offset, length, storage),
    memory: () => memory.usage(),
    write: (x, data, offset = 0) => memory.write(x, data, offset),
    read: (x, offset = 0, length = x.length - offset) => memory.read(x, offset, length),

    ...createVectorKernels(gpu, memory),
    ...createRowKernels(gpu, memory),
    ...createLinearKernels(gpu, memory, multiply),
    ...createNormKernels(gpu, memory),
    ...createActivationKernels(gpu, memory),
    ...createAttentionKernels(gpu, memory),
    ...createLogprobKernels(gpu, memory, multiply),
    ...createExpertKernels(gpu, memory),
  };
}
