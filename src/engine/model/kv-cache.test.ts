import { expect, test } from 'vitest';
import { createReferenceDevice } from '../device/reference.ts';
import { parseModelConfig } from './config.ts';
import { createKvCache } from './kv-cache.ts';
import { tinyConfig, tinyModel } from './testing.ts';

const config = parseModelConfig(tinyConfig, 'config.json');

test('rows of closed sequences are used again, joined with their neighbours', () => {
  const device = createReferenceDevice();
  const cache = createKvCache(device, config, 30);
  const [a, b, c] = [cache.open(10), cache.open(10), cache.open(10)];
  expect(cache.room()).toBe(0);
  expect(() => cache.open(1)).toThrow('kv-cache: no room for 1 tokens (0 of 30 are free); close sequences or create a larger cache');
  cache.close(a);
  cache.close(c);
  expect(() => cache.open(11)).toThrow(/no room for 11 tokens \(20 of 30/);
  cache.close(b);
  expect(cache.open(30).start).toBe(0);
  expect(() => cache.close(b)).toThrow(/closed already/);
  cache.free();
  expect(device.memory().bytes).toBe(0);
});

test('a prefix stays open, and as it is, while sequences continue it', async () => {
  const device = createReferenceDevice();
  const model = await tinyModel(device, { trainable: 'none' });
  const cache = model.createCache(30);
  const prefix = cache.open(10);
  const child = cache.open(5, prefix);
  expect(() => cache.close(prefix)).toThrow(/1 open sequences continue this prefix/);
  expect(() => cache.open(5, child)).toThrow(/cannot continue another prefix/);
  await expect(model.decode(cache, [{ sequence: prefix, tokens: [1] }])).rejects.toThrow(/cannot grow/);
  await expect(model.decode(cache, [{ sequence: child, tokens: [1, 2, 3, 4, 5, 6] }])).rejects.toThrow(/6 tokens after 0 do not fit a sequence opened for 5/);
  expect(child.length).toBe(0);
  cache.close(child);
  cache.close(prefix);
});
