/** One call of the conformance suite on a device, and what it leaves: for tests that hold a device to another tolerance than the suite's (conformance.test.ts, which also guards what lies behind tensors). Not a test. */
import type { Case, Tensors } from './conformance-cases.ts';
import type { Device } from './device.ts';

/** The case's results by name; a tensor's type is that of the array the case gives it. */
export async function runCase(device: Device, c: Case): Promise<Record<string, Float32Array>> {
  const tensors: Tensors = {};
  for (const [name, data] of Object.entries(c.tensors)) {
    tensors[name] = device.alloc(data.length, data instanceof Float32Array ? 'f32' : data instanceof Int32Array ? 'i32' : 'bf16');
    device.write(tensors[name], data);
  }
  c.forward(device, tensors);
  c.backward?.(device, tensors);
  const results: Record<string, Float32Array> = {};
  for (const name of Object.keys(c.results)) results[name] = (await device.read(tensors[name])) as Float32Array;
  for (const x of Object.values(tensors)) device.free(x);
  return results;
}
