/**
 * The devices of this machine as their engines tell of them: each is asked in a process of its own, which a driver that crashes takes with it alone.
 * A device that cannot run says why and what it would need; nothing ever runs on another than the one chosen.
 */
import { totalmem } from 'node:os';
import { DeviceName, type DeviceState, type SelfTest } from '../shared/devices.ts';
import { askEngine } from './engine.ts';
import { UserError } from './user-error.ts';

/** Of those whose memory is the machine's own. TensorFlow and WebGPU do not tell what a card has. */
const HOST_MEMORY: DeviceName[] = ['native', 'tfjs-cpu', 'tfjs-wasm', 'tfjs-node', 'reference'];

export async function describeDevice(name: DeviceName): Promise<DeviceState> {
  let memoryBytes = HOST_MEMORY.includes(name) ? totalmem() : null;
  let description = '';
  try {
    await askEngine({ type: 'device', device: name, threads: 0, selfTest: false }, (event) => {
      if (event.type !== 'ready') return;
      description = event.device;
      memoryBytes = event.memoryBytes ?? memoryBytes;
    });
    return { name, description, problem: null, memoryBytes };
  } catch (error) {
    return { name, description: null, problem: (error as Error).message, memoryBytes };
  }
}

export function listDevices(): Promise<DeviceState[]> {
  return Promise.all(DeviceName.options.map(describeDevice));
}

/** A few seconds. Throws what the device needs, where it cannot run. */
export async function testDevice(name: DeviceName): Promise<SelfTest> {
  try {
    return await askEngine<SelfTest>({ type: 'device', device: name, threads: 0, selfTest: true });
  } catch (error) {
    throw new UserError((error as Error).message, { cause: error });
  }
}
