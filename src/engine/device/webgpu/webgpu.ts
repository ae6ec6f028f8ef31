/**
 * The WebGPU device: device.ts's kernels in WGSL, through Dawn (the npm package `webgpu`), on any vendor's graphics card. Calls of kernels are gathered into
 * submissions of some layers' worth; nothing comes back from the GPU but what is read. Same inputs give the same bits on one graphics card and driver;
 * another one's exponentials and fused multiplications may round otherwise.
 */
import type { Device } from '../device.ts';
import { createActivationKernels } from './activations.ts';
import { createAttentionKernels } from './attention.ts';
import { createExpertKernels } from './experts.ts';
import { openGpu } from './gpu.ts';
import { createLinearKernels } from './linear.ts';
import { createLogprobKernels } from './logprob.ts';
import { createMemory } from './memory.ts';
import { createNormKernels } from './norms.ts';
import { createRowKernels } from './rows.ts';
import { createVectorKernels } from './vectors.ts';

export async function createWebgpuDevice(): Promise<Device> {
  const gpu = await openGpu();
  const memory = createMemory(gpu);
  return {
    name: 'webgpu',
    description: `webgpu, ${gpu.info}`,

    alloc: (length, storage = 'f32') => memory.alloc(length, storage),
    free: (x) => memory.free(x),
    view: (x, offset, length, storage = 'f32') => memory.view(x, offset, length, storage),
    memory: () => memory.usage(),
    write: (x, data, offset = 0) => memory.write(x, data, offset),
    read: (x, offset = 0, length = x.length - offset) => memory.read(x, offset, length),

    ...createVectorKernels(gpu, memory),
    ...createRowKernels(gpu, memory),
    ...createLinearKernels(gpu, memory),
    ...createNormKernels(gpu, memory),
    ...createActivationKernels(gpu, memory),
    ...createAttentionKernels(gpu, memory),
    ...createLogprobKernels(gpu, memory),
    ...createExpertKernels(gpu, memory),
  };
}
