/** Two steps of training in a process of their own, and the most memory it held, in bytes: node bench/peak-rss.ts METHOD SIZE THREADS */
import { createNativeDevice } from '../src/engine/device/native.ts';
import { peakMemory } from '../src/engine/peak-memory.ts';
import { sizes } from './configs.ts';
import { createTrainer, type Method } from './trainer.ts';

const [method, size, threads] = process.argv.slice(2);
const trainer = await createTrainer(createNativeDevice(Number(threads)), method as Method, sizes[size]);
for (let i = 0; i < 2; i++) await trainer.step();
console.log(peakMemory());
