/** From a device's name to the device: the only place that knows all of them. Loads only what is asked for, and never another in its place. */
import type { DeviceName } from '../../shared/devices.ts';
import type { Device } from './device.ts';
import { createCudaDevice } from './cuda/cuda.ts';
import { createNativeDevice } from './native.ts';
import { createReferenceDevice } from './reference.ts';

/** threads: 0 = all cores; only the native device can be told. */
export async function openDevice(name: DeviceName, threads: number): Promise<Device> {
  if (name === 'native') return createNativeDevice(threads);
  if (name === 'reference') return createReferenceDevice();
  if (name === 'webgpu') {
    const { createWebgpuDevice } = await import('./webgpu/webgpu.ts');
    return createWebgpuDevice();
  }
  if (name === 'cuda' || name === 'cuda-bf16') return createCudaDevice(name, process.env.ATTUNE_CUDA_DRIVER, process.env.ATTUNE_CUBLASLT);
  const { createTfjsDevice } = await import('./tfjs/tfjs.ts');
  return createTfjsDevice(name);
}
